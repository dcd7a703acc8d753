#!/usr/bin/env bash
# Real training steps in PyTorch on this machine against predictions from this machine's rates: sets up, builds, measures, prints the table.
#   scripts/validate_step.sh [ARGUMENTS of validate_step.py: --layers --width --heads --seq --batch --dtype --procs, --developed, --table, ...]
# Everything but the table goes to stderr. What is finished stays in results/measured/local/validate_step (--work FOLDER): run it again to go on.
source "$(dirname "$0")/common.sh"

python=${PYTHON:-/usr/bin/python3}  # PYTHON=... takes another PyTorch
step=$root/scripts/validate_step.py
work=$root/results/measured/local/validate_step
arguments=(--work "$work" --python "$python" --record "$work/rates.jsonl" "$@")
case " $* " in
  *' --show'[\ =]*) exec "$python" -B "$step" "$@" ;;
  *' --device gpu '* | *' --device=gpu '*) arguments=(--work "$work" --python "$python" "$@") ;;  # which has --out
esac
# What is wrong is said before anything is installed and built.
if command -v "$python" >/dev/null; then "$python" -B "$step" --check "${arguments[@]}" || exit; fi

install_missing "${packages[@]}"
"$python" -c 'import torch' 2>/dev/null || install_missing "${torch_packages[@]}"
build_with OFF trainmeter gemm_bench memory_bench
mkdir -p "$work"
say "Training steps, each predicted before it is timed (about 15 minutes for the default cases, on a quiet machine)"
exec "$python" "$step" "${arguments[@]}"
