# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What scripts/validate_step.py keeps in --work: stages of cases, each in a file, records with what PyTorch measured, and of which machine, build
and PyTorch they are. As the programs' --resume, it goes on with nothing that differs."""
import datetime
import hashlib
import itertools
import json
import os
import pathlib
import socket
import subprocess

from validate_options import PROGRAMS, die, say

SCRIPTS = pathlib.Path(__file__).resolve().parent
MEASURING = ("eager_gpt.py", "gpt_*.py", "gpu_*.py")
MADE_BY = "made_by.json"
SESSIONS = itertools.count(1)


def cores():
    return sorted(os.sched_getaffinity(0))


def kept(file):
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as why:
        die(2, f"--work: {file}: {why.strerror}")
    except (ValueError, RecursionError):
        die(2, f"--work: {file}: expected the JSON that this script keeps")


def keep(file, value):
    part = file.with_suffix(".part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(file)


class Stage:
    """One step of one case, kept in a file: what is finished isn't done again."""

    def __init__(self, folder, tell=say):
        self.folder, self.tell = folder, tell

    def __call__(self, name, work):
        file = self.folder / f"{name}.json"
        if not file.exists():
            self.tell(f"{self.folder.name}: {name}")
            keep(file, work())
        return kept(file)


def digest(files):
    all_of_them = hashlib.sha256()
    for file in files:
        all_of_them.update(file.read_bytes() if file.exists() else b"")
    return all_of_them.hexdigest()[:12]


def processor():
    for line in open("/proc/cpuinfo", encoding="utf-8", errors="replace"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def here(binaries):
    """What times depend on, as far as it is known without PyTorch."""
    return {"host": socket.gethostname(), "processor": processor(), "cores": len(cores()),
            "programs": digest(binaries / program for program in PROGRAMS), "scripts": digest(sorted(file for name in MEASURING for file in SCRIPTS.glob(name)))}


def header_after(record, session, torch):
    """The header of what PyTorch measured: the machine as our own programs described it in the same record."""
    with open(record, encoding="utf-8") as lines:
        header = json.loads(lines.readline())
    return header | {"session": session, "program": "validate_step", "command": ["scripts/validate_step.py"],
                     "started_at": now(), "software": {"PyTorch": torch["version"]},
                     "discipline": header["discipline"] | {"target": 0.0, "min_samples": 7}}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(record, case, rows, backend, torch, machine=None):
    """Adds PyTorch's rows under a header of their own; `machine`: the record that describes the machine, another one."""
    session = f"validate_step-{now()}-{os.getpid()}-{record.stem}-{backend}-{next(SESSIONS)}"
    header = header_after(machine or record, session, torch)
    with open(record, "a", encoding="utf-8") as out:
        out.write(json.dumps(header) + "\n")
        for row in rows:
            dtype = "fp32" if row["operation"] in ("allreduce", "eager_adamw") else case["dtype"]
            in_turn = row.get("in_turn", False)  # alone, with the layer's row of the same name before it
            beside = "layer" if "role" in row and not in_turn else "none"
            notes = row.get("notes", {}) | ({"in_turn": "layer"} if in_turn else {})
            shape = "/".join([f"{key}:{value}" for key, value in row["shape"].items()] + ([f"layer:{row['role']}"] if "role" in row else []))
            out.write(json.dumps({
                "kind": "measurement", "session": session, "name": f"{row['operation']}/{dtype}/{backend}/{shape}",
                "operation": row["operation"], "dtype": dtype, "backend": backend, "shape": row["shape"], "layout": row.get("layout", "none"),
                "scaling": "none", "flops": row.get("flops", 0.0), "bytes": row["bytes"], "ranks": case["procs"] if backend == "gloo" else 1,
                "sms": header["device"]["sms"], "beside": beside, "at": now(), "repetition": 0, "paired_with": "",
                "verified": row["error"] < row["error_bound"], "check": row.get("check", "all elements, fp64, gradients too"), "failure": "",
                "error": row["error"], "error_bound": row["error_bound"], "time_s": row["time_s"], "runs_per_sample": 1,
                "sm_clock_hz": [], "power_w": [], "temperature_c": [], "throttle_reasons": [], "stopped": "enough"} |
                ({"notes": notes} if notes else {})) + "\n")


def require_pytorch(python):
    """Exit code 3 where it isn't there; found without importing it, which takes seconds."""
    answer = subprocess.run([python, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    if answer.returncode:
        no_pytorch(python, answer.stderr)


def no_pytorch(python, said):
    why = "".join(f": {line}" for line in said.strip().splitlines()[-1:])
    die(3, f"no PyTorch in {python} (Debian: apt install python3-torch; --python names another interpreter){why}")


def differences(then, now):
    then = then if isinstance(then, dict) else {}
    return [f"{key}: {then[key]}, now {value}" for key, value in now.items() if then.get(key, value) != value]


def require_same(options, name_of, now):
    """Exit code 2 where --work holds work of another machine, build, PyTorch or number of steps than `now` and the cases' own."""
    file, then, found = options.work / MADE_BY, {}, []
    if file.exists():
        then = kept(file)
        found = differences(then, now)
    for case in options.cases:
        old = options.work / name_of(case) / "case.json"
        if old.exists():
            found += [] if file.exists() else [f"{old}: nothing says of which machine and build"]
            found += [f"{name_of(case)}: {one}" for one in differences(kept(old), case)]
    if found and not options.resume_anyway:
        die(2, f"--work: {options.work} differs: {'; '.join(found[:3])} (--resume_anyway goes on with it, another folder begins anew)")
    if not found:
        keep(file, then | now)
