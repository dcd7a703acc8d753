#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Which algorithm and block size are the fastest for our own all-reduce on this machine, by payload:

    scripts/allreduce_sweep.py [--gpu] [--ranks 2] [--bytes 1024,4096,...] [--rounds 3] [--bin build/bin]

Every plan goes through every size, all of it --rounds times, so that what drifts drifts for all; of each the fastest
round's median counts, on payloads that come from memory. Prints the fastest plan of each size beside the table's choice,
and rows for kSwitchPoints of kernels/allreduce_plan.cpp, neighbours with the same plan together. Needs mpirun; with --gpu
as many GPUs as ranks, and the rows are for kPeerSwitchPoints.
"""
import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

THREAD_BLOCKS = [1, 2, 4, 8, 16, 24, 36, 48, 64]  # of a GPU
BLOCKS = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10]
CLOSE = 1.02  # a plan this near to the fastest is as good: the one of the size before is kept


MOST = 10**9


class Parser(argparse.ArgumentParser):
    def error(self, message):
        die(2, message.removeprefix("argument "))


def die(code, text):
    print(f"allreduce_sweep.py: {text}", file=sys.stderr)
    sys.exit(code)


def from_(least):
    def number(text):
        if not re.fullmatch("[0-9]{1,10}", text) or not least <= int(text) <= MOST:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, found '{text}'")
        return int(text)
    return number


def sizes(text):
    for word in text.split(","):
        if from_(1)(word) % 4:
            raise argparse.ArgumentTypeError(f"expected multiples of 4 bytes (fp32), found '{word}'")
    return text


def plans():
    if arguments.gpu:
        yield from (f"{algorithm},{blocks}" for algorithm in ("one_shot", "two_shot") for blocks in THREAD_BLOCKS)
        return
    for algorithm, block, ahead, streaming in itertools.product(("one_shot", "two_shot"), BLOCKS, (0, 1), (0, 1)):
        yield ",".join([algorithm, str(block)] + ["ahead"] * ahead + ["streaming"] * streaming)


def medians(arguments, plan, file):
    """Seconds by payload. An empty plan is the table's."""
    command = []
    if not arguments.gpu:
        command = ["mpirun", "-n", str(arguments.ranks), "--oversubscribe"]
        if os.geteuid() == 0:
            command.append("--allow-run-as-root")
    command += [os.path.join(arguments.bin, "collective_bench"), "--target=0"]
    command += ["--device=gpu", "--backend=peer", "-g", str(arguments.ranks)] if arguments.gpu else ["--device=cpu", "--backend=shm"]
    command += ["--benchmark_min_time=0.01", "--benchmark_min_warmup_time=0.002", f"--bytes={arguments.bytes}", f"--out={file}"]
    environment = os.environ | {"TRAINMETER_ALLREDUCE_PLAN": plan, "OMPI_MCA_mpi_yield_when_idle": "1"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        ours = [line for line in done.stderr.splitlines() if line.startswith("collective_bench: ")] or done.stderr.split("\n")[-1:]
        die(done.returncode if done.returncode in (2, 3, 130, 143) else 4, f"exit code {done.returncode}: {ours[-1]}")
    rows = [json.loads(line) for line in open(file, encoding="utf-8")]
    return {row["shape"]["bytes"]: statistics.median(row["time_s"]) for row in rows if row.get("verified")}


def switch_point(ranks, most_bytes, plan):
    algorithm, block, *how = plan.split(",")
    if arguments.gpu:
        return f"PeerSwitchPoint{{{ranks}, {most_bytes}, {{{algorithm}, {block}}}}},"
    ahead, streaming = (str(word in how).lower() for word in ("ahead", "streaming"))
    return f"SwitchPoint{{{ranks}, {most_bytes}, {{{algorithm}, {block}, {ahead}, {streaming}}}}},"


parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--gpu", action="store_true")
parser.add_argument("--ranks", type=from_(2), default=2)
parser.add_argument("--bytes", type=sizes, default=",".join(str(1024 << 2 * i) for i in range(9)))
parser.add_argument("--rounds", type=from_(1), default=3)
parser.add_argument("--bin", default="build/bin")
arguments = parser.parse_args()
if not os.path.isfile(os.path.join(arguments.bin, "collective_bench")):
    die(2, f"--bin: {arguments.bin}: no collective_bench is there (build first, or name its folder)")
if not arguments.gpu and not shutil.which("mpirun"):
    die(3, "no mpirun (Debian: apt install openmpi-bin)")

best = {}
with tempfile.TemporaryDirectory() as folder:
    for turn in range(arguments.rounds):
        for number, plan in enumerate(["", *plans()]):
            for size, seconds in medians(arguments, plan, f"{folder}/{turn}-{number}.jsonl").items():
                known = best.setdefault(size, {})
                known[plan] = min(known.get(plan, seconds), seconds)

print("| bytes | fastest plan | us | the table's choice, us |\n| ---: | --- | ---: | ---: |")
chosen, before = {}, None
for size, times in sorted(best.items()):
    table = times.pop("")
    fastest = min(times, key=times.get)
    if before in times and times[before] < CLOSE * times[fastest]:
        fastest = before
    chosen[size] = before = fastest
    print(f"| {size} | {fastest} | {times[fastest] * 1e6:.3g} | {table * 1e6:.3g} |")
print()
sizes = list(chosen)
for size, following in itertools.zip_longest(sizes, sizes[1:]):
    if following is None or chosen[following] != chosen[size]:
        print(switch_point(arguments.ranks, "kAnyBytes" if following is None else size, chosen[size]))
