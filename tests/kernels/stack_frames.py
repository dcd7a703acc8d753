# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""No kernel keeps anything in local memory: an array that isn't indexed by constants goes there unseen, as it did in the
kernel that reads memory until an H200 showed it to be slow. stack_frames.py OBJECT;OBJECT [FOLDER_OF_CUOBJDUMP...]"""
import re
import sys

sys.dont_write_bytecode = True
from cuobjdump import Cuobjdump  # noqa: E402

tool = Cuobjdump(sys.argv[2:])
kernels = {}
for made in sys.argv[1].split(";"):
    if made.endswith(".cu.o"):
        for function in tool.functions("-res-usage", made):
            name = function.split(":", 1)[0]
            kernels[name] = max(kernels.get(name, 0), int(re.search(r"STACK:(\d+)", function).group(1)))
assert kernels, "no kernel found"
framed = {name: size for name, size in kernels.items() if not size < 1}
assert not framed, f"bytes of stack: {framed}"
print(f"{len(kernels)} kernels, none with a stack frame")
