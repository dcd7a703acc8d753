#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Real training steps as the judge: small GPTs in PyTorch on this machine, each predicted from rates of this machine before it is timed.

  scripts/validate_step.py --work FOLDER                    the default cases (below); run it again and it goes on where it stopped
  scripts/validate_step.py --work FOLDER --layers 4 --width 512 --heads 8 --seq 256 --batch 8 --dtype bf16 --procs 1
  scripts/validate_step.py --work FOLDER --table            only the table of what is finished
  scripts/validate_step.py --show FILE.runs.json            the table of what --record kept
  scripts/validate_step.py --device gpu --work FOLDER --out FOLDER    the same on a GPU (scripts/validate_gpu.py); --list shows what it would do

For each case: (1) gemm_bench at its shapes and PyTorch's other operations alone, each verified, into a record; (2) `trainmeter predict` from
that record; (3) the step, timed; and after all cases (4) every step once more, which says how well such a time repeats. With several
processes each has its share of the cores, and rates are taken while as many copies run. scripts/eager_gpt.py is the PyTorch side.
"""
import collections
import datetime
import itertools
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys

import gpt_counts
import validate_options
from validate_options import HELD_OUT, KEYS, ROOT, die, say
from validate_work import Stage, cores, here, require_same

BIN = ROOT / "build" / "bin"
BACKEND = {"fp32": "openblas", "bf16": "onednn"}  # whose GEMMs PyTorch calls on a CPU
RECORDS = ("rates.jsonl", "layer.jsonl")  # of one case
SESSIONS = itertools.count(1)
# Memory is kept, not handed back to the system after each operation; PyTorch's tuning guide advises an allocator that does so.
ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)}


class Skipped(Exception):
    """This machine can't run a case; the others run."""


def name_of(case):
    return "gpt-l{layers}-w{width}-h{heads}-t{seq}-b{batch}-{dtype}-p{procs}-v{vocab}".format(**case)


def shares(procs):
    each = len(cores()) // procs
    return [cores()[i * each:(i + 1) * each] for i in range(procs)]


def memory_bytes(case):
    """Weights, gradients and optimizer's states; activations that wait for the backward pass; logits."""
    e, tokens = (2 if case["dtype"] == "bf16" else 4), case["batch"] * case["seq"]
    activations = case["layers"] * tokens * (case["width"] * (24 + 16 * e) + 4 * case["heads"] * case["seq"] * e)
    return 20 * gpt_counts.parameters(case) * case["procs"] + activations + 4 * tokens * case["vocab"] * e + 3e8 * case["procs"]


def available_bytes():
    for line in open("/proc/meminfo", encoding="ascii"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return float("inf")


def check(case, torch):
    """Raises Skipped with the reason where this machine can't run the case."""
    if case["dtype"] == "bf16" and not torch["bf16"]:
        raise Skipped(f"PyTorch {torch['version']} has no bf16 autocast on the CPU")
    if case["procs"] > 1 and not torch["gloo"]:
        raise Skipped(f"PyTorch {torch['version']} has no gloo for several processes")
    if case["procs"] > len(cores()):
        raise Skipped(f"{case['procs']} processes need as many cores, here are {len(cores())}")
    if not memory_bytes(case) < available_bytes():
        raise Skipped(f"needs about {memory_bytes(case) / 2**30:.1f} GiB of memory, {available_bytes() / 2**30:.1f} GiB are free")


def environment(threads):
    return os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def run_all(commands, threads):
    """Runs the commands side by side, to the end of the first; its standard output. RuntimeError with the last line where it fails."""
    running = [subprocess.Popen(c, env=environment(threads), text=True, stdout=subprocess.PIPE if i == 0 else subprocess.DEVNULL,
                                stderr=subprocess.PIPE if i == 0 else subprocess.DEVNULL) for i, c in enumerate(commands)]
    try:
        out, err = running[0].communicate()
        if running[0].returncode == 0:
            return out
    finally:
        for process in running:
            process.kill()
            process.wait()
    raise RuntimeError(f"{commands[0][0]} {' '.join(map(str, commands[0][1:3]))}: exit code {running[0].returncode}: "
                       f"{(err.strip().splitlines() or ['nothing said'])[-1]}")


def pytorch(python, what, case, separate=False):
    """eager_gpt.py on each process' cores. `separate`: each by itself, as a single process would be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    case = case | {"cores": shares(case["procs"]), "port": port}
    commands = []
    for rank in range(case["procs"]):
        mine = case if not separate else case | {"cores": [case["cores"][rank]], "procs": 1, "batch": case["batch"] // case["procs"]}
        commands.append([python, str(ROOT / "scripts" / "eager_gpt.py"), what, json.dumps(mine), "0" if separate else str(rank)])
    return json.loads(run_all(commands, len(case["cores"][0])))


def bench(case, record, program, *arguments):
    """A program of ours on the first process' cores, a copy without a record on each other's."""
    commands = []
    for rank, mine in enumerate(shares(case["procs"])):
        commands.append(["taskset", "-c", ",".join(map(str, mine)), str(BIN / program), "--device=cpu", "--case_seconds=0.4", *arguments] +
                        ([f"--out={record}"] if rank == 0 else []))
    run_all(commands, len(shares(case["procs"])[0]))


def attention_gemms(case):
    """Batched GEMMs of one layer, forward and backward, and how many of each: layout, m, n, k."""
    return collections.Counter(tuple(key) for _, *key in gpt_counts.attention_gemms(case))


def measure_gemms(case, folder, record):
    tokens, dtype = case["batch"] // case["procs"] * case["seq"], case["dtype"]
    groups = tokens // case["seq"] * case["heads"]
    model = folder / "model.json"
    model.write_text(json.dumps(gpt_counts.model_of(case, name_of(case))), encoding="utf-8")
    shapes = "|".join(sorted({f"m:{m}/n:{n}/k:{k}" for three in gpt_counts.linear_gemms(case, tokens).values() for _, _, m, n, k, _ in three}))
    bench(case, record, "gemm_bench", f"--models={model}", f"--tokens={tokens}", f"--dtype={dtype}",
          f"--benchmark_filter=^(fma/.*|gemm/{dtype}/{BACKEND[dtype]}/({shapes})(/layout.*)?/iter.*)")
    for layout, m, n, k in attention_gemms(case):
        bench(case, record, "gemm_bench", f"--m={m}", f"--n={n}", f"--k={k}", f"--layout={layout}", f"--batch={groups}",
              f"--dtype={dtype}", f"--benchmark_filter=/{BACKEND[dtype]}/")


def header_after(record, session, torch):
    """The header of what PyTorch measured: the machine as our own programs described it in the same record."""
    with open(record, encoding="utf-8") as lines:
        header = json.loads(lines.readline())
    return header | {"session": session, "program": "validate_step", "command": ["scripts/validate_step.py"],
                     "started_at": now(), "software": {"PyTorch": torch["version"]},
                     "discipline": header["discipline"] | {"target": 0.0, "min_samples": 7}}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(record, case, rows, backend, torch, machine=None):
    """Adds PyTorch's rows under a header of their own; `machine`: the record that describes the machine, another one."""
    session = f"validate_step-{now()}-{os.getpid()}-{record.stem}-{backend}-{next(SESSIONS)}"
    header = header_after(machine or record, session, torch)
    with open(record, "a", encoding="utf-8") as out:
        out.write(json.dumps(header) + "\n")
        for row in rows:
            dtype = "fp32" if row["operation"] in ("allreduce", "eager_adamw") else case["dtype"]
            in_turn = row.get("in_turn", False)  # alone, with the layer's row of the same name before it
            beside = "layer" if "role" in row and not in_turn else "none"
            notes = row.get("notes", {}) | ({"in_turn": "layer"} if in_turn else {})
            shape = "/".join([f"{key}:{value}" for key, value in row["shape"].items()] + ([f"layer:{row['role']}"] if "role" in row else []))
            out.write(json.dumps({
                "kind": "measurement", "session": session, "name": f"{row['operation']}/{dtype}/{backend}/{shape}",
                "operation": row["operation"], "dtype": dtype, "backend": backend, "shape": row["shape"], "layout": row.get("layout", "none"),
                "scaling": "none", "flops": row.get("flops", 0.0), "bytes": row["bytes"], "ranks": case["procs"] if backend == "gloo" else 1,
                "sms": header["device"]["sms"], "beside": beside, "at": now(), "repetition": 0, "paired_with": "",
                "verified": row["error"] < row["error_bound"], "check": row.get("check", "all elements, fp64, gradients too"), "failure": "",
                "error": row["error"], "error_bound": row["error_bound"], "time_s": row["time_s"], "runs_per_sample": 1,
                "sm_clock_hz": [], "power_w": [], "temperature_c": [], "throttle_reasons": [], "stopped": "enough"} |
                ({"notes": notes} if notes else {})) + "\n")


def measure_rates(case, folder, python, torch):
    record = folder / "rates.jsonl"
    record.unlink(missing_ok=True)
    measure_gemms(case, folder, record)
    bench(case, record, "memory_bench", "--kernels=triad", "--bytes=67108864", "--threads=all")
    rows = pytorch(python, "operations", case | {"seconds": 0.3}, separate=True)
    append(record, case, rows, "pytorch", torch)
    layer = folder / "layer.jsonl"
    layer.unlink(missing_ok=True)
    append(layer, case, pytorch(python, "layer", case, separate=True), "pytorch", torch, machine=record)
    if case["procs"] > 1:
        append(record, case, pytorch(python, "allreduce", case), "gloo", torch)
    return [{key: row[key] for key in ("operation", "shape", "bytes", "count")} for row in rows]


def run_file(case, operations, torch):
    groups = case["batch"] // case["procs"] * case["heads"]
    e = 2 if case["dtype"] == "bf16" else 4
    listed = [{"dtype": "fp32" if o["operation"] == "eager_adamw" else case["dtype"]} | o for o in operations]
    for (layout, m, n, k), count in attention_gemms(case).items():
        listed.append({"operation": "gemm", "dtype": case["dtype"], "layout": layout, "shape": {"m": m, "n": n, "k": k, "groups": groups},
                       "bytes": e * groups * (m * k + k * n + m * n), "count": count * case["layers"]})
    return {"id": name_of(case), "title": f"{name_of(case)} in PyTorch {torch['version']}", "model": gpt_counts.model_of(case, name_of(case)), "gpus": case["procs"],
            "seq_len": case["seq"], "global_batch_sequences": case["batch"], "precision": case["dtype"], "stack": "other",
            "family": "pytorch-eager-cpu", "operations": listed,
            "parallel": {"dp": case["procs"], "microbatch_sequences": case["batch"] // case["procs"], "recompute": "none", "overlap": []}}


def records(folder):
    return [word for record in RECORDS if (folder / record).exists() for word in ("--rates", str(folder / record))]


def predict(folder, *more):
    command = [str(BIN / "trainmeter"), "predict", "--run", str(folder / "run.json"), *records(folder),
               "--system", "measured", "--format", "json", *more]
    return json.loads(run_all([command], len(cores())))


def first_pass(case, folder, python, torch):
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder)
    stage("case", lambda: case)
    operations = stage("operations", lambda: measure_rates(case, folder, python, torch))
    stage("run", lambda: run_file(case, operations, torch))
    stage("prediction", lambda: predict(folder))
    stage("prediction_alone", lambda: predict(folder, "--no_in_place"))
    stage("measured", lambda: pytorch(python, "step", case | {"warmup": 2, "steps": case["steps"]}))


def second_pass(case, folder, python):
    stage = Stage(folder)
    stage("measured_again", lambda: pytorch(python, "step", case | {"warmup": 2, "steps": case["steps"]}))


def require_pytorch(python):
    """Exit code 3 where it isn't there; found without importing it, which takes seconds."""
    answer = subprocess.run([python, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    if answer.returncode:
        no_pytorch(python, answer.stderr)


def no_pytorch(python, said):
    why = "".join(f": {line}" for line in said.strip().splitlines()[-1:])
    die(3, f"no PyTorch in {python} (Debian: apt install python3-torch; --python names another interpreter){why}")


def probe(python):
    answer = subprocess.run([python, str(ROOT / "scripts" / "eager_gpt.py"), "probe"], capture_output=True, text=True, check=False)
    if answer.returncode:
        no_pytorch(python, answer.stderr)
    return json.loads(answer.stdout)


def is_held_out(case):
    return tuple(case[key] for key in KEYS) in HELD_OUT


def rows_of(folder, cases, named=name_of, held_out=is_held_out):
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


def write_record(folder, cases, file):
    """All cases' rates in one record; runs with what was measured as `published`, and all times of steps, beside it."""
    with open(file, "w", encoding="utf-8") as out:
        for case in cases:
            for record in RECORDS:
                if (folder / name_of(case) / record).exists():
                    out.write((folder / name_of(case) / record).read_text(encoding="utf-8"))
    runs = [entry_of(folder / row["name"], row) for row in rows_of(folder, cases)]
    with open(pathlib.Path(file).with_suffix(".runs.json"), "w", encoding="utf-8") as out:
        json.dump(runs, out, indent=1)


def shown(file):
    """The table of what write_record kept beside a record."""
    try:
        rows = [entry["row"] for entry in json.loads(file.read_text(encoding="utf-8"))]
        if rows:
            return table(rows)
    except OSError as why:
        die(2, f"--show: {file}: {why.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        pass
    die(2, f"--show: {file}: expected finished cases, as --record keeps them in FILE.runs.json")


def able_here(cases, torch):
    """Those that this machine can run, and why not the others; none: exit code 3."""
    able, skipped = [], []
    for case in cases:
        try:
            check(case, torch)
            able.append(case)
        except Skipped as why:
            skipped.append(f"skipped: {name_of(case)}: {why}")
            say(skipped[-1])
    if not able:
        die(3, f"nothing is measured: this machine can run none of the {len(cases)} cases")
    return able, skipped


def measure(options):
    """The cases that were finished, and why not the others."""
    torch = probe(options.python)
    able, skipped = able_here(options.cases, torch)
    require_same(options, name_of, here(options.bin) | {"PyTorch": torch["version"]})
    for case in able:
        first_pass(case, options.work / name_of(case), options.python, torch)
    for case in able:
        second_pass(case, options.work / name_of(case), options.python)
    return able, skipped


def on_cpu(options):
    cases, skipped = (options.cases, []) if options.table else measure(options)
    rows = rows_of(options.work, cases)
    if not rows:
        die(2, f"--table: nothing of these cases is finished in {options.work}")
    print("\n".join([table(rows), *skipped]))
    if options.record:
        write_record(options.work, cases, options.record)


def main():
    global BIN
    options = validate_options.read(__doc__)
    if options.check:
        return
    if options.show:
        print(shown(options.show))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    BIN = options.bin
    try:
        if options.device == "gpu":
            import validate_gpu  # which builds on this file
            validate_gpu.main(options)
        else:
            on_cpu(options)
    except (RuntimeError, OSError) as why:
        die(4, f"{why} (finished work is in {options.work})")
    except KeyboardInterrupt:
        die(130, f"interrupted; the same command goes on from what is in {options.work}")


if __name__ == "__main__":
    main()
