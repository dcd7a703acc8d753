# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What a user's scripts say of arguments that are wrong: one line that names what was expected, exit code 2, before anything is installed, built
or measured. script_arguments.py SOURCE_FOLDER BIN (validate_step.py's, gpu_suite.sh's and peer_gemm.py's: the tests of these names, too)"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

root, programs = map(pathlib.Path, sys.argv[1:])
problems = []


def check(message, script, *arguments, code=2):
    command = [sys.executable, "-B"] if script.endswith(".py") else ["bash"]
    made = subprocess.run([*command, root / "scripts" / script, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=60, check=False, cwd=folder, env=os.environ | {"SLURM_JOB_ID": "1"})
    lines = made.stderr.splitlines()
    if made.returncode != code or len(lines) != 1 or message not in lines[0] or made.stdout:
        problems.append(f"{script} {arguments}: {made}")


with tempfile.TemporaryDirectory() as folder:
    unpaired = pathlib.Path(folder) / "unpaired.jsonl"
    unpaired.write_text(json.dumps({"kind": "header"}) + "\n", encoding="utf-8")
    broken = pathlib.Path(folder) / "broken.jsonl"
    broken.write_text(json.dumps({"kind": "header"}) + "\n{", encoding="utf-8")
    check("expected records", "allreduce_table.py")
    check("nosuch: No such file", "allreduce_table.py", "nosuch")
    check("README.md:1: expected a line of a record", "allreduce_table.py", root / "README.md")
    check("broken.jsonl:2: expected a line of a record", "allreduce_table.py", broken)
    check("unpaired.jsonl: expected our all-reduce in turn with another", "allreduce_table.py", unpaired)
    sweep = ("allreduce_sweep.py", "--bin", programs)
    for flag, value, message in (("--ranks", 0, "expected a whole number from 2 on, found '0'"), ("--ranks", "x", "expected a whole number from 2 on, found 'x'"),
                                 ("--rounds", 0, "expected a whole number from 1 on"), ("--bytes", "1024,3", "expected multiples of 4 bytes"),
                                 ("--bin", "nosuch", "nosuch: no collective_bench is there")):
        check(f"{flag}: {message}" if flag != "--bin" else message, *sweep, flag, value)
    check("unrecognized arguments", *sweep, "--wat")
    check("--out: expected a file", "run.sh", "--out")
    check("--price: expected USD an hour", "run.sh", "--price")
    check("--price: expected USD an hour, found 'much'", "run.sh", "--price", "much")
    check("unknown argument '--wat'", "run.sh", "--wat")
    check("--seconds: expected whole seconds, found 'x'", "gpu_suite.sh", "--seconds", "x")
    check("--seconds: expected a value", "gpu_suite.sh", "--seconds")
    check("no programs found in nosuch", "gpu_suite.sh", "--bin", "nosuch")
    check("no target 'nosuch'", "fuzz.sh", "20", "nosuch")
    check("expected seconds, found 'x'", "fuzz.sh", "x")
    check("expected --fix or nothing", "lint.sh", "--fix", "more")
    check("expected asan or tsan", "sanitize.sh", "valgrind")
    check("no test program 'nosuch'", "sanitize.sh", "asan", "nosuch:Some*")
    check("no program 'nosuch'", "reports.sh", "--check", "nosuch")
    check("unknown argument 'x'", "charts.sh", "x")
    check("expected STEM or --library", "charts.py")
    check("--device: expected gpu or cpu, found 'tpu'", "slurm/node.sbatch", root / "scripts" / "slurm", "--device", "tpu")
    check("--bin: expected a value", "slurm/node.sbatch", root / "scripts" / "slurm", "--bin")
    check("expected gpu or cpu", "slurm/measure_node.sh")
    check("expected the folders of programs and of the job", "slurm/measure_node.sh", "cpu")
sys.exit("\n".join(problems) or 0)
