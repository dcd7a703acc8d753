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
import json
import os
import signal
import socket
import subprocess
import sys

import gpt_counts
import validate_gpu
import validate_options
from validate_options import HELD_OUT, KEYS, ROOT, die, say
from validate_table import rows_of, shown, table, write_runs
from validate_work import Stage, append, cores, here, no_pytorch, require_same

BACKEND = {"fp32": "openblas", "bf16": "onednn"}  # whose GEMMs PyTorch calls on a CPU
RECORDS = ("rates.jsonl", "layer.jsonl")  # of one case
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


def bench(options, case, record, program, *arguments):
    """A program of ours on the first process' cores, a copy without a record on each other's."""
    commands = []
    for rank, mine in enumerate(shares(case["procs"])):
        commands.append(["taskset", "-c", ",".join(map(str, mine)), str(options.bin / program), "--device=cpu", "--case_seconds=0.4", *arguments] +
                        ([f"--out={record}"] if rank == 0 else []))
    run_all(commands, len(shares(case["procs"])[0]))


def attention_gemms(case):
    """Batched GEMMs of one layer, forward and backward, and how many of each: layout, m, n, k."""
    return collections.Counter(tuple(key) for _, *key in gpt_counts.attention_gemms(case))


def measure_gemms(options, case, folder, record):
    tokens, dtype = case["batch"] // case["procs"] * case["seq"], case["dtype"]
    groups = tokens // case["seq"] * case["heads"]
    model = folder / "model.json"
    model.write_text(json.dumps(gpt_counts.model_of(case, name_of(case))), encoding="utf-8")
    shapes = "|".join(sorted({f"m:{m}/n:{n}/k:{k}" for three in gpt_counts.linear_gemms(case, tokens).values() for _, _, m, n, k, _ in three}))
    bench(options, case, record, "gemm_bench", f"--models={model}", f"--tokens={tokens}", f"--dtype={dtype}",
          f"--benchmark_filter=^(fma/.*|gemm/{dtype}/{BACKEND[dtype]}/({shapes})(/layout.*)?/iter.*)")
    for layout, m, n, k in attention_gemms(case):
        bench(options, case, record, "gemm_bench", f"--m={m}", f"--n={n}", f"--k={k}", f"--layout={layout}", f"--batch={groups}",
              f"--dtype={dtype}", f"--benchmark_filter=/{BACKEND[dtype]}/")


def measure_rates(options, case, folder, torch):
    record, python = folder / "rates.jsonl", options.python
    record.unlink(missing_ok=True)
    measure_gemms(options, case, folder, record)
    bench(options, case, record, "memory_bench", "--kernels=triad", "--bytes=67108864", "--threads=all")
    rows = pytorch(python, "operations", case | {"seconds": 0.3}, separate=True)
    append(record, case, rows, "pytorch", torch)
    layer = folder / "layer.jsonl"
    layer.unlink(missing_ok=True)
    append(layer, case, pytorch(python, "layer", case, separate=True), "pytorch", torch, machine=record)
    if case["procs"] > 1:
        append(record, case, pytorch(python, "allreduce", case), "gloo", torch)
    return [{key: row[key] for key in ("operation", "shape", "bytes", "count")} for row in rows]


def run_file(case, operations, torch):
    model, groups = gpt_counts.model_of(case, name_of(case)), case["batch"] // case["procs"] * case["heads"]
    e = 2 if case["dtype"] == "bf16" else 4
    listed = [{"dtype": "fp32" if o["operation"] == "eager_adamw" else case["dtype"]} | o for o in operations]
    for (layout, m, n, k), count in attention_gemms(case).items():
        listed.append({"operation": "gemm", "dtype": case["dtype"], "layout": layout, "shape": {"m": m, "n": n, "k": k, "groups": groups},
                       "bytes": e * groups * (m * k + k * n + m * n), "count": count * case["layers"]})
    return {"id": name_of(case), "title": f"{name_of(case)} in PyTorch {torch['version']}", "model": model, "gpus": case["procs"],
            "seq_len": case["seq"], "global_batch_sequences": case["batch"], "precision": case["dtype"], "stack": "other",
            "family": "pytorch-eager-cpu", "operations": listed,
            "parallel": {"dp": case["procs"], "zero": 0, "microbatch_sequences": case["batch"] // case["procs"], "recompute": "none", "overlap": []}}


def records(folder):
    return [word for record in RECORDS if (folder / record).exists() for word in ("--rates", str(folder / record))]


def predict(options, folder, *more):
    command = [str(options.bin / "trainmeter"), "predict", "--run", str(folder / "run.json"), *records(folder),
               "--system", "measured", "--format", "json", *more]
    return json.loads(run_all([command], len(cores())))


def timed_steps(options, case):
    return pytorch(options.python, "step", case | {"warmup": 2, "steps": case["steps"]})


def first_pass(options, case, torch):
    folder = options.work / name_of(case)
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder)
    stage("case", lambda: case)
    operations = stage("operations", lambda: measure_rates(options, case, folder, torch))
    stage("run", lambda: run_file(case, operations, torch))
    stage("prediction", lambda: predict(options, folder))
    stage("prediction_alone", lambda: predict(options, folder, "--no_in_place"))
    stage("measured", lambda: timed_steps(options, case))


def second_pass(options, case):
    Stage(options.work / name_of(case))("measured_again", lambda: timed_steps(options, case))


def probe(python):
    answer = subprocess.run([python, str(ROOT / "scripts" / "eager_gpt.py"), "probe"], capture_output=True, text=True, check=False)
    if answer.returncode:
        no_pytorch(python, answer.stderr)
    return json.loads(answer.stdout)


def finished(folder, cases):
    return rows_of(folder, cases, name_of, lambda case: tuple(case[key] for key in KEYS) in HELD_OUT)


def write_record(folder, cases, file):
    """All cases' rates in one record; runs with what was measured as `published`, and all times of steps, beside it."""
    with open(file, "w", encoding="utf-8") as out:
        for case in cases:
            for record in RECORDS:
                if (folder / name_of(case) / record).exists():
                    out.write((folder / name_of(case) / record).read_text(encoding="utf-8"))
    write_runs(folder, finished(folder, cases), file.with_suffix(".runs.json"))


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
        first_pass(options, case, torch)
    for case in able:
        second_pass(options, case)
    return able, skipped


def on_cpu(options):
    cases, skipped = (options.cases, []) if options.table else measure(options)
    rows = finished(options.work, cases)
    if not rows:
        die(2, f"--table: nothing of these cases is finished in {options.work}")
    print("\n".join([table(rows), *skipped]))
    if options.record:
        write_record(options.work, cases, options.record)


def main():
    options = validate_options.read(__doc__)
    if options.check:
        return
    if options.show:
        print(shown(options.show))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    try:
        if options.device == "gpu":
            validate_gpu.main(options)
        else:
            on_cpu(options)
    except (RuntimeError, OSError) as why:
        die(4, f"{why} (finished work is in {options.work})")
    except KeyboardInterrupt:
        die(130, f"interrupted; the same command goes on from what is in {options.work}")


if __name__ == "__main__":
    main()
