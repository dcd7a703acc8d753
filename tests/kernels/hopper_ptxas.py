# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What ptxas says of our GEMMs for Hopper: no spill, no stack, no warning that it serialised wgmma or ignored setmaxnreg, and
registers that the block's threads can have. (stack_frames.py holds the first two of all kernels.)
hopper_ptxas.py OBJECT;...     each with what nvcc said beside it, in OBJECT.said (kernels/cuda.cmake)"""
import pathlib
import re
import sys

objects = {pathlib.Path(one).stem: one for one in sys.argv[1].split(";")}
# bf16: 13 tiles in nt, 10 in nn and in tn, 7 that add, 3 with fp32 output x 3 layouts; fp8: 10 tiles, and 5 that add; groups: 3
# passes of bf16, 2 outputs of fp8 with 2 tiles each
KERNELS = {"gemm_hopper.cu": 49, "gemm_hopper_fp8.cu": 15, "gemm_hopper_grouped.cu": 7}


def right(name, used):
    """65,536 in steps of 8: 4 warpgroups have 128 a thread at the launch, 3 have 168, 2 have 255 at most. Where they move on by
    setmaxnreg (hopper_sass.py), all of them must be there: who asks for what the launch didn't give waits for ever."""
    rows = int(re.search(r"9TileShapeELi(\d+)E", name).group(1))
    return used <= 255 if rows == 64 else used == {192: 128}.get(rows, 168)


def check(file, expected):
    said = pathlib.Path(objects[file] + ".said").read_text()
    names = re.findall(r"Compiling entry function '(\w+)'", said)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", said)]
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert len(names) == len(registers) == len(frames) == expected, f"{file}: expected {expected}, found {len(names)}\n{said}"
    assert all(numbers == ("0", "0", "0") for numbers in frames), f"a stack frame or a spill\n{said}"
    assert "C75" not in said and "warning" not in said.lower(), f"a warning\n{said}"
    for name, used in zip(names, registers):
        assert right(name, used), f"{name}: {used} registers a thread"
    print(f"{file}: {expected} kernels, at most {max(registers)} registers a thread, no spill, no warning")


assert objects.keys() == KERNELS.keys(), objects
for name, count in KERNELS.items():
    check(name, count)
