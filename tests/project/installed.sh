#!/usr/bin/env bash
# An installed tree works where it lies and where it is moved to:  installed.sh BUILD_FOLDER [moved]
# "moved" (the portable folder): it is moved before it runs, and must not look back.
set -euo pipefail
build=$1 moved=${2:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$build" --prefix "$folder/a" >"$folder/install.out" 2>&1 || { cat "$folder/install.out"; exit 1; }
tree=$folder/a
if [ -n "$moved" ]; then
  mv "$folder/a" "$folder/b c"  # a space in the path, too
  tree="$folder/b c"
fi
cd /
# Output goes to files, not into `grep -q`: grep leaves at its first match, and a program that still writes then fails.
run() {  # run NAME COMMAND...: what it says lies in NAME.out
  local name=$1; shift
  "$@" >"$folder/$name.out" 2>"$folder/$name.err" ||
    { echo "exit code $?: $*"; cat "$folder/$name.err"; exit 1; }
}
says() { grep -q -e "$2" "$folder/$1.out" || { echo "$1 does not say $2:"; head -c 2000 "$folder/$1.out"; exit 1; }; }
run completion "$tree/bin/trainmeter" completion
complete_word() { COMP_WORDS=(trainmeter "$@") COMP_CWORD=$#; _trainmeter; echo "${COMPREPLY[*]}"; }
# shellcheck source=/dev/null
source "$folder/completion.out"
[ "$(complete_word sub)" = submit ] && [ "$(complete_word submit --att)" = --attach ] && [ -z "$(complete_word submit nod)" ] ||
  { echo "completion: $(complete_word sub), $(complete_word submit --att)"; exit 1; }
run plan "$tree/bin/trainmeter" submit --device cpu --dry-run
says plan 'share/trainmeter/slurm/node.sbatch'
quick=(--device=cpu --benchmark_min_time=0.01 --case_seconds=0.1 "--out=$folder/r.jsonl")
run claims "$tree/bin/trainmeter" claims --format json
says claims '"r1-press"'
run doctor "$tree/bin/trainmeter" doctor
run gemm "$tree/bin/gemm_bench" "${quick[@]}" --dtype=fp32 --m=64 --n=64 --k=64
run memory "$tree/bin/memory_bench" "${quick[@]}" --bytes=1048576 --benchmark_filter=copy
run report "$tree/bin/trainmeter" report "$folder/r.jsonl" --format md
says report openblas
if [ -n "$moved" ]; then
  run paths readelf -d "$tree/bin/gemm_bench"
  if grep -E 'R(UN)?PATH' "$folder/paths.out" | grep -F "$build"; then
    echo "the portable folder looks back into $build"
    exit 1
  fi
fi
echo "the installed tree works$([ -z "$moved" ] || echo ', moved')"
