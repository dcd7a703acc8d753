#!/usr/bin/env bash
# The main job: sets this machine up, builds, measures it, and prints what that means for whole training runs.
#   scripts/run.sh [--out FILE.jsonl] [--price USD_PER_DEVICE_HOUR]
# Everything but the report goes to stderr. The record lands in results/measured/local/ (which git ignores) unless --out says otherwise.
source "$(dirname "$0")/common.sh"

out='' price=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$(value_of --out 'a file' "${@:2:1}"); shift 2 ;;
    --price)
      usd=$(value_of --price 'USD an hour' "${@:2:1}")
      [[ $usd =~ ^[0-9]*\.?[0-9]+$ ]] || die 2 "--price: expected USD an hour, found '$usd'"
      price=(--price "$usd"); shift 2 ;;
    *) die 2 "unknown argument '$1' (try --help)" ;;
  esac
done
case $out in '' | /*) ;; *) out=$PWD/$out ;; esac
out=${out#"$root"/}  # shorter in the report: everything below runs in $root

install_missing "${packages[@]}"
build_with OFF all_programs
cd "$root"
bin=build/bin
: "${out:=results/measured/local/$(hostname)/$(date -u +%Y%m%dT%H%M%S)-$(git rev-parse --short HEAD 2>/dev/null || echo unknown).jsonl}"

say "This machine"
"$bin/trainmeter" doctor >&2

# Ctrl-C ends the measuring, keeps what is finished, and says where.
trap 'printf "\nInterrupted. What was measured is in %s\n" "$out" >&2; exit 130' INT

measure() {  # measure COMMAND...: a missing capability (3) is said and passed over, anything else ends the run
  local status=0
  "$@" >&2 || status=$?
  case $status in
    0) ;;
    3) printf 'passed over: %s\n' "$*" >&2 ;;
    *) die "$status" "this failed with exit code $status: $* (finished work is in $out)" ;;
  esac
}

# The limits bite where other programs take the cores; what is then left out is said. The most telling cases come first.
say "Measuring GEMM, into $out"
measure "$bin/gemm_bench" --models=gpt2-124m --case_seconds=0.5 --max_seconds=180 --out="$out"
say "Measuring memory bandwidth"
measure "$bin/memory_bench" --case_seconds=1 --max_seconds=40 --out="$out"
say "Measuring all-reduce"
gpus=$("$bin/trainmeter" doctor --format json | grep -c '"compute_capability"' || true)  # one a GPU
if [ "$gpus" -gt 1 ]; then
  measure "$bin/collective_bench" --device=gpu --max_seconds=25 --out="$out"
elif [ "$(nproc)" -gt 1 ]; then
  ranks=$(nproc); [ "$ranks" -le 8 ] || ranks=8
  as_root=(); [ "$(id -u)" -ne 0 ] || as_root=(--allow-run-as-root)
  measure mpirun "${as_root[@]}" -n "$ranks" "$bin/collective_bench" --device=cpu --max_seconds=25 --out="$out"
else
  printf 'one core and no second GPU: nothing to reduce between\n' >&2
fi

say "Report (again at any time: $bin/trainmeter report $out)"
exec "$bin/trainmeter" report "$out" "${price[@]}"
