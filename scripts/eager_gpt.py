#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of scripts/validate_step.py on a CPU: a small GPT as eager PyTorch trains it, and the pieces it is made of.

  eager_gpt.py probe                                       what this PyTorch is and can, as JSON
  eager_gpt.py step | operations | layer | allreduce CASE RANK   times of whole steps; of the pieces alone; in a layer; of all-reduce

CASE is the JSON of one case, with `cores` for each process, `port` for several and `steps`. One JSON value on stdout. Pieces and layer are
measured of one process alone.
"""
import collections
import json
import math
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

import gpt_counts
from gpt_model import Gpt, adamw, checked_adamw, gradient_error, random_tokens
from gpt_pieces import (BOUND, autocast, gemm_rows, in_fp64, make_piece, matrices_of, others_rows, pieces, product, relative_error,
                        runs_of_piece, verify)


def train(case):
    """Seconds of each step: forward, backward, gradients' all-reduce, optimizer."""
    torch.manual_seed(1)
    model = Gpt(case)
    optimizer = adamw(case, model.parameters())
    procs = case["procs"]
    times, loss = [], None
    for step in range(case["warmup"] + case["steps"]):
        tokens, targets = (random_tokens(case, case["batch"] // procs) for _ in range(2))
        if procs > 1:
            dist.barrier()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with autocast(case):
            loss = model.loss(tokens, targets)
        (loss / procs).backward()
        if procs > 1:
            for parameter in model.parameters():
                dist.all_reduce(parameter.grad)
        optimizer.step()
        if step >= case["warmup"]:
            times.append(time.perf_counter() - start)
    if not math.isfinite(loss.item()):
        raise SystemExit("the loss is no number: these steps trained nothing")
    return {"time_s": times, "loss": loss.item(), "parameters": sum(p.numel() for p in model.parameters())}


def operations(case):
    """What a step does beside GEMMs, in pieces: operation, shape, how often, least bytes forward and backward."""
    known, width = gpt_counts.eager_operations(case), case["width"]
    casts = collections.Counter()  # autocast's: inputs of linear layers that come in fp32, and every weight
    if case["dtype"] == "bf16":
        casts[case["batch"] * case["seq"], width] += 2 * case["layers"] + 1
        for shape, count in gpt_counts.weight_casts(case).items():
            casts[(4 * width, width) if shape == (width, 4 * width) else shape] += count  # up, and down as many
    adamw_alone = known.pop("adamw")
    return [*known.values(), *(gpt_counts.counted_cast(rows, cols, count) for (rows, cols), count in casts.items()), adamw_alone]


def timed(run, sets, seconds):
    """Seconds of each run, at least 7, turning over `sets` so that operands aren't in the caches for having just been used."""
    times, at = [], 0
    for _ in range(2):
        run(sets[at := (at + 1) % len(sets)])
    end = time.perf_counter() + seconds
    while len(times) < 7 or time.perf_counter() < end:
        start = time.perf_counter()
        run(sets[at := (at + 1) % len(sets)])
        times.append(time.perf_counter() - start)
    return times


def measure_operations(case):
    torch.manual_seed(2)
    known, rows = pieces(case), []
    for one in operations(case):
        if one["operation"] == "eager_adamw":
            step, error = checked_adamw(case)
            rows.append(one | {"error": error, "error_bound": BOUND["fp32"], "time_s": timed(lambda _: step(), [None], case["seconds"])})
            continue
        run, sets = runs_of_piece(case, one, known)
        function = make_piece(case, one, known)[1]
        error = verify(case, function, in_fp64(function), sets[0])
        rows.append(one | {"error": error, "error_bound": BOUND[case["dtype"]], "time_s": timed(run, sets, case["seconds"])})
    return rows


def layer_gemms(case):
    """GEMMs of one layer and the head in the order in which PyTorch calls them: role, layout, m, n, k, groups."""
    linear = gpt_counts.linear_gemms(case, case["batch"] * case["seq"])
    attention = [(*one, case["batch"] * case["heads"]) for one in gpt_counts.attention_gemms(case)]

    def forward(role):
        return linear[role][:1]

    def backward(role):
        _, of_input, of_weights = linear[role]
        return [of_weights, of_input]
    return [*forward("qkv"), *attention[:2], *forward("out"), *forward("up"), *forward("down"), *forward("head"), *backward("head"),
            *backward("down"), *backward("up"), *backward("out"), *attention[2:], *backward("qkv")]


def outermost(events):
    """In order, without those inside another: under autocast a call may hold one of its own name."""
    out = []
    for event in sorted(events, key=lambda e: (e.time_range.start, -e.time_range.end)):
        if not out or event.time_range.start >= out[-1].time_range.end:
            out.append(event)
    return out


def measure_layer(case):
    """Each GEMM of one layer and the head where it lies between the layer's other operations, by PyTorch's profiler, and what the layer takes
    beside them; in turn with that, the same GEMMs and operations alone."""
    torch.manual_seed(3)
    case = case | {"layers": 1}
    model, expected, samples, error = Gpt(case), layer_gemms(case), [], None
    tokens, known = random_tokens(case, case["batch"]), pieces(case)
    gemms = [[matrices_of(case, *key) for _ in range(2)] for _, *key in expected]
    listed = [one for one in operations(case) if one["operation"] != "eager_adamw"]
    runs = [runs_of_piece(case, one, known) for one in listed]

    def pass_through():
        model.clear_gradients()
        start = time.perf_counter()
        model.pass_through(tokens)
        return time.perf_counter() - start
    for repetition in range(9):
        whole_s = pass_through()
        with torch.profiler.profile(record_shapes=True) as profile:
            pass_through()
        calls = outermost(e for e in profile.events() if e.name in ("aten::mm", "aten::bmm"))
        sizes = [(e.input_shapes[0][-2], e.input_shapes[1][-1], e.input_shapes[0][-1]) for e in calls]
        if sizes != [(m, n, k) for _, _, m, n, k, _ in expected]:
            raise SystemExit(f"this PyTorch calls other GEMMs in a layer than expected: {sizes}")
        if error is None:
            error = gradient_error(model, tokens)
        in_place = [e.time_range.elapsed_us() * 1e-6 for e in calls]
        alone = [second_of(lambda operands: product(*operands), sets) for sets in gemms]
        if repetition >= 2:
            samples.append((in_place, alone, whole_s - sum(in_place), sum(one["count"] * second_of(*run) for one, run in zip(listed, runs))))
    rows = []
    for i, (role, *key) in enumerate(expected):
        a, b = gemms[i][0]
        error_alone = relative_error([product(a, b)], [product(a.double(), b.double())])
        rows += gemm_rows(case, role, key, (error, [sample[0][i] for sample in samples]), (error_alone, [sample[1][i] for sample in samples]))
    return rows + others_rows(case, listed, [sample[2] for sample in samples], [sample[3] for sample in samples])


def second_of(run, sets):
    """Seconds of the second of two runs in a row, on operands of their own."""
    run(sets[0])
    start = time.perf_counter()
    run(sets[1])
    return time.perf_counter() - start


def measure_allreduce(case):
    rows = []
    for size in (1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24):
        data = torch.full((size // 4,), float(dist.get_rank() + 1))
        dist.all_reduce(data)
        error = (data - sum(range(1, case["procs"] + 1))).abs().max().item()
        times = []
        for _ in range(15):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(data)
            times.append(time.perf_counter() - start)
            data.fill_(1)
        rows.append({"operation": "allreduce", "shape": {"bytes": size}, "bytes": float(size), "error": error,
                     "error_bound": 1e-6, "time_s": times[2:]})
    return rows


def probe():
    bf16 = True
    try:
        with torch.autocast("cpu", torch.bfloat16):
            x = torch.randn(8, 8, requires_grad=True)
            F.softmax(torch.mm(x, x), -1).sum().backward()
    except (RuntimeError, TypeError, AttributeError):
        bf16 = False
    return {"version": torch.__version__, "bf16": bf16, "gloo": dist.is_available() and dist.is_gloo_available()}


def main():
    if sys.argv[1:2] != ["probe"] and len(sys.argv) != 4:
        sys.exit(print("eager_gpt.py: expected 'probe', or what, a case and a rank (scripts/validate_step.py starts it)", file=sys.stderr) or 2)
    what = sys.argv[1]
    if what == "probe":
        print(json.dumps(probe()))
        return
    case, rank = json.loads(sys.argv[2]) | {"device": "cpu", "attention": "unfused", "mode": "eager"}, int(sys.argv[3])
    os.sched_setaffinity(0, case["cores"][rank])
    torch.set_num_threads(len(case["cores"][rank]))
    if case["procs"] > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{case['port']}", rank=rank, world_size=case["procs"])
    result = {"step": train, "operations": measure_operations, "layer": measure_layer, "allreduce": measure_allreduce}[what](case)
    if rank == 0:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
