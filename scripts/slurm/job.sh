# What the batch scripts here share: arguments, steps that a signal can end, what is kept. Sourced by them, not run.
# shellcheck shell=bash
# Arguments of every batch script, after the folder of these scripts; `trainmeter submit` passes them, none reaches a shell as text:
#   --bin DIR      the programs (build/bin of the folder that the job was submitted in; of an image its /opt/trainmeter/bin)
#   --jobs DIR     the job works in DIR/<job id> (trainmeter-jobs)
#   --device D     gpu or cpu (gpu)      --case-seconds S  most sampling of a case (2)
#   --module M     load it first; repeatable      --image FILE  run the programs in this container, by apptainer
#   --mpi TYPE     of srun, for steps over several nodes (pmix)
set -euo pipefail
bin='' jobs=$PWD/trainmeter-jobs device=gpu case_seconds=2 mpi=pmix image='' modules=()
while [ $# -gt 0 ]; do
  if [ -z "${2:-}" ]; then printf '%s: expected a value\n' "$1" >&2; exit 2; fi
  value=$2
  case $1 in
    --bin) bin=$value ;;
    --jobs) jobs=$value ;;
    --device) device=$value ;;
    --case-seconds) case_seconds=$value ;;
    --module) modules+=("$value") ;;
    --image) image=$value ;;
    --mpi) mpi=$value ;;
    *) printf "unknown argument '%s'\n" "$1" >&2; exit 2 ;;
  esac
  shift 2
done
case $device in gpu | cpu) ;; *) printf "%s\n" "--device: expected gpu or cpu, found '$device'" >&2; exit 2 ;; esac
inside=()  # what a step's command begins with
if [ -n "$image" ]; then
  if [ "$device" = gpu ]; then with=(--nv); else with=(); fi
  # shellcheck disable=SC2154  # $here: of the script that sources this one
  inside=(apptainer exec "${with[@]}" --bind "$jobs" --bind "$here" "$image")
fi
bin=${bin:-${image:+/opt/trainmeter/bin}}
bin=${bin:-$PWD/build/bin}
export TRAINMETER_CASE_SECONDS=$case_seconds
# What ranks that meet without MPI show each other that they hold: this start's own secret, in its environment alone.
export TRAINMETER_TOKEN=${TRAINMETER_TOKEN:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}

# One folder for a job and its restarts, and for all tasks of an array.
folder=$jobs/${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
ended=$folder/ended/${SLURM_ARRAY_TASK_ID:-0}
had=$folder/starts/${SLURM_ARRAY_TASK_ID:-0}  # the nodes of the start before
mkdir -p "$folder/records" "$folder/nodes" "$folder/groups" "$folder/starts" "$folder/ended"
rm -f "$ended"  # of the start before

# A start on other nodes: where a signal stopped a node that isn't there any more, its record ends in the middle by no fault of its own.
# It is put aside, where nobody judges what it lacks, until a start has that node again. Of an array each task looks after those that it
# had itself: others measure at the same time.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
for node in "${nodes[@]}"; do
  record=$folder/records/$node
  rm -f "$folder/nodes/$node"
  if [ -e "$record.unfinished" ] && [ ! -e "$record.jsonl" ]; then mv "$record.unfinished" "$record.jsonl"; fi
done
if [ -e "$had" ]; then
  while read -r node; do
    record=$folder/records/$node
    case " ${nodes[*]} " in *" $node "*) continue ;; esac
    if [ -e "$record.jsonl" ] && [ "$(cat "$folder/nodes/$node" 2>/dev/null)" = 143 ]; then mv "$record.jsonl" "$record.unfinished"; fi
  done <"$had"
fi
printf '%s\n' "${nodes[@]}" >"$had"

say() { printf '%s  %s\n' "$(date -u +%H:%M:%S)" "$*"; }
measured() { cat "$folder"/records/*.jsonl "$folder"/records/*.unfinished 2>/dev/null | grep -c '"kind":"measurement"' || true; }
before=$(measured)
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then say "start number $((SLURM_RESTART_COUNT + 1)), with $before cases measured before"; fi

# A signal ends the steps in order: each program finishes its line. USR1 comes 60 s before the time limit (--signal), TERM from
# scancel, from pre-emption and at the time limit itself; Slurm then sends it to the steps, too.
stopped='' alive=''  # why, and the processes whose steps were still running then
trap 'alive="$alive $(jobs -pr | tr "\n" " ")"; stopped=time; scancel --signal=TERM "$SLURM_JOB_ID"' USR1
trap 'alive="$alive $(jobs -pr | tr "\n" " ")"; stopped=${stopped:-term}' TERM

# step COMMAND...: its exit code is in $code. In the background, or the traps would wait for it.
code=0 awaited=''
step() {
  "$@" &
  await $!
}
await() {  # await PROCESS
  local failed=0
  awaited=$1
  while :; do
    wait "$1" && failed=0 || failed=$?
    kill -0 "$1" 2>/dev/null || break
  done
  code=$failed
}

# outcome FILE [SECONDS LIMIT]: what became of the part of the job that was awaited last is written there, $code, for `trainmeter accept`.
# That a signal stopped it, 143, is no fault of its own, whether the job was told (and this part was still running then) or its steps
# alone (pre-emption with a time of grace); but that its step took the SECONDS of its LIMIT is.
outcome() {
  case " $alive " in
    *" $awaited "*) code=143 ;;
    *) if [ "$code" -eq 143 ] && [ "${2:-0}" -ge "${3:-0}" ]; then code=4; fi ;;
  esac
  printf '%s\n' "$code" >"$1"
}

worst=0
note() { if [ "$code" -gt "$worst" ]; then worst=$code; fi; }
# account_for NODE, after its step: it has left its exit code, or is lost. Then srun may still have said 0.
account_for() {
  ls "$folder/nodes" >/dev/null  # a network file system remembers for a while that a file isn't there, until somebody looks
  if [ ! -e "$folder/nodes/$1" ]; then
    say "$1: lost"
    if [ "$code" -lt 4 ]; then code=4; fi
    outcome "$folder/nodes/$1"
  fi
  note
}

# The last thing: where the time limit came first and this start got further than the one before, Slurm starts the job again, and it goes on.
finish() {
  local now
  now=$(measured)
  say "$now cases measured; exit code $worst"
  if [ "$stopped" = time ]; then
    if [ "$now" -gt "$before" ]; then
      say "the time limit is near: again from here"
      exec scontrol requeue "$SLURM_JOB_ID"
    fi
    say "the time limit is too short for a single case"
  fi
  if [ "$stopped" = term ]; then worst=143; fi
  printf '%s\n' "$worst" >"$ended.part" && mv "$ended.part" "$ended"
  exit "$worst"
}

# Sites define `module` for login shells, which this isn't, in words that aren't made for -eu.
if [ ${#modules[@]} -gt 0 ]; then
  set +eu
  if ! type -t module >/dev/null; then
    for file in ${MODULESHOME:+"$MODULESHOME/init/bash"} /etc/profile.d/{modules,lmod,z00_lmod}.sh; do
      # shellcheck source=/dev/null
      if [ -r "$file" ]; then source "$file"; break; fi
    done
  fi
  module load "${modules[@]}"
  code=$?
  set -eu
  if [ "$code" -ne 0 ]; then
    say "module load ${modules[*]}: failed; the site file names modules that this node has not"
    code=3
    note
    for node in "${nodes[@]}"; do outcome "$folder/nodes/$node"; done
    finish
  fi
fi
