# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of scripts/validate_step.py on a GPU, and what a training step of each consists of: operations with their counts and least bytes,
GEMMs with their layouts. Without PyTorch, so that the counts can be looked at anywhere."""
import gpt_counts
from gpt_counts import counted, counted_cast

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


def memory_bytes(case):
    """Weights, gradients, optimizer's states and the weights' bf16 copies; activations that wait for the backward pass; the loss in fp32."""
    n, w = tokens(case), case["width"]
    scores = 7 * case["heads"] * case["seq"] if case["attention"] == "unfused" else 0  # bytes of each token and layer
    return 18 * gpt_counts.parameters(case) + case["layers"] * n * (40 * w + scores) + 14 * n * case["vocab"] + 2e9


def model_of(case):
    return gpt_counts.model_of(case, model_name(case))


def layer_gemms(case):
    """GEMMs of one layer and the head: role, layout, m, n, k, groups."""
    out = [one for three in gpt_counts.linear_gemms(case, tokens(case)).values() for one in three]
    if case["attention"] == "unfused":
        out += [(*one, case["batch"] * case["heads"]) for one in gpt_counts.attention_gemms(case)]
    return out


def operations(case):
    """What a step does beside GEMMs, in pieces of scripts/gpt_pieces.py, forward and backward of one together: operation, shape, how often a step,
    least bytes."""
    n, w, layers, vocab = tokens(case), case["width"], case["layers"], case["vocab"]
    known, compiled = gpt_counts.eager_operations(case), case["mode"] == "compiled"
    out = [known["embedding"]]
    if case["attention"] == "sdpa":  # reads q, k, v, writes y; reads those and dy, writes dq, dk, dv
        out.append(counted("eager_attention", n, 3 * w, layers, 2 * (4 + 8) * n * w, seq_len=case["seq"], heads=case["heads"]))
    else:
        out += [known["split_heads"], known["softmax"], known["merge_heads"]]
    if compiled:
        out += [counted("compiled_layernorm", n, w, layers + 1, (4 + 2 + 4 + 2 + 4) * n * w),
                counted("compiled_residual_layernorm", n, w, layers, (4 + 2 + 4 + 2 + 4 + 4 + 2 + 4 + 2) * n * w),
                counted("compiled_residual_add", n, w, layers, (4 + 2 + 4 + 4 + 2) * n * w),
                counted("compiled_gelu", n, 4 * w, layers, 2 * 5 * 4 * n * w), counted("compiled_cross_entropy", n, vocab, 1, 2 * 3 * n * vocab)]
    else:
        out += [known["layernorm"], known["residual_add"], known["gelu"], known["cross_entropy"]]
    casts = gpt_counts.weight_casts(case)
    if not compiled:  # which fuses those of the inputs of linear layers that come in fp32
        casts[(n, w)] += 2 * layers + 1
    return [*out, *(counted_cast(rows, cols, count) for (rows, cols), count in casts.items()), known["adamw"]]


def dtype_of(operation):
    return "fp32" if operation == "eager_adamw" else "bf16"


def run_file(case, host_s, software):
    listed = [{"dtype": dtype_of(o["operation"])} | o for o in operations(case)]
    if case["attention"] == "unfused":
        groups = case["batch"] * case["heads"]
        listed += [{"operation": "gemm", "dtype": "bf16", "layout": layout, "shape": {"m": m, "n": n, "k": k, "groups": groups},
                    "bytes": 2.0 * groups * (m * k + k * n + m * n), "count": case["layers"]} for _, layout, m, n, k in gpt_counts.attention_gemms(case)]
    run = {"id": name_of(case), "title": f"{name_of(case)} in PyTorch {software}", "model": model_of(case), "gpus": 1, "seq_len": case["seq"],
           "global_batch_sequences": case["batch"], "precision": "bf16", "stack": "other", "family": "pytorch-one-gpu", "operations": listed,
           "parallel": {"dp": 1, "microbatch_sequences": case["batch"], "recompute": "none", "overlap": []},
           "context": {"software": f"PyTorch {software}", "compiled": case["mode"] == "compiled"}}
    return run | ({"host_s": host_s} if host_s else {})
