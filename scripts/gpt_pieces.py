# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The pieces that the GPTs of scripts/validate_step.py are made of in PyTorch, on a CPU (eager_gpt.py) and on a GPU (gpu_gpt.py): how each is run
and compared with fp64, and the rows of what a layer was measured to take.

Every piece but GEMMs (those are gemm_bench's) stands here once, and both the training step and the measurement of the piece alone use it. A case
has `device` "cpu" or "cuda", `dtype`, `attention` and `mode`.
"""
import contextlib
import math

import torch
import torch.nn.functional as F

BOUND = {"bf16": 0.05, "fp32": 1e-3}  # relative to the largest element


def precision(case):
    """What the GEMMs and what lies between them are in; weights and the residual stream stay in fp32."""
    return torch.bfloat16 if case["dtype"] == "bf16" else torch.float32


def autocast(case):
    return torch.autocast(case["device"], torch.bfloat16) if case["dtype"] == "bf16" else contextlib.nullcontext()


# The pieces, each forward; autograd does the backward. Those that torch.compile takes are functions of tensors alone.

def embedding(token_table, place_table, tokens):
    return F.embedding(tokens, token_table) + place_table


def layernorm(x, weight, bias):
    return F.layer_norm(x, weight.shape, weight, bias)


def attention(qkv, heads):
    batch, seq, width = qkv.shape
    q, k, v = [part.view(batch, seq, heads, -1).transpose(1, 2) for part in qkv.split(width // 3, dim=2)]
    return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, seq, -1)


def split_heads(qkv, heads):
    batch, seq, width = qkv.shape
    return [part.view(batch, seq, heads, -1).transpose(1, 2).reshape(batch * heads, seq, -1)
            for part in qkv.split(width // 3, dim=2)]


def softmax(scores, mask, scale):
    return F.softmax((scores * scale).masked_fill(mask, float("-inf")), dim=-1).to(scores.dtype)


def merge_heads(y, heads):
    groups, seq, head_dim = y.shape
    return y.view(groups // heads, heads, seq, head_dim).transpose(1, 2).reshape(groups // heads, seq, -1)


def unfused_attention(qkv, heads, mask):
    q, k, v = split_heads(qkv, heads)
    weights = softmax(torch.bmm(q, k.transpose(1, 2)), mask, 1 / math.sqrt(q.shape[-1]))
    return merge_heads(torch.bmm(weights, v), heads)


def residual_add(x, y):
    return x + y


def gelu(x):
    return F.gelu(x)


def cast(x):
    return x.to(torch.bfloat16)


def cross_entropy(logits, targets):
    return F.cross_entropy(logits, targets)


def norm_cast(x, weight, bias):
    return cast(layernorm(x, weight, bias))


def residual_norm_cast(x, y, weight, bias):
    total = residual_add(x, y)
    return [total, cast(layernorm(total, weight, bias))]


COMPILED = {}


def compiled(function):
    if function not in COMPILED:
        COMPILED[function] = torch.compile(function, dynamic=False, fullgraph=True)
    return COMPILED[function]


def causal_mask(case):
    return torch.ones(case["seq"], case["seq"], dtype=torch.bool, device=case["device"]).triu(1) if case["attention"] == "unfused" else None


def pieces(case):
    """How each operation of a step is run: inputs for a batch of sequences, and the function."""
    width, heads, seq, vocab, device = case["width"], case["heads"], case["seq"], case["vocab"], case["device"]
    mask, f32 = causal_mask(case), torch.float32

    def matrix(*shape, dtype=precision(case)):
        return torch.randn(*shape, device=device, dtype=f32).to(dtype).requires_grad_()

    def stream(batch, dtype=precision(case), cols=width):
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


def make_piece(case, one, known):
    """Of an operation of a step: what makes its inputs for a batch, and its function. `known`: pieces(case)."""
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
        if other is not None:
            torch.add(wanted[0], other)  # where the two paths meet again, both in fp32
    return run, sets


def outputs_of(function, inputs):
    out = function(*inputs)
    return out if isinstance(out, list) else [out]


def relative_error(got, reference):
    return max(((a.double() - b).abs().max() / b.abs().max().clamp_min(1e-30)).item() for a, b in zip(got, reference, strict=True))


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


def matrices_of(case, layout, m, n, k, groups):
    """Operands of a product that lie as `layout` says."""
    before = (groups,) if groups > 1 else ()

    def matrix(rows, cols, transposed):
        shape = (*before, cols, rows) if transposed else (*before, rows, cols)
        out = torch.randn(*shape, device=case["device"], dtype=torch.float32).to(precision(case))
        return out.transpose(-1, -2) if transposed else out
    return matrix(m, k, layout[0] == "t"), matrix(k, n, layout[1] == "t")


def product(a, b):
    return torch.bmm(a, b) if a.dim() == 3 else torch.mm(a, b)


def gemm_rows(case, role, key, in_layer, alone):
    """Of a GEMM in a layer, and alone in turn with it: errors and times of each."""
    layout, m, n, k, groups = key
    row = {"operation": "gemm", "role": role, "layout": layout, "shape": {"m": m, "n": n, "k": k} | ({"groups": groups} if groups > 1 else {}),
           "flops": 2.0 * groups * m * n * k, "bytes": 0.0, "error_bound": BOUND[case["dtype"]]}
    return [row | dict(zip(("error", "time_s"), in_layer)), row | {"in_turn": True} | dict(zip(("error", "time_s"), alone))]


def others_rows(case, listed, in_place_s, alone_s):
    """All operations of a layer that aren't GEMMs, as one: in the layer, and the sum of them alone. Nothing where GEMMs took all the time."""
    if not min(in_place_s) > 0:
        return []
    row = {"operation": "layer_others", "role": "others", "bytes": sum(o["count"] * o["bytes"] for o in listed),
           "shape": {"rows": case["batch"] * case["seq"], "cols": case["width"], "seq_len": case["seq"]},
           "error": 0.0, "error_bound": BOUND[case["dtype"]], "check": "each operation alone, and the layer's gradients",
           "notes": {"of": " ".join(sorted({o["operation"] for o in listed}))}}
    return [row | {"time_s": in_place_s}, row | {"time_s": alone_s, "in_turn": True}]
