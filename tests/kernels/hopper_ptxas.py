# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What ptxas says of our tensor-core kernels and of our all-reduce: no spill, no stack, no warning that it serialised wgmma or ignored setmaxnreg,
and registers that the block's threads can have. hopper_ptxas.py NVCC SOURCE_FOLDER INCLUDE_FOLDER"""
import re
import subprocess
import sys
import tempfile

nvcc, source, include = sys.argv[1:]
# 6 tiles x (3 layouts and the weight gradient that adds); 3 tiles, and 3 that add; 3 passes of bf16, 2 outputs of fp8
# 3 types x up to 2, 4 and 8 ranks
KERNELS = {"gemm_hopper.cu": 24, "gemm_hopper_fp8.cu": 6, "gemm_hopper_grouped.cu": 5, "allreduce_cuda.cu": 9,
           "gemm_mma.cu": 6,  # 3 layouts of bf16 and fp16
           "attention_mma.cu": 9}  # 3 widths, both passes; what comes before and after
ARCHITECTURES = {"gemm_mma.cu": "80", "attention_mma.cu": "80"}  # else 90a


def most_registers(name):
    """65,536 in steps of 8: 3 warpgroups have at most 168 a thread at the launch, 2 have 255, the all-reduce's 4 have 128."""
    if "peer_all_reduce" in name:
        return 128
    config = re.search(r"ConfigILi(\d+)E", name)
    return 168 if config is not None and int(config.group(1)) > 64 else 255


def check(file, expected, folder):
    architecture = ARCHITECTURES.get(file, "90a")
    made = subprocess.run(
        [nvcc, "-std=c++20", "-O2", f"-I{include}", f"-gencode=arch=compute_{architecture},code=sm_{architecture}",
         "-Xptxas=-v", "-c", f"{source}/kernels/{file}", "-o", f"{folder}/kernel.o"], capture_output=True, text=True)
    said = made.stdout + made.stderr
    assert made.returncode == 0, said
    names = re.findall(r"Compiling entry function '(\w+)'", said)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", said)]
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert len(names) == len(registers) == len(frames) == expected, f"{file}: expected {expected}, found {len(names)}\n{said}"
    assert all(numbers == ("0", "0", "0") for numbers in frames), f"a stack frame or a spill\n{said}"
    assert "C75" not in said and "warning" not in said.lower(), f"a warning\n{said}"
    for name, used in zip(names, registers):
        assert used <= most_registers(name), f"{name}: {used} registers a thread"
    print(f"{file}: {expected} kernels, at most {max(registers)} registers a thread, no spill, no warning")


with tempfile.TemporaryDirectory() as scratch:
    for name, count in KERNELS.items():
        check(name, count, scratch)
# What setmaxnreg leaves: a producer at 40, two consumers at 232.
assert 128 * (40 + 2 * 232) <= 65536
