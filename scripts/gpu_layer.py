# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What a GPT's layer takes in PyTorch on a GPU, for scripts/gpu_gpt.py: its GEMMs where they lie between the layer's other operations, and what it
takes beside them; in turn with that, the same alone."""
import contextlib
import math
import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gpu_cases
from gpt_model import Gpt, gradient_error, random_tokens
from gpt_pieces import gemm_rows, matrices_of, others_rows, pieces, product, relative_error, runs_of_piece
from gpu_time import SLEEP_HZ, Mark, Runs, on_gpu, synchronize


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


def gemm_alone(case, layout, m, n, k, groups):
    """Runs of a GEMM as PyTorch calls it, and how far its first rows are from fp64."""
    sets = [matrices_of(case, layout, m, n, k, groups) for _ in range(max(2, min(32, int(64e6 / (m * k + k * n)))))]
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
        model.clear_gradients()
        model.pass_through(tokens)
    whole, known = Runs(case, pass_through, [random_tokens(case, case["batch"]) for _ in range(2)]), pieces(case)
    listed = [one for one in gpu_cases.operations(case) if one["operation"] != "eager_adamw"]
    gemms = {role: gemm_alone(case, *key)["runs"] for role, *key in gpu_cases.layer_gemms(case)}
    runs, in_place, alone = [Runs(case, *runs_of_piece(case, one, known)) for one in listed], [], []
    for _ in range(9):
        in_place.append(whole.seconds() - sum(in_layer[role] * run.seconds() for role, run in gemms.items()))
        alone.append(sum(one["count"] * run.seconds() for one, run in zip(listed, runs)))
    return others_rows(case, listed, in_place[2:], alone[2:])


def measure_layer(case):
    """Each GEMM of one layer and the head where it lies between the layer's other operations, after some such layers that keep the device busy:
    at a step's clock, and launched before the device gets to it. In turn with that, the same GEMMs alone."""
    torch.manual_seed(3)
    case = case | {"layers": 1, "mode": "eager"}
    model, tokens = Gpt(case), random_tokens(case, case["batch"])
    error = gradient_error(model, random_tokens(case, min(case["batch"], 2)))

    def pass_through(around=None):
        before = time.perf_counter()
        model.clear_gradients()
        with around or contextlib.nullcontext():
            model.pass_through(tokens)
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
        if all(len(times.get(key, [])) > number for times in samples):
            rows += gemm_rows(case, role, key, (error, [times[key][number] for times in samples[2:]]),
                              (alone[role]["error"], alone[role]["time_s"][2:]))
        else:
            missing.append(role)
    return {"rows": rows, "missing": missing, "calls": sorted(map(str, samples[-1])) if missing else [], "device_s": device_s,
            "host_s": host_s, "marked_host_s": marked_s, "late": late}
