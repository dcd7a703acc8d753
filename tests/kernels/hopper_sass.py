# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What the GEMM for Hopper became: in each of the 12 kernels, the machine instructions are as many as the algorithm has.
hopper_sass.py OBJECT [FOLDER_OF_CUOBJDUMP...]; else it is looked for on the path and among Python's packages."""
import collections
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig

packages = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "bin"))
folders = os.pathsep.join(sys.argv[2:] + [os.environ.get("PATH", "")] + packages)
tool = shutil.which("cuobjdump", path=folders)
if tool is None:
    print("skipped: no cuobjdump (of the CUDA toolkit, or the package nvidia-cuda-cuobjdump)")
    sys.exit(0)
text = subprocess.run([tool, "-sass", sys.argv[1]], capture_output=True, text=True, check=True,
                      env={**os.environ, "PATH": folders}).stdout

K_OF_STAGE, K_OF_WGMMA, SLAB, NN, NT, TN = 64, 16, 64, 0, 1, 2


def expected(rows, columns, blocks, layout):
    """Instructions of one tile, written once each: loops over tiles and stages stay loops."""
    boxes_a = rows // 64 if layout == TN else 1
    boxes_b = 1 if layout == NT else columns // blocks // 64
    return {
        "wgmma": K_OF_STAGE // K_OF_WGMMA,
        "TMA load": boxes_a + (boxes_b if blocks == 1 else 0),
        "TMA multicast": boxes_b if blocks > 1 else 0,
        "TMA store": columns // SLAB,
        "stmatrix": columns // 16,  # two chunks of 8 columns each
        "pack to bf16": columns // 4,  # a thread has a value of two columns
        "setmaxnreg": 2 if rows > 64 else 0,  # a lone consumer needs none
        "local memory": 0,
        "fp32 multiply-add": 0,  # all products are the tensor cores'
    }


NAMES = {"HGMMA": "wgmma", "UTMASTG": "TMA store", "STSM": "stmatrix", "F2FP": "pack to bf16", "USETMAXREG": "setmaxnreg",
         "LDL": "local memory", "STL": "local memory", "FFMA": "fp32 multiply-add"}
kernels = text.split("Function : ")[1:]
assert len(kernels) == 12, f"expected 4 tiles x 3 layouts, found {len(kernels)}"
for kernel in kernels:
    name = kernel.split("\n", 1)[0]
    shape = re.search(r"GemmConfigILi(\d+)ELi(\d+)ELi(\d+)ELi\d+EL\w*?6LayoutE(\d)", name)
    rows, columns, blocks, layout = map(int, shape.groups())
    counts = collections.Counter()
    for opcode in re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+ )?([A-Z][\w.]*)", kernel):
        base = opcode.split(".")[0]
        if base == "UTMALDG":
            counts["TMA multicast" if "MULTICAST" in opcode else "TMA load"] += 1
        elif base in NAMES:
            counts[NAMES[base]] += 1
        if base == "HGMMA":
            assert f".64x{columns}x16.F32.BF16" in opcode, f"{name}: {opcode}"
    want = expected(rows, columns, blocks, layout)
    found = {what: counts[what] for what in want}
    assert found == want, f"{name}:\nexpected {want}\nfound    {found}"
print(f"{len(kernels)} kernels hold as many instructions as the algorithm has")
