# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The table of scripts/validate_step.py, of cases on a CPU or on a GPU: what is finished in --work, beside a null model, and what is kept of it."""
import json
import statistics

from validate_options import die


def rows_of(folder, cases, named, held_out):
    """What is finished: measured, predicted, with its range, the same without in-place ratios, measured again."""
    out = []
    for case in cases:
        read = {}
        for stage in ("measured", "measured_again", "prediction", "prediction_alone"):
            file = folder / named(case) / f"{stage}.json"
            if file.exists():
                read[stage] = json.loads(file.read_text(encoding="utf-8"))
        if {"measured", "prediction", "prediction_alone"} <= read.keys():
            step = read["prediction"]["estimates"]["step_time_s"]
            measured = statistics.median(read["measured"]["time_s"])
            flops = read["prediction"]["estimates"]["tflops_per_gpu"]["p50"] * 1e12 * case["procs"] * step["p50"]
            again = statistics.median(read["measured_again"]["time_s"]) if "measured_again" in read else None
            out.append({"case": case, "name": named(case), "measured": measured, "again": again, "flops": flops, "step": step,
                        "held_out": held_out(case),
                        "alone": read["prediction_alone"]["estimates"]["step_time_s"]["p50"]})
    return out


def add_null_model(rows):
    """One FLOP rate for each dtype, that of its first case: which is then no prediction."""
    rate = {}
    for row in rows:
        dtype = row["case"]["dtype"]
        row["calibrates"] = dtype not in rate
        rate.setdefault(dtype, row["flops"] / row["measured"])
        row["null"] = row["flops"] / rate[dtype]


def mean_error(rows, key, reference="measured"):
    return statistics.fmean(abs(key(row) / row[reference] - 1) for row in rows) if rows else float("nan")


def table(rows):
    add_null_model(rows)
    lines = ["| case | measured | predicted | 90 % range | error | without in-place ratio | null model | measured again |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]

    def error(value, row):
        return f"{(value / row['measured'] - 1) * 100:+.1f} %"

    def shown(seconds, row):
        return f"{seconds:.3f}" if row["measured"] >= 1 else f"{seconds * 1e3:.2f}"
    for row in rows:
        step, again, unit = row["step"], row["again"], "s" if row["measured"] >= 1 else "ms"
        lines.append(f"| {row['name']}{' (held out)' if row['held_out'] else ''} | {shown(row['measured'], row)} {unit} | "
                     f"{shown(step['p50'], row)} {unit} | {shown(step['p05'], row)} to {shown(step['p95'], row)} | "
                     f"{error(step['p50'], row)} | {error(row['alone'], row)} | "
                     f"{'calibrated here' if row['calibrates'] else error(row['null'], row)} | {error(again, row) if again else '-'} |")
    held_out = [row for row in rows if row["held_out"]]
    predicted_by_null = [row for row in rows if not row["calibrates"]]
    inside = sum(row["step"]["p05"] <= row["measured"] <= row["step"]["p95"] for row in rows)
    lines += ["", f"mean absolute error over {len(rows)} cases: {mean_error(rows, lambda r: r['step']['p50']):.1%}",
              f"the same over {len(held_out)} held out: {mean_error(held_out, lambda r: r['step']['p50']):.1%}",
              f"the same without in-place ratio: {mean_error(rows, lambda r: r['alone']):.1%}",
              f"null model, over the {len(predicted_by_null)} cases that didn't calibrate it: {mean_error(predicted_by_null, lambda r: r['null']):.1%}",
              f"the engine over the same: {mean_error(predicted_by_null, lambda r: r['step']['p50']):.1%}",
              f"measured again: {mean_error([r for r in rows if r['again']], lambda r: r['again']):.1%}",
              f"inside the 90 % range: {inside} of {len(rows)}"]
    return "\n".join(lines).replace("nan%", "-")


def entry_of(place, row):
    """A finished case: its run, with what was measured as `published`, and all times of its steps."""
    def kept(stage):
        return json.loads((place / f"{stage}.json").read_text(encoding="utf-8")) if (place / f"{stage}.json").exists() else None
    return {"run": kept("run") | {"published": {"step_time_s": row["measured"]}}, "measured": kept("measured"),
            "measured_again": kept("measured_again"), "row": row}


def write_runs(folder, rows, file):
    with open(file, "w", encoding="utf-8") as out:
        json.dump([entry_of(folder / row["name"], row) for row in rows], out, indent=1)


def shown(file):
    """The table of what write_runs kept beside a record."""
    try:
        rows = [entry["row"] for entry in json.loads(file.read_text(encoding="utf-8"))]
        if rows:
            return table(rows)
    except OSError as why:
        die(2, f"--show: {file}: {why.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        pass
    die(2, f"--show: {file}: expected finished cases, as --record keeps them in FILE.runs.json")
