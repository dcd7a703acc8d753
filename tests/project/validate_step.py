"""scripts/validate_step.py without PyTorch: an interpreter that answers in its place, programs of ours that are real. What is refused and
skipped, that a finished stage isn't done again, and what the table says of figures that are known."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

root, bin_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, str(root / "scripts"))
sys.dont_write_bytecode = True
import gpt_counts  # noqa: E402
import validate_step as v  # noqa: E402
import validate_work  # noqa: E402

problems = []


def expect(condition, what):
    if not condition:
        problems.append(what)


def bare(*arguments):
    return subprocess.run([sys.executable, "-B", str(root / "scripts" / "validate_step.py"), *map(str, arguments)], capture_output=True, text=True)


def script(folder, python, *arguments, programs=None):
    return bare("--work", folder, "--python", python, "--bin", programs or binaries, *arguments)


def refused(got, code, message):
    expect(got.returncode == code and message in got.stderr and len(got.stderr.splitlines()) == 1 and not got.stdout, f"{message}: {got}")


def fake_python(folder, name, text):
    file = folder / name
    file.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    file.chmod(0o755)
    return file


OWN = ["--layers", "2", "--width", "64", "--heads", "2", "--seq", "32", "--batch", "4", "--procs", "1"]
CASE = {"layers": 2, "width": 64, "heads": 2, "seq": 32, "batch": 4, "dtype": "bf16", "procs": 1, "vocab": 256, "steps": 3}

# The documentation's tables are the committed records'.
kept = sorted((root / "results" / "measured").glob("validate-*/*.runs.json"))
expect(len(kept) >= 2, f"records of training steps: {kept}")
document = (root / "docs" / "own-machine.md").read_text(encoding="utf-8")
for file in kept:
    shown = subprocess.run([sys.executable, "-B", str(root / "scripts" / "validate_step.py"), "--show", str(file)], capture_output=True, text=True)
    expect(shown.returncode == 0 and len(shown.stdout.splitlines()) > 10, f"--show: {shown}")
    again = subprocess.run([sys.executable, "-B", str(root / "scripts" / "predict_again.py"), str(file), "--bin", str(bin_dir)],
                           capture_output=True, text=True)
    expect(again.returncode == 0 and len(again.stdout.splitlines()) > 10, f"predict_again.py: {again}")
    for entry in json.loads(file.read_text(encoding="utf-8")):
        expect(gpt_counts.parameters(entry["row"]["case"]) == entry["measured"]["parameters"], f"weights as PyTorch counts them: {entry['row']['name']}")
    parts = subprocess.run([*again.args, "--parts"], capture_output=True, text=True).stdout if "h200" in str(file) else ""
    for line in (shown.stdout + again.stdout + parts).splitlines():
        expect(line in document, f"docs/own-machine.md lacks: {line}")

# Whether measurements are the same way is known by a hash of scripts: it has whatever PyTorch's side is made of.
hashed = {file.stem for pattern in validate_work.MEASURING for file in (root / "scripts").glob(pattern)}
for stem in sorted(hashed):
    text = (root / "scripts" / f"{stem}.py").read_text(encoding="utf-8")
    ours = {one for one in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE) if (root / "scripts" / f"{one}.py").exists()}
    expect({"eager_gpt", "gpu_gpt"} < hashed and ours <= hashed, f"{stem}.py is of {ours}, not all hashed: {hashed}")

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    binaries = folder / "bin"  # of the programs only trainmeter is run here
    binaries.mkdir()
    for program in ("gemm_bench", "memory_bench"):
        fake_python(binaries, program, "exit 9\n")
    (binaries / "trainmeter").symlink_to(bin_dir / "trainmeter")

    none = fake_python(folder, "none", "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1\n")
    got = script(folder / "a", none, *OWN, "--dtype", "fp32")
    expect(got.returncode == 3 and "no PyTorch in" in got.stderr and "apt install python3-torch" in got.stderr, f"no PyTorch: {got}")

    old = fake_python(folder, "old", "echo '{\"version\": \"1.9\", \"bf16\": false, \"gloo\": false}'\n")
    got = script(folder / "b", old, *OWN, "--dtype", "bf16")
    expect(got.returncode == 3 and "PyTorch 1.9 has no bf16" in got.stderr and "can run none of the 1 cases" in got.stderr and not got.stdout,
           f"no bf16: {got}")

    got = script(folder / "c", old, *OWN, "--dtype", "fp32", "--vocab", "1000000000000")
    expect(got.returncode == 3 and "GiB of memory" in got.stderr, f"too little memory: {got}")

    for arguments, message in (((*OWN, "--dtype", "fp32", "--heads", "3"), "--heads: expected a divisor of --width (64), found 3"),
                               ((*OWN, "--dtype", "fp32", "--procs", "3"), "--procs: expected a divisor of --batch (4), found 3"),
                               ((*OWN, "--dtype", "fp32", "--layers", "0"), "--layers: expected at least 1, found 0"),
                               (("--layers", "2"), "a case of your own needs --width"),
                               (("--steps", "-3"), "--steps: expected at least 1, found -3"),
                               (("--steps", "0"), "--steps: expected at least 1, found 0"),
                               (("--vocab", "-3"), "--vocab: expected at least 1, found -3"),
                               (("--vocab", "1e3"), "--vocab: expected a whole number, found '1e3'"),
                               (("--seq", "9" * 30), "--seq: expected at least 1, at most 10^12, found 999"),
                               (("--list",), "--list: expected together with --device gpu"),
                               (("--mode", "eager"), "--mode: expected together with --device gpu"),
                               (("--attention", "sdpa"), "--attention: expected together with --device gpu"),
                               (("--seconds", "9"), "--seconds: expected together with --device gpu"),
                               (("--device", "gpu", "--procs", "2"), "--procs: expected without --device gpu"),
                               (("--device", "gpu", "--dtype", "bf16"), "--dtype: expected without --device gpu"),
                               (("--device", "gpu", "--record", "x"), "--record: expected without --device gpu"),
                               (("--device", "gpu", "--seconds", "nan"), "--seconds: expected seconds, more than 0, found 'nan'"),
                               (("--device", "gpu", "--list", "--table"), "--list and --table: expected one of them"),
                               ((*OWN, "--dtype", "fp32", "--developed"), "--developed: expected without a case of your own"),
                               (("--lay", "2"), "unrecognized arguments: --lay 2"),
                               (("--record", "/proc/no/such.jsonl"), "--record: /proc/no/such.jsonl: can't be written: No such file"),
                               (("--python", "no-such-python"), "--python: no program 'no-such-python'")):
        refused(script(folder / "d", old, *arguments), 2, message)
    refused(script("/proc/no/such", old), 2, "--work: /proc/no/such: can't be written to: ")
    refused(script(folder / "d", old, programs="/nonexistent"), 2, "--bin: /nonexistent: expected gemm_bench, memory_bench, trainmeter; no gemm_bench is")
    refused(script(folder / "nowhere", old, "--table"), 2, "nowhere: expected the folder of an earlier run")
    refused(bare(), 2, "--work: expected a folder")
    expect(not (folder / "d").exists() or not any((folder / "d").iterdir()), "nothing is begun with wrong arguments")
    (folder / "no.runs.json").write_text('[{"run": {}}]', encoding="utf-8")
    for file, message in (("nosuch.json", "nosuch.json: No such file"), (root / "README.md", "README.md: expected finished cases"),
                          (root, ": Is a directory"), (folder / "no.runs.json", "no.runs.json: expected finished cases")):
        refused(bare("--show", file), 2, message)
    refused(bare("--show", kept[0], "--layers", "2"), 2, "--show: expected alone, found --layers")
    for arguments in (("--layers", "0"), ("--show", "nosuch"), ("--list",)):
        got = subprocess.run([root / "scripts" / "validate_step.sh", *arguments], capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable})
        refused(got, 2, f"validate_step.py: {arguments[0]}: ")
    for arguments, code in ((("--work", "/proc/no/such"), 0), (("--work", folder, "--steps", "0"), 2)):  # for validate_step.sh
        got = bare("--check", *arguments)
        expect(got.returncode == code, f"--check: {got}")

    broken = fake_python(folder, "broken", "case $2 in probe) echo '{\"version\": \"1.13\", \"bf16\": true, \"gloo\": true}';; "
                                           "*) echo 'the step failed' >&2; exit 1;; esac\n")

    # A case whose rates and predictions are finished goes on at the step, which fails: said, with exit code 4, and what is finished stays.
    place = folder / "e" / v.name_of(CASE)
    place.mkdir(parents=True)
    operations = [{"operation": "eager_gelu", "shape": {"rows": 128, "cols": 256}, "bytes": 327680.0, "count": 2}]
    (place / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    (folder / "e" / "made_by.json").write_text(json.dumps(validate_work.here(binaries)), encoding="utf-8")
    (place / "operations.json").write_text(json.dumps(operations), encoding="utf-8")
    header = {"schema": 1, "kind": "header", "session": "s", "program": "gemm_bench", "version": "0.1.0", "git_revision": "0",
              "started_at": validate_work.now(), "host": "h", "command": [], "software": {}, "environment": {},
              "device": {"kind": "cpu", "name": "CPU", "count": 1, "sms": 2, "memory_bytes": 1 << 34, "last_level_cache_bytes": 1 << 20, "details": {}},
              "discipline": {"timer": "steady_clock", "data": "normal", "cache": "rotate", "warmup_s": 0.1, "min_time_s": 0.1, "min_samples": 3}}
    record = place / "rates.jsonl"
    record.write_text(json.dumps(header) + "\n", encoding="utf-8")
    torch = {"version": "1.13"}

    def row(operation, shape, bytes_, seconds):
        return {"operation": operation, "shape": shape, "bytes": bytes_, "error": 0.0, "error_bound": 1e-3, "time_s": [seconds] * 7}
    rows = [row("triad", {"bytes": 1 << 26}, 3 * float(1 << 26), 0.02), row("eager_gelu", {"rows": 128, "cols": 256}, 327680.0, 0.25)]
    validate_work.append(record, CASE, rows, "pytorch", torch)
    gemm = row("gemm", {"m": 128, "n": 256, "k": 64}, 1.0, 1e-3)
    validate_work.append(record, CASE, [gemm], "onednn", torch)
    lines = record.read_text(encoding="utf-8").replace('"flops": 0.0', '"flops": 4194304.0')
    record.write_text(lines, encoding="utf-8")
    validate_work.append(record, CASE, [row("fma", {"cores": 2}, 0.0, 1e-3)], "registers", torch)
    record.write_text(record.read_text(encoding="utf-8").replace('"flops": 0.0', '"flops": 1e8'), encoding="utf-8")
    got = script(folder / "e", broken, *OWN, "--dtype", "bf16", "--vocab", "256", "--steps", "3")
    expect(got.returncode == 4 and "the step failed" in got.stderr and "finished work is in" in got.stderr, f"a step that fails: {got}")
    expect((place / "prediction.json").exists() and not (place / "measured.json").exists(), "predicted before it is measured")
    expect(": operations" not in got.stderr, "what is finished isn't measured again")

    # Finished work of another machine, build or number of steps isn't taken for this one's.
    made_by = json.loads((folder / "e" / "made_by.json").read_text(encoding="utf-8"))
    expect(made_by["PyTorch"] == "1.13" and made_by["cores"] >= 1, f"of what machine and build: {made_by}")
    again = ("--dtype", "bf16", "--vocab", "256")
    refused(script(folder / "e", broken, *OWN, *again, "--steps", "4"), 2, "steps: 3, now 4 (--resume_anyway goes on with it")
    fake_python(binaries, "memory_bench", "exit 8\n")
    refused(script(folder / "e", broken, *OWN, *again, "--steps", "3"), 2, f"e differs: programs: {made_by['programs']}, now ")
    got = script(folder / "e", broken, *OWN, *again, "--steps", "4", "--resume_anyway")
    expect(got.returncode == 4 and "the step failed" in got.stderr, f"--resume_anyway: {got}")
    fake_python(binaries, "memory_bench", "exit 9\n")
    for key, other in (("host", "elsewhere"), ("PyTorch", "2.0")):
        (folder / "e" / "made_by.json").write_text(json.dumps(made_by | {key: other}), encoding="utf-8")
        refused(script(folder / "e", broken, *OWN, *again, "--steps", "3"), 2, f"{key}: {other}, now ")
    (folder / "e" / "made_by.json").unlink()
    refused(script(folder / "e", broken, *OWN, *again, "--steps", "3"), 2, "nothing says of which machine and build")
    (folder / "e" / "made_by.json").write_text("{", encoding="utf-8")
    refused(script(folder / "e", broken, *OWN, *again, "--steps", "3"), 2, "made_by.json: expected the JSON that this script keeps")
    (folder / "e" / "made_by.json").write_text(json.dumps(made_by), encoding="utf-8")
    got = script(folder / "e", broken, *OWN, *again, "--steps", "3", "--table")
    expect(got.returncode == 2 and "nothing of these cases is finished" in got.stderr, f"an empty table: {got}")
    if (place / "prediction.json").exists():
        alone = json.loads((place / "prediction_alone.json").read_text(encoding="utf-8"))
        with_in_place = json.loads((place / "prediction.json").read_text(encoding="utf-8"))
        # Two runs of the one operation at 0.25 s each, scaled to the median of the draws; everything else is small.
        expect(abs(alone["breakdown_s"]["operations"] - 0.5) < 0.02, f"operations at their own rate: {alone['breakdown_s']}")
        expect(alone["breakdown_s"]["gemm"] < with_in_place["breakdown_s"]["gemm"], "GEMMs alone are faster than in place")

        # The table of known figures: errors, range, null model.
        step = with_in_place["estimates"]["step_time_s"]["p50"]
        (place / "measured.json").write_text(json.dumps({"time_s": [step / 1.1] * 3}), encoding="utf-8")
        (place / "measured_again.json").write_text(json.dumps({"time_s": [step / 1.1 * 1.02] * 3}), encoding="utf-8")
        got = script(folder / "e", broken, *OWN, "--dtype", "bf16", "--vocab", "256", "--steps", "3", "--record", str(folder / "all.jsonl"))
        expect(got.returncode == 0 and "| +10.0 % |" in got.stdout and "calibrated here" in got.stdout and "| +2.0 % |" in got.stdout,
               f"the table: {got.stdout} {got.stderr}")
        expect((folder / "all.jsonl").read_text(encoding="utf-8") == record.read_text(encoding="utf-8"), "the record of all cases")
        runs = json.loads((folder / "all.runs.json").read_text(encoding="utf-8"))
        expect(abs(runs[0]["run"]["published"]["step_time_s"] - step / 1.1) < 1e-12, "the run with what was measured")

sys.exit("\n".join(problems) or 0)
