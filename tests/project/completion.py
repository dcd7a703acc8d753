# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Bash completes every command, and of every command each option that its --help shows, and nothing else.
    completion.py TRAINMETER"""

import re
import subprocess
import sys

TRAINMETER = sys.argv[1]


def said(*arguments):
    return subprocess.run([TRAINMETER, *arguments], capture_output=True, text=True, check=True).stdout


def shown(text, pattern):
    return set(re.findall(pattern, text, re.MULTILINE))


commands = shown(said("--help").partition("Subcommands:")[2], r"^  ([a-z]+) ")
assert {"doctor", "report", "submit", "accept", "completion"} <= commands, commands
options = {command: shown(said(command, "--help"), r"^\s+(?:-\w,)?(--[\w-]+)") for command in commands}
assert all("--help" in found for found in options.values()), options
assert "--drain" in options["accept"] and "--dry-run" in options["submit"], options

EMPTY = "''"
# One shell answers all: a line for each question, the possible words of `trainmeter`, and of `trainmeter COMMAND --`.
asked = [""] + sorted(commands)
script = said("completion") + "".join(
    f"COMP_WORDS=(trainmeter {command} {'--' if command else EMPTY}) COMP_CWORD={2 if command else 1}; _trainmeter; echo \"${{COMPREPLY[*]}}\"\n"
    for command in asked)
answers = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True).stdout.splitlines()
assert len(answers) == len(asked), answers
for command, answer in zip(asked, answers):
    expected = options[command] if command else commands
    assert set(answer.split()) == expected, f"trainmeter {command}: {set(answer.split()) ^ expected} by one alone"
print(f"{len(commands)} commands, {sum(map(len, options.values()))} options")
