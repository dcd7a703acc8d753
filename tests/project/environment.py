# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The table of environment variables in docs/operating.md names every one that a program or a batch script reads, and no variable of ours that
nothing reads. environment.py SOURCE"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
ours = r"TRAINMETER_(?!HAS_)[A-Z_]+"
read = set()
for layer in ("record", "workload", "kernels", "bench", "report"):
    for file in (source / layer).rglob("*"):
        if file.suffix not in (".cpp", ".hpp", ".cu", ".cuh"):
            continue
        text = file.read_text(encoding="utf-8")
        read |= set(re.findall(r'(?:getenv|text_of|number_of)\("([A-Z_]+)"', text))
        for name in re.findall(r"getenv\((k\w+)\)", text):
            value = re.search(rf'constexpr const char\* {name} =\s+"([A-Z_]+)"', text)
            read.add(value[1])
        for names in re.findall(r"kLaunchVariables = \{(.*?)\}|for \(const std::string name : \{(.*?)\}", text, re.DOTALL):
            read |= set(re.findall(r'"([A-Z_]+)"', "".join(names)))
for script in [*(source / "scripts" / "slurm").iterdir(), source / "scripts" / "gpu_suite.sh"]:
    read |= set(re.findall(rf"\$\{{?({ours})", script.read_text(encoding="utf-8")))
assert {"TRAINMETER_DATA", "TRAINMETER_PORT", "TRAINMETER_TIMEOUT", "NCCL_TESTS_MIN_BW", "TRAINMETER_CASE_SECONDS"} <= read, read

page = (source / "docs" / "operating.md").read_text(encoding="utf-8").partition("## Environment variables")[2]
rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
named = set(re.findall(r"`([A-Z_]+)`", "".join(rows)))
problems = [f"docs/operating.md: {name}: read, but not in the table" for name in sorted(read - named)]
problems += [f"docs/operating.md: {name}: in the table, but nothing reads it" for name in sorted(named - read) if name.startswith("TRAINMETER_")]
sys.exit("\n".join(problems) or 0)
