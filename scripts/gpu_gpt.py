#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of scripts/validate_step.py on a GPU: GPTs as PyTorch trains them in bf16 autocast, and the pieces they are made of.

  gpu_gpt.py serve     one JSON request a line on stdin, {"what": probe | operations | layer | host | step, "case": ...}; one JSON answer a line
                       on stdout, {"result": ...} or {"error": "..."}. Everything else goes to stderr.

One process for all requests: starting PyTorch takes longer than most of them. A case has `device` "cuda", or "cpu" to rehearse all of it
without a GPU. A piece alone is timed as the step has it, but on data that isn't in the caches.
"""
import gc
import json
import math
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import gpu_cases
from gpt_model import Gpt, adamw, checked_adamw, random_tokens
from gpt_pieces import BOUND, autocast, compiled, in_fp64, make_piece, pieces, runs_of_piece, verify
from gpu_layer import measure_layer, measure_others
from gpu_time import Mark, on_gpu, synchronize, timed


class Training:
    def __init__(self, case):
        torch.manual_seed(1)
        self.case, self.model = case, Gpt(case)
        self.optimizer = adamw(case, self.model.parameters())
        self.data = [(random_tokens(case, case["batch"]), random_tokens(case, case["batch"])) for _ in range(2)]

    def step(self, number):
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.case):
            loss = self.model.loss(*self.data[number % 2])
        loss.backward()
        self.optimizer.step()
        return loss


def state_of_gpu():
    """Clock, power and temperature, where the driver's library is there to ask."""
    try:
        return {"sm_clock_mhz": torch.cuda.clock_rate(), "power_mw": torch.cuda.power_draw(), "temperature_c": torch.cuda.temperature()}
    except Exception:  # whatever it is that a machine lacks, the times stand without
        return {}


def train(case):
    """Seconds of each step on the device, from one step's first operation to the next one's, with nobody waiting between them."""
    training, marks, host = Training(case), [], []
    start = time.perf_counter()
    for number in range(case["warmup"]):
        loss = training.step(number)
        synchronize(case)
        if number == 0:
            first_s = time.perf_counter() - start  # holds the compiler's time
    for number in range(case["steps"] + 1):
        marks.append(Mark(case).put())
        if number < case["steps"]:
            before = time.perf_counter()
            loss = training.step(number)
            host.append(time.perf_counter() - before)
    state = state_of_gpu() if on_gpu(case) else {}
    times = [a.until(b) for a, b in zip(marks, marks[1:])]
    if not math.isfinite(loss.item()):
        raise RuntimeError("the loss is no number: these steps trained nothing")
    peak = torch.cuda.max_memory_allocated() if on_gpu(case) else 0
    return {"time_s": times, "host_s": host, "first_step_s": first_s, "loss": loss.item(), "peak_memory_bytes": peak, "state": state,
            "parameters": sum(p.numel() for p in training.model.parameters())}


def measure_host(case):
    """Seconds that the host needs for a step: of as many layers and tensors, but so small that the device is never what it waits for."""
    small = case | {"width": case["width"] // case["heads"], "heads": 1, "seq": 32, "batch": 1, "vocab": 128, "mode": "eager"}
    training, times = Training(small), []
    for number in range(23):
        if number % 5 == 3:
            synchronize(case)
        start = time.perf_counter()
        training.step(number)
        times.append(time.perf_counter() - start)
    synchronize(case)
    return {"host_s": times[3:]}


KNOWN = {}  # what was measured already: cases have pieces in common


def once(key, measure):
    key = json.dumps(key, sort_keys=True)
    if key not in KNOWN:
        KNOWN[key] = measure()
    return KNOWN[key]


def measure_operations(case):
    torch.manual_seed(2)
    known, rows = pieces(case), []
    for one in gpu_cases.operations(case):
        operation = one["operation"]
        own = {"eager_adamw": case["optimizer"], "eager_embedding": [case["vocab"], case["seq"]]}.get(operation)

        def measured(one=one, operation=operation):
            return measure_adamw(case) if operation == "eager_adamw" else measure_piece(case, one, known)
        rows.append(one | once([operation, one["shape"], own], measured))
    return rows


def measure_piece(case, one, known):
    make, function = make_piece(case, one, known)
    reference, own = in_fp64(function), one["operation"].startswith("compiled_")
    # fp64 takes four times the memory: a few sequences say as much; a compiled piece would be compiled once more for them.
    error = verify(case, compiled(function) if own else function, reference, make(case["batch"] if own else min(case["batch"], 2)))
    return {"error": error, "error_bound": BOUND[case["dtype"]], "time_s": timed(case, *runs_of_piece(case, one, known), case["seconds"])}


def measure_adamw(case):
    """One step of the optimizer over the tensors of the model."""
    step, error = checked_adamw(case)
    return {"notes": {"optimizer": case["optimizer"]}, "error": error, "error_bound": BOUND["fp32"],
            "time_s": timed(case, lambda _: step(), [None], case["seconds"])}


def known_layer(case):
    """Its GEMMs, which eager and compiled steps have alike, and what else it takes in the case's own way."""
    shape = {key: case[key] for key in ("width", "heads", "seq", "batch", "attention", "vocab")}
    layer = once(["layer", shape], lambda: measure_layer(case))
    if layer["missing"]:
        return layer
    medians = {(row["role"], row.get("in_turn", False)): statistics.median(row["time_s"]) for row in layer["rows"]}
    in_layer = {role: medians[role, False] / medians[role, True] for role, _ in medians}
    try:
        others = once(["others", shape, case["mode"]], lambda: measure_others(case, in_layer))
    except RuntimeError as why:  # the GEMMs are known all the same
        return layer | {"no_others": " ".join(str(why).split())[:300]}
    return layer | {"rows": layer["rows"] + others}


def probe(case):
    device = case["device"]
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no CUDA device")
    if not hasattr(F, "scaled_dot_product_attention"):
        raise RuntimeError(f"PyTorch {torch.__version__} has no scaled_dot_product_attention")
    total = torch.cuda.mem_get_info()[1] if device == "cuda" else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    x = torch.randn(64, 64, device=device, dtype=torch.bfloat16)
    torch.mm(x, x).sum().item()
    return {"version": torch.__version__, "device": name, "memory_bytes": total, "compile": hasattr(torch, "compile")}


ANSWERS = {"probe": probe, "operations": measure_operations, "layer": known_layer, "host": measure_host, "step": train}


def forget():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def serve():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": ANSWERS[request["what"]](request["case"])}
        except Exception as why:  # one request's failure is its answer; the next may succeed
            text = f"{type(why).__name__}: {why}".strip()
            print(f"{request['what']}: {text}", file=sys.stderr, flush=True)
            answer = {"error": " ".join(text.splitlines()[0].split())[:300]}
        try:
            forget()
        except RuntimeError as why:  # the device is lost to this process
            answer = answer | {"error": f"{answer.get('error', '')} {why}".strip().splitlines()[0], "lost": True}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] != ["serve"]:
        sys.exit(print("gpu_gpt.py: expected 'serve' (scripts/validate_step.py --device gpu starts it)", file=sys.stderr) or 2)
    serve()
