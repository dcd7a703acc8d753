"""Fails where two files define a type of the same name in the same namespace: the linker takes one of two destructors for both, and which
one depends on what was inlined (a release build of `doctor` destroyed its rows as claims' findings)."""

import collections
import pathlib
import re
import sys

LAYERS = ["record", "kernels", "workload", "bench", "report"]
NAMESPACE = re.compile(r"^namespace ([\w:]*) ?\{")
TYPE = re.compile(r"^(?:struct|class|union|enum class|enum) (?:\[\[\w+\]\] |alignas\([^)]*\) )*(\w+)(?: final)?(?: : .*)? \{")


def types(file):
    """Those at the namespace's own level, but for anonymous namespaces, as clang-format writes both."""
    spaces = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := NAMESPACE.match(line):
            spaces.append(match[1])
        elif line.startswith("}  // namespace"):
            spaces.pop()
        elif (match := TYPE.match(line)) and "" not in spaces:
            yield "::".join([*spaces, match[1]])


root = pathlib.Path(sys.argv[1])
files = collections.defaultdict(set)
for layer in LAYERS:
    for file in sorted((root / layer).rglob("*")):
        if file.suffix in {".hpp", ".cpp", ".cu", ".cuh"}:
            for name in types(file):
                files[name].add(str(file.relative_to(root)))
twice = {name: found for name, found in files.items() if len(found) > 1}
for name, found in sorted(twice.items()):
    print(f"{name}: defined in {' and in '.join(sorted(found))}")
if len(files) < 200:
    print(f"only {len(files)} types seen: this script no longer sees the tree")
sys.exit(1 if twice or len(files) < 200 else 0)
