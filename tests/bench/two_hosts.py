# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Ranks on two hosts without MPI: two network namespaces of this machine, each with a name of its own, joined by a pair of
virtual interfaces. They meet by torchrun's variables and work by gloo. Needs root. Usage: two_hosts.py PATH_OF_COLLECTIVE_BENCH"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENT_S, BRIEF_S = 30, 1.5  # how long ranks wait for each other
BRIEF = ["--device=cpu", "--cache=hot", "--target=0", "--benchmark_min_time=0.01", "--benchmark_min_warmup_time=0.005"]


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


class Hosts:
    """Namespaces a and b, 10.231.0.1 and 10.231.0.2 on a network that nothing else is on."""

    def __init__(self):
        self.names = [f"tm{os.getpid()}{which}" for which in "ab"]

    def why_not(self):
        if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
            return "needs root, ip (iproute2) and unshare"
        steps = [["netns", "add", name] for name in self.names]
        a, b = self.names
        steps.append(["link", "add", "tm0", "netns", a, "type", "veth", "peer", "name", "tm0", "netns", b])
        for number, name in enumerate(self.names, 1):
            steps += [["-n", name, "addr", "add", f"10.231.0.{number}/24", "dev", "tm0"],
                      ["-n", name, "link", "set", "tm0", "up"], ["-n", name, "link", "set", "lo", "up"]]
        for step in steps:
            done = ip(*step)
            if done.returncode != 0:
                return f"ip {' '.join(step)}: {done.stderr.strip()}"
        return None

    def remove(self):
        for name in self.names:
            ip("netns", "del", name)

    def start(self, program, ranks, words, port, patience_s=PATIENT_S):
        """One process a rank, the first half of them on a."""
        running = []
        for rank in range(ranks):
            name = self.names[2 * rank // ranks]
            environment = dict(os.environ, WORLD_SIZE=str(ranks), RANK=str(rank), MASTER_ADDR="10.231.0.1", OMP_WAIT_POLICY="passive",
                               TRAINMETER_PORT=str(port), TRAINMETER_TOKEN="two-hosts", TRAINMETER_TIMEOUT=str(patience_s))
            command = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name} && exec "$@"', "sh", program]
            running.append(subprocess.Popen(command + BRIEF + words, env=environment, text=True,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        return running


def end(running):
    try:
        return [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    finally:
        for process in running:
            process.kill()


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def rows_of(file):
    return [one for one in map(json.loads, file.read_text().splitlines()) if "time_s" in one]


def every_operation(hosts, program, folder):
    file = folder / "all.jsonl"
    words = ["--operation=allreduce,allgather,broadcast,reduce,alltoall,alltoallv,sendrecv", "--bytes=262144",
             "--place=out,in", f"--out={file}"]
    said = end(hosts.start(program, 2, words, 29600))
    require(all(code == 0 for _, code in said), said)
    rows = rows_of(file)
    require(len(rows) == 7 + 4, f"{len(rows)} rows")  # in place: not all-to-all(v) and send/recv
    for row in rows:
        require(row["verified"] and row["backend"] == "gloo" and row["ranks"] == 2, row)
        require(row["notes"]["hosts"] == " ".join(hosts.names), row["notes"])
        require(row["notes"]["slowest_rank_host"] in hosts.names, row["notes"])


def groups(hosts, program, folder):
    for split in ["rail", "node"]:
        file = folder / f"{split}.jsonl"
        said = end(hosts.start(program, 4, [f"--split={split}", "--operation=allreduce,alltoall", "--bytes=4096", f"--out={file}"], 29610))
        require(all(code == 0 for _, code in said), said)
        for row in rows_of(file):
            require(row["verified"] and row["ranks"] == 2 and row["shape"]["groups"] == 2, row)
        require(f"2 groups of 2, by {split}" in file.read_text(), "split")


def refused(hosts, program):
    said = end(hosts.start(program, 2, ["--bytes=4096", "--backend=shm"], 29620))
    require(all(code == 3 for _, code in said) and "here there is gloo alone" in said[0][0], said)


def of_one_name(hosts, program, folder):
    """Containers on one machine's network, and machines from one image: one host name, and no /dev/shm in common."""
    for which in ["aa", "ab"]:
        file = folder / f"one_name_{which}.jsonl"
        running = []
        for rank, namespace in enumerate(hosts.names["ab".index(one)] for one in which):
            environment = dict(os.environ, WORLD_SIZE="2", RANK=str(rank), MASTER_ADDR="10.231.0.1", OMP_WAIT_POLICY="passive",
                               TRAINMETER_PORT="29625", TRAINMETER_TOKEN="one-name", TRAINMETER_TIMEOUT=str(PATIENT_S))
            alone = 'hostname clone && mount -t tmpfs none /dev/shm && exec "$@"'
            command = ["ip", "netns", "exec", namespace, "unshare", "--uts", "--mount", "sh", "-c", alone, "sh", program]
            running.append(subprocess.Popen([*command, *BRIEF, "--operation=allreduce,alltoall", "--bytes=4096", f"--out={file}"],
                                            env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        said = end(running)
        require(all(code == 0 for _, code in said), said)
        require("as on several hosts" in said[0][0] and "called clone" in said[0][0], said)
        require([row["backend"] for row in rows_of(file) if row["verified"]] == ["gloo"] * 2, rows_of(file))


def lost(hosts, program, folder, signal_number):
    """Rank 1 is killed, or stopped for good: rank 0 says so with its host, and keeps what is finished."""
    file = folder / f"lost_{signal_number}.jsonl"
    running = hosts.start(program, 2, ["--bytes=1024,2048,4096,8192", "--benchmark_min_time=0.3", f"--out={file}"], 29630 + signal_number, BRIEF_S)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (file.exists() and rows_of(file)):
        time.sleep(0.02)
    running[1].send_signal(signal_number)
    text, code = end(running[:1])[0]
    running[1].kill()
    running[1].communicate()
    require(code == 4, (code, text))
    require(f"rank 1 (host {hosts.names[1]}) closed its connection or is silent" in text, text)
    require(1 <= len(rows_of(file)) < 4, "what was finished is kept")


def main():
    program = sys.argv[1]
    hosts = Hosts()
    with tempfile.TemporaryDirectory() as folder:
        try:
            why = hosts.why_not()
            if why:
                print(f"skipped: {why}")
                return
            every_operation(hosts, program, pathlib.Path(folder))
            groups(hosts, program, pathlib.Path(folder))
            refused(hosts, program)
            of_one_name(hosts, program, pathlib.Path(folder))
            for signal_number in [signal.SIGKILL, signal.SIGSTOP]:
                lost(hosts, program, pathlib.Path(folder), signal_number)
        finally:
            hosts.remove()


main()
