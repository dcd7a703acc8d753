#!/usr/bin/env bash
# The CPU's suite under sanitizers, in build-asan/ or build-tsan/:
#   scripts/sanitize.sh asan [CTEST ARGUMENT...]     addresses, leaks, undefined behaviour: all tests but the long ones, and those that
#                                                    are of the tree, Slurm or a browser
#   scripts/sanitize.sh tsan [PROGRAM...]            threads: the tests that start some
source "$(dirname "$0")/common.sh"
cd "$root"
preset=${1:-}
case $preset in asan | tsan) shift ;; *) die 2 "expected asan or tsan, found '$preset'" ;; esac
install_missing "${packages[@]}" "${test_packages[@]}"

if [ "$preset" = asan ]; then
  build_preset asan
  say "Testing under the address and undefined-behaviour sanitizers"
  export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
  test_asan() { ctest --test-dir build-asan --output-on-failure --no-tests=error -j "$(nproc)" -E '^project|^reports_fresh' "$@"; }
  if [ $# -gt 0 ]; then test_asan "$@"; exit; fi
  test_asan -LE 'long|slurm|browser|mpi'
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 test_asan -L mpi  # Open MPI frees little, and unloads what it was allocated by
  exit
fi

# Ranks as threads, the monitor, the journal, co-runners, the rendezvous, predictions side by side. g++'s OpenMP isn't instrumented, and
# what its barriers order would look like races: one thread of it. MPI's ranks are processes: the sanitizer sees none of what they share.
programs=("$@")
if [ ${#programs[@]} -eq 0 ]; then
  programs=(record_test kernels_static_test kernels_allreduce_test kernels_telemetry_test kernels_cpu_test bench_test report_test)
fi
build_preset tsan "${programs[@]}"
say "Testing under the thread sanitizer"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=halt_on_error=1
test_it() {
  "build-tsan/tests/$1" --gtest_brief=1 >"build-tsan/$1.log" 2>&1 && tail -n 1 "build-tsan/$1.log" && return
  tail -n 60 "build-tsan/$1.log"
  return 1
}
export -f test_it
printf '%s\n' "${programs[@]}" | xargs -P "$(nproc)" -I '{}' bash -c 'test_it {}' || die 1 "a test failed: build-tsan/*.log"
