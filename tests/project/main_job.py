"""The whole main job as scripts/run.sh does it, with little time for each case: measure into one record, then report from the
record alone, judge the claims, and predict a run from the measured rates."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

bin_dir = pathlib.Path(sys.argv[1])
problems = []


def run(*command, codes=(0,)):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode not in codes:
        sys.exit(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def expect(condition, what):
    if not condition:
        problems.append(what)


with tempfile.TemporaryDirectory() as folder:
    record = pathlib.Path(folder) / "measured" / "record.jsonl"
    # Few and brief cases rather than a limit on all of them: which cases are measured doesn't depend on how busy the machine is.
    quick = [f"--out={record}", "--benchmark_min_time=0.02", "--benchmark_min_warmup_time=0.02", "--case_seconds=0.3", "--device=cpu"]
    run(bin_dir / "trainmeter", "doctor")
    run(bin_dir / "gemm_bench", *quick, "--models=gpt2-124m", "--benchmark_filter=^fma/|m:1024/n:(768|2304)/k:768|m:768/n:768")
    run(bin_dir / "memory_bench", *quick, f"--bytes={64 << 20}", "--benchmark_filter=copy|triad")
    run(bin_dir / "attention_bench", *quick, "--heads=2", "--seq_len=128", "--pass=forward", "--dtype=bf16")
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    collective = bin_dir / "collective_bench"
    listed = subprocess.run(["mpirun", *as_root, "--oversubscribe", "-n", "2", collective, *quick, "--bytes=4096,1048576"],
                            capture_output=True, text=True)
    expect(listed.returncode in (0, 3), f"collective_bench: exit code {listed.returncode}\n{listed.stderr[-1000:]}")

    lines = [json.loads(line) for line in record.read_text().splitlines()]
    measured = [line for line in lines if line["kind"] == "measurement"]
    operations = {line["operation"] for line in measured}
    expect({"gemm", "fma", "copy", "triad", "attention_forward"} <= operations, f"operations measured: {sorted(operations)}")
    expect(listed.returncode == 3 or "allreduce" in operations, "no all-reduce in the record")
    expect(all(line["verified"] and not line["failure"] for line in measured), "a line is not verified")
    expect(all(len(line["time_s"]) >= 1 for line in measured), "a line has no samples")

    story = json.loads(run(bin_dir / "trainmeter", "report", record, "--price", "0.1", "--format", "json"))
    expect(story["prediction"] is not None, f"no prediction: {story['why_no_prediction']}")
    if story["prediction"]:
        estimates = story["prediction"]["estimates"]
        for key in ("step_time_s", "gpu_hours", "mfu", "tflops_per_gpu", "cost_usd"):
            low, middle, high = (estimates[key][p] for p in ("p05", "p50", "p95"))
            expect(0 < low < middle < high, f"{key}: {low} {middle} {high}")
        expect(story["prediction"]["rates"][0]["origin"].startswith(str(record)), "rates don't name the record")
    gemm = [row for row in story["achieved"] if row["operation"] == "gemm"]
    # How the two compare is left open: neighbours on a shared machine may slow down either.
    expect(gemm and all(row["value"] > 0 for row in gemm), "no GEMM in the report")
    expect(any(row["possible"] for row in gemm), "no ceiling beside a GEMM")
    claims = {claim["id"]: claim for claim in story["claims"]}
    expect(claims["deepseek-r1"]["gpu_hours"] == 147000 and claims["deepseek-r1"]["cost_usd"] == 294000, "R1's figures")
    expect(claims["deepseek-v3"]["gpu_hours"] == 2788000 and claims["deepseek-v3"]["cost_usd"] == 5576000, "V3's figures")
    expect(claims["r1-press"]["verdict"] == "contradictory", "the press line")
    text = run(bin_dir / "trainmeter", "report", record)
    expect("r1-press" in text and "trainmeter claims ID" in text and "\033" not in text, "the text report")

print("\n".join(problems) or f"{len(measured)} measurements, report, prediction and {len(claims)} claims in order")
sys.exit(1 if problems else 0)
