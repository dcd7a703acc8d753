"""The link lines are the rule: with the include directories that a layer's own target has, a forbidden header is not found.
Reads the real compile commands, plants each forbidden include, and expects the preprocessor to refuse it - and to accept an
allowed one, so that the test can't pass by failing at everything."""

import json
import pathlib
import shlex
import subprocess
import sys

build, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
commands = json.loads((build / "compile_commands.json").read_text())
HEADER = {
    "record": "record/error.hpp",
    "kernels": "kernels/operation.hpp",
    "workload": "workload/model.hpp",
    "bench": "bench/case.hpp",
    "report": "report/rates.hpp",
}
ALLOWED = {
    "record": {"record"},
    "kernels": {"kernels"},
    "workload": {"workload", "record"},
    "bench": {"bench", "kernels", "workload", "record"},
    "report": {"report", "workload", "record"},
}


def include_flags(layer):
    for entry in commands:
        if f"/{layer}/" in entry["file"] and f"trainmeter_{layer}.dir" in entry["command"]:
            words = shlex.split(entry["command"])
            flags = []
            for i, word in enumerate(words):
                if word.startswith("-I"):
                    flags.append(word)
                elif word == "-isystem":
                    flags += [word, words[i + 1]]
            return flags
    sys.exit(f"no compile command of layer {layer}")


failures = 0
for layer, allowed in ALLOWED.items():
    flags = include_flags(layer)
    for other, header in HEADER.items():
        result = subprocess.run(
            [compiler, "-std=c++20", "-M", *flags, "-x", "c++", "-"],
            input=f"#include <{header}>\n", text=True, capture_output=True)
        compiles = result.returncode == 0
        if compiles != (other in allowed):
            failures += 1
            print(f"{layer}/ including {header}: {'compiles' if compiles else 'is refused'}\n{result.stderr[:400]}")
print(f"{len(ALLOWED) * len(HEADER)} includes tried, {failures} wrong")
sys.exit(1 if failures else 0)
