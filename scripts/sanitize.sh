#!/usr/bin/env bash
# The CPU's suite under sanitizers, in build-asan/ or build-tsan/:
#   scripts/sanitize.sh asan [PROGRAM[:FILTER]...]    addresses, leaks, undefined behaviour: all tests but the long ones, and those
#                                                     that are of the tree, Slurm or a browser; or these of build-asan/tests/ alone
#   scripts/sanitize.sh tsan [PROGRAM[:FILTER]...]    threads: the tests that start some
source "$(dirname "$0")/common.sh"
cd "$root"
preset=${1:-}
case $preset in asan | tsan) shift ;; *) die 2 "expected asan or tsan, found '$preset'" ;; esac
programs=("$@")
for program in "${programs[@]%%:*}"; do
  grep -rqE "(trainmeter_test|add_executable)\\($program " tests || die 2 "no test program '$program': expected one of build-$preset/tests"
done
install_missing "${packages[@]}" "${test_packages[@]}"
jobs=$(nproc)  # which OMP_NUM_THREADS changes
export OMP_WAIT_POLICY=passive ASAN_OPTIONS=detect_stack_use_after_return=1:verify_asan_link_order=0 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$root/tests/sanitizers/leaks.supp:print_suppressions=0

if [ "$preset" = asan ] && [ ${#programs[@]} -eq 0 ]; then
  build_preset asan
  say "Testing under the address and undefined-behaviour sanitizers"
  exec ctest --test-dir build-asan --output-on-failure --no-tests=error -j "$jobs" \
    -LE 'long|slurm|browser' -E '^reports_fresh|^Calibrate.TheCommittedFi'  # the latter: more than a quarter of an hour, of code that others run, too
fi

# Ranks as threads, the monitor, the journal, co-runners, the rendezvous, predictions side by side. g++'s OpenMP isn't instrumented, and
# what its barriers order would look like races: one thread of it, whoever asks for more. MPI's ranks are processes: the sanitizer sees none of what they share.
if [ ${#programs[@]} -eq 0 ]; then
  programs=(record_test kernels_static_test kernels_allreduce_test kernels_telemetry_test 'kernels_cpu_test:CoRunner*' bench_test
    'report_test:Calibrate*:Validate*:Plan.IsTheSame*-*TheCommittedFi*')
fi
build_preset "$preset" "${programs[@]%%:*}"
if [ "$preset" = tsan ]; then export OMP_NUM_THREADS=1 OMP_THREAD_LIMIT=1 OPENBLAS_NUM_THREADS=1 TSAN_OPTIONS=halt_on_error=1; fi
say "Testing under $preset: ${programs[*]}"
test_it() {
  local name=${1%%:*} filter='*'
  if [[ $1 == *:* ]]; then filter=${1#*:}; fi
  local log=build-$preset/$name.log
  "build-$preset/tests/$name" --gtest_brief=1 --gtest_filter="$filter" >"$log" 2>&1 && printf '%s: %s\n' "$1" "$(tail -n 1 "$log")" && return
  tail -n 60 "$log"
  return 1
}
export -f test_it
export preset
printf '%s\n' "${programs[@]}" | xargs -P "$jobs" -I '{}' bash -c 'test_it {}' || die 1 "a test failed: build-$preset/*.log"
