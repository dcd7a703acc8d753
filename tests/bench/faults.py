"""The measuring programs under faults: kill -9 at random points, signals, full and read-only disks, quotas, network file systems, a full
/dev/shm, two runs on one record, ranks that die, hang or are slow. Afterwards every finished measurement is in a valid record, --resume
completes it, and nothing is left running, mapped or listening.
    faults.py BIN DISK [KILLS]     DISK: the library made of faulty_disk.cpp; KILLS: how often a program is killed, by default 10"""

import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN, DISK, KILLS = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 10


def program(name, case_seconds, *arguments):
    """The shortest cases that the harness takes, or somewhat longer ones."""
    return [BIN / name, "--device=cpu", "--cache=hot", "--benchmark_min_time=0.02", "--benchmark_min_warmup_time=0.01",
            f"--case_seconds={case_seconds}", "--benchmark_color=false", *arguments]


SHAPES = ["--dtype=fp32", "--m=64", "--n=64", "--k=" + ",".join(str(k) for k in range(64, 68))]
GEMM, LONGER_GEMM = program("gemm_bench", 0.05, *SHAPES), program("gemm_bench", 0.4, "--target=0.0001", *SHAPES)
CASES = 8  # by two libraries
RANDOM = random.Random(20261126)
NAME = "trainmeter-faults-" + str(os.getpid())  # in the environment of all that is started here
os.environ.update(TRAINMETER_TIMEOUT="3", FAULTS_TEST=NAME, OMP_NUM_THREADS="1")


def start(command, out=subprocess.DEVNULL, **more):
    return subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.PIPE, text=True, **more)


def rows(record):
    """Of the whole lines: all of them must be JSON, and a measurement's header must come before it."""
    text = record.read_text() if record.exists() else ""
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    sessions = {line["session"] for line in lines if line["kind"] == "header"}
    found = [line for line in lines if line["kind"] == "measurement"]
    assert all(line["session"] in sessions for line in found), "a line without its header"
    return found


def complete(record, command=GEMM, cases=CASES):
    """--resume does the rest; each case is there once, and the reader takes the record."""
    done = subprocess.run([str(w) for w in [*command, "--resume", f"--out={record}"]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"--resume: {done.returncode}: {done.stderr}"
    names = [row["name"] for row in rows(record)]
    assert len(names) == len(set(names)) == cases, f"{len(names)} lines, {len(set(names))} cases of {cases}"
    done = subprocess.run([BIN / "trainmeter", "export", record, "--format", "csv"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def killed_at_random(folder):
    """The program prints a case when its line is durable: what was printed before the kill is in the record."""
    record, kills, starts = folder / "killed.jsonl", 0, 0
    while kills < KILLS:  # some starts end before they are killed
        printed = folder / "printed"
        with open(printed, "w") as out:
            child = start([*GEMM, "--resume", f"--out={record}"], out)
            time.sleep(RANDOM.uniform(0, 0.8))
            child.kill()
            child.wait()
            child.stderr.close()
        names = {row["name"] for row in rows(record)}
        text = printed.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():
            if line.startswith("gemm/"):
                name = line.split("/iterations")[0]
                assert name in names, f"start {starts}: {name} was finished, and is not in the record"
        starts += 1
        kills += child.returncode == -signal.SIGKILL
        if len(names) == CASES:
            complete(record)
            record.unlink()
    complete(record)
    return f"{kills} of {starts} starts killed"


def free_port():
    """One that nobody uses now; afterwards ranks must have left it."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        PORTS.append(one.getsockname()[1])
    return PORTS[-1]


PORTS = []


def two_ranks(record, *arguments, timeout_s=3):
    """Over shared memory, without MPI."""
    common = {**os.environ, "TRAINMETER_TIMEOUT": str(timeout_s), "WORLD_SIZE": "2", "TRAINMETER_PORT": str(free_port()), "TRAINMETER_TOKEN": NAME}
    return [start(program("collective_bench", 0.05, *arguments, f"--out={record}"), env={**common, "RANK": str(rank)})
            for rank in (0, 1)]


def killed_ranks(folder):
    """Two ranks over shared memory, one of them killed: the other ends with 4, and no segment stays."""
    for kill in range(max(2, KILLS // 10)):
        record = folder / f"ranks{kill}.jsonl"
        ranks = two_ranks(record, "--bytes=1024,4096,16384,65536", "--benchmark_repetitions=50")
        time.sleep(RANDOM.uniform(0.3, 1.5))
        ranks[kill % 2].kill()
        codes = [rank.wait(timeout=30) for rank in ranks]
        said = [rank.stderr.read() for rank in ranks]
        assert codes[kill % 2] == -signal.SIGKILL and codes[1 - kill % 2] == 4, f"{codes}: {said}"
        rows(record)


def hung_rank(folder):
    """It stops for ever: the other one names it, and ends with 4."""
    record = folder / "hung.jsonl"
    ranks = two_ranks(record, "--bytes=1024", "--benchmark_repetitions=500")
    while not rows(record) and ranks[0].poll() is None:
        time.sleep(0.02)
    ranks[1].send_signal(signal.SIGSTOP)
    assert ranks[0].wait(timeout=30) == 4, ranks[0].returncode
    said = ranks[0].stderr.read()
    ranks[1].kill()
    ranks[1].wait()
    assert re.search(rf"rank 1 \(host [^ ,]+, process {ranks[1].pid}\)", said), said
    assert rows(record)


def slow_rank(folder):
    """It runs a tenth of the time: both wait for it, and all is measured."""
    record = folder / "slow.jsonl"
    ranks = two_ranks(record, "--bytes=65536", "--benchmark_repetitions=3", timeout_s=60)
    while ranks[0].poll() is None:
        ranks[1].send_signal(signal.SIGSTOP)
        time.sleep(0.009)
        ranks[1].send_signal(signal.SIGCONT)
        time.sleep(0.001)
    codes = [rank.wait(timeout=30) for rank in ranks]
    assert codes == [0, 0], f"{codes}: {[rank.stderr.read() for rank in ranks]}"
    assert len(rows(record)) == 3 and all("slowest_rank" in row["notes"] for row in rows(record)), rows(record)


def signals(folder):
    """The program ends in order, and at once where the signal comes twice; --resume does the rest."""
    for name, sends, codes in (("TERM", [signal.SIGTERM], (143,)), ("INT", [signal.SIGINT], (130,)),
                               ("INT twice", [signal.SIGINT, signal.SIGINT], (130, -signal.SIGINT))):
        record = folder / f"{name}.jsonl"
        child = start([*LONGER_GEMM, f"--out={record}"])
        while len(rows(record)) < 2 and child.poll() is None:
            time.sleep(0.02)
        for one in sends:
            child.send_signal(one)
            time.sleep(0.01)
        assert child.wait(timeout=30) in codes, f"{name}: {child.returncode}: {child.stderr.read()}"
        assert 2 <= len(rows(record)) < CASES
    complete(record, LONGER_GEMM)


def nobody_reads(folder):
    """The reader of its output goes (| head): the record stays valid, and goes on."""
    record = folder / "pipe.jsonl"
    child = start([*GEMM, f"--out={record}"], subprocess.PIPE)
    child.stdout.close()
    child.wait(timeout=60)
    complete(record)


def two_at_once(folder):
    """Two programs on one record: each under its own header, no line inside another."""
    record = folder / "two.jsonl"
    both = [start([*GEMM, f"--out={record}"]) for _ in range(2)]
    assert [child.wait(timeout=120) for child in both] == [0, 0], [child.stderr.read() for child in both]
    names = [row["name"] for row in rows(record)]
    assert sorted(names) == sorted(2 * list(set(names))) and len(names) == 2 * CASES


def inside(script):
    """In a mount namespace of its own, as root: mounts go with it."""
    return subprocess.run(["unshare", "--mount", "bash", "-ec", script], capture_output=True, text=True, check=False)


def disks(folder):
    if inside("mount -t tmpfs none /mnt").returncode != 0:
        return "skipped: no mount namespaces here"
    gemm = " ".join(f"'{word}'" for word in GEMM)
    done = inside(f"mount -t tmpfs -o size=32k none '{folder}'; code=0; {gemm} --out='{folder}/r.jsonl' || code=$?; "
                  f"tail -c 1 '{folder}/r.jsonl' | od -An -c; mount -o remount,size=8m '{folder}'; {gemm} --resume --out='{folder}/r.jsonl'; "
                  f"'{BIN}/trainmeter' export '{folder}/r.jsonl' --format csv >'{folder}/csv'; "
                  f"echo \"rows $(wc -l <'{folder}/csv')\"; exit $code")
    assert done.returncode == 4, f"disk full: exit code {done.returncode}: {done.stderr}"
    assert "No space left" in done.stderr, done.stderr
    assert "\\n" in done.stdout and f"rows {CASES + 1}" in done.stdout, done.stdout
    done = inside(f"mount -t tmpfs none '{folder}'; mount -o remount,ro '{folder}'; {gemm} --out='{folder}/r.jsonl'")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Read-only" in done.stderr, f"{done.returncode}: {done.stderr}"
    ranks = " ".join(f"'{word}'" for word in program("collective_bench", 0.05, "--bytes=1024"))
    done = inside(f"mount -t tmpfs -o size=16k none /dev/shm; export WORLD_SIZE=2 TRAINMETER_PORT={free_port()}; "
                  f"RANK=1 {ranks} & RANK=0 {ranks}")
    assert done.returncode == 3 and "shared memory: " in done.stderr, f"/dev/shm full: exit code {done.returncode}: {done.stderr}"


def network_disks(folder):
    """What network file systems do to a record that local ones don't; with the disk as it should be, --resume does the rest."""
    gemm, cases = program("gemm_bench", 0.05, "--dtype=fp32", "--m=64", "--n=64", "--k=64,65"), 4
    for fault, words in (("quota", "Disk quota exceeded"), ("late", "No space left"), ("stale", "Stale file handle"),
                         ("no_locks", "cannot be locked: No locks available")):
        record = folder / f"{fault}.jsonl"
        child = start([*gemm, f"--out={record}"], env={**os.environ, "LD_PRELOAD": DISK, "FAULTY_DISK": fault})
        said = child.communicate(timeout=60)[1]
        assert child.returncode == 4 and words in said, f"{fault}: {child.returncode}: {said}"
        assert len(rows(record)) == (0 if fault == "no_locks" else 2), f"{fault}: {len(rows(record))} lines"
        assert record.read_text()[-1:] in ("", "\n"), f"{fault}: a part of a line stays"
        if fault in ("quota", "no_locks"):
            complete(record, gemm, cases)
    record = folder / "append.jsonl"
    writers = [start([*gemm, f"--out={record}"], env={**os.environ, "LD_PRELOAD": DISK, "FAULTY_DISK": "append"}) for _ in range(2)]
    assert [child.wait(timeout=120) for child in writers] == [0, 0], [child.stderr.read() for child in writers]
    assert len(rows(record)) == 2 * cases, f"{len(rows(record))} of {2 * cases} lines"


def sockets():
    """Ports of ours that somebody still listens at or talks over."""
    left = []
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        port = int(local.rpartition(":")[2], 16)
        if port in PORTS and state in ("01", "0A"):  # established, listening
            left.append(f"port {port} in state {state}")
    return left


def left_behind(before):
    """Processes, segments and sockets: none of ours."""
    left = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and f"FAULTS_TEST={NAME}".encode() in (process / "environ").read_bytes():
                left.append((process / "comm").read_text().strip() + " " + process.name)
        except OSError:
            pass
    return left + sorted(segments() - before) + sockets()


def segments():
    return {file.name for file in pathlib.Path("/dev/shm").glob("trainmeter-*")}


segments_before = segments()
with tempfile.TemporaryDirectory() as where:
    for fault in (killed_at_random, killed_ranks, hung_rank, slow_rank, signals, nobody_reads, two_at_once, disks, network_disks):
        begin = time.monotonic()
        folder = pathlib.Path(where) / fault.__name__
        folder.mkdir()
        said = fault(folder)
        print(f"{fault.__name__}: {said or 'survived'} ({time.monotonic() - begin:.0f} s)", flush=True)
        remains = left_behind(segments_before)
        assert not remains, f"{fault.__name__}: left behind: {remains}"
