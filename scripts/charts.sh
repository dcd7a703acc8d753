#!/usr/bin/env bash
# Gets what the report's charts need, into build/charts/: the library that a page carries (vega.js) and the converter to SVG.
source "$(dirname "$0")/common.sh"

if [ $# -gt 0 ]; then die 2 "unknown argument '$1'"; fi
install_missing python3 python3-venv
set_up_charts
