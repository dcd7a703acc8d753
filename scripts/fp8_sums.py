#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The plot of docs/kernels.md: the error of fp8 sums against k, with and without promotion. From the table that the model's
test prints, on stdin, to what charts.py draws:

build/tests/kernels_static_test --gtest_filter='Fp8Sums.*' | scripts/fp8_sums.py |
  build/charts/venv/bin/python scripts/charts.py docs/"""
import json
import re
import sys

ROW = re.compile(r" *(\d+)  (\S+e-?\d+)  (\S+e-?\d+)$")
SERIES = ("without promotion", "promoted every 128")

points = []
for line in sys.stdin:
    if row := ROW.match(line.rstrip("\n")):
        points += [{"k": int(row[1]), "error": float(row[2 + i]), "sum": name} for i, name in enumerate(SERIES)]
if not points:
    sys.exit("fp8_sums.py: no line of the table on stdin; expected what kernels_static_test --gtest_filter='Fp8Sums.*' prints")
depths = sorted({point["k"] for point in points})

json.dump({"fp8-sums": {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "height": 260,
    "data": {"values": points},
    "mark": {"type": "line", "point": True},
    "encoding": {
        "x": {"field": "k", "type": "quantitative", "title": "k, terms of a dot product",
              "scale": {"type": "log", "base": 2}, "axis": {"values": depths}},
        "y": {"field": "error", "type": "quantitative", "title": "root mean square error, of the terms' norm",
              "scale": {"type": "log"}, "axis": {"format": ".0e"}},
        "color": {"field": "sum", "type": "nominal", "title": None, "sort": SERIES, "legend": {"orient": "top"}},
    }}}, sys.stdout)
