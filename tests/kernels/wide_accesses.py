# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""A step's kernels move 16 bytes an access where rows allow it: nvcc stored a pack that was only copied two bytes at a time,
until an H200 showed it to be slow. wide_accesses.py OBJECT;OBJECT [FOLDER_OF_CUOBJDUMP...]"""
import collections
import re
import sys

sys.dont_write_bytecode = True
from cuobjdump import Cuobjdump  # noqa: E402

# Narrower stores that belong there: a row's loss; the gradient of a copy's weight; the rounded weights, four of bf16.
NARROW = {("cross_entropy", "f"): 1, ("cross_entropy", "13__nv_bfloat16"): 1, ("unpermute_backward", "f"): 1,
          ("unpermute_backward", "13__nv_bfloat16"): 1, ("adamw", "13__nv_bfloat16"): 5}


def check(kernel):
    """Whether it was one of packs. A router's kernels store what single experts get."""
    name = kernel.split("\n", 1)[0].strip()
    found = re.search(r"\d(?!topk)([a-z_]+)I(f|13__nv_bfloat16)Li([48])E", name)
    if not found:
        return False
    stores = collections.Counter("128" if ".128" in width else "narrower" for width in
                                 re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+ )?STG((?:\.\w+)*) ", kernel))
    assert 0 < stores["128"], f"{name}: no store of 16 bytes"
    assert stores["narrower"] <= NARROW.get(found.group(1, 2), 0), f"{name}: {stores['narrower']} narrower stores"
    return True


def check_cast(kernel):
    """Of both orientations, where rows and columns are whole packs: loads in flight before the first cast, four or eight; the
    tile read by pairs of columns."""
    name = kernel.split("\n", 1)[0].strip()
    found = re.search(r"cast_fp8_transposeI(f|13__nv_bfloat16)Lb1ELb1E", name)
    if not found:
        return False
    code = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+ )?([A-Z][\w.]*)", kernel)
    first = next(i for i, opcode in enumerate(code) if opcode.startswith("SHFL"))
    ahead = sum(opcode.startswith("LDG") and ".128" in opcode for opcode in code[:first])
    assert (8 if found.group(1) == "f" else 4) <= ahead, f"{name}: {ahead} loads before the first shuffle"
    narrow = [opcode for opcode in code if re.match(r"(LDS|STG)\.\S*U(8|16)", opcode)]
    assert not narrow, f"{name}: {narrow}"
    return True


tool = Cuobjdump(sys.argv[2:])
steps = [made for made in sys.argv[1].split(";") if made.endswith("step_cuda.cu.o")]
checked = sum(check(function) for made in steps for function in tool.functions("-sass", made))
casts = sum(check_cast(function) for made in sys.argv[1].split(";") if made.endswith("step_cuda_cast.cu.o")
            for function in tool.functions("-sass", made))
assert 0 < checked and 0 < casts, f"{checked} kernels of packs, {casts} casts found"
print(f"{checked} kernels store packs of 16 bytes whole, {casts} casts have loads in flight")
