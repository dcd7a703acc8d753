#!/usr/bin/env bash
# A Slurm cluster on this machine: a controller, nodes of 8 fake GPUs, munge of its own; all of it in one folder. As root.
#   cluster.sh start FOLDER               two nodes that share this host's network
#   cluster.sh start FOLDER NODES RATE    so many, each a host of its own name in a network namespace of its own, with a link of RATE
#                                         (tc's: 400mbit) to a bridge at 10.77.0.254; node i is 10.77.0.i, the controller is at the bridge
#   cluster.sh stop FOLDER
# Afterwards SLURM_CONF=FOLDER/slurm.conf for every command; with NODES in network namespace
# $(cat FOLDER/namespace), and node i's is that with -i.
set -euo pipefail
action=$1 folder=$(realpath "$2") nodes=${3:-2} rate=${4:-}
case $action in
  stop)
    daemons=$(cat "$folder"/slurmd-*.pid "$folder/slurmctld.pid" "$folder/munged.pid" 2>/dev/null || true)
    for pid in $daemons; do kill "$pid" 2>/dev/null || true; done
    for pid in $daemons; do
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2>/dev/null || true
    done
    if [ -e "$folder/namespace" ]; then
      spaces=$(ip netns list | cut -d' ' -f1 | grep "^$(cat "$folder/namespace")\(-\|\$\)" || true)
      for space in $spaces; do ip netns delete "$space"; done
    fi
    exit ;;
  start) ;;
  *) echo "cluster.sh: '$action': expected start or stop" >&2; exit 2 ;;
esac
host=$(hostname)
port=$((20000 + $$ % 9000 * 3))
address=127.0.0.1 node_lines="NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 2))]"
there=()  # what runs a command where the controller is
mkdir -p "$folder/state"
chmod 755 "$folder"
if [ -n "$rate" ]; then
  space=trainmeter-$$
  echo "$space" >"$folder/namespace"
  ip netns add "$space"
  there=(nsenter "--net=/run/netns/$space")  # `ip netns exec` would hide /sys/fs/cgroup, which slurmd needs
  "${there[@]}" ip link set lo up
  "${there[@]}" ip link add bridge type bridge
  "${there[@]}" ip address add 10.77.0.254/24 dev bridge
  "${there[@]}" ip link set bridge up
  for ((i = 1; i <= nodes; ++i)); do
    ip netns add "$space-$i"
    ip link add "n$i" netns "$space" type veth peer name eth0 netns "$space-$i"
    "${there[@]}" ip link set "n$i" master bridge up
    ip -n "$space-$i" link set lo up
    ip -n "$space-$i" address add "10.77.0.$i/24" dev eth0
    ip -n "$space-$i" link set eth0 up
    # What leaves the node: class 1:1, and 1:2 for what somebody wants slower.
    tc -n "$space-$i" qdisc add dev eth0 root handle 1: htb default 1
    tc -n "$space-$i" class add dev eth0 parent 1: classid 1:1 htb rate "$rate" quantum 60000
  done
  address=10.77.0.254
  node_lines=$(for ((i = 1; i <= nodes; ++i)); do echo "NodeName=n$i NodeHostname=n$i NodeAddr=10.77.0.$i Port=$((port + 1))"; done)
fi
for gpu in $(seq 0 7); do mknod "$folder/gpu$gpu" c 1 3; done
cat >"$folder/slurm.conf" <<EOF
ClusterName=trainmeter
SlurmctldHost=$host($address)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock,cred_expire=15
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
TmpFS=$folder/tmp-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=3600
SlurmctldTimeout=300
SlurmdTimeout=300
PreemptType=preempt/none
DefMemPerNode=64
NodeName=DEFAULT CPUs=8 RealMemory=1024 Gres=gpu:8 State=UNKNOWN
$node_lines
PartitionName=gpu Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP
EOF
echo "NodeName=n[1-$nodes] Name=gpu File=$folder/gpu[0-7]" >"$folder/gres.conf"
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=2 2>"$folder/munged.err"
echo 8192K >"$folder/cache"
export SLURM_CONF=$folder/slurm.conf
"${there[@]}" slurmctld -f "$SLURM_CONF"
for ((i = 1; i <= nodes; ++i)); do
  mkdir "$folder/tmp-n$i"  # PMIx names its files alike on all nodes
  if [ -z "$rate" ]; then
    slurmd -N "n$i" -f "$SLURM_CONF"
  else
    # A host of its own name; and of 8 MiB of cache: virtual machines tell of hundreds, and operands that fill them take seconds.
    nsenter "--net=/run/netns/$space-$i" unshare --uts --mount bash -ec "hostname n$i
      for size in /sys/devices/system/cpu/cpu*/cache/index3/size; do if [ -e \$size ]; then mount --bind '$folder/cache' \$size; fi; done
      exec slurmd -N n$i -f '$SLURM_CONF'"
  fi
done
for _ in $(seq 150); do
  if [ "$("${there[@]}" sinfo --noheader --format='%T %D' --states=idle 2>/dev/null)" = "idle $nodes" ]; then exit 0; fi
  sleep 0.2
done
echo "cluster.sh: the nodes did not come up; the logs are in $folder" >&2
"${there[@]}" sinfo >&2 || true
exit 1
