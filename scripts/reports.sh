#!/usr/bin/env bash
# Renders results/reports/ from what was measured and published: Markdown with its charts.
#   scripts/reports.sh [--check] [TRAINMETER]     --check: only says whether the reports are what TRAINMETER would write
source "$(dirname "$0")/common.sh"

check=0
if [ "${1:-}" = --check ]; then check=1; shift; fi
case ${1:-} in -*) die 2 "unknown argument '$1'" ;; esac
if [ $# -gt 1 ]; then die 2 "unknown argument '$2'"; fi
trainmeter=${1:-$root/build/bin/trainmeter}
if [ ! -x "$trainmeter" ] || [ -d "$trainmeter" ]; then die 2 "no program '$trainmeter' (build first)"; fi
export TRAINMETER_DATA=$root/results/published
cd "$root"

render() {  # render FOLDER
  "$trainmeter" report --published --format md -o "$1/published.md"
  "$trainmeter" report results/measured/epyc-2core --format md -o "$1/epyc-2core.md"
  "$trainmeter" report results/measured/xeon-2core --format md -o "$1/xeon-2core.md"
  "$trainmeter" report results/measured/h200 --format md -o "$1/h200.md"
}

if [ "$check" = 0 ]; then
  set_up_charts
  render results/reports
  exit
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
render "$fresh"
stale=0
for report in published epyc-2core xeon-2core h200; do
  # The figures; a picture may be missing here, where there is no converter.
  if ! diff <(grep '^|' "results/reports/$report.md") <(grep '^|' "$fresh/$report.md") >"$fresh/diff"; then
    printf 'results/reports/%s.md is stale (scripts/reports.sh renders it):\n' "$report" >&2
    head -n 10 "$fresh/diff" >&2
    stale=1
  fi
done
exit $stale
