# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""What the batch scripts leave of nodes and pairs that die, and of a job that is started again on other nodes, by stand-ins for Slurm and for the
programs. slurm_scripts.py SOURCE"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

scripts = pathlib.Path(sys.argv[1]).resolve() / "scripts" / "slurm"

# A step on n2+n3, say, ends with what the file n2+n3 holds, 0 without one; of code 0 it leaves a record. A file `hold` keeps it waiting.
SRUN = """#!/bin/bash
echo "$*" >>calls
for word in "$@"; do case $word in --nodelist=*) step=${word#*=} ;; --out=*) record=${word#*=} ;; esac; done
step=${step:-$SLURM_JOB_NODELIST}
step=${step//,/+}
case " $* " in *measure_node.sh*) record=$JOB/records/$step.jsonl own=$JOB/nodes/$step ;; *) own=/dev/null ;; esac
trap 'echo 143 >"$own"; exit 143' TERM
if [ -e "hold-$step" ]; then echo '{"kind":"measurement"}' >>"$record"; touch "held-$step"; while :; do sleep 0.05; done; fi
code=$(cat "code-$step" 2>/dev/null || echo 0)
if [ "$code" = killed ]; then trap '' TERM; touch "killed-$step"; exit 137; fi
if [ "$code" = gone ]; then exit 0; fi
if [ "$code" = 0 ]; then echo '{"kind":"measurement"}' >>"$record"; fi
trap '' TERM
echo "$code" >"$own"
exit "$code"
"""
SCONTROL = """#!/bin/bash
if [ "$1" = requeue ]; then exit; fi
tr , '\\n' <<<"$3"
"""


class Job:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.job = self.folder / "jobs" / "7"
        (self.folder / "bin").mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            (self.folder / "bin" / name).write_text(text, encoding="utf-8")
            (self.folder / "bin" / name).chmod(0o755)

    def start(self, kind, nodes, restart=0, task=0):
        return subprocess.Popen(["bash", scripts / f"{kind}.sbatch", scripts, "--bin", "/nowhere", "--jobs", self.folder / "jobs", "--device", "cpu"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder, start_new_session=True,
                                env=os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "JOB": str(self.job),
                                                  "SLURM_JOB_NODELIST": ",".join(nodes), "SLURM_RESTART_COUNT": str(restart), "SLURM_ARRAY_TASK_ID": str(task)})

    def run(self, kind, nodes, restart=0, task=0):
        process = self.start(kind, nodes, restart, task)
        said = process.communicate(timeout=60)[0]
        return process.returncode, said

    @staticmethod
    def wait_for(process, *files):
        end = time.monotonic() + 60
        while not all(file.exists() for file in files):
            assert process.poll() is None and time.monotonic() < end, process.communicate()
            time.sleep(0.01)

    def codes(self, what):
        return {file.name: file.read_text(encoding="utf-8").strip() for file in (self.job / what).iterdir()}

    def records(self):
        return sorted(file.name for file in (self.job / "records").iterdir())


def of(numbers):
    return [f"n{number}" for number in numbers]


# A fleet: a node that says why, one that is killed, one that is gone though srun says 0.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    for node, code in (("n2", "3"), ("n3", "killed"), ("n4", "gone")):
        (job.folder / f"code-{node}").write_text(code, encoding="utf-8")
    code, said = job.run("fleet", of(range(1, 6)))
    assert code == 137, said
    assert job.codes("nodes") == {"n1": "0", "n2": "3", "n3": "137", "n4": "4", "n5": "0"}, (job.codes("nodes"), said)
    assert "n3: lost" in said and "n4: lost" in said and "n2: lost" not in said, said

# A node by itself, as a task of an array.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    (job.folder / "code-n1").write_text("killed", encoding="utf-8")
    assert job.run("node", of([1]))[0] == 137
    assert job.run("node", of([2]))[0] == 0
    assert job.codes("nodes") == {"n1": "137", "n2": "0"}, job.codes("nodes")

# A fabric: one pair that can't meet, of 28.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    for pair in ("n3+n4", "n4+n3"):
        (job.folder / f"code-{pair}").write_text("4", encoding="utf-8")
    code, said = job.run("fabric", of(range(1, 9)))
    assert code == 4, said
    codes = job.codes("groups")
    assert codes.pop("first-4") == codes.pop("first-8") == "0", codes
    assert len(codes) == 28 and [set(pair.split("+")) for pair, value in codes.items() if value != "0"] == [{"n3", "n4"}], codes
    assert {"first-4.jsonl", "first-8.jsonl"} <= set(job.records()), job.records()
    calls = (job.folder / "calls").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 28 + 2 and all("--time=3 " in call for call in calls), calls  # or ranks that can't meet wait for ever

    # Again on the same nodes: what is known of a pair stands. Then on others: what was measured over the first ones of others stays, beside.
    assert job.run("fabric", of(range(1, 9)), restart=1)[0] == 4
    [record] = [file for file in (job.job / "records").iterdir() if set(file.stem.split("+")) == {"n1", "n2"}]
    assert record.read_text(encoding="utf-8").count("measurement") == 1, record.read_text(encoding="utf-8")
    assert not [name for name in job.records() if name.startswith("earlier")], job.records()
    assert job.run("fabric", of(range(2, 6)), restart=2)[0] == 4
    assert {"earlier-2-first-4.jsonl", "earlier-2-first-8.jsonl", "first-4.jsonl"} <= set(job.records()), job.records()

# A pair whose step is ended before its time, as by pre-emption with a time of grace: nobody's fault, and measured when the job starts again.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    for pair in ("n1+n2", "n2+n1"):
        (job.folder / f"code-{pair}").write_text("143", encoding="utf-8")
    assert job.run("fabric", of([1, 2]))[0] == 143
    assert list(job.codes("groups").values()) == ["143"], job.codes("groups")
    for pair in ("n1+n2", "n2+n1"):
        (job.folder / f"code-{pair}").unlink()
    assert job.run("fabric", of([1, 2]), restart=1)[0] == 0
    assert list(job.codes("groups").values()) == ["0"], job.codes("groups")

# A fleet that is stopped when a node of it is dead already: that one keeps its code.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    (job.folder / "hold-n1").touch()
    (job.folder / "code-n2").write_text("killed", encoding="utf-8")
    process = job.start("fleet", of([1, 2]))
    job.wait_for(process, job.folder / "held-n1", job.folder / "killed-n2")
    os.killpg(process.pid, 15)
    said = process.communicate(timeout=60)[0]
    assert job.codes("nodes") == {"n1": "143", "n2": "137"}, (job.codes("nodes"), said)

# Tasks of an array: what another one measures stays where it is.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    (job.folder / "hold-n1").touch()
    process = job.start("node", of([1]), task=0)
    job.wait_for(process, job.folder / "held-n1")
    os.killpg(process.pid, 15)
    process.communicate(timeout=60)
    assert job.run("node", of([2]), restart=1, task=1)[0] == 0
    assert job.records() == ["n1.jsonl", "n2.jsonl"], job.records()
    assert job.run("node", of([3]), restart=1, task=0)[0] == 0
    assert job.records() == ["n1.unfinished", "n2.jsonl", "n3.jsonl"], job.records()

# A fleet that is stopped in mid-run and starts again on other nodes, then on the first ones: what the stopped node lacks isn't held against it
# while the job is elsewhere, and it goes on where it was.
with tempfile.TemporaryDirectory() as folder:
    job = Job(folder)
    (job.folder / "hold-n1").touch()
    process = job.start("fleet", of([1, 2]))
    job.wait_for(process, job.folder / "held-n1", job.job / "nodes" / "n2")
    os.killpg(process.pid, 15)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 143, said
    assert job.codes("nodes") == {"n1": "143", "n2": "0"}, (job.codes("nodes"), said)
    (job.folder / "hold-n1").unlink()
    assert job.run("fleet", of([3, 4]), restart=1)[0] == 0
    assert job.records() == ["n1.unfinished", "n2.jsonl", "n3.jsonl", "n4.jsonl"], job.records()
    assert job.run("fleet", of([1, 2]), restart=2)[0] == 0
    assert job.records() == ["n1.jsonl", "n2.jsonl", "n3.jsonl", "n4.jsonl"], job.records()
    assert (job.job / "records" / "n1.jsonl").read_text(encoding="utf-8").count("measurement") == 2

for kind in ("node", "fleet", "fabric"):  # --exclusive gives all CPUs of a node, but only as much memory as asked for
    options = [line for line in (scripts / f"{kind}.sbatch").read_text(encoding="utf-8").splitlines() if line.startswith("#SBATCH")]
    assert any("--mem=0" in line.split() for line in options), options
