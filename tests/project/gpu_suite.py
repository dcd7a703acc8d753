# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/gpu_suite.sh rehearsed: a doctor that sees a GPU, the real programs, which find none but refuse wrong flags first, and a sanitizer
that finds an error. gpu_suite.py SOURCE_FOLDER BIN"""
import os
import pathlib
import subprocess
import sys
import tempfile

root, programs = map(pathlib.Path, sys.argv[1:])
if subprocess.run([programs / "gemm_bench", "--device=gpu", "--benchmark_list_tests"], capture_output=True, check=False).returncode == 0:
    print("skipped: there is a GPU, which this would measure on")
    sys.exit(0)


def program(file, text):
    file.write_text("#!/bin/bash\n" + text)
    file.chmod(0o755)


def suite(*words):
    made = subprocess.run([root / "scripts" / "gpu_suite.sh", "--bin", binaries, *words], capture_output=True, text=True, check=False,
                          env={**os.environ, "OUT": str(folder / "out"), "PATH": f"{folder}/tools:{os.environ['PATH']}"})
    return made.returncode, made.stderr


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    binaries = folder / "bin"
    binaries.mkdir()
    (folder / "tools").mkdir()
    calls = folder / "calls"
    for one in ("gemm_bench", "memory_bench", "overlap_bench", "collective_bench", "attention_bench", "layer_bench"):
        program(binaries / one, f'echo "{one} $*" >>{calls}\nexec {programs / one} "$@"\n')
    program(binaries / "trainmeter", """echo '{"compute_capability": "9.0"}'\n""")
    program(binaries / "kernels_gpu_test", f'echo "kernels_gpu_test $*" >>{calls}\n')
    program(folder / "tools" / "compute-sanitizer", '[ "$2" != synccheck ] || exit 86\n[ "$2" != racecheck ] || exit 1\n')

    code, said = suite("--only", "nosuch")
    assert code == 2 and "no section 'nosuch'" in said, said
    code, said = suite()
    assert "exit code" not in said.replace("racecheck: exit code 1", ""), said  # 2: a flag that a program doesn't know
    assert code == 1 and "memcheck: clean" in said and "synccheck: errors" in said, said
    listed = calls.read_text().splitlines()
    assert "kernels_gpu_test" in listed[0] and "--benchmark_min_time=30" in listed[1], listed[:2]
    assert len(listed) > 25, listed
    for flag in ("--fp32_out", "--accumulate", "--groups=8", "--sms=112", "--regime=burst", "--regime=sustained", "--published=deepgemm"):
        assert any(flag in call for call in listed), flag
    budgets = [int(call.split("--max_seconds=")[1].split()[0]) for call in listed if "--max_seconds=" in call]
    assert all(5 <= seconds <= 120 for seconds in budgets), budgets

    calls.unlink()
    code, said = suite("--only", "gemm,decode")
    assert code == 0 and "nothing was measured" in said, said
    assert all(call.startswith("gemm_bench") for call in calls.read_text().splitlines()), calls.read_text()
    calls.unlink()
    code, said = suite("--seconds", "0")
    assert "left out, no time" in said and "--max_seconds" not in calls.read_text(), said
print(f"{len(listed)} calls of the suite are accepted by the programs")
