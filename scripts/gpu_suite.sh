#!/usr/bin/env bash
# Everything worth measuring on a GPU, most valuable first, until 8 minutes are over: correctness of every GPU implementation, 30 s of
# warm-up, GEMM beside the vendor's, all-reduce between several GPUs, memory, GEMM beside published figures; one record and its report.
#   scripts/gpu_suite.sh [--bin DIR] [--seconds N] [--only SECTION,...]
# Sections: correct warm gemm collectives memory published fp8 concurrent models passes llama squares ladder interference steps attention
# layers decode pitfalls peer sustained sanitizer. In this order, but with one GPU collectives behind ladder; what there is no time for is said.
# Programs: --bin, $TRAINMETER_BIN, the folder this script lies in, or build/bin. Output: $OUT, else results/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${TRAINMETER_BIN:-} seconds=440 only=
refuse() { printf 'gpu_suite.sh: %s\n' "$1" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in --bin | --seconds | --only) [ -n "${2:-}" ] || refuse "$1: expected a value (try --help)" ;; esac
  case $1 in
    --bin) bin=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) refuse "unknown argument '$1' (try --help)" ;;
  esac
done
[[ $seconds =~ ^[0-9]{1,6}$ ]] || refuse "--seconds: expected whole seconds, found '$seconds'"
known=$(sed -n 's/^ *if section \([a-z0-9]*\) .*/\1/p' "${BASH_SOURCE[0]}")
for name in ${only//,/ }; do
  grep -qx "$name" <<<"$known" || refuse "--only: no section '$name' (try --help)"
done
if [ -z "$bin" ]; then
  for folder in "$here" "$here/../build/bin" "$here/../build-cuda/bin" "$here/../build-portable/trainmeter/bin"; do
    if [ -x "$folder/gemm_bench" ]; then bin=$folder; break; fi
  done
fi
[ -x "$bin/gemm_bench" ] || refuse "no programs found${bin:+ in $bin}: build first, or name their folder with --bin"
bin=$(cd "$bin" && pwd)

say() { printf '\n== %s (%d s left)\n' "$*" "$((seconds - SECONDS))" >&2; }
capabilities=$("$bin/trainmeter" doctor --format json | sed -n 's/.*"compute_capability": "\([0-9.]*\)".*/\1/p')  # one a GPU
gpus=$(grep -c . <<<"$capabilities" || true)
if [ "$gpus" -eq 0 ]; then
  "$bin/trainmeter" doctor >&2
  printf 'skipped: no CUDA device\n' >&2
  exit 3
fi
out=${OUT:-$here/../results}
if ! mkdir -p "$out" 2>/dev/null || [ ! -w "$out" ]; then refuse "\$OUT: $out: can't be written to"; fi
record=$out/gpu_suite_$(date -u +%Y%m%dT%H%M%S).jsonl
rested=${record%.jsonl}_burst.jsonl  # rates of a rested card are for comparing, never to predict from
status=0

section() {  # section NAME TITLE: whether it is wanted; then its title
  case ,$only, in ,, | *,"$1",*) say "$2" ;; *) return 1 ;; esac
}

# The measurements go on after a wrong result: each case verifies itself, and a wrong one becomes an error row; and after a
# program that hangs, which a kernel's barrier can. Grace is for the case that a program is at when its seconds are over: a
# minute, or a quarter of what is left; the last sixth of it for a program that doesn't end when it is told to.
measure() {  # measure SECONDS PROGRAM FLAG...
  local budget=$1 program=$2 left=$((seconds - SECONDS)) grace code=0; shift 2
  if [ "$kernel" = mma ] && [[ " $* " =~ [=,]fp8[,\ ]|--sms=|--fp32_out|--published=deepgemm ]]; then
    printf 'left out, of our kernels only those for Hopper do this: %s %s\n' "$program" "$*" >&2; return
  fi
  grace=$((left / 4 < 60 ? left / 4 : 60))
  if [ $((left - grace)) -lt "$budget" ]; then budget=$((left - grace)); fi
  if [ "$budget" -lt 5 ]; then printf 'left out, no time: %s %s\n' "$program" "$*" >&2; return; fi
  timeout -k $((grace / 6 + 1)) $((budget + grace - grace / 6)) "${launcher[@]}" "$bin/$program" "$@" --device=gpu --max_seconds="$budget" >&2 || code=$?
  case $code in 0 | 3) ;; 1) status=1 ;; *) printf 'exit code %d: %s %s\n' "$code" "$program" "$*" >&2; status=$code ;; esac
}
launcher=()
# A process for each GPU of this host, which meet by our rendezvous, whoever started this script (srun --pty bash: a step of one
# task); the greatest of their exit codes is the whole's.
around=(SLURM_STEP_NUM_TASKS SLURM_PROCID PMI_SIZE PMI_RANK PMIX_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_RANK)
# shellcheck disable=SC2016  # the inner shell's variables
a_gpu_each=(env "${around[@]/#/--unset=}" WORLD_SIZE="$gpus" MASTER_ADDR=127.0.0.1 bash -c '
  code=0 processes=()
  for ((rank = 0; rank < WORLD_SIZE; ++rank)); do RANK=$rank "$@" & processes+=($!); done
  for process in "${processes[@]}"; do wait "$process" || { ended=$?; code=$((ended > code ? ended : code)); }; done
  exit "$code"' a_gpu_each)
into=(--out="$record")
kernel=hopper  # ours, of which only the generic one runs on other GPUs
if [ "${capabilities%%$'\n'*}" != 9.0 ]; then kernel=mma; fi
ours=(--benchmark_filter="/$kernel/" --versus=cublaslt)  # and cuBLASLt, sample by sample in turn
beside=("${ours[@]}" "${into[@]}")
blocks=(--dtype=fp8 --scaling=block128)

tests=
for folder in "$bin" "$bin/../tests"; do
  if [ -z "$tests" ] && [ -x "$folder/kernels_gpu_test" ]; then tests=$folder/kernels_gpu_test; fi
done

# All tests of a program. One that hangs or crashes is named, and those behind it run in another process; half of the time
# that is left, at most, so that a hang leaves some for them.
correct() {  # correct PROGRAM
  local name=${1##*/} begun='' more code limit
  while :; do
    limit=$(((seconds - SECONDS) / 2))
    if [ "$limit" -gt 300 ]; then limit=300; fi
    if [ "$limit" -lt 1 ]; then printf 'left out, no time: %s%s\n' "$name" "${begun:+, what was not begun}" >&2; return; fi
    code=0
    timeout -k $((limit < 10 ? limit : 10)) "$limit" "$1" --gtest_filter="-$begun" >"$log" 2>&1 || code=$?
    grep -v '^\[ RUN  \|^\[       OK' "$log" >&2 || true
    if [ "$code" -eq 0 ]; then return; fi
    status=1
    printf '%s: exit code %d, last begun: %s\n' "$name" "$code" "$(grep '^\[ RUN  ' "$log" | tail -n 1)" >&2
    more=$(sed -n 's/^\[ RUN      \] \([^ ]*\).*/\1/p' "$log" | paste -sd :)
    if [ -z "$more" ] || grep -q '^\[=*\] .* ran\. ' "$log"; then return; fi
    begun=${begun:+$begun:}$more
  done
}

if section correct "Correctness of every GPU implementation"; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  for test in kernels_gpu_test bench_gpu_test; do
    if [ -z "$tests" ] || [ ! -x "${tests%/*}/$test" ]; then printf 'skipped: %s was not built\n' "$test" >&2; continue; fi
    correct "${tests%/*}/$test"
  done
fi
if section warm "30 s of warm-up, so that the clocks are those of a busy card"; then
  measure 35 gemm_bench --dtype=bf16 --m=8192 --n=8192 --k=8192 --benchmark_filter=/cublaslt/ --benchmark_min_warmup_time=30 --out="$out/warm_up.jsonl"
fi
collectives() {
  if section collectives "All-reduce, by one process and by one for each GPU; where there is one GPU, between virtual ranks: its memory, no links"; then
    if [ "$gpus" -gt 1 ]; then
      # The least and the largest payload first: the host checks every element of every rank's, which takes long.
      measure 45 collective_bench --bytes=8192,268435456,1048576,16777216,65536 "${into[@]}"
      launcher=("${a_gpu_each[@]}")
      measure 45 collective_bench --bytes=8192,268435456,1048576 "${into[@]}"
      launcher=()
    else
      for ranks in 2 8; do
        measure 15 collective_bench --virtual_ranks=$ranks --dtype=bf16 --bytes=8192,262144,1048576,16777216 "${into[@]}"
      done
    fi
  fi
}
if section gemm "Our bf16 GEMM for Hopper beside cuBLASLt: squares, large C, fp32 output, the 112 SMs that communication leaves"; then
  measure 10 gemm_bench --dtype=bf16 --m=4096 --n=4096 --k=4096 "${beside[@]}"
  measure 15 gemm_bench --dtype=bf16 --m=8192 --n=8192 --k=8192 "${beside[@]}"
  measure 30 gemm_bench --dtype=bf16 --m=4096 --n=7168,24576,2112 --k=2048,7168 "${beside[@]}"
  measure 10 gemm_bench --dtype=bf16 --m=4096 --n=7168 --k=2048 --fp32_out "${beside[@]}"
  measure 20 gemm_bench --dtype=bf16,fp8 --scaling=block128 --m=4096 --n=7168 --k=2048 --sms=112 "${beside[@]}"
fi
if [ "$gpus" -gt 1 ]; then collectives; fi
if section memory "Memory bandwidth, between host and GPU, and between GPUs"; then
  measure 30 memory_bench --benchmark_filter=-peer_copy "${into[@]}"
  if [ "$gpus" -gt 1 ]; then measure 20 memory_bench --benchmark_filter=peer_copy "${into[@]}"; fi
fi
if section published "DeepGEMM's tables of 4096 rows and of groups, as they were measured: in bursts; and without a rest"; then
  measure 45 gemm_bench --published=deepgemm-55ab91f-dense-4096,deepgemm-55ab91f-grouped-contiguous --regime=burst "${ours[@]}" --out="$rested"
  measure 25 gemm_bench --published=deepgemm-55ab91f-dense-4096 "${beside[@]}"
fi
if section fp8 "Block-scaled fp8 beside cuBLASLt: a weight gradient, DeepSeek-V3's gate and up of 8 experts of a GPU, balanced and skewed, and as one"; then
  measure 15 gemm_bench "${blocks[@]}" --m=7168 --n=4096 --k=4096 --accumulate "${beside[@]}"
  measure 30 gemm_bench --dtype=fp8,bf16 --scaling=block128 --groups=8 --skew=balanced,zipf --m=32768 --n=4096 --k=7168 "${beside[@]}"
  measure 15 gemm_bench --dtype=fp8,bf16 --scaling=block128 --m=32768 --n=4096 --k=7168 "${beside[@]}"
  measure 15 gemm_bench "${blocks[@]}" --groups=8 --accumulate --m=4096 --n=7168 --k=32768 "${beside[@]}"
fi
if section concurrent "GEMM on each GPU alone, and on all at once"; then
  if [ "$gpus" -gt 1 ]; then
    measure 30 gemm_bench --dtype=bf16 --m=8192 --n=8192 --k=8192 --concurrent --benchmark_filter="/($kernel|cublaslt)/" "${into[@]}"
  else
    printf 'skipped: one GPU\n' >&2
  fi
fi
if section models "bf16 GEMMs of DeepSeek-V3's step beside cuBLASLt, all three passes"; then
  measure 60 gemm_bench --dtype=bf16 --models=deepseek-v3 --tokens=4096 "${beside[@]}"
fi
if section passes "fp8 GEMMs of DeepSeek-V3's step beside cuBLASLt, all three passes, and its experts'"; then
  measure 60 gemm_bench "${blocks[@]}" --models=deepseek-v3 --tokens=4096 "${beside[@]}"
fi
if section llama "bf16 GEMMs of Llama 3's step beside cuBLASLt"; then
  measure 40 gemm_bench --dtype=bf16 --models=llama-3-70b --tokens=4096 "${beside[@]}"
fi
if section squares "GEMM: squares in every type"; then
  measure 60 gemm_bench --benchmark_filter=-/mma/ "${into[@]}"
fi
if section ladder "The ladder: a plain kernel, tensor cores the generic way, Hopper's way, the vendor's"; then
  measure 15 gemm_bench --dtype=bf16 --m=4096 --n=4096 --k=4096 --benchmark_filter='/(reference|mma|hopper|cublaslt)/' "${into[@]}"
fi
if [ "$gpus" -eq 1 ]; then collectives; fi
if section interference "Interference: GEMMs, cast and copy beside what moves data or polls on 20 SMs, then on more and fewer; where there are several GPUs, beside an all-reduce"; then
  measure 60 overlap_bench --beside=memory_mover,cache_mover,poller "${into[@]}"
  if [ "$gpus" -gt 1 ]; then measure 60 overlap_bench --beside=allreduce,peer_allreduce --co_sms=20 "${into[@]}"; fi
fi
if section steps "Memory-bound kernels of DeepSeek-V3's step, and GPT-2's GEMMs"; then
  measure 40 memory_bench --models=deepseek-v3 "${into[@]}"
  measure 40 gemm_bench --models=gpt2-124m --benchmark_filter=-/mma/ "${into[@]}"
fi
if section attention "Attention core, ours and cuDNN's: Llama 3 8B's heads and DeepSeek-V3's, both passes, and a decode step"; then
  measure 50 attention_bench --models=llama-3-8b,deepseek-v3 --seq_len=4096 --tokens=8192 "${into[@]}"
fi
if section layers "A layer of DeepSeek-V3 in fp8, as one of 64 GPUs has it, and one of Llama 3 8B: the whole, its parts in place and alone, and beside what moves its dispatch and combine"; then
  for held in '' 20; do  # each pass by itself: together, the backward one would begin when much of the time is over
    measure 100 layer_bench --models=deepseek-v3 --dtype=fp8 --pass=forward ${held:+--co_sms="$held"} "${into[@]}"
    measure 150 layer_bench --models=deepseek-v3 --dtype=fp8 --pass=backward ${held:+--co_sms="$held"} "${into[@]}"
  done
  measure 30 layer_bench --models=llama-3-8b --dtype=bf16 "${into[@]}"
fi
if section decode "Few rows, as a decode step has: DeepGEMM's tables of 64 and 128, and DeepSeek-V3's own step of 8 and 128 tokens"; then
  measure 30 gemm_bench --published=deepgemm-55ab91f-dense-128,deepgemm-55ab91f-dense-64 --regime=burst "${ours[@]}" --out="$rested"
  measure 30 gemm_bench --dtype=bf16 --models=deepseek-v3 --decode=8,128 "${beside[@]}"
fi
if section pitfalls "What zeros and warm caches would have flattered"; then
  measure 30 gemm_bench --dtype=bf16 --m=8192 --n=8192 --k=8192 --pitfalls "${into[@]}"
fi
if section peer "PyTorch's GEMMs, and DeepGEMM's, at the shapes measured so far"; then
  left=$((seconds - SECONDS))
  if [ "$left" -lt 20 ] || { [ ! -s "$record" ] && [ ! -s "$rested" ]; }; then
    printf 'left out: no time, or nothing to stand beside\n' >&2
  elif ! python3 -c 'import torch' 2>/dev/null; then
    printf 'skipped: python3 has no PyTorch\n' >&2
  else
    for file in "$rested" "$record"; do
      limit=$(((seconds - SECONDS) / 2))  # of which the last quarter is for the GEMM that it is at
      if [ ! -s "$file" ]; then continue; fi
      if [ "$limit" -lt 5 ]; then printf 'left out, no time: %s\n' "$file" >&2; continue; fi
      code=0
      timeout -k $((limit < 10 ? limit : 10)) "$limit" python3 -B "$here/peer_gemm.py" "$file" --max_seconds=$((limit * 3 / 4)) >&2 || code=$?
      case $code in
        1) status=1 ;;
        124 | 137) printf 'exit code %d: peer_gemm.py %s\n' "$code" "$file" >&2; status=$code ;;
      esac
    done
  fi
fi
if section sustained "DeepGEMM's table and the squares again, for 5 s each, and DeepSeek-V3's step, for 2, after half a minute of work"; then
  sustained=(--regime=sustained --case_seconds=5 --benchmark_min_time=5 "${beside[@]}")
  measure 120 gemm_bench --published=deepgemm-55ab91f-dense-4096 "${sustained[@]}"
  for size in 4096 8192; do measure 60 gemm_bench --dtype=bf16 --m=$size --n=$size --k=$size "${sustained[@]}"; done
  # Some 30 cases of two kernels: 2 s of each fit, with what lies between them.
  measure 150 gemm_bench --dtype=bf16 --models=deepseek-v3 --tokens=4096 --regime=sustained --case_seconds=2 --benchmark_min_time=2 "${beside[@]}"
fi
if section sanitizer "compute-sanitizer over the tests of small sizes"; then
  tool=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer || true)
  # One tile and one algorithm where a test doesn't say which: trials wait for the host, which may wait for each launch here.
  small='Gpu.OurGemmForHopperAdds*:Gpu.TilesWhoseK*:Gpu.GroupedGemmIsRight:Gpu.Fp8SumsThatCancel*:Gpu.AttentionIsRight*:GpuAllReduce.VirtualRanksAreRight'
  for check in memcheck synccheck racecheck; do
    left=$((seconds - SECONDS))
    if [ -z "$tool" ] || [ -z "$tests" ]; then printf 'skipped: %s: no compute-sanitizer, or no kernels_gpu_test\n' "$check" >&2; continue; fi
    if [ "$left" -lt 20 ]; then printf 'left out, no time: %s\n' "$check" >&2; continue; fi
    code=0
    TRAINMETER_GEMM_TILE=0 TRAINMETER_CUBLASLT_ALGORITHM=0 \
      timeout -k 10 $((left < 130 ? left - 10 : 120)) "$tool" --tool "$check" --error-exitcode 86 "$tests" --gtest_brief=1 --gtest_filter="$small" \
      >"$out/$check.txt" 2>&1 || code=$?
    case $code in
      0) printf '%s: clean\n' "$check" >&2 ;;
      86) printf '%s: errors, in %s\n' "$check" "$out/$check.txt" >&2; status=1 ;;
      124) printf '%s: not done in time, %s so far\n' "$check" "$(grep -c '=========' "$out/$check.txt" || true) lines" >&2 ;;
      *) printf '%s: exit code %d: %s\n' "$check" "$code" "$(tail -n 1 "$out/$check.txt")" >&2 ;;
    esac
  done
fi

if [ ! -s "$record" ]; then record=$rested; fi
if [ ! -s "$record" ]; then printf 'nothing was measured\n' >&2; exit "$status"; fi
say "CUDA graph of the same launches over events, case by case (1 within 3 %, from 100 us on)"
grep -o '"cuda_graph_vs_events":"[^"]*"\|"name":"[^"]*"' "$record" | grep -B1 cuda_graph | grep -v '^--' | cut -d'"' -f4 | paste - - >&2 || true

say "Report"
"$bin/trainmeter" report "$record" -o "$record.txt" && cat "$record.txt"
if [ -s "$rested" ] && [ "$record" != "$rested" ]; then
  "$bin/trainmeter" report "$record" "$rested" -o "$record.published.txt"
  say "Beside published figures, in bursts too"
  sed -n '/^Beside what others published/,/^Rates by shape/p' "$record.published.txt"
fi
printf '\nrecord: %s\n' "$record" >&2
exit "$status"
