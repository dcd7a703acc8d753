# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What scripts/validate_step.py keeps in --work: stages of cases, each in a file, and of which machine, build and PyTorch they are. As the
programs' --resume, it goes on with nothing that differs."""
import hashlib
import json
import os
import pathlib
import socket

from validate_options import PROGRAMS, die, say

SCRIPTS = pathlib.Path(__file__).resolve().parent
MEASURING = ("eager_gpt.py", "gpt_*.py", "gpu_*.py")
MADE_BY = "made_by.json"


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
