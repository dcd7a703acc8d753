#!/usr/bin/env bash
# A Slurm cluster on this machine: a controller, two nodes of 8 fake GPUs, munge of its own; all of it in one folder. As root.
#   cluster.sh start FOLDER    then SLURM_CONF=FOLDER/slurm.conf for every command
#   cluster.sh stop FOLDER
set -euo pipefail
action=$1 folder=$(realpath "$2")
case $action in
  stop)
    for daemon in slurmd-n1 slurmd-n2 slurmctld munged; do
      pid=$(cat "$folder/$daemon.pid" 2>/dev/null) || continue
      kill "$pid" 2>/dev/null || continue
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2>/dev/null || true
    done
    exit ;;
  start) ;;
  *) echo "cluster.sh: '$action': expected start or stop" >&2; exit 2 ;;
esac
host=$(hostname)
port=$((20000 + $$ % 9000 * 3))
mkdir -p "$folder/state"
chmod 755 "$folder"
for gpu in $(seq 0 7); do mknod "$folder/gpu$gpu" c 1 3; done
cat >"$folder/slurm.conf" <<EOF
ClusterName=trainmeter
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
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
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 2))] CPUs=8 Gres=gpu:8 State=UNKNOWN
PartitionName=gpu Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
EOF
echo "NodeName=n[1-2] Name=gpu File=$folder/gpu[0-7]" >"$folder/gres.conf"
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=2 2>"$folder/munged.err"
export SLURM_CONF=$folder/slurm.conf
slurmctld -f "$SLURM_CONF"
for node in n1 n2; do slurmd -N "$node" -f "$SLURM_CONF"; done
for _ in $(seq 150); do
  if [ "$(sinfo --noheader --format=%T --states=idle 2>/dev/null)" = idle ] &&
    [ "$(sinfo --noheader --format=%D --states=idle)" = 2 ]; then exit 0; fi
  sleep 0.2
done
echo "cluster.sh: the nodes did not come up; the logs are in $folder" >&2
sinfo >&2 || true
exit 1
