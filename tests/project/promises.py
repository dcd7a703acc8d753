# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Every test that the documentation names exists, and those that docs/reliability.md marks as long are.
    promises.py SOURCE BUILD"""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys

SOURCE, BUILD = pathlib.Path(sys.argv[1]), sys.argv[2]

# Tests by their sources, too, so that those count which this build leaves out (no MPI, no CUDA).
known = set()
for file in (SOURCE / "tests").rglob("*.cpp"):
    for suite, name in re.findall(r"^TEST(?:_[FP])?\((\w+),\s+(\w+)\)", file.read_text(), re.MULTILINE):
        known.add(f"{suite}.{name}")
for file in (SOURCE / "tests").rglob("CMakeLists.txt"):
    known.update(re.findall(r"add_test\(NAME ([\w.]+)", file.read_text()))  # of a loop's the name's beginning
listed = json.loads(subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout)
long = set()
for test in listed["tests"]:
    labels = next((p["value"] for p in test.get("properties", []) if p["name"] == "LABELS"), [])
    name = test["name"].split(" ")[0]  # behind it GoogleTest may tell a parameter
    known.add(name)
    if "long" in labels:
        long.add(name)
assert len(known) > 500 and long, f"{len(known)} tests, {len(long)} long"

page = (SOURCE / "docs/reliability.md").read_text()
promises = [line for line in page.splitlines() if line.startswith("|")][2:]
assert len(promises) > 20, promises
named = 0
for line in promises:
    promise, tests = [cell.strip() for cell in line.strip("|").split(" | ")][-2:]
    found = re.findall(r"`([\w.*/]+)`( \(\*long\*\))?", tests)
    assert found, f"no test holds: {promise}"
    for name, marked in found:
        matching = fnmatch.filter(known, name)
        assert matching, f"docs/reliability.md names {name}, which is no test"
        assert bool(marked) == all(one in long for one in matching), f"docs/reliability.md: {name}: *long* where it is, and only there"
        named += 1

# Elsewhere a name stands by itself in backticks, or in a command: `Suite.Name*`, `bench.name`, `--gtest_filter=...`, `ctest -R ...`.
NAME = r"(?:\w+/)?[A-Z*][\w*]*\.[A-Z*][\w*]*(?:/\w+)?|(?:bench|kernels|project|slurm)\.(?!conf$)\w+|\*\w+\*"
mentions = 0
for file in [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]:
    for code in re.findall(r"`([^`\n]+)`", file.read_text()):
        code = code.replace("\\|", "|")  # as a table has it
        names = [code] if re.fullmatch(NAME, code) else []
        for quoted, plain in re.findall(r"--gtest_filter=(?:'([^']+)'|(\S+))", code):
            names += (quoted or plain).split(":")
        for name in names:
            assert fnmatch.filter(known, name), f"{file.relative_to(SOURCE)} names {name}, which is no test"
        found = re.findall(r"\bctest\b.* -R (?:'([^']+)'|(\S+))", code)
        patterns = [one for quoted, plain in found for one in (quoted or plain).split("|") if one != "NAME"]
        for pattern in patterns:
            assert any(re.search(pattern, one) for one in known), f"{file.relative_to(SOURCE)}: ctest -R {pattern} finds no test"
        mentions += len(names) + len(patterns)
assert mentions > 150, mentions
print(f"{len(promises)} promises, {named} names of tests; {mentions} on all pages")
