#!/usr/bin/env bash
# Sets this machine up, builds everything and passes the tests.
#   scripts/test.sh [--all] [CTEST ARGUMENT...]     --all: the long ones too (label long)
source "$(dirname "$0")/common.sh"

exclude=(-LE long)
if [ "${1:-}" = --all ]; then exclude=(); shift; fi
install_missing "${packages[@]}" "${test_packages[@]}"
build_with ON all
set_up_charts || printf 'no charts: pages and Markdown keep their tables\n' >&2
set_up_disassembler || printf 'no disassembler: the machine code is not looked at\n' >&2
say "Testing"
cd "$root"
exec ctest --test-dir build --output-on-failure --no-tests=error -j "$(nproc)" "${exclude[@]}" "$@"
