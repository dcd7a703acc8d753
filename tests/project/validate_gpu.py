"""scripts/validate_step.py --device gpu without a GPU and without PyTorch: an interpreter that answers in its place, benchmark programs that write
records of known rates, the real trainmeter. What a step is counted as, what is predicted from it, and what is said where something fails."""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

root, bin_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(root / "scripts"))
sys.dont_write_bytecode = True
import gpt_counts  # noqa: E402
import gpu_cases  # noqa: E402

problems = []


def expect(condition, what):
    if not condition:
        problems.append(what)


# What a step is counted as, against figures worked out by hand: GPT-2 of 124 M (163 M with a head of its own) on 16 x 1024 tokens.
case = gpu_cases.made((12, 768, 12, 1024, 16, "sdpa", "fused", "eager"))
expect(gpt_counts.parameters(case) == 12 * (7077888 + 3072) + 77266944 + 786432 + 1536, "parameters")
layer = [(m, n, k) for role, _, m, n, k, _ in gpu_cases.layer_gemms(case) if not role.startswith("head")]
expect(len(layer) == 12 and sum(m * n * k for m, n, k in layer) == 3 * 7077888 * 16384, "three GEMMs of a layer's every weight and token")
expect({layout for _, layout, *_ in gpu_cases.layer_gemms(case)} == {"nt", "nn", "tn"}, "layouts of the three passes")
counted = {(o["operation"], o["shape"].get("rows"), o["shape"].get("cols")): o for o in gpu_cases.operations(case)}
expect(counted[("eager_layernorm", 16384, 768)]["bytes"] == 251658240 and counted[("eager_layernorm", 16384, 768)]["count"] == 25, "LayerNorms")
expect(counted[("eager_attention", 16384, 2304)]["bytes"] == 301989888 and counted[("eager_attention", 16384, 2304)]["count"] == 12, "attention")
expect(counted[("eager_cross_entropy", 16384, 50304)]["bytes"] == 6 * 824180736, "the loss")
expect(counted[("eager_cast", 16384, 768)]["count"] == 25, "casts of what linear layers read")
cast_weights = sum(o["count"] * o["shape"]["rows"] * o["shape"]["cols"] for key, o in counted.items() if key[0] == "eager_cast" and key[1] != 16384)
expect(cast_weights == 12 * 7077888 + 50304 * 768, "every weight of a linear layer is cast once")
fused = {o["operation"]: o for o in gpu_cases.operations(case | {"mode": "compiled"})}
expect(fused["compiled_residual_layernorm"]["count"] == 12 and fused["compiled_layernorm"]["count"] == 13, "norms that are fused with what is before")
expect(not any(o["operation"] == "eager_cast" and o["shape"]["rows"] == 16384 for o in gpu_cases.operations(case | {"mode": "compiled"})),
       "compiled: the casts of activations are fused")
unfused = gpu_cases.operations(case | {"attention": "unfused"})
expect(len(gpu_cases.layer_gemms(case | {"attention": "unfused"})) == 21 and "eager_attention" not in {o["operation"] for o in unfused}, "unfused")
expect(len(set(gpu_cases.ORDER)) == 10 and set(gpu_cases.ORDER) == set(gpu_cases.DEVELOPED + gpu_cases.HELD_OUT), "every case once")
expect(max(gpt_counts.parameters(gpu_cases.made(values)) for values in gpu_cases.ORDER) > 1.3e9, "up to 1.3 B")

RATE, BANDWIDTH, RATIO, OTHERS = 5e14, 4e12, 0.8, 0.9
COOLER = 1.1  # a layer's clock / gemm_bench's
WORKER = f"""import json, os, sys
sys.path.insert(0, {str(root / 'scripts')!r})
import gpu_cases
for line in sys.stdin:
    request = json.loads(line)
    what, case = request["what"], request["case"]
    assert "our libraries" not in os.environ.get("LD_LIBRARY_PATH", "")
    if os.environ.get("DIES") == what:
        sys.exit(7)
    if os.environ.get("FAILS") == what:
        print(json.dumps({{"error": "RuntimeError: CUDA out of memory"}}), flush=True)
        continue
    checked = {{"error": 0.0, "error_bound": 0.05}}
    if what == "probe":
        result = {{"version": "2.11", "device": os.environ.get("GPU", "NVIDIA H200"), "memory_bytes": 140e9, "compile": True}}
    elif what == "operations":
        result = [o | checked | {{"time_s": [o["bytes"] / {BANDWIDTH}] * 7}} for o in gpu_cases.operations(case)]
    elif what == "layer":
        rows = [{{"operation": "gemm", "role": role, "layout": layout, "shape": {{"m": m, "n": n, "k": k}}, "flops": 2.0 * m * n * k, "bytes": 0.0,
                 "time_s": [2.0 * m * n * k / {RATE * COOLER} / ratio] * 7}} | more | checked
                for role, layout, m, n, k, _ in gpu_cases.layer_gemms(case) for ratio, more in (({RATIO}, {{}}), (1, {{"in_turn": True}}))]
        of = " ".join(sorted({{o["operation"] for o in gpu_cases.operations(case)}} - {{"eager_adamw"}}))
        rows += [{{"operation": "layer_others", "role": "others", "bytes": 1e9,
                  "shape": {{"rows": case["batch"] * case["seq"], "cols": case["width"], "seq_len": case["seq"]}}, "notes": {{"of": of}},
                  "time_s": [1e-3 / ratio] * 7}} | more | checked for ratio, more in (({OTHERS}, {{}}), (1, {{"in_turn": True}}))]
        result = {{"rows": rows, "missing": [], "calls": []}}
    elif what == "host":
        result = {{"host_s": [float(os.environ.get("HOST", "1e-6"))] * 5}}
    else:
        result = {{"time_s": [0.01] * case["steps"]}}
    print(json.dumps({{"result": result}}), flush=True)
"""
BENCH = f"""#!{sys.executable}
import json, os, re, sys
assert "our libraries" in os.environ.get("LD_LIBRARY_PATH", ""), "libraries"
options = dict(one[2:].split("=", 1) for one in sys.argv[1:] if "=" in one)
assert options["device"] == "gpu"
name = os.path.basename(sys.argv[0])
session = f"{{name}}-{{os.getpid()}}"
header = {{"schema": 1, "kind": "header", "session": session, "program": name, "version": "0.1.0", "git_revision": "0",
          "started_at": "2026-11-26T00:00:00Z", "host": "h", "command": [], "software": {{}}, "environment": {{}},
          "device": {{"kind": "gpu", "name": "NVIDIA H200", "count": 1, "sms": 132, "memory_bytes": 150109880320,
                     "last_level_cache_bytes": 62914560, "details": {{}}}},
          "discipline": {{"timer": "cuda_events", "data": "normal", "cache": "rotate", "warmup_s": 0.1, "min_time_s": 0.1, "min_samples": 3}}}}
with open(options["out"], "a") as out:
    out.write(json.dumps(header) + "\\n")
    rows = [("triad", {{"bytes": 1 << 29}}, "none", 0.0, 3.0 * (1 << 29), 3.0 * (1 << 29) / {BANDWIDTH})]
    if name == "gemm_bench":
        shapes = re.findall(r"m:(\\d+)/n:(\\d+)/k:(\\d+)", options["benchmark_filter"])
        rows = [("gemm", {{"m": m, "n": n, "k": k}}, layout, 2.0 * m * n * k, 1.0, 2.0 * m * n * k / {RATE})
                for m, n, k in (map(int, one) for one in shapes) for layout in ("nt", "nn", "tn")]
    for operation, shape, layout, flops, size, time_s in rows:
        out.write(json.dumps({{"kind": "measurement", "session": session, "name": f"{{operation}}/{{shape}}/{{layout}}", "operation": operation,
            "dtype": "bf16", "backend": "cublaslt", "shape": shape, "layout": layout, "scaling": "none", "flops": flops, "bytes": size, "ranks": 1,
            "sms": 132, "beside": "none", "at": "2026-11-26T00:00:00Z", "repetition": 0, "paired_with": "", "verified": True, "check": "", "failure": "",
            "error": 0.0, "error_bound": 1.0, "time_s": [time_s] * 7, "runs_per_sample": 1, "sm_clock_hz": [], "power_w": [], "temperature_c": [],
            "throttle_reasons": [], "stopped": "enough"}}) + "\\n")
    if "BENCH_CODE" in os.environ:
        out.write('{{"kind": "measur')  # killed in mid-write
sys.exit(int(os.environ.get("BENCH_CODE", "0")))
"""
OWN = ["--layers", "12", "--width", "768", "--heads", "12", "--seq", "1024", "--batch", "16"]

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)

    def program(path, text):
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path
    programs = folder / "bin"
    programs.mkdir()
    for one in ("gemm_bench", "memory_bench"):
        program(programs / one, BENCH)
    (programs / "trainmeter").symlink_to(bin_dir / "trainmeter")
    (folder / "worker.py").write_text(WORKER, encoding="utf-8")
    python = program(folder / "python", f"#!/bin/sh\n[ -z $NO_TORCH ] || exit 1\nexec '{sys.executable}' -B '{folder / 'worker.py'}'\n")

    def script(work, *arguments, **environment):
        return subprocess.run([sys.executable, "-B", str(root / "scripts" / "validate_step.py"), "--device", "gpu", "--work", str(folder / work),
                               "--out", str(folder / work / "out"), "--bin", str(programs), "--lib", "our libraries", "--python", str(python),
                               *arguments], capture_output=True, text=True, env=os.environ | environment)

    found = re.search(r"left\s+out\s+\((\d+)\)", script("help", "--help").stdout)
    expect(found and int(found[1]) + 60 < 600, f"--seconds as it is leaves what runs last time to end, within a command's 600 s: {found}")
    got = script("list", "--list")
    expect(got.returncode == 0 and got.stdout.count("gemm_bench") == 9 and got.stdout.count("parameters") == 10, f"--list: {got}")
    for arguments, message in ((("--layers", "2"), "a case of your own needs --width"),
                               ((*OWN, "--heads", "7"), "expected a divisor of --width (768), found 7"),
                               ((*OWN, "--batch", "0"), "--batch: expected at least 1, found 0")):
        got = script("refused", *arguments)
        expect(got.returncode == 2 and message in got.stderr, f"{message}: {got}")

    # GEMMs at 0.8 of their rate alone, the layer's other operations at 0.9, the optimizer at its own, and a host that is no hindrance. What was
    # timed alone in turn with the layer was so at the layer's clock: for the ratio, and for no rate.
    got = script("fine", *OWN)
    place = folder / "fine" / gpu_cases.name_of(case)
    expect(got.returncode == 0 and (place / "measured_again.json").exists() and "of 1" in got.stdout, f"one case: {got}")
    if (place / "prediction.json").exists():
        flops = 6 * (12 * 7077888 + 50304 * 768) * 16384
        expected = flops / RATE / RATIO + sum(o["count"] * o["bytes"] / (1 if o["operation"] == "eager_adamw" else OTHERS)
                                              for o in gpu_cases.operations(case)) / BANDWIDTH
        found = json.loads((place / "prediction.json").read_text(encoding="utf-8"))
        expect(abs(found["estimates"]["step_time_s"]["p50"] / expected - 1) < 0.01, f"predicted {found['estimates']}, expected {expected}")
        expect("was not measured" not in json.dumps(found), f"operations without a rate: {found['assumptions']}")
        alone = json.loads((place / "prediction_alone.json").read_text(encoding="utf-8"))
        expect(abs(alone["breakdown_s"]["gemm"] / found["breakdown_s"]["gemm"] / RATIO - 1) < 1e-6, "the in-place ratio, and no other factor")
        out = sorted(p.name for p in (folder / "fine" / "out").iterdir())
        expect(out == ["log.txt", "rates.jsonl", "rates.runs.json", "table.txt", "work.tar.gz"], f"--out: {out}")
        report = subprocess.run([str(bin_dir / "trainmeter"), "anonymise", str(folder / "fine" / "out" / "rates.jsonl")], capture_output=True, text=True)
        expect(report.returncode == 0, f"all rates in one record: {report.stderr}")
        again = subprocess.run([sys.executable, "-B", str(root / "scripts" / "predict_again.py"), str(folder / "fine" / "out" / "rates.runs.json"),
                                "--bin", str(programs)], capture_output=True, text=True)
        shown = re.search(r"cases: (\S+) then, (\S+) now, (\S+) without", again.stdout)
        expect(shown and shown[1] == shown[2] != shown[3], f"all that a prediction needs is in the record: {again}")
        got = script("fine", *OWN)
        expect(got.returncode == 0 and "measured" not in got.stderr, f"what is finished isn't done again: {got.stderr}")
        for arguments, message in ((("--steps", "3"), "steps: 10, now 3"), (("--table", "--steps", "3"), None)):
            got = script("fine", *OWN, *arguments)
            expect((got.returncode, message in got.stderr) == (2, True) if message else got.returncode == 0, f"other steps: {got}")
        got = script("fine", *OWN, GPU="NVIDIA H100")
        expect(got.returncode == 2 and "GPU: NVIDIA H200, now NVIDIA H100" in got.stderr, f"another GPU: {got}")

    # A host that takes longer than the GPU.
    got = script("host", *OWN, HOST="3.0")
    place = folder / "host" / gpu_cases.name_of(case)
    if (place / "prediction.json").exists():
        found = json.loads((place / "prediction.json").read_text(encoding="utf-8"))["estimates"]["step_time_s"]["p50"]
        expect(abs(found / 3 - 1) < 0.02, f"a step is no shorter than its launching: {found}")
    else:
        problems.append(f"a slow host: {got}")

    # A prediction that fails costs no measurement: it can be made later, from what is kept.
    (programs / "trainmeter").unlink()
    program(programs / "trainmeter", "#!/bin/sh\necho no library >&2; exit 127\n")
    got = script("later", *OWN)
    place = folder / "later" / gpu_cases.name_of(case)
    expect("not predicted" in got.stdout and "no library" in got.stdout and (place / "measured.json").exists(), f"no trainmeter: {got}")
    (programs / "trainmeter").unlink()
    (programs / "trainmeter").symlink_to(bin_dir / "trainmeter")
    moved = (folder / "later").rename(folder / "moved")
    got = script("moved", *OWN, "--table")
    expect(got.returncode == 0 and "mean absolute error over 1 cases" in got.stdout and (moved / place.name / "prediction.json").exists(), f"later: {got}")

    # What fails is said; a layer that can't be looked into costs the ratio only, a program that ends badly what it didn't measure.
    for environment, arguments, message in (({"FAILS": "operations"}, (), "operations: RuntimeError: CUDA out of memory"),
                                            ({"DIES": "step"}, (), "step: PyTorch's process ended with code 7"),
                                            ({}, ("--batch", "640"), "GiB of memory, the device has 130"),
                                            ({}, ("--seconds", "5"), "s are left, 14 needed")):
        got = script(f"fails{len(problems)}{message[:4]}{len(environment)}{len(arguments)}", *OWN, *arguments, **environment)
        code = 3 if "GiB" in message else 4  # this machine lacks it; it failed
        expect(got.returncode == code and "skipped: gpt-l12" in got.stdout and message in got.stdout and "nothing is measured" in got.stderr,
               f"{message}: {got}")
    got = script("layer", *OWN, FAILS="layer", BENCH_CODE="1")
    expect(got.returncode == 0 and "no in-place ratio" in got.stderr and "what was measured is used" in got.stderr and "of 1" in got.stdout,
           f"no layer: {got}")
    # An interpreter without PyTorch is said before anything is measured.
    got = script("bare", *OWN, NO_TORCH="1")
    expect(got.returncode == 3 and "no PyTorch in" in got.stderr and "Broken pipe" not in got.stderr, f"no PyTorch: {got}")
    expect(not list((folder / "bare").glob("*.jsonl")), "nothing is measured without PyTorch")
    got = script("none", *OWN, DIES="probe")
    expect(got.returncode == 3 and "PyTorch's process ended with code 7" in got.stderr, f"no PyTorch: {got}")

sys.exit("\n".join(problems) or 0)
