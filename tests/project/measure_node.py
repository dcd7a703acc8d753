# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Which cases scripts/slurm/measure_node.sh measures on a GPU node, by stand-ins for the programs. GEMM: all but the generic kernel's where ours
for Hopper and the vendor's are there, one of it beside the vendor's alone, all of them without either. Links between GPUs: few enough that a
node of any speed measures them all. measure_node.py SOURCE"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

script = pathlib.Path(sys.argv[1]) / "scripts" / "slurm" / "measure_node.sh"
SHAPES = [f"m:{m}/n:{n}/k:{k}" for m in (4096, 8192) for n in (7168, 8192) for k in (2048, 8192)]


def calls_of(program, names=(), gpus=2):
    """How the script calls it to measure, where it lists `names`."""
    with tempfile.TemporaryDirectory() as folder:
        programs, job = pathlib.Path(folder) / "bin", pathlib.Path(folder) / "job"
        for made in (programs, job / "records", job / "nodes"):
            made.mkdir(parents=True)
        (programs / "names").write_text("\n".join(names) + "\n", encoding="utf-8")
        for name in ("gemm_bench", "memory_bench", "collective_bench"):
            stand_in = programs / name
            stand_in.write_text('#!/bin/sh\ncase "$*" in *--benchmark_list_tests*) cat "${0%/*}/names" ;; *) echo "$@" >>"$0.calls" ;; esac\n',
                                encoding="utf-8")
            stand_in.chmod(0o755)
        subprocess.run(["bash", script, "gpu", programs, job], check=True, capture_output=True, timeout=60,
                       env=os.environ | {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(gpus))), "SLURMD_NODENAME": "n1"})
        assert (job / "nodes" / "n1").read_text(encoding="utf-8") == "0\n"
        return (programs / f"{program}.calls").read_text(encoding="utf-8").splitlines()


def measured(backends):
    """The GEMM cases that are left by the flags of the call which measures."""
    names = [f"gemm/bf16/{backend}/{shape}" for shape in SHAPES for backend in backends]
    calls = calls_of("gemm_bench", names)
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


def transfers(gpus):
    """Those of all that memory_bench has on two NUMA nodes which the flags leave, and the seconds for them."""
    names = [f"{way}/fp32/copy_engine/bytes:268435456/pinned:{pinned}/node:{node}"
             for way in ("host_to_device", "device_to_host") for pinned in (0, 1) for node in (0, 1)]
    names += [f"peer_copy/fp32/{backend}/bytes:268435456/from:{one}/to:{other}/ways:{ways}" for one in range(gpus) for other in range(gpus)
              for ways in (1, 2) for backend in ("copy_engine", "cuda") if one != other and (ways == 1 or one < other)]
    [call] = [call for call in calls_of("memory_bench", gpus=gpus) if "host" in call]
    wanted = re.search(r"--benchmark_filter=(\S+)", call)[1]
    return [name for name in names if re.search(wanted, name)], int(re.search(r"--max_seconds=(\d+)", call)[1])


for gpus in (1, 2, 8, 16):
    kept, seconds = transfers(gpus)
    links = [tuple(map(int, re.search(r"from:(\d+)/to:(\d+)/", name).groups())) for name in kept if name.startswith("peer_copy")]
    wanted = {(0, to) for to in range(1, gpus)} | {(one, (one + 1) % gpus) for one in range(gpus) if gpus > 1}
    assert len(links) == len(set(links)) and set(links) == wanted, (gpus, links)
    assert len(kept) - len(links) == 8, kept  # all of the host's
    assert gpus > 8 or 5 * len(kept) <= seconds, f"{gpus} GPUs: {len(kept)} cases of up to 5 s in {seconds} s"
