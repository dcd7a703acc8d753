# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/peer_gemm.py on the CPU, with nothing beside it but what a portable folder has: PyTorch's GEMMs beside ours in one record that the report
reads, in every layout; a wrong product; bad input. peer_gemm.py SOURCE_FOLDER BIN"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root, programs = map(pathlib.Path, sys.argv[1:])


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


python = next((p for p in (sys.executable, "/usr/bin/python3") if run(p, "-c", "from importlib.util import find_spec as f; exit(not f('torch'))").returncode == 0), None)
if python is None:
    print("skipped: no PyTorch")
    sys.exit(0)

with tempfile.TemporaryDirectory() as folder:
    record, portable = pathlib.Path(folder) / "record.jsonl", pathlib.Path(folder) / "portable"
    portable.mkdir()
    for name in re.findall(r"scripts/(\w+\.py)", (root / "cmake" / "Install.cmake").read_text(encoding="utf-8")):
        shutil.copy(root / "scripts" / name, portable)
    made = run(programs / "gemm_bench", "--device=cpu", "--dtype=fp32", "--m=96", "--n=72", "--k=160", "--layout=nt,nn,tn", "--case_seconds=0.02",
               "--benchmark_min_time=0.01", "--benchmark_filter=onednn", f"--out={record}")
    assert made.returncode == 0, made.stderr
    ours = [json.loads(line) for line in record.read_text().splitlines()]
    for number, text in enumerate(("", "{}\n", "no record\n", json.dumps(ours[0]) + "\n")):
        (pathlib.Path(folder) / f"bad{number}.jsonl").write_text(text)
    # One process, for PyTorch takes long to start: bad files, the record, a run that is ended in its second product, one that is wrong.
    done = run(python, "-B", "-c", f"""
import glob, sys
sys.path.insert(0, {str(portable)!r})
import peer_gemm
for bad in [*sorted(glob.glob({folder!r} + "/bad*")), "/nowhere"]:
    try:
        peer_gemm.cases_of(bad)
    except SystemExit as end:
        assert end.code == 2, bad
    else:
        assert False, bad
sys.argv = ["peer_gemm.py", {str(record)!r}, "--seconds=0.02"]
assert peer_gemm.main() == 0
class Ended(peer_gemm.Plain):
    def run(self, sets):
        if self.layout == "nn":
            raise KeyboardInterrupt
        return super().run(sets)
right, peer_gemm.Plain = peer_gemm.Plain, Ended
try:
    peer_gemm.main()
except KeyboardInterrupt:
    pass
peer_gemm.Plain = right
class Wrong(peer_gemm.Plain):
    def run(self, sets):
        return super().run(sets) * 1.02
peer_gemm.Plain = Wrong
sys.exit(peer_gemm.main())""")
    assert done.returncode == 1, done.stderr
    refused = [line for line in done.stderr.splitlines() if "expected" in line or "No such file" in line]
    assert len(refused) == 5 and all("bad" in line for line in refused[:4]), done.stderr

    header, *rows = [json.loads(line) for line in record.read_text().splitlines()][len(ours):]
    assert header["program"] == "peer_gemm" and header["device"] == ours[0]["device"] and "PyTorch" in header["software"], header
    right, (second, finished, third, *wrong) = rows[:3], rows[3:]
    assert finished["verified"] and finished["layout"] == "nt", "what was finished is kept"
    assert second["kind"] == third["kind"] == "header" and [row["layout"] for row in right] == ["nt", "nn", "tn"], rows
    for row, beside in zip(right, ours[1:]):
        assert row["backend"] == "pytorch" and row["name"] == beside["name"].replace("onednn", "pytorch"), row["name"]
        assert row["verified"] and row["error"] < 1e-6 and len(row["time_s"]) >= 10 and row["flops"] == beside["flops"], row
    assert len(wrong) >= 3, wrong
    for row in wrong:
        assert not row["verified"] and row["failure"].startswith("wrong result") and not row["time_s"], row
    listed = run(programs / "trainmeter", "export", record, "--format", "csv")
    assert listed.returncode == 0 and listed.stdout.count("pytorch") >= 6, listed.stderr
print("PyTorch's GEMMs stand beside ours")
