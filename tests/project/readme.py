# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""README's excerpts are what the programs print: each line of a block without a language, below a paragraph that names a
`build/bin/trainmeter ...`, begins a line of that command's output.
    readme.py SOURCE BIN"""

import pathlib
import re
import subprocess
import sys

SOURCE, BIN = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
parts = re.split(r"^```(.*)$", (SOURCE / "README.md").read_text(), flags=re.MULTILINE)
looked_at, wrong = 0, []
# text, language, block, "", text, language, ...
for text, language, block in zip(parts[0::4], parts[1::4], parts[2::4]):
    commands = re.findall(r"`build/bin/trainmeter ([^`]*)`", text)
    if language or not commands:
        continue
    done = subprocess.run([BIN / "trainmeter", *commands[-1].split()], cwd=SOURCE, capture_output=True, text=True, check=False)
    printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in block.splitlines():
        words = " ".join(line.split())
        if words and not any(line.startswith(words) for line in printed):
            wrong.append(f"'trainmeter {commands[-1]}' does not print: {line}")
        looked_at += bool(words)
print(*wrong, sep="\n")
print(f"{looked_at} lines of README's excerpts")
sys.exit(bool(wrong) or looked_at < 30)
