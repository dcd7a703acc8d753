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


rng = random.Random(1)
for record in sys.argv[1:]:
    rows, group = {}, 0
    for line in open(record, encoding="utf-8"):
        row = json.loads(line)
        group += row["kind"] == "header"
        if row["kind"] == "measurement" and row["verified"]:
            rows[group, row["name"]] = row
    for ranks in sorted({row["ranks"] for row in rows.values()}):
        medians, draws = [], []
        print(f"{record}: {ranks} ranks\n| bytes | ours | other | times as fast (95 %) |\n| ---: | ---: | ---: | ---: |")
        for (session, _), row in rows.items():
            if row["ranks"] != ranks or row["backend"] != "shm" or not row.get("paired_with"):
                continue
            other = rows[session, row["paired_with"]]
            ratios = [b / a for a, b in zip(row["time_s"], other["time_s"], strict=True)]
            medians.append(statistics.median(ratios))
            draws.append([resampled(ratios, rng) for _ in range(RESAMPLES)])
            us = [statistics.median(r["time_s"]) * 1e6 for r in (row, other)]
            print(f"| {row['shape']['bytes']} | {us[0]:.3g} us | {us[1]:.3g} us | {shown(medians[-1], draws[-1])} |")
        mean = [math.exp(statistics.fmean(map(math.log, at))) for at in zip(*draws)]
        print(f"| geometric mean | | | {shown(statistics.geometric_mean(medians), mean)} |\n")
