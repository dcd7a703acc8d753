#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of scripts/validate_step.py: a small GPT as eager PyTorch trains it, and the pieces it is made of.

  eager_gpt.py probe                                       what this PyTorch is and can, as JSON
  eager_gpt.py step | operations | layer | allreduce CASE RANK   times of whole steps; of the pieces alone; in a layer; of all-reduce

CASE is the JSON of one case, with `cores` for each process, `port` for several and `steps`. One JSON value on stdout.
Every piece but GEMMs (those are gemm_bench's) stands here once, and both the training step and the measurement of the piece alone use it.
"""
import collections
import contextlib
import json
import math
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F


def precision(case):
    """What the GEMMs and what lies between them are in; weights and the residual stream stay in fp32."""
    return torch.bfloat16 if case["dtype"] == "bf16" else torch.float32


def autocast(case):
    return torch.autocast("cpu", torch.bfloat16) if case["dtype"] == "bf16" else contextlib.nullcontext()


# The pieces, each forward; autograd does the backward.

def embedding(token_table, place_table, tokens):
    return F.embedding(tokens, token_table) + place_table


def layernorm(x, weight, bias):
    return F.layer_norm(x, weight.shape, weight, bias)


def split_heads(qkv, heads):
    batch, seq, width = qkv.shape
    return [part.view(batch, seq, heads, -1).transpose(1, 2).reshape(batch * heads, seq, -1)
            for part in qkv.split(width // 3, dim=2)]


def softmax(scores, mask, scale):
    return F.softmax((scores * scale).masked_fill(mask, float("-inf")), dim=-1).to(scores.dtype)


def merge_heads(y, heads):
    groups, seq, head_dim = y.shape
    return y.view(groups // heads, heads, seq, head_dim).transpose(1, 2).reshape(groups // heads, seq, -1)


def residual_add(x, y):
    return x + y


def gelu(x):
    return F.gelu(x)


def cast(x):
    return x.to(torch.bfloat16)


def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


class Gpt:
    """GPT-2's architecture without dropout, biases of linear layers and tied embeddings."""

    def __init__(self, case):
        width, self.heads, self.case = case["width"], case["heads"], case

        def table(*shape):
            return (0.02 * torch.randn(*shape)).requires_grad_()

        def norm():
            return [torch.ones(width).requires_grad_(), torch.zeros(width).requires_grad_()]
        self.tokens, self.places = table(case["vocab"], width), table(case["seq"], width)
        self.layers = [{"ln1": norm(), "qkv": table(3 * width, width), "out": table(width, width), "ln2": norm(),
                        "up": table(4 * width, width), "down": table(width, 4 * width)} for _ in range(case["layers"])]
        self.last, self.head = norm(), table(case["vocab"], width)
        self.mask = torch.ones(case["seq"], case["seq"], dtype=torch.bool).triu(1)

    def parameters(self):
        out = [self.tokens, self.places, *self.last, self.head]
        for layer in self.layers:
            for value in layer.values():
                out += value if isinstance(value, list) else [value]
        return out

    def loss(self, tokens, targets):
        x = embedding(self.tokens, self.places, tokens)
        for layer in self.layers:
            q, k, v = split_heads(F.linear(layernorm(x, *layer["ln1"]), layer["qkv"]), self.heads)
            weights = softmax(torch.bmm(q, k.transpose(1, 2)), self.mask, 1 / math.sqrt(q.shape[-1]))
            x = residual_add(x, F.linear(merge_heads(torch.bmm(weights, v), self.heads), layer["out"]))
            x = residual_add(x, F.linear(gelu(F.linear(layernorm(x, *layer["ln2"]), layer["up"])), layer["down"]))
        logits = F.linear(layernorm(x, *self.last), self.head)
        return cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1)  # its default: a loop over tensors


def train(case):
    """Seconds of each step: forward, backward, gradients' all-reduce, optimizer."""
    torch.manual_seed(1)
    model = Gpt(case)
    optimizer = adamw(model.parameters())
    procs = case["procs"]
    shape = (case["batch"] // procs, case["seq"])
    times, loss = [], None
    for step in range(case["warmup"] + case["steps"]):
        tokens, targets = torch.randint(case["vocab"], shape), torch.randint(case["vocab"], shape)
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
    """The pieces of one process' step: operation, shape, how often, least bytes forward and backward, inputs, function."""
    e, n = precision(case), case["batch"] // case["procs"] * case["seq"]
    size = 2 if e == torch.bfloat16 else 4
    width, heads, seq, layers, vocab = (case[key] for key in ("width", "heads", "seq", "layers", "vocab"))
    batch, groups, head_dim = n // seq, n // seq * heads, width // heads
    mask = torch.ones(seq, seq, dtype=torch.bool).triu(1)

    def matrix(*shape, dtype=e):
        return torch.randn(*shape).to(dtype).requires_grad_()

    def one(name, rows, cols, count, size, make, function, more=None):
        return {"operation": "eager_" + name, "shape": {"rows": rows, "cols": cols} | (more or {}), "count": count,
                "bytes": float(size), "make": make, "function": function}
    f32 = torch.float32
    out = [
        one("embedding", n, width, 1, 4 * (4 * n + 2 * vocab) * width,
            lambda: [matrix(vocab, width, dtype=f32), matrix(seq, width, dtype=f32), torch.randint(vocab, (batch, seq))], embedding),
        one("layernorm", n, width, 2 * layers + 1, 5 * 4 * n * width,
            lambda: [matrix(batch, seq, width, dtype=f32), matrix(width, dtype=f32), matrix(width, dtype=f32)], layernorm),
        one("split_heads", n, 3 * width, layers, 4 * size * 3 * n * width,
            lambda: [matrix(batch, seq, 3 * width)], lambda x: split_heads(x, heads)),
        one("softmax", groups * seq, seq, layers, 5 * size * groups * seq * seq,
            lambda: [matrix(groups, seq, seq)], lambda x: softmax(x, mask, 1 / math.sqrt(head_dim))),
        one("merge_heads", n, width, layers, 4 * size * n * width,
            lambda: [matrix(groups, seq, head_dim)], lambda y: merge_heads(y, heads)),
        one("residual_add", n, width, 2 * layers, ((8 + size) + (6 if size == 2 else 0) + 12) * n * width,
            lambda: [matrix(batch, seq, width, dtype=f32), matrix(batch, seq, width)], residual_add),
        one("gelu", n, 4 * width, layers, 5 * size * 4 * n * width, lambda: [matrix(batch, seq, 4 * width)], gelu),
        one("cross_entropy", n, vocab, 1, 3 * size * n * vocab,
            lambda: [matrix(n, vocab), torch.randint(vocab, (n,))], cross_entropy)]
    if e == torch.bfloat16:  # autocast: inputs of linear layers that come in fp32, and every weight
        casts = collections.Counter()
        for shape, count in (((n, width), 2 * layers + 1), ((3 * width, width), layers), ((width, width), layers),
                             ((4 * width, width), 2 * layers), ((vocab, width), 1)):  # 4 x width: up, and down as many
            casts[shape] += count
        out += [one("cast", rows, cols, count, 12 * rows * cols,
                    lambda rows=rows, cols=cols: [matrix(rows, cols, dtype=f32)], cast)
                for (rows, cols), count in casts.items()]
    return out


def relative_error(got, reference):
    return max(((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-30)).item() for a, b in zip(got, reference, strict=True))


def outputs_of(function, inputs):
    out = function(*inputs)
    return out if isinstance(out, list) else [out]


def verify(one, inputs):
    """The forward result and the gradients against the same in fp64."""
    def both(values, gradients=None):
        out = outputs_of(one["function"], values)
        wanted = [v for v in values if v.requires_grad]
        gradients = gradients or [torch.randn_like(o) for o in out]
        return out + list(torch.autograd.grad(out, wanted, [g.to(o.dtype) for g, o in zip(gradients, out)])), gradients
    got, gradients = both(inputs)
    wide = [v.detach().double().requires_grad_() if v.requires_grad else v for v in inputs]
    with torch.autocast("cpu", enabled=False), torch.random.fork_rng():
        reference, _ = both(wide, [g.double() for g in gradients]) if one["function"] is not cast else (
            [wide[0], gradients[0].double()], None)
    return relative_error(got, reference)


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


def run_of(case, one):
    """A run of a piece, forward and backward, and sets of inputs to turn over."""
    sets = [one["make"]() for _ in range(max(2, min(8, int(128e6 / one["bytes"]))))]
    with autocast(case):
        gradients = [torch.randn_like(o) for o in outputs_of(one["function"], sets[0])]
    other = gradients[0].clone() if one["function"] is residual_add else None  # a tensor of its own: autograd gives `gradients` itself

    def run(inputs):
        with autocast(case):
            out = outputs_of(one["function"], inputs)
        wanted = torch.autograd.grad(out, [v for v in inputs if v.requires_grad], gradients)
        if one["function"] is residual_add:
            torch.add(wanted[0], other)  # where the two paths meet again, both in fp32
    return run, sets


def measure_operations(case):
    torch.manual_seed(2)
    rows = []
    for one in operations(case):
        run, sets = run_of(case, one)
        with autocast(case):
            error = verify(one, sets[0])
        bound = 0.05 if case["dtype"] == "bf16" else 1e-3
        rows.append({key: one[key] for key in ("operation", "shape", "count", "bytes")} |
                    {"error": error, "error_bound": bound, "time_s": timed(run, sets, case["seconds"])})
    rows.append(measure_adamw(case))
    return rows


def measure_adamw(case):
    """One step of the optimizer over the tensors of the model."""
    parameters = Gpt(case).parameters()
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer = adamw(parameters)
    before = parameters[0].detach().double()
    optimizer.step()
    gradient = parameters[0].grad.double()  # after one step from nothing, m / sqrt(v) is the sign of the gradient
    reference = before * (1 - 1e-4 * 0.1) - 1e-4 * gradient / (gradient.abs() + 1e-8)
    weights = sum(p.numel() for p in parameters)
    return {"operation": "eager_adamw", "shape": {"weights": weights}, "count": 1, "bytes": 28.0 * weights,
            "error": relative_error([parameters[0].detach()], [reference]), "error_bound": 1e-3,
            "time_s": timed(lambda _: optimizer.step(), [None], case["seconds"])}


def layer_gemms(case):
    """GEMMs of one layer and the head in the order in which PyTorch calls them: role, layout, m, n, k, groups."""
    n, width, heads, seq = case["batch"] * case["seq"], case["width"], case["heads"], case["seq"]
    d, groups = width // heads, case["batch"] * heads
    linear = {"qkv": (3 * width, width), "out": (width, width), "up": (4 * width, width), "down": (width, 4 * width),
              "head": (case["vocab"], width)}

    def forward(role):
        return [(role + "_fprop", "nt", n, *linear[role], 1)]

    def backward(role):
        outputs, inputs = linear[role]
        return [(role + "_wgrad", "tn", outputs, inputs, n, 1), (role + "_dgrad", "nn", n, inputs, outputs, 1)]
    return [*forward("qkv"), ("scores", "nt", seq, seq, d, groups), ("values", "nn", seq, d, seq, groups), *forward("out"), *forward("up"),
            *forward("down"), *forward("head"), *backward("head"), *backward("down"), *backward("up"), *backward("out"),
            ("values_wgrad", "tn", seq, d, seq, groups), ("values_dgrad", "nt", seq, seq, d, groups),
            ("scores_wgrad", "tn", d, seq, seq, groups), ("scores_dgrad", "nn", seq, d, seq, groups), *backward("qkv")]


def gradient_error(model, tokens):
    """Of all gradients together, relative to their norm, against the same layer in fp64."""
    wide = Gpt(model.case)
    for one, other in zip(wide.parameters(), model.parameters()):
        one.data = other.detach().double()
    wide.loss(tokens, tokens).backward()
    pairs = [(a.grad.double(), b.grad) for a, b in zip(model.parameters(), wide.parameters())]
    return math.sqrt(sum(((a - b) ** 2).sum().item() for a, b in pairs) / sum((b ** 2).sum().item() for _, b in pairs))


def outermost(events):
    """In order, without those inside another: under autocast a call may hold one of its own name."""
    out = []
    for event in sorted(events, key=lambda e: (e.time_range.start, -e.time_range.end)):
        if not out or event.time_range.start >= out[-1].time_range.end:
            out.append(event)
    return out


def matrices_of(layout, m, n, k, groups, dtype, device="cpu"):
    """Operands of a product that lie as `layout` says."""
    before = (groups,) if groups > 1 else ()

    def matrix(rows, cols, transposed):
        shape = (*before, cols, rows) if transposed else (*before, rows, cols)
        out = torch.randn(*shape, device=device, dtype=torch.float32).to(dtype)
        return out.transpose(-1, -2) if transposed else out
    return matrix(m, k, layout[0] == "t"), matrix(k, n, layout[1] == "t")


def product(a, b):
    return torch.bmm(a, b) if a.dim() == 3 else torch.mm(a, b)


def others_rows(case, listed, in_place_s, alone_s, bound):
    """All operations of a layer that aren't GEMMs, as one: in the layer, and the sum of them alone. Nothing where GEMMs took all the time."""
    if not min(in_place_s) > 0:
        return []
    row = {"operation": "layer_others", "role": "others", "bytes": sum(o["count"] * o["bytes"] for o in listed),
           "shape": {"rows": case["batch"] * case["seq"], "cols": case["width"], "seq_len": case["seq"]},
           "error": 0.0, "error_bound": bound, "check": "each operation alone, and the layer's gradients",
           "notes": {"of": " ".join(sorted({o["operation"] for o in listed}))}}
    return [row | {"time_s": in_place_s}, row | {"time_s": alone_s, "in_turn": True}]


def measure_layer(case):
    """Each GEMM of one layer and the head where it lies between the layer's other operations, by PyTorch's profiler, and what the layer takes
    beside them; in turn with that, the same GEMMs and operations alone."""
    torch.manual_seed(3)
    case = case | {"layers": 1}
    model, expected, samples, error = Gpt(case), layer_gemms(case), [], None
    tokens = torch.randint(case["vocab"], (case["batch"], case["seq"]))
    gemms = [[matrices_of(*one[1:], precision(case)) for _ in range(2)] for one in expected]
    listed = [one | dict(zip(("run", "sets"), run_of(case, one))) for one in operations(case)]

    def pass_through():
        for p in model.parameters():
            p.grad = None
        start = time.perf_counter()
        with autocast(case):
            loss = model.loss(tokens, tokens)
        loss.backward()
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
            samples.append((in_place, alone, whole_s - sum(in_place), sum(one["count"] * second_of(one["run"], one["sets"]) for one in listed)))
    bound, rows = 0.05 if case["dtype"] == "bf16" else 1e-3, []
    for i, (role, layout, m, n, k, g) in enumerate(expected):
        row = {"operation": "gemm", "role": role, "layout": layout, "shape": {"m": m, "n": n, "k": k} | ({"groups": g} if g > 1 else {}),
               "flops": 2.0 * g * m * n * k, "bytes": 0.0, "error_bound": bound}
        a, b = gemms[i][0]
        error_alone = relative_error([product(a, b)], [product(a.double(), b.double())])
        rows += [row | {"error": error, "time_s": [sample[0][i] for sample in samples]},
                 row | {"error": error_alone, "in_turn": True, "time_s": [sample[1][i] for sample in samples]}]
    return rows + others_rows(case, listed, [sample[2] for sample in samples], [sample[3] for sample in samples], bound)


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
    case, rank = json.loads(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, case["cores"][rank])
    torch.set_num_threads(len(case["cores"][rank]))
    if case["procs"] > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{case['port']}", rank=rank, world_size=case["procs"])
    result = {"step": train, "operations": measure_operations, "layer": measure_layer, "allreduce": measure_allreduce}[what](case)
    if rank == 0:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
