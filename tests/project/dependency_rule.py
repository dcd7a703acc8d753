"""Fails on an include that the dependency rule of the tree forbids: bench -> kernels, workload, record; report -> workload,
record; workload -> record; kernels and record know nobody. Tests may see everything."""

import pathlib
import re
import sys

ALLOWED = {
    "record": set(),
    "kernels": set(),
    "workload": {"record"},
    "bench": {"kernels", "workload", "record"},
    "report": {"workload", "record"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([a-z]+)/')


def violations(root):
    for layer, allowed in ALLOWED.items():
        for file in sorted((root / layer).rglob("*")):
            if file.suffix not in {".hpp", ".cpp", ".cu", ".cuh"}:
                continue
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match and match[1] in ALLOWED and match[1] != layer and match[1] not in allowed:
                    yield f"{file.relative_to(root)}:{number}: {layer}/ may not include {match[1]}/"


root = pathlib.Path(sys.argv[1])
seen = sum(1 for layer in ALLOWED for _ in (root / layer).rglob("*.?pp"))
found = list(violations(root))
print("\n".join(found) or f"{seen} files, no forbidden include")
sys.exit(1 if found or seen < len(ALLOWED) else 0)
