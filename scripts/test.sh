#!/usr/bin/env bash
# Sets this machine up, builds everything and passes the tests.
#   scripts/test.sh [CTEST ARGUMENT...]     with arguments, these tests alone
#   scripts/test.sh --all                   the long ones too (label long), the fuzzers for ten minutes each, and the CPU's suite under
#                                           the address, undefined-behaviour and thread sanitizers
source "$(dirname "$0")/common.sh"

exclude=(-LE long) all=
if [ "${1:-}" = --all ]; then exclude=() all=yes; shift; fi
install_missing "${packages[@]}" "${test_packages[@]}" ${all:+"${long_packages[@]}"}
build_with ON all
set_up_charts || printf 'no charts: pages and Markdown keep their tables\n' >&2
set_up_disassembler || printf 'no disassembler: the machine code is not looked at\n' >&2
say "Testing"
cd "$root"
# One more than there are cores, since some tests wait for time-outs, dead ranks and schedulers.
ctest --test-dir build --output-on-failure --no-tests=error -j "$(($(nproc) + 1))" "${exclude[@]}" "$@"
if [ -n "$all" ]; then
  scripts/fuzz.sh 600
  scripts/sanitize.sh asan
  scripts/sanitize.sh tsan
fi
