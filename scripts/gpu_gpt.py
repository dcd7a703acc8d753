#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of scripts/validate_step.py on a GPU: GPTs as PyTorch trains them in bf16 autocast, and the pieces they are made of.

  gpu_gpt.py serve     one JSON request a line on stdin, {"what": probe | operations | layer | host | step, "case": ...}; one JSON answer a line
                       on stdout, {"result": ...} or {"error": "..."}. Everything else goes to stderr.

One process for all requests: starting PyTorch takes longer than most of them. A case has `device` "cuda", or "cpu" to rehearse all of it
without a GPU. The pieces of eager_gpt.py are used here too; a piece alone is timed as the step has it, but on data that isn't in the caches.
"""
import contextlib
import gc
import json
import math
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import gpu_cases
from eager_gpt import (cast, cross_entropy, embedding, gelu, layernorm, matrices_of, merge_heads, others_rows, outputs_of, product,
                       relative_error, residual_add, softmax, split_heads)
from gpu_time import SLEEP_HZ, Mark, Runs, autocast, on_gpu, synchronize, timed

BF16_BOUND = 0.05  # relative to the largest element


# Pieces that eager_gpt.py doesn't have. Those that torch.compile takes are functions of tensors alone.

def attention(qkv, heads):
    batch, seq, width = qkv.shape
    q, k, v = [part.view(batch, seq, heads, -1).transpose(1, 2) for part in qkv.split(width // 3, dim=2)]
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, seq, -1)


def unfused_attention(qkv, heads, mask):
    q, k, v = split_heads(qkv, heads)
    weights = softmax(torch.bmm(q, k.transpose(1, 2)), mask, 1 / math.sqrt(q.shape[-1]))
    return merge_heads(torch.bmm(weights, v), heads)


def norm_cast(x, weight, bias):
    return cast(layernorm(x, weight, bias))


def residual_norm_cast(x, y, weight, bias):
    total = residual_add(x, y)
    return [total, cast(layernorm(total, weight, bias))]


def block(x, ln1, ln1_bias, qkv, out, ln2, ln2_bias, up, down, heads, mask):
    y = F.linear(layernorm(x, ln1, ln1_bias), qkv)
    y = attention(y, heads) if mask is None else unfused_attention(y, heads, mask)
    x = residual_add(x, F.linear(y, out))
    return residual_add(x, F.linear(gelu(F.linear(layernorm(x, ln2, ln2_bias), up)), down))


def head(x, norm, bias, table, targets):
    logits = F.linear(layernorm(x, norm, bias), table)
    return cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


COMPILED = {}


def compiled(function):
    if function not in COMPILED:
        COMPILED[function] = torch.compile(function, dynamic=False, fullgraph=True)
    return COMPILED[function]


class Gpt:
    """GPT-2's architecture without dropout, biases of linear layers and tied embeddings. Compiled: each layer, and the head with the loss."""

    def __init__(self, case, dtype=torch.float32):
        width, self.case = case["width"], case

        def table(*shape):
            return (0.02 * torch.randn(*shape, device=case["device"], dtype=dtype)).requires_grad_()

        def norm():
            return [torch.ones(width, device=case["device"], dtype=dtype).requires_grad_(),
                    torch.zeros(width, device=case["device"], dtype=dtype).requires_grad_()]
        self.tokens, self.places = table(case["vocab"], width), table(case["seq"], width)
        self.layers = [[*norm(), table(3 * width, width), table(width, width), *norm(), table(4 * width, width), table(width, 4 * width)]
                       for _ in range(case["layers"])]
        self.last = [*norm(), table(case["vocab"], width)]
        self.mask = None
        if case["attention"] == "unfused":
            self.mask = torch.ones(case["seq"], case["seq"], dtype=torch.bool, device=case["device"]).triu(1)

    def parameters(self):
        return [self.tokens, self.places, *[p for layer in self.layers for p in layer], *self.last]

    def loss(self, tokens, targets):
        own = self.case["mode"] == "compiled"
        layer_of, head_of = (compiled(block), compiled(head)) if own else (block, head)
        x = embedding(self.tokens, self.places, tokens)
        for layer in self.layers:
            x = layer_of(x, *layer, self.case["heads"], self.mask)
        return head_of(x, *self.last, targets)


def random_tokens(case, batch=None):
    return torch.randint(case["vocab"], (batch or case["batch"], case["seq"]), device=case["device"])


def adamw(case, parameters):
    ways = {case["optimizer"]: True} if on_gpu(case) else {}
    return torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, **ways)


class Training:
    def __init__(self, case):
        torch.manual_seed(1)
        self.case, self.model = case, Gpt(case)
        self.optimizer = adamw(case, self.model.parameters())
        self.data = [(random_tokens(case), random_tokens(case)) for _ in range(2)]

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


def pieces(case):
    """How each operation of gpu_cases.operations is run: inputs for a batch of sequences, the function, and the same for fp64."""
    width, heads, seq, vocab, device = case["width"], case["heads"], case["seq"], case["vocab"], case["device"]
    mask = torch.ones(seq, seq, dtype=torch.bool, device=device).triu(1) if case["attention"] == "unfused" else None
    f32, bf16 = torch.float32, torch.bfloat16

    def matrix(*shape, dtype=bf16):
        return torch.randn(*shape, device=device, dtype=f32).to(dtype).requires_grad_()

    def stream(batch, dtype=bf16, cols=width):
        return matrix(batch, seq, cols, dtype=dtype)

    def norm():
        return [matrix(width, dtype=f32), matrix(width, dtype=f32)]

    def indices(batch, *shape):
        return torch.randint(vocab, shape or (batch, seq), device=device)
    return {
        "eager_embedding": (lambda b: [matrix(vocab, width, dtype=f32), matrix(seq, width, dtype=f32), indices(b)], embedding),
        "eager_layernorm": (lambda b: [stream(b, f32), *norm()], layernorm),
        "eager_attention": (lambda b: [stream(b, cols=3 * width)], lambda x: attention(x, heads)),
        "eager_split_heads": (lambda b: [stream(b, cols=3 * width)], lambda x: split_heads(x, heads)),
        "eager_softmax": (lambda b: [matrix(b * heads, seq, seq)], lambda x: softmax(x, mask, 1 / math.sqrt(width // heads))),
        "eager_merge_heads": (lambda b: [matrix(b * heads, seq, width // heads)], lambda y: merge_heads(y, heads)),
        "eager_residual_add": (lambda b: [stream(b, f32), stream(b)], residual_add),
        "eager_gelu": (lambda b: [stream(b, cols=4 * width)], gelu),
        "eager_cross_entropy": (lambda b: [matrix(b * seq, vocab), indices(b, b * seq)], cross_entropy),
        "compiled_layernorm": (lambda b: [stream(b, f32), *norm()], norm_cast),
        "compiled_residual_layernorm": (lambda b: [stream(b, f32), stream(b), *norm()], residual_norm_cast),
        "compiled_residual_add": (lambda b: [stream(b, f32), stream(b)], residual_add),
        "compiled_gelu": (lambda b: [stream(b, cols=4 * width)], gelu),
        "compiled_cross_entropy": (lambda b: [matrix(b * seq, vocab), indices(b, b * seq)], cross_entropy)}


def in_fp64(function):
    """The same without rounding: a cast is the identity there."""
    return {cast: lambda x: x, norm_cast: layernorm,
            residual_norm_cast: lambda x, y, w, b: [x + y, layernorm(x + y, w, b)]}.get(function, function)


def with_gradients(function, values, gradients=None):
    out = outputs_of(function, values)
    gradients = gradients or [torch.randn_like(o) for o in out]
    wanted = [v for v in values if v.requires_grad]
    return out + list(torch.autograd.grad(out, wanted, [g.to(o.dtype) for g, o in zip(gradients, out)])), gradients


def verify(case, function, reference, inputs):
    """The forward result and the gradients against the same in fp64."""
    with autocast(case):
        got, gradients = with_gradients(function, inputs)
    wide = [v.detach().double().requires_grad_() if v.requires_grad else v for v in inputs]
    return relative_error(got, with_gradients(reference, wide, [g.double() for g in gradients])[0])


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
    return {"error": error, "error_bound": BF16_BOUND, "time_s": timed(case, *runs_of_piece(case, one, known), case["seconds"])}


def make_piece(case, one, known):
    """Of an operation of a step: what makes its inputs for a batch, and its function."""
    shape = one["shape"]
    if one["operation"] == "eager_cast":
        return lambda _: [torch.randn(shape["rows"], shape["cols"], device=case["device"]).requires_grad_()], cast
    return known[one["operation"]]


def runs_of_piece(case, one, known):
    """A run of it, forward and backward, and sets of inputs beyond the caches."""
    make, function = make_piece(case, one, known)
    if one["operation"].startswith("compiled_"):
        function = compiled(function)
    sets = [make(case["batch"]) for _ in range(max(2, min(8, int(128e6 / one["bytes"]))))]
    with autocast(case):
        gradients = [torch.randn_like(o) for o in outputs_of(function, sets[0])]
    other = gradients[0].clone() if one["operation"] == "eager_residual_add" else None  # a tensor of its own: autograd gives `gradients` itself

    def run(inputs):
        with autocast(case):
            out = outputs_of(function, inputs)
        wanted = torch.autograd.grad(out, [v for v in inputs if v.requires_grad], gradients)
        if one["operation"] == "eager_residual_add":
            torch.add(wanted[0], other)  # where the two paths meet again, both in fp32
    return run, sets


def measure_adamw(case):
    """One step of the optimizer over the tensors of the model."""
    parameters = Gpt(case).parameters()
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer, checked = adamw(case, parameters), parameters[1]
    before = checked.detach().double().clone()
    optimizer.step()
    gradient = checked.grad.double()  # after one step from nothing, m / sqrt(v) is the sign of the gradient
    expected = before * (1 - 1e-4 * 0.1) - 1e-4 * gradient / (gradient.abs() + 1e-8)
    error = relative_error([checked.detach()], [expected])
    return {"notes": {"optimizer": case["optimizer"]}, "error": error, "error_bound": 1e-3,
            "time_s": timed(case, lambda _: optimizer.step(), [None], case["seconds"])}


def layout_of(a, b):
    return "".join("t" if x.stride(-1) != 1 else "n" for x in (a, b))


class GemmMarks(TorchDispatchMode):
    """Marks before and after each GEMM, forward and backward, where it lies."""

    def __init__(self, case):
        super().__init__()
        self.case, self.calls = case, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function not in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            return function(*args, **(kwargs or {}))
        a, b = args[:2]
        key = (layout_of(a, b), a.shape[-2], b.shape[-1], a.shape[-1], a.shape[0] if a.dim() == 3 else 1)
        start = Mark(self.case).put()
        out = function(*args, **(kwargs or {}))
        self.calls.append((key, start, Mark(self.case).put()))
        return out


def gradient_error(model):
    """Of all gradients together, relative to their norm, against the same layer in fp64, on two sequences."""
    case, tokens = model.case, random_tokens(model.case, min(model.case["batch"], 2))
    wide = Gpt(case, torch.float64)
    for one, other in zip(wide.parameters(), model.parameters()):
        one.data = other.detach().double()
        other.grad = None
    wide.loss(tokens, tokens).backward()
    with autocast(case):
        loss = model.loss(tokens, tokens)
    loss.backward()
    pairs = [(a.grad.double(), b.grad) for a, b in zip(model.parameters(), wide.parameters())]
    return math.sqrt(sum(((a - b) ** 2).sum().item() for a, b in pairs) / sum((b ** 2).sum().item() for _, b in pairs))


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


def gemm_alone(case, layout, m, n, k, groups):
    """Runs of a GEMM as PyTorch calls it, and how far its first rows are from fp64."""
    sets = [matrices_of(layout, m, n, k, groups, torch.bfloat16, case["device"]) for _ in range(max(2, min(32, int(64e6 / (m * k + k * n)))))]
    a, b = sets[0]
    rows = min(m, 64)
    error = relative_error([product(a, b)[..., :rows, :]], [product(a[..., :rows, :].double(), b.double())])
    return {"runs": Runs(case, lambda operands: product(*operands), sets), "error": error, "time_s": []}


def measure_others(case, in_layer):
    """What a pass of one layer and the head takes beside its GEMMs; in turn with that, those operations alone, and the GEMMs, so that these are
    left out at the same clock. `in_layer`: time in a layer / time alone of each."""
    torch.manual_seed(4)
    case = case | {"layers": 1}
    model = Gpt(case)

    def pass_through(tokens):
        for p in model.parameters():
            p.grad = None
        with autocast(case):
            loss = model.loss(tokens, tokens)
        loss.backward()
    whole, known = Runs(case, pass_through, [random_tokens(case) for _ in range(2)]), pieces(case)
    listed = [one for one in gpu_cases.operations(case) if one["operation"] != "eager_adamw"]
    gemms = {role: gemm_alone(case, *key)["runs"] for role, *key in gpu_cases.layer_gemms(case)}
    runs, in_place, alone = [Runs(case, *runs_of_piece(case, one, known)) for one in listed], [], []
    for _ in range(9):
        in_place.append(whole.seconds() - sum(in_layer[role] * run.seconds() for role, run in gemms.items()))
        alone.append(sum(one["count"] * run.seconds() for one, run in zip(listed, runs)))
    return others_rows(case, listed, in_place[2:], alone[2:], BF16_BOUND)


def measure_layer(case):
    """Each GEMM of one layer and the head where it lies between the layer's other operations, after some such layers that keep the device busy:
    at a step's clock, and launched before the device gets to it. In turn with that, the same GEMMs alone."""
    torch.manual_seed(3)
    case = case | {"layers": 1, "mode": "eager"}
    model, tokens = Gpt(case), random_tokens(case)
    error = gradient_error(model)

    def pass_through(around=None):
        before = time.perf_counter()
        for p in model.parameters():
            p.grad = None
        with around or contextlib.nullcontext():
            with autocast(case):
                loss = model.loss(tokens, tokens)
            loss.backward()
        return time.perf_counter() - before
    pass_through()
    marked_s = [pass_through(GemmMarks(case)) for _ in range(2)][-1]
    synchronize(case)
    start = Mark(case).put()
    host_s = min(pass_through() for _ in range(5))
    device_s = start.until(Mark(case).put()) / 5
    wanted_s = 1.5 * marked_s  # that the device must be behind
    ahead_s = max(device_s - host_s, 0.0)
    before = max(3, min(10, math.ceil(wanted_s / max(ahead_s, 1e-6))))
    samples, late, hold_s = [], 0, max(0.0, wanted_s - before * ahead_s)
    alone = {role: gemm_alone(case, *key) for role, *key in gpu_cases.layer_gemms(case)}
    while len(samples) < 9:
        for _ in range(before):
            pass_through()
        if on_gpu(case) and hold_s > 0:
            torch.cuda._sleep(int(hold_s * SLEEP_HZ))
        marks = GemmMarks(case)
        pass_through(marks)
        if on_gpu(case) and marks.calls[0][1].passed() and late < 10:  # the device was there before all was launched
            late, hold_s = late + 1, min(hold_s + marked_s, 0.1)
            continue
        times = {}
        for key, begin, end in marks.calls:
            times.setdefault(key, []).append(begin.until(end))
        samples.append(times)
        for one in alone.values():
            one["time_s"].append(one["runs"].seconds())
    rows, missing, seen = [], [], {}
    for role, *key in gpu_cases.layer_gemms(case):
        key = tuple(key)
        number = seen[key] = seen.get(key, -1) + 1
        layout, m, n, k, groups = key
        if all(len(times.get(key, [])) > number for times in samples):
            shape = {"m": m, "n": n, "k": k} | ({"groups": groups} if groups > 1 else {})
            row = {"operation": "gemm", "role": role, "layout": layout, "shape": shape, "flops": 2.0 * groups * m * n * k, "bytes": 0.0,
                   "error_bound": BF16_BOUND}
            rows += [row | {"error": error, "time_s": [times[key][number] for times in samples[2:]]},
                     row | {"error": alone[role]["error"], "in_turn": True, "time_s": alone[role]["time_s"][2:]}]
        else:
            missing.append(role)
    return {"rows": rows, "missing": missing, "calls": sorted(map(str, samples[-1])) if missing else [], "device_s": device_s,
            "host_s": host_s, "marked_host_s": marked_s, "late": late}


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
