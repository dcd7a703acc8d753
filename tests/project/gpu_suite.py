# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/gpu_suite.sh rehearsed: a doctor that sees a GPU, the real programs, which find none but refuse wrong flags first, a sanitizer
that finds an error, and tests that hang and crash. gpu_suite.py SOURCE_FOLDER BIN"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

root, programs = map(pathlib.Path, sys.argv[1:])
if subprocess.run([programs / "gemm_bench", "--device=gpu", "--benchmark_list_tests"], capture_output=True, check=False).returncode == 0:
    print("skipped: there is a GPU, which this would measure on")
    sys.exit(0)

# As GoogleTest: five tests, one of which hangs, one crashes, and one is wrong.
HALF_BAD_TESTS = """
for flag in "$@"; do case $flag in --gtest_filter=-*) skip=:${flag#*=-}: ;; esac; done
failed=0
for test in Gpu.Right Gpu.Hangs Gpu.Crashes/1 Gpu.Wrong Gpu.Last; do
  case $skip in *":$test:"*) continue ;; esac
  echo "$test" >>CALLS
  echo "[ RUN      ] $test"
  case $test in
    *Hangs) sleep 100 ;;
    *Crashes/1) kill -SEGV $$ ;;
    *Wrong) failed=1; printf 'wrong.cpp:1: Failure\\n[  FAILED  ] %s (0 ms)\\n' "$test"; continue ;;
  esac
  echo "[       OK ] $test (0 ms)"
done
echo "[==========] some tests from 1 test suite ran. (0 ms total)"
exit $failed
"""


def program(file, text):
    file.write_text("#!/bin/bash\n" + text)
    file.chmod(0o755)


# In `timeout`'s place: the script's clock is set forward by what a call would take, and nothing runs. GEMMs of Hopper beside cuBLASLt's as
# on an H200 (results/measured/h200-bars: 02:47:41 to 02:48:03), 34 s of warm-up, 190 s of tests; all others their own seconds and ten more.
SET_FORWARD = """() {
  local call="$*" took
  echo "${call//$'\\n'/ }" >>CALLS
  case $call in
    *kernels_gpu_test*) took=150 ;;
    *bench_gpu_test*) took=40 ;;
    *--benchmark_min_warmup_time=30*) took=34 ;;
    *--n=7168,24576,2112*) took=12 ;;
    *--fp32_out* | *--sms=112* | *--m=4096\\ --n=4096\\ * | *--m=8192*) took=3 ;;
    *) took=$((${call##*--max_seconds=} + 10)) ;;
  esac
  SECONDS=$((SECONDS + (took < $3 ? took : $3)))
}"""


def suite(*words, **variables):
    made = subprocess.run([root / "scripts" / "gpu_suite.sh", "--bin", binaries, *words], capture_output=True, text=True, check=False,
                          env={**os.environ, "OUT": str(folder / "out"), "PATH": f"{folder}/tools:{os.environ['PATH']}", **variables})
    return made.returncode, made.stderr.replace("skipped: ", "skipped, ")  # or ctest would take a failed assertion for a test that was skipped


def planned():
    """What comes within the time that there is by default: each program with its flags, and its own seconds; and what was said."""
    code, said = suite(**{"BASH_FUNC_timeout%%": SET_FORWARD.replace("CALLS", str(folder / "plan"))})
    assert code == 0 and "left out, no time" in said, said
    plan = [call.partition(f"{binaries}/")[2] for call in (folder / "plan").read_text().splitlines()]
    (folder / "plan").unlink()
    return [(call.partition(" --device=gpu --max_seconds=")[0], int(call.partition("--max_seconds=")[2] or 0)) for call in plan], said


def limits(seconds):
    """Of each program of a suite that had so many: its own seconds, and those after which it is ended. They are the suite's, or fewer."""
    found = []
    for call in (folder / "limits").read_text().splitlines():
        kill, term = map(int, re.match("-k ([0-9]+) ([0-9]+) ", call).groups())
        assert kill > 0 and kill + term <= seconds + 1, call
        if "--max_seconds=" in call:
            found.append((int(call.split("--max_seconds=")[1].split()[0]), term))
    (folder / "limits").unlink()
    return found


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
    program(folder / "tools" / "timeout", f'echo "$*" >>{folder}/limits\nexec {shutil.which("timeout")} "$@"\n')
    program(folder / "tools" / "compute-sanitizer", 'echo "tile $TRAINMETER_GEMM_TILE, algorithm $TRAINMETER_CUBLASLT_ALGORITHM"\n'
            '[ "$2" != synccheck ] || exit 86\n[ "$2" != racecheck ] || exit 1\n')

    code, said = suite("--only", "nosuch")
    assert code == 2 and "no section 'nosuch'" in said, said
    # Each section that the page names can be asked for.
    page = (root / "scripts" / "gpu_suite.sh").read_text(encoding="utf-8").split("# Sections: ")[1].split(". In this order")[0]
    sections = page.replace("\n#", "").split()
    assert len(sections) > 15, sections
    code, said = suite("--seconds", "0", "--only", ",".join(sections))
    assert "no section" not in said, said
    code, said = suite()
    assert "exit code" not in said.replace("racecheck: exit code 1", ""), said  # 2: a flag that a program doesn't know
    assert code == 1 and "memcheck: clean" in said and "synccheck: errors" in said, said
    assert (folder / "out" / "memcheck.txt").read_text() == "tile 0, algorithm 0\n", "trials wait for the host"
    listed = calls.read_text().splitlines()
    assert "kernels_gpu_test" in listed[0] and "--benchmark_min_warmup_time=30" in listed[1], listed[:2]
    assert len(listed) > 25, listed
    for flag in ("--fp32_out", "--accumulate", "--groups=8", "--sms=112", "--regime=burst", "--regime=sustained", "--published=deepgemm"):
        assert any(flag in call for call in listed), flag
    budgets = [int(call.split("--max_seconds=")[1].split()[0]) for call in listed if "--max_seconds=" in call]
    assert all(5 <= seconds <= 150 for seconds in budgets), budgets
    layers = [call for call in listed if call.startswith("layer_bench") and "deepseek-v3" in call]
    assert [(("--co_sms=20" in call), call.split("--pass=")[1].split()[0]) for call in layers] == [
        (held, which) for held in (False, True) for which in ("forward", "backward")], layers
    assert all(left >= seconds for seconds, left in limits(440)), "less than the program's own seconds"

    calls.unlink()
    code, said = suite("--only", "gemm,decode")
    assert code == 0 and "nothing was measured" in said, said
    assert all(call.startswith("gemm_bench") for call in calls.read_text().splitlines()), calls.read_text()
    calls.unlink()
    (folder / "limits").unlink()
    code, said = suite("--only", "memory,sanitizer", "--seconds", "40")
    assert limits(40) == [(30, 39)], "a quarter is for the case that it is at"
    calls.unlink()
    code, said = suite("--seconds", "0")
    assert "left out, no time: kernels_gpu_test" in said and "left out, no time: gemm_bench" in said and not calls.exists(), said

    # What is promised comes within the time that there is by default, on one GPU and on a node of eight.
    def seconds_of(plan, *starts):
        found = [(next(i for i, start in enumerate(starts) if flags.startswith(start)), seconds) for flags, seconds in plan if flags.startswith(starts)]
        assert [i for i, _ in found] == sorted(i for i, _ in found), plan
        return [seconds for _, seconds in found]

    program(binaries / "bench_gpu_test", "")
    plan, said = planned()
    table = "gemm_bench --published=deepgemm-55ab91f-dense-4096"
    assert seconds_of(plan, "kernels_gpu_test", "bench_gpu_test", "memory_bench --benchmark_filter=-peer_copy", f"{table},", f"{table} ") == [0, 0, 30, 45, 25], plan
    assert not [flags for flags, _ in plan if "--concurrent" in flags] and "skipped, one GPU" in said, plan
    program(binaries / "trainmeter", """printf '"compute_capability": "9.0"\\n%.0s' {1..8}\n""")
    plan, said = planned()
    assert seconds_of(plan, "kernels_gpu_test", "bench_gpu_test", "collective_bench", "memory_bench --benchmark_filter=-peer_copy",
                      "memory_bench --benchmark_filter=peer_copy") == [0, 0, 45, 45, 30, 20], plan
    (binaries / "bench_gpu_test").unlink()

    # Of our GEMMs only the generic one runs where there is no Hopper.
    program(binaries / "trainmeter", """echo '"compute_capability": "8.0"'\n""")
    plan, said = planned()
    ours = [flags for flags, _ in plan if "--versus=cublaslt" in flags]
    assert len(ours) > 3 and all("--benchmark_filter=/mma/" in flags for flags in ours), ours
    assert not [flags for flags, _ in plan if "fp8" in flags or "deepgemm" in flags], plan
    assert "left out, of our kernels only those for Hopper do this: gemm_bench" in said, said

    # A node of two GPUs, on which rank 1 ends badly: a process for each of them, with the same flags, on the GPU that is theirs.
    ranks = """[ "$RANK" != 1 ] || exit 4\nexit 3\n"""
    program(binaries / "collective_bench", f'echo "collective_bench $* rank:$RANK of:$WORLD_SIZE at:$MASTER_ADDR step:$SLURM_STEP_NUM_TASKS$PMI_SIZE" >>{calls}\n{ranks}')
    program(binaries / "trainmeter", """printf '"compute_capability": "9.0"\\n%.0s' 1 2\n""")
    code, said = suite("--only", "collectives,interference", SLURM_STEP_NUM_TASKS="1", SLURM_PROCID="0", PMI_SIZE="1")
    assert code == 4 and said.count("exit code 4: collective_bench") == 1, said
    node = [call for call in calls.read_text().splitlines() if not call.startswith("gemm_bench")]
    collectives = [call.split(" rank:") for call in node if call.startswith("collective_bench")]
    assert [place for _, place in collectives[:1]] == [" of: at: step:11"], collectives
    assert sorted(place for _, place in collectives[1:]) == ["0 of:2 at:127.0.0.1 step:", "1 of:2 at:127.0.0.1 step:"], collectives
    assert collectives[1][0] == collectives[2][0], "other flags than rank 0's are refused"
    assert all("--bytes=8192,268435456," in flags for flags, _ in collectives), "the least and the largest come first"
    beside = [call.split("--beside=")[1].split()[0] for call in node if call.startswith("overlap_bench")]
    assert beside == ["memory_mover,cache_mover,poller", "allreduce,peer_allreduce"], beside
    calls.unlink()

    # PyTorch's GEMMs, which don't end by themselves, beside what another program has measured.
    program(binaries / "trainmeter", """[ "$1" != report ] || exec touch "$4"\necho '"compute_capability": "9.0"'\n""")
    program(binaries / "gemm_bench", """for flag in "$@"; do case $flag in --out=*) echo row >>"${flag#*=}" ;; esac; done\n""")
    program(folder / "tools" / "python3", f'[ "$1" != -c ] || exit 0\necho "$*" >>{calls}\nexec sleep 100\n')
    program(folder / "tools" / "timeout", f"""echo "$*" >>{folder}/limits
[ "$4" != python3 ] || exec {shutil.which("timeout")} 1 "${{@:4}}"
exec {shutil.which("timeout")} "$@"\n""")
    (folder / "limits").unlink()
    code, said = suite("--only", "ladder,peer", "--seconds", "40")
    assert code == 124 and "exit code 124: peer_gemm.py" in said, said
    (peer,) = [pair for pair in limits(40) if pair[1] <= 20]
    assert peer[0] <= 15 and "peer_gemm.py" in calls.read_text(), peer
    calls.unlink()

    program(binaries / "kernels_gpu_test", HALF_BAD_TESTS.replace("CALLS", str(calls)))
    program(binaries / "bench_gpu_test", f'echo "bench_gpu_test $*" >>{calls}\necho no library >&2; exit 127\n')
    code, said = suite("--only", "correct", "--seconds", "12")
    assert code == 1 and "wrong.cpp:1: Failure" in said and "OK ]" not in said, said
    assert "kernels_gpu_test: exit code 124, last begun: [ RUN      ] Gpu.Hangs\n" in said, said
    assert "kernels_gpu_test: exit code 139, last begun: [ RUN      ] Gpu.Crashes/1\n" in said, said
    assert "kernels_gpu_test: exit code 1, last begun: [ RUN      ] Gpu.Last\n" in said, said
    assert "no library\nbench_gpu_test: exit code 127, last begun: \n" in said, said
    begun = calls.read_text().splitlines()
    assert [line.split()[0] for line in begun if line.startswith("Gpu.")] == ["Gpu.Right", "Gpu.Hangs", "Gpu.Crashes/1", "Gpu.Wrong", "Gpu.Last"], begun
    assert not list((folder / "out").glob("tmp*")), "the log is no result"
print(f"{len(listed)} calls of the suite are accepted by the programs")
