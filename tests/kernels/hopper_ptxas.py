# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What ptxas says of the GEMM for Hopper: no spill, no stack, no warning that it serialised wgmma or ignored setmaxnreg,
and registers that the block's threads can have. hopper_ptxas.py NVCC SOURCE_FOLDER INCLUDE_FOLDER"""
import re
import subprocess
import sys
import tempfile

nvcc, source, include = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    made = subprocess.run(
        [nvcc, "-std=c++20", "-O2", f"-I{include}", "-gencode=arch=compute_90a,code=sm_90a", "-Xptxas=-v", "-c",
         f"{source}/kernels/gemm_hopper.cu", "-o", f"{folder}/kernel.o"], capture_output=True, text=True)
said = made.stdout + made.stderr
assert made.returncode == 0, said
registers = [int(n) for n in re.findall(r"Used (\d+) registers", said)]
frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
assert len(registers) == len(frames) == 12, f"expected 4 tiles x 3 layouts, found {len(registers)}\n{said}"
assert all(numbers == ("0", "0", "0") for numbers in frames), f"a stack frame or a spill\n{said}"
assert "C75" not in said and "warning" not in said.lower(), f"a warning\n{said}"
# 3 warpgroups of 128 threads share 65,536 registers, in steps of 8: at most 168 each at the launch.
assert max(registers) <= 168, f"{max(registers)} registers a thread\n{said}"
# What setmaxnreg leaves: a producer at 40, two consumers at 232.
assert 128 * (40 + 2 * 232) <= 65536
print(f"{len(registers)} kernels, at most {max(registers)} registers a thread, no spill, no warning")
