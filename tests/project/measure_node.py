# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Which GEMM cases scripts/slurm/measure_node.sh measures on a GPU node, by stand-ins for the programs: all but the generic kernel's where ours
for Hopper and the vendor's are there, one of it beside the vendor's alone, all of them without either. measure_node.py SOURCE"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

script = pathlib.Path(sys.argv[1]) / "scripts" / "slurm" / "measure_node.sh"
SHAPES = [f"m:{m}/n:{n}/k:{k}" for m in (4096, 8192) for n in (7168, 8192) for k in (2048, 8192)]


def measured(backends):
    """The GEMM cases that are left by the flags of the call which measures."""
    names = [f"gemm/bf16/{backend}/{shape}" for shape in SHAPES for backend in backends]
    with tempfile.TemporaryDirectory() as folder:
        programs, job = pathlib.Path(folder) / "bin", pathlib.Path(folder) / "job"
        for made in (programs, job / "records", job / "nodes"):
            made.mkdir(parents=True)
        (programs / "names").write_text("\n".join(names) + "\n", encoding="utf-8")
        for program in ("gemm_bench", "memory_bench", "collective_bench"):
            stand_in = programs / program
            stand_in.write_text('#!/bin/sh\ncase "$*" in *--benchmark_list_tests*) cat "${0%/*}/names" ;; *) echo "$@" >>"$0.calls" ;; esac\n',
                                encoding="utf-8")
            stand_in.chmod(0o755)
        subprocess.run(["bash", script, "gpu", programs, job], check=True, capture_output=True, timeout=60,
                       env=os.environ | {"CUDA_VISIBLE_DEVICES": "0,1", "SLURMD_NODENAME": "n1"})
        assert (job / "nodes" / "n1").read_text(encoding="utf-8") == "0\n"
        calls = (programs / "gemm_bench.calls").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 2 and calls[0] == calls[1], calls
    left_out = re.search(r"--benchmark_filter=-(\S+)", calls[0])
    return [name for name in names if not (left_out and re.search(left_out[1], name))]


def of(names, backend):
    return [name.split(f"/{backend}/")[1] for name in names if f"/{backend}/" in name]


hopper = measured(["cublaslt", "hopper", "mma"])
assert of(hopper, "cublaslt") == of(hopper, "hopper") == SHAPES and not of(hopper, "mma"), hopper
ampere = measured(["cublaslt", "mma"])
assert of(ampere, "cublaslt") == SHAPES and of(ampere, "mma") == ["m:8192/n:8192/k:8192"], ampere
assert of(measured(["mma"]), "mma") == SHAPES
