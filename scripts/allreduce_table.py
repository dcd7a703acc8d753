#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""How many times as fast one all-reduce is as the one it was measured in turn with: scripts/allreduce_table.py RECORD...

Of each pair of cases the median of (the other's time / its own), pair by pair, and over the sizes their geometric mean.
Intervals: 2.5 % and 97.5 % of 1,000 resamples of blocks of a twentieth of the pairs, since neighbours in time are alike.
"""
import json
import math
import random
import statistics
import sys

RESAMPLES = 1000


def refuse(text):
    print(f"allreduce_table.py: {text}", file=sys.stderr)
    sys.exit(2)


def pairs_of(record):
    """Ranks and, by ranks, each of our rows beside the one that it was measured in turn with."""
    rows, group, number = {}, 0, 0
    try:
        with open(record, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                row = json.loads(line)
                group += row["kind"] == "header"
                if row["kind"] == "measurement" and row["verified"]:
                    rows[group, row["name"]] = row
        pairs = {}
        for (session, _), row in rows.items():
            other = rows.get((session, row.get("paired_with")))
            if row["backend"] == "shm" and other and len(row["time_s"]) == len(other["time_s"]):
                pairs.setdefault(row["ranks"], []).append((row["shape"]["bytes"], row["time_s"], other["time_s"]))
    except OSError as why:
        refuse(f"{record}: {why.strerror}")
    except (ValueError, KeyError, TypeError, RecursionError):
        refuse(f"{record}:{number}: expected a line of a record")
    if not pairs:
        refuse(f"{record}: expected our all-reduce in turn with another (collective_bench --backend=shm --versus=mpi --out=RECORD)")
    return sorted(pairs.items())


def resampled(values, rng):
    length = max(1, len(values) // 20)
    out = []
    while len(out) < len(values):
        first = rng.randrange(len(values) - length + 1)
        out += values[first:first + length]
    return statistics.median(out[:len(values)])


def shown(value, draws):
    draws = sorted(draws)
    return f"{value:.2f} ({draws[RESAMPLES // 40]:.2f} to {draws[-1 - RESAMPLES // 40]:.2f})"


if not sys.argv[1:] or sys.argv[1].startswith("-"):
    refuse("expected records: allreduce_table.py RECORD...")
rng = random.Random(1)
for record, of_record in [(record, pairs_of(record)) for record in sys.argv[1:]]:
    for ranks, pairs in of_record:
        medians, draws = [], []
        print(f"{record}: {ranks} ranks\n| bytes | ours | other | times as fast (95 %) |\n| ---: | ---: | ---: | ---: |")
        for size, *times in pairs:
            ratios = [b / a for a, b in zip(*times)]
            medians.append(statistics.median(ratios))
            draws.append([resampled(ratios, rng) for _ in range(RESAMPLES)])
            us = [statistics.median(time_s) * 1e6 for time_s in times]
            print(f"| {size} | {us[0]:.3g} us | {us[1]:.3g} us | {shown(medians[-1], draws[-1])} |")
        mean = [math.exp(statistics.fmean(map(math.log, at))) for at in zip(*draws)]
        print(f"| geometric mean | | | {shown(statistics.geometric_mean(medians), mean)} |\n")
