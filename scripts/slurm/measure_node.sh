#!/usr/bin/env bash
# What one node measures by itself, into one record. A start after an interruption goes on with the record.
#   measure_node.sh --plan gpu|cpu           prints what it would measure, a line each: most seconds, what
#   measure_node.sh gpu|cpu BIN FOLDER       measures, into FOLDER/records/<node>.jsonl; at the end FOLDER/nodes/<node> holds the exit code
# $TRAINMETER_CASE_SECONDS: most sampling of a case. Exit code: the largest of the programs'; 143 where a signal ended it.
set -euo pipefail
plan='' worst=0 stopped=''
if [ "${1:-}" = --plan ]; then plan=yes; shift; fi
device=${1:-} bin=${2:-} folder=${3:-}
case $device in gpu | cpu) ;; *) printf "measure_node.sh: '%s': expected gpu or cpu\n" "$device" >&2; exit 2 ;; esac
if [ -z "$plan$folder" ]; then printf 'measure_node.sh: expected the folders of programs and of the job\n' >&2; exit 2; fi
node=${SLURMD_NODENAME:-$(hostname)}
trap 'stopped=yes' TERM

run() {  # run PROGRAM ARGUMENT...: for at most $seconds
  local program=$1; shift
  "$bin/$program" "$@" --device="$device" --max_seconds="$seconds" --case_seconds="${TRAINMETER_CASE_SECONDS:-2}" \
    --benchmark_color=false --resume --out="$folder/records/$node.jsonl"
}
leave() {  # leave CODE
  if [ -z "$plan" ]; then printf '%s\n' "$1" >"$folder/nodes/$node"; fi
  exit "$1"
}
note() { if [ "$1" -gt "$worst" ]; then worst=$1; fi; }

# once SECONDS WHAT PROGRAM ARGUMENT...
once() {
  local seconds=$1 what=$2 code=0; shift 2
  if [ -n "$plan" ]; then printf '%4d  %s\n' "$seconds" "$what"; return; fi
  if [ -n "$stopped" ]; then return; fi
  printf '%s: %s\n' "$node" "$what"
  run "$@" || code=$?
  note "$code"
}
# each_gpu, the same: all GPUs of the node at the same time, as in training. Each is a device of its own in the record.
each_gpu() {
  local seconds=$1 what=$2 gpu code children=(); shift 2
  if [ -n "$plan" ]; then printf '%4d  %s\n' "$seconds" "$what, on every GPU at the same time"; return; fi
  if [ -n "$stopped" ]; then return; fi
  printf '%s: %s\n' "$node" "$what"
  for gpu in $gpus; do
    CUDA_VISIBLE_DEVICES=$gpu run "$@" &
    children+=($!)
  done
  for child in "${children[@]}"; do
    while :; do
      wait "$child" && code=0 || code=$?
      kill -0 "$child" 2>/dev/null || break
    done
    note "$code"
  done
}

if [ -z "$plan" ] && [ "$device" = gpu ]; then
  gpus=${CUDA_VISIBLE_DEVICES:-$(seq -s ' ' 0 $(("$("$bin/trainmeter" doctor --format json | grep -c '"compute_capability"' || true)" - 1)))}
  gpus=${gpus//,/ }
  if [ -z "$gpus" ]; then printf '%s: skipped: no CUDA device\n' "$node"; leave 3; fi
fi
gemms=(--dtype=bf16 '--m=4096,8192' '--n=7168,8192' '--k=2048,8192')
# The generic tensor-core kernel tells nothing more of a GPU that the vendor's library is measured on: it is left out beside
# ours for Hopper, and elsewhere, the only one of ours, measured on one shape.
if [ -z "$plan" ] && [ "$device" = gpu ]; then
  there=$(CUDA_VISIBLE_DEVICES=${gpus%% *} "$bin/gemm_bench" "${gemms[@]}" --device=gpu --benchmark_list_tests || true)
  case $there in
    */cublaslt/*/hopper/* | */hopper/*/cublaslt/*) gemms+=(--benchmark_filter='-/mma/') ;;
    */cublaslt/*) gemms+=(--benchmark_filter='-/mma/(m:4096|.*/n:7168|.*/k:2048)') ;;
  esac
fi
# All pairs of 8 GPUs, both ways and by both backends, are 168 cases; one took 1 to 5 s (results/measured/h200-memory). Where the time
# ends first, nodes measure different links, and accept misses those that most have. So: by the copy engines, one way, from the first GPU
# to each and around the ring, in which each GPU sends and receives.
count=$(wc -w <<<"${gpus:-}")
pairs='from:0'
for ((gpu = 1; gpu < count; ++gpu)); do pairs+="|from:$gpu/to:$(((gpu + 1) % count))"; done
if [ "$device" = gpu ]; then
  each_gpu 120 "GEMM in bf16, some squares and shapes of DeepSeek-V3" gemm_bench "${gemms[@]}"
  each_gpu 60 "memory bandwidth: copy, triad" memory_bench --kernels=copy,triad
  once 120 "transfers between host and GPUs, and between GPUs" memory_bench --benchmark_filter="host|peer_copy/.*/copy_engine/.*/($pairs)/.*ways:1"
  once 60 "all-reduce over all GPUs of the node" collective_bench
else
  once 60 "GEMM in fp32" gemm_bench --dtype=fp32 --m=1024 --n=1024 --k=1024,1088,1152
  once 60 "memory bandwidth: copy, triad" memory_bench --kernels=copy,triad
fi
if [ -n "$stopped" ]; then worst=143; fi
leave "$worst"
