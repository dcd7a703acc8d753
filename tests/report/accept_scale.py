# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
# Records of so many nodes, 40 KB each, judged by `trainmeter accept`; prints time and memory.
#   accept_scale.py TRAINMETER NODES [--bars]     --bars: fails above 10 s or 1 GiB
import json, random, resource, subprocess, sys, tempfile, time

trainmeter, nodes = sys.argv[1], int(sys.argv[2])
random.seed(20261125)


def header(node, gpu):
    return {"schema": 1, "kind": "header", "session": f"s{gpu}", "program": "gemm_bench", "version": "0.1.0", "git_revision": "none",
            "started_at": "2026-11-25T10:00:00Z", "host": f"n{node}", "command": ["gemm_bench"], "software": {}, "environment": {},
            "device": {"kind": "gpu", "name": "Toy", "count": 1, "sms": 132, "memory_bytes": 1, "last_level_cache_bytes": 1,
                       "details": {"uuid": f"GPU-{node}-{gpu}"}},
            "discipline": {"timer": "cuda_events", "data": "normal", "cache": "rotate", "warmup_s": 0.1, "min_time_s": 0.2, "min_samples": 10}}


def line(gpu, size):
    rate = random.gauss(1, 0.008)
    return {"kind": "measurement", "session": f"s{gpu}", "name": f"gemm/bf16/cublaslt/m:{size}", "operation": "gemm", "dtype": "bf16",
            "backend": "cublaslt", "shape": {"m": size, "n": size, "k": size}, "layout": "nt", "scaling": "none", "flops": 2.0 * size**3,
            "bytes": 1.0, "ranks": 1, "sms": 132, "beside": "none", "at": "2026-11-25T10:00:01Z", "repetition": 0, "paired_with": "",
            "verified": True, "check": "all", "failure": "", "error": 0.0, "error_bound": 1.0, "runs_per_sample": 1,
            "time_s": [1e-3 / rate * random.gauss(1, 0.005) for _ in range(12)], "sm_clock_hz": [1.7e9], "power_w": [650.5],
            "temperature_c": [61], "throttle_reasons": []}


with tempfile.TemporaryDirectory() as folder:
    size = 0
    for node in range(nodes):
        rows = [row for gpu in range(8) for row in [header(node, gpu)] + [line(gpu, 1024 * i) for i in range(1, 6)]]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        size += len(text)
        with open(f"{folder}/n{node}.jsonl", "w") as out:
            out.write(text)
    start = time.monotonic()
    done = subprocess.run([trainmeter, "accept", folder, "--format", "json"], stdout=subprocess.PIPE, check=False)
    seconds = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
judged = json.loads(done.stdout)["nodes"]
print(f"{nodes} records of {size / nodes / 1e3:.0f} KB: {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of a core), "
      f"{used.ru_maxrss / 2**20:.2f} GiB; {sum(n['verdict'] == 'pass' for n in judged)} of {len(judged)} nodes pass")
assert len(judged) == nodes and all(n["verdict"] != "cannot_tell" for n in judged)
if "--bars" in sys.argv:
    assert seconds < 10 and used.ru_maxrss < 2**20, "above 10 s or 1 GiB"
