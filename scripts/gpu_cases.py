# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of scripts/validate_step.py on a GPU, and what a training step of each consists of: operations with their counts and least bytes,
GEMMs with their layouts. Without PyTorch, so that the counts can be looked at anywhere."""
import collections

KEYS = ("layers", "width", "heads", "seq", "batch", "attention", "optimizer", "mode")
ATTENTION, OPTIMIZERS, MODES = ("sdpa", "unfused"), ("fused", "foreach"), ("eager", "compiled")
VOCAB = 50304  # GPT-2's 50,257, padded to a multiple of 128
# Chosen before a step was seen on any GPU, the most telling first: time may end the list. GPT-2's sizes of 124, 355 and 774 M, and GPT-3's of
# 1.3 B. Each model comes with one number of tokens, so that its GEMMs are measured once; the one of 512 tokens is there because its host is
# slower than its GPU.
DEVELOPED = [(12, 768, 12, 1024, 16, "sdpa", "foreach", "eager"), (24, 1024, 16, 1024, 16, "sdpa", "fused", "eager"),
             (12, 768, 12, 1024, 16, "sdpa", "fused", "compiled"), (12, 768, 12, 512, 1, "sdpa", "fused", "eager"),
             (12, 768, 12, 1024, 16, "unfused", "foreach", "eager")]
HELD_OUT = [(24, 2048, 16, 2048, 8, "sdpa", "fused", "eager"), (12, 768, 12, 2048, 8, "sdpa", "fused", "eager"),
            (12, 768, 12, 2048, 8, "sdpa", "fused", "compiled"), (24, 1024, 16, 1024, 16, "sdpa", "fused", "compiled"),
            (36, 1280, 20, 1024, 16, "sdpa", "foreach", "eager")]
ORDER = [DEVELOPED[0], DEVELOPED[1], HELD_OUT[0], HELD_OUT[1], DEVELOPED[2], DEVELOPED[3], HELD_OUT[2], DEVELOPED[4], HELD_OUT[3], HELD_OUT[4]]
REHEARSED = [("sdpa", "foreach", "eager"), ("unfused", "fused", "eager"), ("sdpa", "fused", "compiled")]


def made(values, vocab=VOCAB, steps=10):
    return dict(zip(KEYS, values)) | {"vocab": vocab, "steps": steps, "dtype": "bf16", "procs": 1}


def name_of(case):
    return "gpt-l{layers}-w{width}-h{heads}-t{seq}-b{batch}-v{vocab}-{attention}-{optimizer}-{mode}".format(**case)


def model_name(case):
    return "gpt-l{layers}-w{width}-h{heads}-v{vocab}".format(**case)


def tokens(case):
    return case["batch"] * case["seq"]


def parameters(case):
    w = case["width"]
    return case["layers"] * (12 * w * w + 4 * w) + (2 * case["vocab"] + case["seq"]) * w + 2 * w


def memory_bytes(case):
    """Weights, gradients, optimizer's states and the weights' bf16 copies; activations that wait for the backward pass; the loss in fp32."""
    n, w = tokens(case), case["width"]
    scores = 7 * case["heads"] * case["seq"] if case["attention"] == "unfused" else 0  # bytes of each token and layer
    return 18 * parameters(case) + case["layers"] * n * (40 * w + scores) + 14 * n * case["vocab"] + 2e9


def model_of(case):
    return {"id": model_name(case), "layers": case["layers"], "hidden": case["width"], "heads": case["heads"], "kv_heads": case["heads"],
            "head_dim": case["width"] // case["heads"], "attention": "mha", "ffn": 4 * case["width"], "ffn_kind": "gelu",
            "vocab": case["vocab"], "tied_embeddings": False}


def linear_layers(case):
    """Outputs and inputs of each weight matrix."""
    w = case["width"]
    return {"qkv": (3 * w, w), "out": (w, w), "up": (4 * w, w), "down": (w, 4 * w), "head": (case["vocab"], w)}


def attention_gemms(case):
    """Batched GEMMs of one layer whose attention is unfused: role, layout, m, n, k."""
    t, d = case["seq"], case["width"] // case["heads"]
    return [("scores", "nt", t, t, d), ("values", "nn", t, d, t), ("values_wgrad", "tn", t, d, t), ("values_dgrad", "nt", t, t, d),
            ("scores_wgrad", "tn", d, t, t), ("scores_dgrad", "nn", t, d, t)]


def layer_gemms(case):
    """GEMMs of one layer and the head: role, layout, m, n, k, groups."""
    n, out = tokens(case), []
    for role, (outputs, inputs) in linear_layers(case).items():
        out += [(role + "_fprop", "nt", n, outputs, inputs, 1), (role + "_dgrad", "nn", n, inputs, outputs, 1),
                (role + "_wgrad", "tn", outputs, inputs, n, 1)]
    if case["attention"] == "unfused":
        out += [(*one, case["batch"] * case["heads"]) for one in attention_gemms(case)]
    return out


def operations(case):
    """What a step does beside GEMMs, in pieces of scripts/gpu_gpt.py, forward and backward of one together: operation, shape, how often a step,
    least bytes. The residual stream, LayerNorm's output and weights are in fp32, as autocast leaves them; all else is in bf16."""
    n, w, layers, vocab = tokens(case), case["width"], case["layers"], case["vocab"]
    groups, seq = case["batch"] * case["heads"], case["seq"]
    compiled = case["mode"] == "compiled"

    def one(operation, rows, cols, count, size, **more):
        return {"operation": operation, "shape": {"rows": rows, "cols": cols} | more, "count": count, "bytes": float(size)}
    out = [one("eager_embedding", n, w, 1, 4 * (4 * n + 2 * vocab) * w)]
    if case["attention"] == "sdpa":  # reads q, k, v, writes y; reads those and dy, writes dq, dk, dv
        out.append(one("eager_attention", n, 3 * w, layers, 2 * (4 + 8) * n * w, seq_len=seq, heads=case["heads"]))
    else:
        out += [one("eager_split_heads", n, 3 * w, layers, 2 * 4 * 3 * n * w), one("eager_softmax", groups * seq, seq, layers, 2 * 5 * groups * seq * seq),
                one("eager_merge_heads", n, w, layers, 2 * 4 * n * w)]
    if compiled:
        out += [one("compiled_layernorm", n, w, layers + 1, (4 + 2 + 4 + 2 + 4) * n * w),
                one("compiled_residual_layernorm", n, w, layers, (4 + 2 + 4 + 2 + 4 + 4 + 2 + 4 + 2) * n * w),
                one("compiled_residual_add", n, w, layers, (4 + 2 + 4 + 4 + 2) * n * w), one("compiled_gelu", n, 4 * w, layers, 2 * 5 * 4 * n * w),
                one("compiled_cross_entropy", n, vocab, 1, 2 * 3 * n * vocab)]
    else:  # residual_add's backward pass casts for its branch and adds up where the two paths meet again
        out += [one("eager_layernorm", n, w, 2 * layers + 1, 5 * 4 * n * w), one("eager_residual_add", n, w, 2 * layers, (4 + 2 + 4 + 4 + 2 + 12) * n * w),
                one("eager_gelu", n, 4 * w, layers, 2 * 5 * 4 * n * w), one("eager_cross_entropy", n, vocab, 1, 2 * 3 * n * vocab)]
    casts = collections.Counter()  # autocast's: weights, and where nothing fuses them, inputs of linear layers that come in fp32
    for role, shape in linear_layers(case).items():
        casts[shape] += 1 if role == "head" else layers
    if not compiled:
        casts[(n, w)] += 2 * layers + 1
    out += [one("eager_cast", rows, cols, count, 12 * rows * cols) for (rows, cols), count in casts.items()]
    out.append({"operation": "eager_adamw", "shape": {"weights": parameters(case)}, "count": 1, "bytes": 28.0 * parameters(case)})
    return out


def dtype_of(operation):
    return "fp32" if operation == "eager_adamw" else "bf16"


def run_file(case, host_s, software):
    listed = [{"dtype": dtype_of(o["operation"])} | o for o in operations(case)]
    if case["attention"] == "unfused":
        groups = case["batch"] * case["heads"]
        listed += [{"operation": "gemm", "dtype": "bf16", "layout": layout, "shape": {"m": m, "n": n, "k": k, "groups": groups},
                    "bytes": 2.0 * groups * (m * k + k * n + m * n), "count": case["layers"]} for _, layout, m, n, k in attention_gemms(case)]
    run = {"id": name_of(case), "title": f"{name_of(case)} in PyTorch {software}", "model": model_of(case), "gpus": 1, "seq_len": case["seq"],
           "global_batch_sequences": case["batch"], "precision": "bf16", "stack": "other", "family": "pytorch-one-gpu", "operations": listed,
           "parallel": {"dp": 1, "microbatch_sequences": case["batch"], "recompute": "none", "overlap": []},
           "context": {"software": f"PyTorch {software}", "compiled": case["mode"] == "compiled"}}
    return run | ({"host_s": host_s} if host_s else {})
