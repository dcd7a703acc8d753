#!/usr/bin/env bash
# An installed tree works where it lies and where it is moved to:  installed.sh BUILD_FOLDER [moved]
# "moved" (the portable folder): it is moved before it runs, and must not look back.
set -euo pipefail
build=$1 moved=${2:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$build" --prefix "$folder/a" >/dev/null
tree=$folder/a
if [ -n "$moved" ]; then
  mv "$folder/a" "$folder/b c"  # a space in the path, too
  tree="$folder/b c"
fi
cd /
"$tree/bin/trainmeter" claims --format json | grep -q '"r1-press"'
"$tree/bin/trainmeter" doctor >/dev/null
"$tree/bin/gemm_bench" --device=cpu --dtype=fp32 --m=64 --n=64 --k=64 --benchmark_min_time=0.01 --out="$folder/r.jsonl" >/dev/null 2>&1
"$tree/bin/memory_bench" --device=cpu --bytes=1048576 --benchmark_filter=copy --benchmark_min_time=0.01 --out="$folder/r.jsonl" >/dev/null 2>&1
"$tree/bin/trainmeter" report "$folder/r.jsonl" --format md | grep -q 'openblas'
if [ -n "$moved" ] && readelf -d "$tree"/bin/gemm_bench | grep -E 'R(UN)?PATH' | grep -q "$build"; then
  echo "the portable folder looks back into $build"
  exit 1
fi
echo "the installed tree works$([ -z "$moved" ] || echo ', moved')"
