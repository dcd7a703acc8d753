#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What the engine as it is now predicts from rates that scripts/validate_step.py kept, beside what it predicted then.

  scripts/predict_again.py FILE.runs.json [--bin FOLDER]
  scripts/predict_again.py FILE.runs.json --parts      of a GPU's: GEMMs alone and where they lay in a layer, and what that leaves of the step

A record holds all cases' rates. On a CPU a case's lie together and end with its layer's; on a GPU cases share what they have in common, so
there a case's are those of its own sizes. Nothing is measured, and steps that were timed are never read but to say how far off it is."""
import argparse
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

import gpu_cases
from validate_options import BIN
from validate_table import mean_error


def record_of(runs):
    return runs.with_suffix("").with_suffix(".jsonl")


def sessions_of(record):
    """Each header with its lines, in the record's order."""
    out = []
    for line in record.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "header":
            out.append((row, []))
        else:
            out[-1][1].append(row)
    return out


def of_layer(header):
    return "-layer-" in header["session"]


def parts_in_order(sessions):
    parts = [[]]
    for number, session in enumerate(sessions):
        if number and of_layer(sessions[number - 1][0]) and not of_layer(session[0]):
            parts.append([])
        parts[-1].append(session)
    return parts


def size_of(row):
    return (row["layout"], *(row["shape"].get(key, 1) for key in ("m", "n", "k", "groups")))


def part_of_sizes(sessions, case):
    """A layer's GEMMs are those of the first that has them all; what it takes beside them is of the case's own operations."""
    gemms = {tuple(key) for _, *key in gpu_cases.layer_gemms(case)}
    others = {(one["operation"], json.dumps(one["shape"], sort_keys=True)) for one in gpu_cases.operations(case)}

    def is_its_own(row):
        if row["operation"] == "gemm":
            return size_of(row) in gemms
        if row["operation"].startswith(("eager_", "compiled_")):
            ways = row.get("notes", {}).get("optimizer", case["optimizer"])
            return (row["operation"], json.dumps(row["shape"], sort_keys=True)) in others and ways == case["optimizer"]
        return not of_layer({"session": row["session"]})
    layer = {"rows": gpu_cases.tokens(case), "cols": case["width"], "seq_len": case["seq"]}
    of = " ".join(sorted({operation for operation, _ in others} - {"eager_adamw"}))
    out, known = [], set()
    for header, rows in sessions:
        if "gemm-again" in " ".join(header["command"]):  # after all steps: no prediction had it
            continue
        if of_layer(header):
            found = {"gemm": [row for row in rows if row["operation"] == "gemm"],
                     "others": [row for row in rows if row["operation"] == "layer_others" and row["shape"] == layer and row["notes"]["of"] == of]}
            if {size_of(row) for row in found["gemm"]} != gemms:
                found["gemm"] = []
            kept = [row for kind, those in found.items() if kind not in known for row in those]
            known |= {kind for kind, those in found.items() if those}
        else:
            kept = [row for row in rows if is_its_own(row)]
        out.append((header, kept))
    return out


def predicted(trainmeter, run, part, *more):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "run.json").write_text(json.dumps({key: value for key, value in run.items() if key != "published"}), encoding="utf-8")
        lines = [json.dumps(row) for header, rows in part if rows for row in (header, *rows)]
        (folder / "rates.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [str(trainmeter), "predict", "--run", str(folder / "run.json"), "--rates", str(folder / "rates.jsonl"), "--system", "measured",
                   "--format", "json", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"predict_again.py: {run['id']}: {done.stderr.strip()}")
    return json.loads(done.stdout)["estimates"]["step_time_s"]


def again(runs, trainmeter):
    """The rows of validate_table.table, predicted anew."""
    entries, sessions = json.loads(runs.read_text(encoding="utf-8")), sessions_of(record_of(runs))
    in_order, out = parts_in_order(sessions), []
    for number, entry in enumerate(entries):
        case = entry["row"]["case"]
        part = part_of_sizes(sessions, case) if "mode" in case else in_order[number]
        out.append(entry["row"] | {"step": predicted(trainmeter, entry["run"], part),
                                   "alone": predicted(trainmeter, entry["run"], part, "--no_in_place")["p50"]})
    return [entry["row"] for entry in entries], out


def table(then, now):
    lines = ["| case | error then | error now | 90 % range now | without in-place ratio |", "| --- | ---: | ---: | ---: | ---: |"]
    for row, new in zip(then, now):
        scale, unit = (1, "s") if row["measured"] >= 1 else (1e3, "ms")

        def off(seconds, measured=row["measured"]):
            return f"{(seconds / measured - 1) * 100:+.1f} %"
        lines.append(f"| {row['name']} | {off(row['step']['p50'])} | {off(new['step']['p50'])} | {new['step']['p05'] * scale:.4g} to "
                     f"{new['step']['p95'] * scale:.4g} {unit} | {off(new['alone'])} |")

    def mean(rows, key):
        return f"{mean_error(rows, key):.1%}"
    inside = sum(row["step"]["p05"] <= row["measured"] <= row["step"]["p95"] for row in now)
    return "\n".join([*lines, "", f"mean absolute error over {len(now)} cases: {mean(then, lambda r: r['step']['p50'])} then, "
                      f"{mean(now, lambda r: r['step']['p50'])} now, {mean(now, lambda r: r['alone'])} without in-place ratio; "
                      f"inside the 90 % range now: {inside} of {len(now)}"])


def parts_table(entries, sessions):
    """Sums of median times over a step. The last column is the clock read while the steps ran, both times that they did."""
    lines = ["| case | layers' GEMMs alone | in the layer | head's alone | in the layer | all else alone | step beyond GEMMs in the layer and "
             "all else | SM clock in steps |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for entry in entries:
        case, measured = entry["row"]["case"], entry["row"]["measured"]
        alone, in_layer, others = {}, {}, {}
        for _, rows in part_of_sizes(sessions, case):
            for row in rows:
                seconds = statistics.median(row["time_s"])
                if "in_turn" in row.get("notes", {}):
                    continue
                if row["operation"] != "gemm":
                    others[row["operation"], json.dumps(row["shape"], sort_keys=True)] = seconds
                elif row["beside"] == "none":
                    alone[size_of(row)] = min(seconds, alone.get(size_of(row), seconds))
                else:
                    in_layer[row["name"].rsplit(":", 1)[-1]] = seconds
        sums = dict.fromkeys(itertools.product(("layers", "head"), ("alone", "in layer")), 0.0)
        for role, *key in gpu_cases.layer_gemms(case):
            where, times = ("head", 1) if role.startswith("head") else ("layers", case["layers"])
            sums[where, "alone"] += times * alone[tuple(key)]
            sums[where, "in layer"] += times * in_layer[role]
        rest = sum(one["count"] * others[one["operation"], json.dumps(one["shape"], sort_keys=True)] for one in gpu_cases.operations(case))
        in_all = sums["layers", "in layer"] + sums["head", "in layer"] + rest
        beyond = f"{(measured / in_all - 1) * 100:+.1f} %" if entry["run"].get("host_s", 0) < measured / 1.5 else "the host's"
        clocks = [entry[when]["state"].get("sm_clock_mhz", 0) for when in ("measured", "measured_again")]
        lines.append(f"| {entry['row']['name']} | " + " | ".join(f"{seconds * 1e3:.2f} ms" for seconds in (*sums.values(), rest)) +
                     f" | {beyond} | {clocks[0]}, {clocks[1]} MHz |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=pathlib.Path, metavar="FILE.runs.json")
    parser.add_argument("--bin", type=pathlib.Path, default=BIN, help="folder of trainmeter")
    parser.add_argument("--parts", action="store_true", help="of a GPU's: GEMMs alone and in a layer")
    options = parser.parse_args()
    if options.parts:
        print(parts_table(json.loads(options.runs.read_text(encoding="utf-8")), sessions_of(record_of(options.runs))))
        return
    print(table(*again(options.runs, options.bin / "trainmeter")))


if __name__ == "__main__":
    main()
