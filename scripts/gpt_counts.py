# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What the GPTs of scripts/validate_step.py consist of, on a CPU and on a GPU: weights, GEMMs, and what an eager step does beside them with its
least bytes. Without PyTorch, so that the counts can be looked at anywhere."""
import collections


def parameters(case):
    """As PyTorch counts them: a LayerNorm has weights and biases, a linear layer no biases."""
    w = case["width"]
    return case["layers"] * (12 * w * w + 4 * w) + (2 * case["vocab"] + case["seq"]) * w + 2 * w


def model_of(case, name):
    """For the engine."""
    return {"id": name, "layers": case["layers"], "hidden": case["width"], "heads": case["heads"], "kv_heads": case["heads"],
            "head_dim": case["width"] // case["heads"], "attention": "mha", "ffn": 4 * case["width"], "ffn_kind": "gelu",
            "vocab": case["vocab"], "tied_embeddings": False}


def linear_layers(case):
    """Outputs and inputs of each weight matrix."""
    w = case["width"]
    return {"qkv": (3 * w, w), "out": (w, w), "up": (4 * w, w), "down": (w, 4 * w), "head": (case["vocab"], w)}


def linear_gemms(case, tokens):
    """The three GEMMs of each weight matrix, for the result and for the gradients of its input and of itself: role, layout, m, n, k, groups."""
    return {role: [(role + "_fprop", "nt", tokens, outputs, inputs, 1), (role + "_dgrad", "nn", tokens, inputs, outputs, 1),
                   (role + "_wgrad", "tn", outputs, inputs, tokens, 1)] for role, (outputs, inputs) in linear_layers(case).items()}


def attention_gemms(case):
    """Batched GEMMs of one layer whose attention is unfused, in the order of its calls, two of them forward: role, layout, m, n, k."""
    t, d = case["seq"], case["width"] // case["heads"]
    return [("scores", "nt", t, t, d), ("values", "nn", t, d, t), ("values_wgrad", "tn", t, d, t), ("values_dgrad", "nt", t, t, d),
            ("scores_wgrad", "tn", d, t, t), ("scores_dgrad", "nn", t, d, t)]


def counted(operation, rows, cols, count, size, **more):
    return {"operation": operation, "shape": {"rows": rows, "cols": cols} | more, "count": count, "bytes": float(size)}


def counted_cast(rows, cols, count):
    return counted("eager_cast", rows, cols, count, 12 * rows * cols)


def eager_operations(case):
    """By name, forward and backward of one together: operation, shape, how often a step, least bytes. The residual stream, LayerNorm's output and
    weights are in fp32, as autocast leaves them; all else is in the case's own type."""
    n, w, layers, vocab, seq = case["batch"] * case["seq"], case["width"], case["layers"], case["vocab"], case["seq"]
    e, scores, weights = 2 if case["dtype"] == "bf16" else 4, case["batch"] * case["heads"] * case["seq"], parameters(case)
    cast_back = 4 + e if e < 4 else 0  # of the gradient for a residual's branch; where two paths meet, two are added up
    listed = [counted("eager_embedding", n, w, 1, 4 * (4 * n + 2 * vocab) * w), counted("eager_layernorm", n, w, 2 * layers + 1, 5 * 4 * n * w),
              counted("eager_split_heads", n, 3 * w, layers, e * 4 * 3 * n * w), counted("eager_softmax", scores, seq, layers, e * 5 * scores * seq),
              counted("eager_merge_heads", n, w, layers, e * 4 * n * w),
              counted("eager_residual_add", n, w, 2 * layers, (4 + e + 4 + cast_back + 12) * n * w),
              counted("eager_gelu", n, 4 * w, layers, e * 5 * 4 * n * w), counted("eager_cross_entropy", n, vocab, 1, e * 3 * n * vocab),
              {"operation": "eager_adamw", "shape": {"weights": weights}, "count": 1, "bytes": 28.0 * weights}]
    return {o["operation"].removeprefix("eager_"): o for o in listed}


def weight_casts(case):
    """Autocast's, of a step: how often a matrix of each shape."""
    casts = collections.Counter()
    for role, shape in linear_layers(case).items():
        casts[shape] += 1 if role == "head" else case["layers"]
    return casts
