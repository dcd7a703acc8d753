#!/usr/bin/env bash
# Fuzzes all that reads strangers' texts, under the address and undefined-behaviour sanitizers, as many targets at once as there are
# cores:
#   scripts/fuzz.sh [SECONDS [TARGET...]]     SECONDS: a target, by default 20; TARGET: a folder of tests/fuzz/corpus, by default all
# A text that breaks its reader is left in build-fuzz/crashes/: mend the reader, and put it into the target's corpus.
source "$(dirname "$0")/common.sh"
cd "$root"
seconds=${1:-20}
case $seconds in *[!0-9]*) die 2 "expected seconds, found '$seconds'" ;; esac
shift || true
targets=("$@")
for target in "$@"; do
  [ -d "tests/fuzz/corpus/$target" ] || die 2 "no target '$target': expected a folder of tests/fuzz/corpus"
done
if [ ${#targets[@]} -eq 0 ]; then mapfile -t targets < <(ls tests/fuzz/corpus); fi
install_missing "${packages[@]}" "${fuzz_packages[@]}"
build_preset fuzz
mkdir -p build-fuzz/crashes

fuzz() {
  local target=$1 found=build-fuzz/found/$1 log=build-fuzz/$1.log
  mkdir -p "$found"
  if "build-fuzz/bin/fuzz_$target" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=2048 -dict=tests/fuzz/words.dict \
    -artifact_prefix="build-fuzz/crashes/$target-" "$found" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    printf '%s: clean; %s\n' "$target" "$(grep -a '^Done' "$log")"
  else
    printf '%s: BROKEN (%s)\n' "$target" "$log"
    grep -a -m 8 -E 'ERROR|SUMMARY|runtime error|Test unit|thrown|refusal' "$log"
    return 1
  fi
}
export -f fuzz
export seconds
say "Fuzzing ${#targets[@]} targets, $seconds s each"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'fuzz {}' || die 1 "a reader broke"
