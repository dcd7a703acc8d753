#!/usr/bin/env bash
# Everything worth measuring on a GPU, most valuable first, within 8 minutes: correctness of every GPU implementation, 30 s of
# warm-up, GEMM, memory, all-reduce; one record and its report.
#   scripts/gpu_suite.sh [--bin DIR] [--seconds N]
# Programs: --bin, $TRAINMETER_BIN, the folder this script lies in, or build/bin. Output: $OUT, else results/.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${TRAINMETER_BIN:-} seconds=440
while [ $# -gt 0 ]; do
  case $1 in
    --bin) bin=${2:?"--bin needs a folder"}; shift 2 ;;
    --seconds) seconds=${2:?"--seconds needs a number"}; shift 2 ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) printf "gpu_suite.sh: unknown argument '%s' (try --help)\n" "$1" >&2; exit 2 ;;
  esac
done
if [ -z "$bin" ]; then
  for folder in "$here" "$here/../build/bin" "$here/../build-cuda/bin" "$here/../build-portable/trainmeter/bin"; do
    if [ -x "$folder/gemm_bench" ]; then bin=$folder; break; fi
  done
fi
[ -x "$bin/gemm_bench" ] || { printf 'gpu_suite.sh: no programs found: build first, or name their folder with --bin\n' >&2; exit 2; }
bin=$(cd "$bin" && pwd)

say() { printf '\n== %s (%d s left)\n' "$*" "$((seconds - SECONDS))" >&2; }
gpus=$("$bin/trainmeter" doctor --format json | grep -c '"compute_capability"' || true)  # one a GPU
if [ "$gpus" -eq 0 ]; then
  "$bin/trainmeter" doctor >&2
  printf 'skipped: no CUDA device\n' >&2
  exit 3
fi
out=${OUT:-$here/../results}
mkdir -p "$out"
record=$out/gpu_suite_$(date -u +%Y%m%dT%H%M%S).jsonl

status=0
say "Correctness of every GPU implementation"
for test in "$bin/kernels_gpu_test" "$bin/../tests/kernels_gpu_test"; do
  if [ -x "$test" ]; then "$test" --gtest_brief=1 >&2 || status=1; break; fi
done

# The measurements go on after a wrong result: each case verifies itself, and a wrong one becomes an error row.
measure() {  # measure SECONDS COMMAND...
  local budget=$1; shift
  if [ $((seconds - SECONDS)) -lt "$budget" ]; then budget=$((seconds - SECONDS)); fi
  if [ "$budget" -lt 5 ]; then printf 'left out, no time: %s\n' "$*" >&2; return; fi
  local code=0
  "$@" --device=gpu --max_seconds="$budget" >&2 || code=$?
  case $code in 0 | 3) ;; 1) status=1 ;; *) printf 'exit code %d: %s\n' "$code" "$*" >&2; status=$code ;; esac
}

say "30 s of warm-up, so that the clocks are those of a busy card"
measure 60 "$bin/gemm_bench" --dtype=bf16 --m=8192 --n=8192 --k=8192 --benchmark_min_time=30 --out="$out/warm_up.jsonl"
say "GEMM: squares"
measure 120 "$bin/gemm_bench" --benchmark_filter=-/mma/ --out="$record"
say "The ladder: a plain kernel, tensor cores the generic way, Hopper's way, the vendor's"
measure 20 "$bin/gemm_bench" --dtype=bf16 --m=4096 --n=4096 --k=4096 --benchmark_filter='/(reference|mma|hopper|cublaslt)/' --out="$record" --resume
say "Our GEMM for Hopper beside cuBLASLt, sample by sample in turn"
measure 60 "$bin/gemm_bench" --dtype=bf16 --m=4096,8192 --n=7168 --k=2048,8192 --benchmark_filter=hopper --versus=cublaslt --out="$record" --resume
say "Block-scaled fp8, ours beside cuBLASLt: DeepSeek-V3's shapes as DeepGEMM lists them, and a weight gradient"
fp8=(--dtype=fp8 --scaling=block128 --benchmark_filter=hopper --versus=cublaslt --out="$record" --resume)
measure 60 "$bin/gemm_bench" "${fp8[@]}" --m=4096 --n=4096,7168,24576 --k=1536,7168,16384
measure 20 "$bin/gemm_bench" "${fp8[@]}" --m=7168 --n=4096 --k=4096 --accumulate
beside=(--benchmark_filter=hopper --versus=cublaslt --out="$record" --resume)
say "Grouped by expert: DeepSeek-V3's gate and up of 8 experts of a GPU, balanced and skewed, and their weight gradient"
measure 30 "$bin/gemm_bench" --dtype=fp8,bf16 --scaling=block128 --groups=8 --skew=balanced,zipf --m=32768 --n=4096 --k=7168 "${beside[@]}"
measure 15 "$bin/gemm_bench" --dtype=fp8 --scaling=block128 --groups=8 --accumulate --m=4096 --n=7168 --k=32768 "${beside[@]}"
say "On the 112 SMs that communication leaves"
measure 20 "$bin/gemm_bench" --dtype=bf16,fp8 --scaling=block128 --m=4096 --n=7168 --k=2048 --sms=112 "${beside[@]}"
say "Interference: GEMMs, cast and copy beside what moves data or polls on 20 SMs, then on more and fewer"
measure 60 "$bin/overlap_bench" --out="$record" --resume
say "Memory bandwidth"
measure 40 "$bin/memory_bench" --out="$record"
if [ "$gpus" -gt 1 ]; then
  say "All GPUs at once, beside each alone"
  measure 60 "$bin/gemm_bench" --dtype=bf16 --m=8192 --n=8192 --k=8192 --concurrent --out="$record"
  say "All-reduce"
  measure 60 "$bin/collective_bench" --out="$record"
else
  say "Our all-reduce between virtual ranks: one GPU's memory, no links"
  for ranks in 2 8; do
    measure 15 "$bin/collective_bench" --virtual_ranks=$ranks --dtype=bf16 --bytes=8192,262144,1048576,16777216 --out="$record" --resume
  done
fi
say "GEMM: shapes of DeepSeek-V3 and GPT-2"
measure 110 "$bin/gemm_bench" --models=deepseek-v3,gpt2-124m --benchmark_filter=-/mma/ --out="$record" --resume
say "Memory-bound kernels of DeepSeek-V3's step"
measure 40 "$bin/memory_bench" --models=deepseek-v3 --out="$record" --resume
say "Attention core: Llama 3 8B's heads and DeepSeek-V3's, both passes, and a decode step"
measure 30 "$bin/attention_bench" --models=llama-3-8b,deepseek-v3 --seq_len=4096 --tokens=8192 --out="$record" --resume
say "A layer of DeepSeek-V3 in fp8, as one of 64 GPUs has it, and one of Llama 3 8B: the whole, its parts in place and alone"
measure 100 "$bin/layer_bench" --models=deepseek-v3 --dtype=fp8 --out="$record" --resume
measure 30 "$bin/layer_bench" --models=llama-3-8b --dtype=bf16 --out="$record" --resume
say "What zeros and warm caches would have flattered"
measure 30 "$bin/gemm_bench" --dtype=bf16 --m=8192 --n=8192 --k=8192 --pitfalls --out="$record"

say "CUDA graph of the same launches over events, case by case (1 within 3 %, from 100 us on)"
grep -o '"cuda_graph_vs_events":"[^"]*"\|"name":"[^"]*"' "$record" | grep -B1 cuda_graph | grep -v '^--' | cut -d'"' -f4 | paste - - >&2 || true

say "Report"
"$bin/trainmeter" report "$record" -o "$record.txt" && cat "$record.txt"
printf '\nrecord: %s\n' "$record" >&2
exit "$status"
