#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's GEMMs, and DeepGEMM's where it is installed, at the shapes of a record that gemm_bench wrote; each row is
appended to that record when it is measured.

  peer_gemm.py RECORD [--seconds S] [--max_seconds S]

bf16, fp16 and fp32 by torch.mm; fp8 with a scale a tensor by torch._scaled_mm; fp8 with scales of blocks by DeepGEMM, in layout nt. Timed as
gemm_bench does it: random normal data, operand sets beyond the caches in turn, CUDA events around each launch, which the device reaches late;
in the record's regime. Each is checked first: 64 rows against fp64. Exit codes as the programs': 2 bad input, 3 nothing can be measured here.
"""
import argparse
import datetime
import json
import math
import os
import statistics
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(print("skipped: no PyTorch", file=sys.stderr) or 3)
from gpu_time import SLEEP_HZ  # installed beside this script

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
FP8 = getattr(torch, "float8_e4m3fn", None)
FP8_MAX = 448.0
BLOCK = 128  # of k that a scale is for; and rows of B
ROWS = 64  # that are checked
BOUND = 0.01  # relative error norm; rounding to bf16 alone gives 0.002


class Skipped(Exception):
    """This one isn't measured; the others are."""


def refuse(text):
    print(f"peer_gemm.py: {text}", file=sys.stderr)
    sys.exit(2)


def cases_of(file):
    """The last header and, each once, the plain GEMMs of all the device."""
    header, cases = None, {}
    try:
        with open(file, encoding="utf-8") as lines:
            for number, text in enumerate(lines, 1):
                row = json.loads(text)
                if row["kind"] == "header":
                    header = row
                elif row["operation"] == "gemm" and row["sms"] in (0, header["device"]["sms"]) and row["beside"] == "none":
                    if row["shape"].get("groups", 1) == 1 and "accumulate" not in row["shape"]:
                        key = (row["dtype"], row["layout"], row["scaling"], tuple(sorted(row["shape"].items())))
                        cases.setdefault(key, row)
    except OSError as why:
        refuse(f"{file}: {why.strerror}")
    except (ValueError, KeyError, TypeError) as why:
        refuse(f"{file}:{number}: expected a line of a record ({why})")
    if not cases:
        refuse(f"{file}: expected a record with GEMMs, as gemm_bench --out writes")
    return header, list(cases.values())


def blocks_of(values, rows):
    """Scales of blocks of `rows` x 128, as fp32: amax / 448; and the quantised values."""
    m, k = values.shape
    if k % BLOCK:
        raise Skipped(f"k is no multiple of {BLOCK}")
    padded = torch.nn.functional.pad(values, (0, 0, 0, -m % rows))
    tiles = padded.view(-1, rows, k // BLOCK, BLOCK)
    scales = tiles.abs().amax(dim=(1, 3), keepdim=True) / FP8_MAX
    return (tiles / scales).to(FP8).view(-1, k)[:m].contiguous(), scales[:, 0, :, 0].contiguous()


def widened(quantised, scales, rows):
    """Of blocks_of(): the values in fp64."""
    wide = scales.double().repeat_interleave(rows, 0)[:quantised.shape[0]].repeat_interleave(BLOCK, 1)
    return quantised.double() * wide


class Plain:
    backend = "pytorch"

    def __init__(self, row):
        self.type, self.layout, self.fp32_out = TYPES[row["dtype"]], row["layout"], "fp32_out" in row["shape"]
        torch.backends.cuda.matmul.allow_tf32 = False

    def operands(self, a, b):
        a, b = a.to(self.type), b.to(self.type)
        a = a.t().contiguous().t() if self.layout == "tn" else a
        c = torch.empty(a.shape[0], b.shape[0], dtype=self.type, device=a.device)
        return a, b.t() if self.layout == "nt" else b.t().contiguous(), c

    def run(self, sets):
        a, b, c = sets
        return torch.mm(a, b, out_dtype=torch.float32) if self.fp32_out else torch.mm(a, b, out=c)

    def wide(self, sets):
        return sets[0][:ROWS].double(), sets[1].double()


class PerTensor(Plain):
    def __init__(self, row):
        if FP8 is None or not hasattr(torch, "_scaled_mm"):
            raise Skipped("this PyTorch has no fp8")
        self.fp32_out = False

    def operands(self, a, b):
        scales = [x.abs().amax() / FP8_MAX for x in (a, b)]
        return (a / scales[0]).to(FP8), (b / scales[1]).to(FP8).t(), *scales

    def run(self, sets):
        a, b, scale_a, scale_b = sets
        return torch._scaled_mm(a, b, scale_a=scale_a, scale_b=scale_b, out_dtype=torch.bfloat16)

    def wide(self, sets):
        a, b, scale_a, scale_b = sets
        return a[:ROWS].double() * scale_a, b.double() * scale_b


class Blocks(Plain):
    backend = "deepgemm"

    def __init__(self, row):
        try:
            import deep_gemm
        except ImportError:
            raise Skipped("fp8 with scales of blocks: no DeepGEMM") from None
        def first(*names):
            return next((getattr(deep_gemm, name) for name in names if hasattr(deep_gemm, name)), None)
        self.gemm = first("fp8_gemm_nt", "gemm_fp8_fp8_bf16_nt")
        self.aligned = first("get_mn_major_tma_aligned_tensor", "get_col_major_tma_aligned_tensor") or (lambda scales: scales)

    def operands(self, a, b):
        (a, scales_a), (b, scales_b) = blocks_of(a, 1), blocks_of(b, BLOCK)
        out = torch.empty(a.shape[0], b.shape[0], dtype=torch.bfloat16, device=a.device)
        return (a, self.aligned(scales_a)), (b, scales_b), out

    def run(self, sets):
        self.gemm(*sets)
        return sets[2]

    def wide(self, sets):
        (a, scales_a), (b, scales_b), _ = sets
        return widened(a[:ROWS], scales_a[:ROWS], 1), widened(b, scales_b, BLOCK).t()


def made(row):
    if row["dtype"] in TYPES and row["scaling"] == "none":
        return Plain(row)
    if row["dtype"] == "fp8" and row["layout"] == "nt" and "fp32_out" not in row["shape"]:
        return PerTensor(row) if row["scaling"] == "tensor" else Blocks(row)
    raise Skipped(f"{row['dtype']} in layout {row['layout']} isn't PyTorch's or DeepGEMM's here")


def error_of(gemm, sets):
    """Of 64 rows, by the Euclidean norm."""
    got = gemm.run(sets)[:ROWS].double()
    wide_a, wide_b = gemm.wide(sets)
    want = wide_a @ wide_b
    return float((got - want).norm() / want.norm())


class Timer:
    """Seconds of a run, and whether the device began it before all of it was launched."""

    def __init__(self, device):
        self.gpu, self.sleep_s = device == "cuda", 100e-6

    def once(self, run):
        if not self.gpu:
            start = time.perf_counter()
            run()
            return time.perf_counter() - start, False
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(int(self.sleep_s * SLEEP_HZ))
        begin.record()
        run()
        end.record()
        early = begin.query()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3, early

    def samples(self, gemm, sets, seconds, most):
        times, early, until = [], 0, time.perf_counter() + seconds
        while len(times) < 10 or (time.perf_counter() < until and len(times) < most):
            time_s, too_early = self.once(lambda: gemm.run(sets[len(times) % len(sets)]))
            if too_early and early < 20:
                early, self.sleep_s = early + 1, min(2 * self.sleep_s, 0.01)
                continue
            times.append(time_s)
        return times


def measured(row, device, timer, rules):
    gemm = made(row)
    m, n, k = (row["shape"][size] for size in "mnk")
    torch.manual_seed(1)

    def one():
        return gemm.operands(torch.randn(m, k, device=device), torch.randn(n, k, device=device))
    sets = [one() for _ in range(min(16, 1 + int(rules["rotate_bytes"] / row["bytes"])))]
    error = error_of(gemm, sets[0])
    verified = error < BOUND
    result = {"error": error, "verified": verified, "time_s": [], "failure": "" if verified else f"wrong result: error {error:.3g}, bound {BOUND}"}
    if verified:
        time.sleep(rules["rest_s"])
        if rules["warmup_s"] > 0:
            timer.samples(gemm, sets, rules.pop("first_s", 0) + rules["warmup_s"], sys.maxsize)
        result["time_s"] = timer.samples(gemm, sets, rules["seconds"], rules["most"])
    return gemm.backend, result


def rules_of(header, options):
    """As bench/options_rules.cpp has them."""
    rules = {"rest_s": 0, "warmup_s": 0.1, "seconds": options.seconds, "most": 10000, "rotate_bytes": 3 * header["device"]["last_level_cache_bytes"]}
    regime = header["discipline"]["regime"]
    if regime == "burst":
        rules |= {"rest_s": 1, "warmup_s": 0, "most": 30}
    if regime == "sustained":
        rules |= {"first_s": 30, "seconds": 10}
    return rules


class Rows:
    """Those of this run, behind a header of their own, each in the file when the next one is begun."""

    def __init__(self, file, header):
        self.file, self.header, self.count = file, header, 0

    def add(self, row):
        with open(self.file, "a", encoding="utf-8") as out:
            out.write("".join(json.dumps(one) + "\n" for one in ([row] if self.count else [self.header, row])))
            out.flush()
            os.fsync(out.fileno())
        self.count += 1


class Parser(argparse.ArgumentParser):
    def error(self, message):
        refuse(message.removeprefix("argument "))


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, found '{text}'")
    return value


def main():
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("record")
    parser.add_argument("--seconds", type=seconds, default=0.5, help="of samples of each GEMM (0.5)")
    parser.add_argument("--max_seconds", type=seconds, default=1e9, help="start none after this long")
    options = parser.parse_args()
    header, cases = cases_of(options.record)
    device = "cuda" if header["device"]["kind"] == "gpu" else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        print("skipped: PyTorch sees no CUDA device", file=sys.stderr)
        return 3
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    session, start = f"peer_gemm-{now}-{os.getpid()}-{time.time_ns() % 10**9}", time.monotonic()
    header |= {"session": session, "program": "peer_gemm", "command": ["scripts/peer_gemm.py"], "started_at": now, "software": {"PyTorch": torch.__version__}}
    header["discipline"] |= {"timer": "cuda_events" if device == "cuda" else "steady_clock", "min_samples": 10, "target": 0.0, "data": "normal",
                             "cache": "rotate", "min_time_s": options.seconds, "warmup_s": 0.1}
    rows, wrong, timer, rules = Rows(options.record, header), 0, Timer(device), rules_of(header, options)
    for row in cases:
        name = row["name"].replace(f"/{row['backend']}/", "/{}/", 1)
        if time.monotonic() - start > options.max_seconds:
            print(f"left out, no time: {name.format('pytorch')}", file=sys.stderr)
            continue
        try:
            backend, result = measured(row, device, timer, rules)
        except (Skipped, RuntimeError, TypeError) as why:  # an operator that this version or card lacks says so by one of the last two
            print(f"skipped: {name.format('pytorch')}: {str(why).splitlines()[0]}", file=sys.stderr)
            continue
        wrong += not result["verified"]
        keep = ("kind", "operation", "dtype", "shape", "layout", "scaling", "flops", "bytes", "ranks", "sms", "beside")
        at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows.add({key: row[key] for key in keep} | result | {
            "session": session, "name": name.format(backend), "backend": backend, "at": at, "repetition": 0, "paired_with": "",
            "runs_per_sample": 1, "sm_clock_hz": [], "power_w": [], "temperature_c": [], "throttle_reasons": [], "error_bound": BOUND, "check": f"{ROWS} rows, fp64, Euclidean norm", "stopped": "enough"})
        if result["time_s"]:
            print(f"{name.format(backend)}: {row['flops'] / statistics.median(result['time_s']) / 1e12:.4g} TFLOP/s", file=sys.stderr)
    if not rows.count:
        return 3
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
