"""Measuring jobs on a real Slurm of two virtual nodes on this machine: from sbatch to the report, and what goes wrong on the way.
    slurm_test.py BIN SOURCE [CASE...]
The case slow_link, which runs alone, has four nodes in network namespaces with limited links instead.
Skipped, with the reason, where slurm-wlm and munge aren't installed, this isn't root, or namespaces can't be had."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BIN, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
CLUSTER = pathlib.Path(__file__).parent / "cluster.sh"
NETWORK = sys.argv[3:] == ["slow_link"]
# The shortest case: half a second or so.
QUICK = ["--device", "cpu", "--case_seconds", "0.05"]
PAYLOAD = 1 << 20  # of a collective over limited links
LONGER = ["--device", "cpu", "--case_seconds", "1"]


def call(*command, codes=(0,), **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=240, **more)
    assert done.returncode in codes, f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done


def wait_for(condition, what, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


class Cluster:
    """The real programs, on operands that small tests can afford."""

    def __init__(self, folder):
        self.folder = folder
        namespace = folder / "namespace"
        self.space = "/run/netns/" + namespace.read_text().strip() if namespace.exists() else ""
        self.there = ["nsenter", "--net=" + self.space] if self.space else []
        self.bin = folder / "tree" / "build" / "bin"
        self.bin.mkdir(parents=True)
        (folder / "tree" / "scripts").symlink_to(SOURCE / "scripts")
        shutil.copy(BIN / "trainmeter", self.bin)
        for name, also in (("gemm_bench", "--cache=hot"), ("memory_bench", "--cache=hot --bytes=1048576"), ("collective_bench", "--cache=hot")):
            (self.bin / name).write_text(f'#!/bin/sh\nexec "{BIN}/{name}" {also} "$@"\n')
            (self.bin / name).chmod(0o755)
        os.environ.update(SLURM_CONF=str(folder / "slurm.conf"), TRAINMETER_DATA=str(SOURCE / "results/published"),
                          OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", MASTER_ADDR="127.0.0.1",  # n1 is no host name here
                          TRAINMETER_POLL_SECONDS="1")
        os.chdir(folder)

    def submit(self, *arguments, codes=(0,)):
        return call(*self.there, self.bin / "trainmeter", "submit", *arguments, codes=codes)

    def start(self, *arguments):
        """Submitted and left alone, as by a terminal that was lost; the job's number."""
        follower = subprocess.Popen([str(self.bin / "trainmeter"), "submit", *arguments], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE, text=True)
        for line in follower.stderr:
            if line.startswith("job "):
                job = line.split()[1].rstrip(",")
                break
        follower.send_signal(signal.SIGHUP)
        follower.wait()
        follower.stderr.close()
        return job

    def records(self, job):
        return sorted((self.folder / "trainmeter-jobs" / job / "records").glob("*.jsonl"))

    def measured(self, job):
        names = []
        for file in self.records(job):
            text = file.read_text()
            for line in text[: text.rfind("\n") + 1].splitlines():
                row = json.loads(line)
                if row["kind"] == "measurement":
                    names.append((file.stem, row["name"]))
        return names

    def log(self, job):
        file = self.folder / "trainmeter-jobs" / f"{job}.log"
        return file.read_text() if file.exists() else ""

    def state(self, job):
        for word in call("scontrol", "show", "job", job).stdout.split():
            if word.startswith("JobState="):
                return word.removeprefix("JobState=")
        return ""

    def start_again(self, job):
        """Slurm keeps a requeued job back until nothing of its first start can reach the second: as long as credentials live
        (cluster.sh). That must not be cut short: on a busy machine the first one's end has ended the second."""
        wait_for(lambda: self.state(job) == "PENDING", "it waits for its next turn")
        call("scontrol", "update", f"jobid={job}", "timelimit=60")

    def attach(self, job, codes=(0,)):
        try:
            return self.submit("--attach", job, codes=codes)
        except AssertionError as wrong:
            raise AssertionError(f"{wrong}\nthe job's log:\n{self.log(job)}") from None


EVERYTHING = 10  # cases of measure_node.sh on a CPU: 3 GEMM shapes and 2 memory kernels, by 2 implementations each


def case_report(c):
    """sbatch to report; what it says before; GPUs asked for; names that Slurm knows in the record."""
    site = c.folder / "site.json"
    site.write_text(json.dumps({"partition": "gpu", "gres": "gpu", "gpus_per_node": 8, "mpi": "none"}))
    done = c.submit(*QUICK, "--site", str(site))
    assert "at most" in done.stderr and "memory bandwidth" in done.stderr, done.stderr
    assert "cases measured" in done.stderr, done.stderr
    assert "gemm" in done.stdout, done.stdout
    measured = c.measured("1")
    assert len(measured) == len(set(measured)) == EVERYTHING, measured
    shown = call("scontrol", "show", "job", "1").stdout
    assert "gpu:8" in shown and "TimeLimit=00:15:00" in shown, shown
    assert "MinMemoryNode=0" in shown, shown  # all of it, whatever a job gets here without asking
    header = json.loads(c.records("1")[0].read_text().splitlines()[0])
    assert header["host"] in ("n1", "n2"), header["host"]
    # Merging on a disk that says of a renamed file that there was none.
    merged = c.folder / "trainmeter-jobs/1/record.jsonl"
    merged.unlink()
    call(c.bin / "trainmeter", "submit", "--attach", "1",
         env={**os.environ, "LD_PRELOAD": str(BIN.parent / "tests/bench/libfaulty_disk.so"), "FAULTY_DISK": "rename"})
    assert merged.exists() and not merged.with_suffix(".jsonl.part").exists()


APPTAINER = """#!/bin/bash
# In apptainer's place: runs the command here, with the programs that an image would have.
printf '%s\\n' "$*" >>CALLS
until [ "$1" = /images/trainmeter.sif ]; do shift; done
shift
exec "${@//\\/opt\\/trainmeter\\/bin/PROGRAMS}"
"""


def case_site(c):
    """A module that the job loads, as a login shell would, and a container whose programs it runs."""
    if not pathlib.Path("/etc/profile.d/modules.sh").exists():
        print("site: left out, no modules here (apt-get install environment-modules)")
        return
    modules, tools, calls = c.folder / "modulefiles", c.folder / "tools", c.folder / "calls"
    (modules / "toolkit").mkdir(parents=True)
    (modules / "toolkit/1").write_text(f"#%Module1.0\nprepend-path PATH {tools}\n")
    tools.mkdir()
    (tools / "apptainer").write_text(APPTAINER.replace("CALLS", str(calls)).replace("PROGRAMS", str(c.bin).replace("/", "\\/")))
    (tools / "apptainer").chmod(0o755)
    os.environ["MODULEPATH"] = str(modules)
    site = c.folder / "container.json"
    site.write_text(json.dumps({"modules": ["toolkit/1"], "container": "/images/trainmeter.sif"}))
    done = c.submit(*QUICK, "--site", str(site))
    assert "cases measured" in done.stderr and "gemm" in done.stdout, (done.stderr, done.stdout)
    jobs, scripts = c.folder / "trainmeter-jobs", SOURCE / "scripts/slurm"
    assert calls.read_text().startswith(f"exec --bind {jobs} --bind {scripts} /images/trainmeter.sif bash {scripts}/measure_node.sh"), calls.read_text()
    assert "/opt/trainmeter/bin" in calls.read_text(), calls.read_text()
    site.write_text(json.dumps({"modules": ["toolkit/2"]}))
    done = c.submit(*QUICK, "--site", str(site), codes=(3,))
    assert "toolkit/2: failed" in done.stderr + c.log(done.stderr.split("job ")[1].split(",")[0]), done.stderr


def case_refusals(c):
    """Nothing reaches sbatch, let alone a shell, that isn't what it should be."""
    site = c.folder / "evil.json"
    for text in ('{"modules": ["cuda; touch PWNED"]}', '{"partition": "$(touch PWNED)"}', '{"container": "-x"}', '{"gres": "a b"}',
                 '{"module": []}', "[]", '{"gpus_per_node": 0}'):
        site.write_text(text)
        done = c.submit("--dry-run", "--site", str(site), codes=(2,))
        assert done.stderr.count("\n") == 1, done.stderr
    for arguments in (["--attach", "1;touch PWNED"], ["fabric", "--nodes", "1"], ["fleet"], ["--nodes", "2"], ["fleet", "--nodes", "2", "--array", "0-1"],
                      ["--attach", "99999"], ["tree"], ["--time", "soon; touch PWNED", "--device", "cpu"]):
        c.submit(*arguments, codes=(2,))
    assert not list(c.folder.rglob("PWNED"))


def case_fleet_and_killed_task(c):
    """Both nodes at the same time; the task of one is killed, the other goes on and the record holds what both finished."""
    job = c.start("fleet", "--nodes", "2", *LONGER)
    wait_for(lambda: {"n1", "n2"} <= {node for node, _ in c.measured(job)}, "both nodes measure")
    call("scancel", "--signal=KILL", f"{job}.1")  # a fleet has a step for each node
    done = c.attach(job, codes=(137, 143))
    nodes = [node for node, _ in c.measured(job)]
    less, all_of = sorted(nodes.count(node) for node in ("n1", "n2"))
    assert 0 < less < all_of == EVERYTHING, nodes
    assert "2 nodes" in done.stdout, done.stdout


def case_dead_node(c):
    """A node that can't measure leaves no record: it is named all the same, and drained."""
    programs = {program: program.read_text() for program in c.bin.glob("*_bench")}
    try:
        for program, text in programs.items():
            program.write_text(text.replace("exec ", 'if [ "$SLURMD_NODENAME" = n2 ]; then exit 3; fi\nexec '))
        done = c.submit("fleet", "--nodes", "2", *QUICK, codes=(3,))
    finally:
        for program, text in programs.items():
            program.write_text(text)
    assert "2 nodes" in done.stdout and "node: missing: no record (exit code 3)" in done.stdout, done.stdout
    job = next(line.split()[1].rstrip(",") for line in done.stderr.splitlines() if line.startswith("job "))
    call(c.bin / "trainmeter", "accept", c.folder / "trainmeter-jobs" / job, "--drain", c.folder / "drain", codes=(1,))
    assert (c.folder / "drain").read_text().startswith("n2 "), (c.folder / "drain").read_text()


def case_scancel(c):
    job = c.start(*LONGER)
    wait_for(lambda: c.measured(job), "something is measured")
    call("scancel", job)
    done = c.attach(job, codes=(143, 4))
    assert 0 < len(c.measured(job)) < EVERYTHING
    assert "record: " in done.stderr, done.stderr


def case_array(c):
    """One job for as many nodes as become free: all its tasks have one folder and one report."""
    done = c.submit("--array", "0-1", *QUICK)
    job = next(line.split()[1].rstrip(",") for line in done.stderr.splitlines() if line.startswith("job "))
    assert len(c.measured(job)) == EVERYTHING * len(c.records(job))
    assert len(list((c.folder / "trainmeter-jobs" / job / "ended").iterdir())) == 2


def case_two_jobs(c):
    """Two jobs write one record at the same time: every line of both is there, whole."""
    both = c.folder / "both.jsonl"
    steps = [subprocess.Popen(["srun", "--mpi=none", f"--nodelist=n{i}", "-n1", str(c.bin / "memory_bench"), "--device=cpu",
                               "--case_seconds=0.05", f"--out={both}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
             for i in (1, 2)]
    assert [step.wait(timeout=120) for step in steps] == [0, 0]
    rows = [json.loads(line) for line in both.read_text().splitlines()]
    assert {row["host"] for row in rows if row["kind"] == "header"} == {"n1", "n2"}
    assert sum(row["kind"] == "measurement" for row in rows) == 2 * 7, len(rows)
    call(c.bin / "trainmeter", "report", both)


def case_fabric(c):
    """Pairs of nodes, named for accept; their ranks meet by Slurm's variables."""
    site = c.folder / "site.json"
    site.write_text(json.dumps({"mpi": "none"}))
    done = c.submit("fabric", "--nodes", "2", *QUICK, "--site", str(site))
    assert "all pairs of 2 nodes (rounds: 1)" in done.stderr, done.stderr
    files = list((c.folder / "trainmeter-jobs").glob("*/records/n1+n2.jsonl"))
    assert len(files) == 1, files
    rows = [json.loads(line) for line in files[0].read_text().splitlines()]
    rows = [row for row in rows if row["kind"] == "measurement"]
    assert rows and all(row["notes"]["hosts"] == "n1 n2" and row["ranks"] == 2 for row in rows), rows
    verdict = call(c.bin / "trainmeter", "accept", files[0], "--format", "json")
    assert json.loads(verdict.stdout)["links"][0]["name"] == "n1 - n2", verdict.stdout


def case_requeue(c):
    """Requeued in mid-run, as pre-emption does: it goes on where it was, and measures nothing twice."""
    job = c.start(*LONGER, "--nodelist", "n1")
    wait_for(lambda: len(c.measured(job)) >= 2, "two cases are measured")
    before = c.measured(job)
    call("scontrol", "requeue", job)
    c.start_again(job)
    c.attach(job)
    measured = c.measured(job)
    assert measured[: len(before)] == before
    assert len(measured) == len(set(measured)) == EVERYTHING, measured
    assert "start number 2" in c.log(job), c.log(job)


def case_time_limit(c):
    """The warning before the time limit: the job asks for another turn, and goes on. Sent by hand: Slurm looks at limits every 30 s,
    and a job of a test is over by then."""
    job = c.start(*LONGER, "--nodelist", "n1")
    wait_for(lambda: len(c.measured(job)) >= 2, "two cases are measured")
    call("scancel", "--batch", "--signal=USR1", job)
    wait_for(lambda: "the time limit is near" in c.log(job), "USR1 has come")
    before = c.measured(job)
    assert 0 < len(before) < EVERYTHING, before
    c.start_again(job)
    c.attach(job)
    measured = c.measured(job)
    assert len(measured) == len(set(measured)) == EVERYTHING, measured


def case_node_down(c):
    """A node of a fleet is set down in mid-job: the other one's record is complete, and what the lost one finished is there."""
    job = c.start("fleet", "--nodes", "2", *LONGER)
    wait_for(lambda: {"n1", "n2"} <= {node for node, _ in c.measured(job)}, "both nodes measure")
    call("scontrol", "update", "nodename=n2", "state=down", "reason=test")
    try:
        c.attach(job, codes=(4,))
        assert "n2: lost" in c.log(job), c.log(job)
        nodes = [node for node, _ in c.measured(job)]
        assert nodes.count("n1") == EVERYTHING and nodes.count("n2") > 0, nodes
    finally:
        call("scontrol", "update", "nodename=n2", "state=resume", codes=(0, 1))  # 1: it came back by itself


def case_slow_link(c):
    """Four nodes with a network of their own each, 400 Mbit/s to a switch, and one path at half of it: fabric's rounds and accept find
    that path and nothing else. Ranks are started by Slurm and PMIx, and MPI carries the data over TCP."""
    for one, other in ((2, 3), (3, 2)):
        slow = ["tc", "-n", pathlib.Path(c.space).name + f"-{one}"]
        call(*slow, "class", "add", "dev", "eth0", "parent", "1:", "classid", "1:2", "htb", "rate", "200mbit", "quantum", "60000")
        call(*slow, "filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip", "u32",
             "match", "ip", "dst", f"10.77.0.{other}/32", "flowid", "1:2")
    os.environ.update(OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_btl="tcp,self")
    (c.bin / "collective_bench").write_text(  # 64 MiB would take seconds over such links
        f'#!/bin/bash\nexec "{BIN}/collective_bench" "${{@/#--bytes=*/--bytes={PAYLOAD}}}"\n')
    done = c.submit("fabric", "--nodes", "4", "--device", "cpu", "--case_seconds", "0.1", codes=(0, 1))
    assert "all pairs of 4 nodes (rounds: 3)" in done.stderr, done.stderr
    records = sorted(c.folder.glob("trainmeter-jobs/*/records/*+*.jsonl"))
    rate = {}  # by pair
    for file in records:
        for row in map(json.loads, file.read_text().splitlines()):
            if row["kind"] == "measurement":
                rate[row["notes"]["hosts"]] = PAYLOAD / sorted(row["time_s"])[len(row["time_s"]) // 2]
    assert len(rate) == 6, rate
    usual = sorted(rate.values())[3]
    print("MB/s:", {pair: round(value / 1e6, 1) for pair, value in rate.items()})
    rules = c.folder / "rules.json"
    rules.write_text(json.dumps({"floors": [{"operation": "allreduce", "shape": {"bytes": PAYLOAD}, "bytes_per_s": 0.7 * usual}]}))
    verdict = json.loads(call(c.bin / "trainmeter", "accept", *records, "--rules", rules, "--format", "json", codes=(1,)).stdout)
    failed = [part["name"] for kind in ("nodes", "links") for part in verdict[kind] if part["verdict"] == "fail"]
    assert failed == ["n2 - n3"], verdict
    call(c.bin / "trainmeter", "accept", *records, "--rules", rules, "--drain", c.folder / "drain", codes=(1,))
    assert not (c.folder / "drain").read_text(), "no node is to blame"


def skip(why):
    print("skipped: " + why)
    sys.exit(0)


for program in ("sbatch", "slurmctld", "slurmd", "munged"):
    if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None:
        skip(f"no {program} (apt-get install slurm-wlm munge)")
if os.geteuid() != 0:
    skip("the test cluster needs root")
os.environ["PATH"] += ":/usr/sbin"
if NETWORK:
    for program in ("ip", "tc", "nsenter"):
        if shutil.which(program) is None:
            skip(f"no {program} (apt-get install iproute2 util-linux)")
    needs = ("ip link add bridge0 type bridge", "ip link add veth0 type veth peer name veth1", "tc qdisc add dev lo root handle 1: htb",
             "tc filter add dev lo parent 1: protocol ip u32 match ip dst 127.0.0.2/32 flowid 1:2",
             "ip netns add trainmeter-probe", "ip netns delete trainmeter-probe")
    probe = ["unshare", "--net", "--uts", "sh", "-ec", "; ".join(needs)]
    probed = subprocess.run(probe, capture_output=True, text=True, check=False)
    if probed.returncode != 0:
        skip("no network namespaces with limited links here: " + probed.stderr.strip().replace("\n", " "))

cases = {name.removeprefix("case_"): function for name, function in list(globals().items()) if name.startswith("case_")}
cluster = None
with tempfile.TemporaryDirectory(prefix="trainmeter-slurm-", ignore_cleanup_errors=True) as folder:
    folder = pathlib.Path(folder).resolve()
    try:
        call(CLUSTER, "start", folder, *(["4", "400mbit"] if NETWORK else []))
        cluster = Cluster(folder)
        for name in sys.argv[3:] or [case for case in cases if case != "slow_link"]:
            start = time.monotonic()
            cases[name](cluster)
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    finally:
        os.chdir("/")
        if cluster:
            subprocess.run([*cluster.there, "scancel", "--user=root"], capture_output=True, check=False)
        time.sleep(0.5)
        subprocess.run([CLUSTER, "stop", folder], check=False)
left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout.split()
assert not left, f"processes stay: {left}"
left = [space for space in os.listdir("/run/netns") if space.startswith(cluster.space.rpartition("/")[2])] if NETWORK else []
assert not left, f"namespaces stay: {left}"
