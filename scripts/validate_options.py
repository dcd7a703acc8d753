# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of scripts/validate_step.py, on a CPU and on a GPU: everything about them that is wrong is said here, in one line, with exit
code 2, before anything is started. The cases that they ask for."""
import argparse
import math
import pathlib
import re
import shutil
import sys
import tempfile

import gpu_cases

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "bin"
PROGRAMS = ("gemm_bench", "memory_bench", "trainmeter")
KEYS = ("layers", "width", "heads", "seq", "batch", "dtype", "procs")
# Chosen before anything was measured. The last four are held out: nobody looked at them while the model of the step was made.
DEVELOPED = [(4, 512, 8, 256, 4, "fp32", 1), (4, 512, 8, 256, 8, "bf16", 1), (8, 256, 4, 128, 16, "fp32", 1),
             (6, 384, 6, 512, 4, "bf16", 1), (4, 512, 8, 256, 4, "fp32", 2)]
HELD_OUT = [(6, 512, 8, 128, 8, "fp32", 1), (3, 768, 12, 256, 6, "bf16", 1), (4, 384, 6, 256, 8, "bf16", 2),
            (12, 256, 4, 256, 4, "fp32", 1)]
MOST = 10**12  # of any size
# Arguments that the other device has no use for.
ON_GPU = ("out", "seconds", "lib", "list", "rehearse", "attention", "optimizer", "mode")
ON_CPU = ("dtype", "procs", "record")


def say(text):
    print(text, file=sys.stderr, flush=True)


def die(code, text):
    say(f"validate_step.py: {text}")
    raise SystemExit(code)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        die(2, message.removeprefix("argument "))


def size(text):
    if not re.fullmatch("-?[0-9]{1,40}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number, found '{text}'")
    if not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"expected at least 1{', at most 10^12' if int(text) > MOST else ''}, found {text}")
    return int(text)


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0, found '{text}'")
    return value


def parser_of(description):
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, prog="validate_step.py", allow_abbrev=False)
    parser.add_argument("--work", type=pathlib.Path, help="folder that keeps what is finished")
    parser.add_argument("--bin", type=pathlib.Path, help="folder of our programs (build/bin)")
    parser.add_argument("--python", help="interpreter with PyTorch (this one)")
    for key in KEYS:
        parser.add_argument(f"--{key}", **({"choices": ["fp32", "bf16"]} if key == "dtype" else {"type": size}))
    parser.add_argument("--vocab", type=size, help="(8192; on a GPU 50304)")
    parser.add_argument("--steps", type=size, help="timed steps of each measurement (5; on a GPU 10)")
    parser.add_argument("--developed", action="store_true", help="only the default cases that aren't held out")
    parser.add_argument("--table", action="store_true", help="only the table of what is finished")
    parser.add_argument("--show", metavar="FILE.runs.json", type=pathlib.Path, help="only the table of what --record kept")
    parser.add_argument("--record", type=pathlib.Path, help="also write all rates to this record, and the runs beside it")
    parser.add_argument("--resume_anyway", action="store_true",
                        help="go on with --work although it is of another machine, build, PyTorch or number of steps")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with these arguments")
    on_gpu = parser.add_argument_group("on a GPU")
    on_gpu.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    on_gpu.add_argument("--out", type=pathlib.Path, help="folder that gets table, record, runs and log, after each case (out in --work)")
    on_gpu.add_argument("--seconds", type=seconds, help="of all: what no time is left for is left out (520)")
    on_gpu.add_argument("--lib", type=pathlib.Path, help="folder of libraries for our programs alone: PyTorch brings its own")
    on_gpu.add_argument("--list", action="store_true", help="what would be run")
    on_gpu.add_argument("--rehearse", action="store_true", help="all of it on the CPU, with cases of no size")
    on_gpu.add_argument("--attention", choices=gpu_cases.ATTENTION)
    on_gpu.add_argument("--optimizer", choices=gpu_cases.OPTIMIZERS)
    on_gpu.add_argument("--mode", choices=gpu_cases.MODES)
    return parser


def refuse_case(case):
    """A case that is wrong on every machine."""
    if case["width"] % case["heads"]:
        die(2, f"--heads: expected a divisor of --width ({case['width']}), found {case['heads']}")
    if case["batch"] % case["procs"]:
        die(2, f"--procs: expected a divisor of --batch ({case['batch']}), found {case['procs']}")


def own_case(options, keys, optional):
    """What was given of a case of the user's own; none: the default cases."""
    given = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
    missing = [f"--{key}" for key in keys if key not in given and key not in optional]
    if given and missing:
        die(2, f"a case of your own needs {', '.join(missing)} too")
    if given and options.developed:
        die(2, "--developed: expected without a case of your own")
    return given


def cpu_cases(options):
    given = own_case(options, KEYS, ())
    asked = [tuple(given[key] for key in KEYS)] if given else DEVELOPED if options.developed else DEVELOPED + HELD_OUT
    return [dict(zip(KEYS, values)) | {"vocab": options.vocab, "steps": options.steps} for values in asked]


def cases_on_gpu(options):
    given = own_case(options, gpu_cases.KEYS, ("attention", "optimizer", "mode"))
    if options.rehearse and not given:
        return [gpu_cases.made((2, 64, 2, 64, 4, *way), 256, options.steps) for way in gpu_cases.REHEARSED]
    order = [case for case in gpu_cases.ORDER if not options.developed or case in gpu_cases.DEVELOPED]
    if given:
        given = {"attention": "sdpa", "optimizer": "fused", "mode": "eager"} | given
        order = [tuple(given[key] for key in gpu_cases.KEYS)]
    return [gpu_cases.made(values, options.vocab, options.steps) for values in order]


def require_folder(flag, folder):
    """That files can be written there, before hours of work are to be kept in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as why:
        die(2, f"{flag}: {folder}: can't be written to: {why.strerror}")


def require_file(flag, file):
    new = not file.exists()
    try:
        open(file, "ab").close()
        if new:
            file.unlink()
    except OSError as why:
        die(2, f"{flag}: {file}: can't be written: {why.strerror}")


def require_places(options):
    """Folders, files and programs that the arguments name."""
    gpu = options.device == "gpu"
    needed = () if options.list else PROGRAMS if not options.table else ("trainmeter",) if gpu else ()
    for program in needed:
        if not (options.bin / program).is_file():
            die(2, f"--bin: {options.bin}: expected {', '.join(needed)}; no {program} is there (build first, or name their folder)")
    if not (options.table or options.list or shutil.which(options.python)):
        die(2, f"--python: no program '{options.python}'")
    if options.table and not options.work.is_dir():
        die(2, f"--work: {options.work}: expected the folder of an earlier run")
    if gpu or not options.table:
        require_folder("--work", options.work)
    if options.out:
        require_folder("--out", options.out)
    if options.record:
        require_file("--record", options.record)


def read(description, words=None):
    """Options, their defaults filled in; `cases` among them (none with --show)."""
    parser = parser_of(description)
    options = parser.parse_args(words)
    given = [key for key, value in vars(options).items() if value != parser.get_default(key)]
    if options.show:
        others = [f"--{key}" for key in given if key not in ("show", "check")]
        if others:
            die(2, f"--show: expected alone, found {', '.join(others)}")
        return options
    gpu = options.device == "gpu"
    for key in given:
        if key in (ON_CPU if gpu else ON_GPU):
            die(2, f"--{key}: expected {'without' if gpu else 'together with'} --device gpu")
    if options.list and options.table:
        die(2, "--list and --table: expected one of them")
    if not options.work:
        die(2, "--work: expected a folder that keeps what is finished")
    for key, value in (("bin", BIN), ("python", sys.executable), ("seconds", 520.0),
                       ("vocab", gpu_cases.VOCAB if gpu else 8192), ("steps", 10 if gpu else 5)):
        if getattr(options, key) is None:
            setattr(options, key, value)
    options.cases = (cases_on_gpu if gpu else cpu_cases)(options)
    for case in options.cases:
        refuse_case(case)
    if not options.check:
        require_places(options)
    return options
