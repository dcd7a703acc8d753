# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The excerpts of README and of some pages are what the programs print: each line of a block without a language, below a paragraph
that names a `build/bin/trainmeter ...`, begins a line of that command's output.
    readme.py SOURCE BIN"""

import glob
import pathlib
import re
import subprocess
import sys

SOURCE, BIN = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
PAGES = {"README.md": 16, "docs/kernels.md": 5, "docs/planning.md": 10}  # lines at least
failed = False
for page, least in PAGES.items():
    parts = re.split(r"^```(.*)$", (SOURCE / page).read_text(), flags=re.MULTILINE)
    looked_at, wrong = 0, []
    # text, language, block, "", text, language, ...
    for text, language, block in zip(parts[0::4], parts[1::4], parts[2::4]):
        commands = re.findall(r"`build/bin/trainmeter ([^`]*)`", text)
        if language or not commands:
            continue
        words = [file for word in commands[-1].split() for file in (sorted(glob.glob(word, root_dir=SOURCE)) if "*" in word else [word])]
        done = subprocess.run([BIN / "trainmeter", *words], cwd=SOURCE, capture_output=True, text=True, check=False)
        printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
        for line in block.splitlines():
            wanted = " ".join(line.split())
            if wanted and not any(line.startswith(wanted) for line in printed):
                wrong.append(f"{page}: 'trainmeter {commands[-1]}' does not print: {line}")
            looked_at += bool(wanted)
    print(*wrong, sep="\n")
    print(f"{looked_at} lines of excerpts in {page}")
    failed |= bool(wrong) or looked_at < least
sys.exit(failed)
