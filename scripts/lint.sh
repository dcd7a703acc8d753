#!/usr/bin/env bash
# Formatting and clang-tidy over the tree:  scripts/lint.sh [--fix]
# Needs clang-format and clang-tidy (Debian packages of those names) and a configured build/.
source "$(dirname "$0")/common.sh"
cd "$root"
mode=(--dry-run --Werror)
case $* in '') ;; --fix) mode=(-i) ;; *) die 2 "expected --fix or nothing, found '$*'" ;; esac
mapfile -t sources < <(git ls-files '*.cpp' '*.hpp' '*.cu' '*.cuh')
clang-format "${mode[@]}" "${sources[@]}"
mapfile -t units < <(git ls-files 'record/*.cpp' 'workload/*.cpp' 'kernels/*.cpp' 'bench/*.cpp' 'report/*.cpp')
printf '%s\n' "${units[@]}" | xargs -P "$(nproc)" -n 4 clang-tidy -p build --quiet
