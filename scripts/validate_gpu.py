# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""scripts/validate_step.py --device gpu: the same judge on a GPU. GPTs of up to 1.3 B parameters in bf16, eager and compiled, each predicted
from rates of this machine before it is timed; after all of them every step, and some GEMMs, once more.

Everything is kept in --work, one folder a case; --out gets, after each case, table.txt, rates.jsonl (all rates), rates.runs.json (runs and
times of steps) and log.txt, and in the end work.tar.gz, from which --table predicts again. A case that fails, or that --seconds leaves no time for,
is named with its reason, and the others run. PyTorch's side is scripts/gpu_gpt.py, the cases and their counts are scripts/gpu_cases.py."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tarfile
import time
import traceback

import gpt_counts
import gpu_cases
import validate_work
from validate_options import ROOT, die, say
from validate_table import rows_of, table, write_runs
from validate_work import Stage, here, require_pytorch, require_same
from validate_worker import Failed, Worker

GEMM_RULES = ["--target=0", "--benchmark_min_time=0.05"]  # ratios of times alone to times in place need no 1 %
LEAST_SECONDS = {"eager": 14, "compiled": 50}  # that a case is begun with
AGAIN_SECONDS = 3  # kept for each finished case's second timing


class Judge:
    def __init__(self, options):
        self.options, self.start = options, time.monotonic()
        self.work, self.out = options.work.resolve(), options.out or options.work / "out"
        self.device = "cpu" if options.rehearse else "cuda"
        self.work.mkdir(parents=True, exist_ok=True)
        self.log = open(self.work / "log.txt", "a", encoding="utf-8")
        self.worker = Worker(options.python, self.log)
        self.reasons, self.software, self.failed = [], "", {}
        self.nothing = (4, "nothing is measured: every case failed, for the reasons above")

    def left(self):
        return self.options.seconds - (time.monotonic() - self.start)

    def say(self, text):
        line = f"[{time.monotonic() - self.start:5.0f} s] {text}"
        say(line)
        print(line, file=self.log, flush=True)

    def ask(self, what, case, timeout_s=90, **more):
        return self.worker.ask(what, case | {"device": self.device} | more, min(timeout_s, max(5, self.left())))

    def program(self, command, seconds):
        """One of ours; its standard output."""
        library = os.pathsep.join(filter(None, [str(self.options.lib) if self.options.lib else "", os.environ.get("LD_LIBRARY_PATH", "")]))
        environment = {"TRAINMETER_DATA": str(ROOT / "results" / "published")} | os.environ | (
            {"LD_LIBRARY_PATH": library} if library else {})
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{pathlib.Path(command[0]).name}: not done after {seconds:.0f} s") from None
        except OSError as why:
            raise Failed(f"{command[0]}: {why.strerror}") from None
        self.log.write(done.stdout[-4000:] + done.stderr[-4000:])
        if done.returncode:
            raise Failed(f"{pathlib.Path(command[0]).name}: exit code {done.returncode}: "
                         f"{(done.stderr.strip().splitlines() or ['nothing said'])[-1][:300]}")
        return done.stdout

    def bench(self, command, record, seconds):
        """Into the record, whole or (where no time is left) what was finished. A case of it that can't be measured isn't missed here."""
        seconds = max(5.0, min(seconds, self.left()))
        try:
            self.program([*command, f"--max_seconds={seconds:.0f}", f"--out={record}"], seconds + 30)
        except Failed as why:
            if not usable_rows(record):
                raise
            self.say(f"{why}; what was measured is used")

    def gemm_command(self, case, folder, roles=None):
        """gemm_bench at the GEMMs of a case's linear layers, all in one call."""
        model = folder / f"{gpu_cases.model_name(case)}.json"
        model.write_text(json.dumps(gpu_cases.model_of(case)), encoding="utf-8")
        shapes = "|".join(sorted({f"m:{m}/n:{n}/k:{k}" for role, _, m, n, k, groups in gpu_cases.layer_gemms(case)
                                  if groups == 1 and (roles is None or role in roles)}))
        return [str(self.options.bin / "gemm_bench"), f"--device={self.named()}", *GEMM_RULES, "--dtype=bf16", f"--models={model}",
                f"--tokens={gpu_cases.tokens(case)}", f"--benchmark_filter=^(fma/.*|gemm/bf16/{self.backend()}/({shapes})(/layout.*)?/iter.*)"]

    def batched_commands(self, case):
        """The same of an unfused attention's batched products."""
        for layout, m, n, k in sorted({one[1:] for one in gpt_counts.attention_gemms(case)}):
            yield [str(self.options.bin / "gemm_bench"), f"--device={self.named()}", *GEMM_RULES, "--dtype=bf16", f"--m={m}", f"--n={n}", f"--k={k}",
                   f"--layout={layout}", f"--batch={case['batch'] * case['heads']}", f"--benchmark_filter=/{self.backend()}/"]

    def memory_command(self):
        return [str(self.options.bin / "memory_bench"), f"--device={self.named()}", "--target=0", "--kernels=triad",
                "--benchmark_filter=^triad/[^/]*/(cuda|openmp)/"]

    def named(self):
        return "cpu" if self.options.rehearse else "gpu"

    def backend(self):
        return "onednn" if self.options.rehearse else "cublaslt"

    def shared(self, name, commands, seconds):
        """A record that several cases use, measured, or failed at, once."""
        record = self.work / f"{name}.jsonl"
        if name in self.failed:
            raise Failed(self.failed[name])
        if not record.exists():
            part = record.with_suffix(".part")
            part.unlink(missing_ok=True)
            self.say(f"{name}: gemm_bench" if name.startswith("gemm") else name)
            try:
                for command in commands:
                    self.bench(command, part, seconds)
                    keep_whole_lines(part)
                if not usable_rows(part):
                    raise Failed(f"{name}: nothing was measured")
            except Failed as why:
                self.failed[name] = str(why)
                raise
            part.replace(record)
        return record

    def records_of(self, case):
        """Those of our own programs; the memory's is a rate to fall back on, and may be missing."""
        gemms = self.shared(f"gemm-{gpu_cases.model_name(case)}-{gpu_cases.tokens(case)}", [self.gemm_command(case, self.work)], 45)
        out = [gemms]
        if case["attention"] == "unfused":
            name = f"gemm-attention-{case['seq']}x{case['width'] // case['heads']}x{case['batch'] * case['heads']}"
            out.append(self.shared(name, self.batched_commands(case), 10))
        try:
            out.append(self.shared("memory", [self.memory_command()], 15))
        except Failed as why:
            self.say(f"{why}; the datasheet's bandwidth stands in")
        return out

    def append(self, case, name, rows, records):
        record = self.work / gpu_cases.name_of(case) / f"{name}.jsonl"
        record.unlink(missing_ok=True)
        validate_work.append(record, case, rows, "pytorch", {"version": self.software}, machine=records[0])
        return record

    def rates(self, case):
        records = self.records_of(case)
        rows = self.ask("operations", case, 200, seconds=0.12)  # compiling takes its time
        paths = [*records, self.append(case, "pytorch", rows, records)]
        try:
            layer = self.ask("layer", case, 200)
            if "no_others" in layer:
                self.say(f"only GEMMs are known in a layer: {layer['no_others']}")
            if layer["missing"]:
                self.say(f"not found in place: {', '.join(layer['missing'])}; PyTorch's were {layer['calls']}")
            paths.append(self.append(case, "layer", layer["rows"], records))
        except Failed as why:
            self.say(f"{why}; no in-place ratio")
        return [str(path.relative_to(self.work)) for path in paths]

    def predict(self, case, *more):
        folder = self.work / gpu_cases.name_of(case)
        rates = json.loads((folder / "rates.json").read_text(encoding="utf-8"))
        # Without a layer's GEMMs nothing is known of this machine's ratio: then as alone.
        more = more if any(pathlib.Path(r).name == "layer.jsonl" for r in rates) else ("--no_in_place",)
        command = [str(self.options.bin / "trainmeter"), "predict", "--run", str(folder / "run.json"), "--system", "measured", "--format", "json",
                   *[word for rate in rates for word in ("--rates", str(self.work / rate))], *more]
        return json.loads(self.program(command, 60))

    def host(self, case):
        return self.ask("host", case, 30)

    def step(self, case):
        return self.ask("step", case, 200, warmup=3)

    def first_pass(self, case):
        """Rates, prediction, and only then the step."""
        folder = self.work / gpu_cases.name_of(case)
        folder.mkdir(parents=True, exist_ok=True)
        stage = Stage(folder, self.say)
        stage("case", lambda: case)
        stage("rates", lambda: self.rates(case))
        host = stage("host", lambda: self.host(case))
        stage("run", lambda: gpu_cases.run_file(case, statistics.median(host["host_s"]), self.software))
        try:
            self.predictions(case)
        except Failed as why:  # --table predicts from what is kept, whatever was wrong with the program here
            self.reasons.append(f"not predicted: {gpu_cases.name_of(case)}: {why}")
            self.say(self.reasons[-1])
        stage("measured", lambda: self.step(case))

    def predictions(self, case):
        stage = Stage(self.work / gpu_cases.name_of(case), self.say)
        stage("prediction", lambda: self.predict(case))
        stage("prediction_alone", lambda: self.predict(case, "--no_in_place"))

    def second_pass(self, case):
        Stage(self.work / gpu_cases.name_of(case), self.say)("measured_again", lambda: self.step(case))

    def attempt(self, case, what, needs):
        """Whether it could be done; the reason is kept where not."""
        name = gpu_cases.name_of(case)
        try:
            if not needs < self.left():
                raise Failed(f"{self.left():.0f} s are left, {needs} needed")
            what(case)
            return True
        except Exception as why:  # whatever it is, the next case may do without
            self.reasons.append(f"skipped: {name}: {why if isinstance(why, Failed) else repr(why)}")
            self.say(self.reasons[-1])
            traceback.print_exc(file=self.log)
            return False

    def drift(self, case):
        """The GEMMs of the first case's forward pass once more: how far this machine's rates moved meanwhile."""
        roles = {f"{role}_fprop" for role in gpt_counts.linear_layers(case)}
        again = self.shared("gemm-again", [self.gemm_command(case, self.work, roles)], 20)
        before = medians(self.work / f"gemm-{gpu_cases.model_name(case)}-{gpu_cases.tokens(case)}.jsonl")
        ratios = [time_s / before[name] for name, time_s in medians(again).items() if name in before and name.startswith("gemm/")]
        return f"GEMMs measured again after all steps: {statistics.median(ratios) - 1:+.1%} in the median of {len(ratios)}" if ratios else None

    def done(self, cases):
        return rows_of(self.work, cases, gpu_cases.name_of, lambda case: tuple(case[k] for k in gpu_cases.KEYS) in gpu_cases.HELD_OUT)

    def write(self, cases, note=None, last=False):
        """All of --out, from what is finished; the work folder itself only in the end."""
        rows = self.done(cases)
        text = "\n".join(filter(None, [table(rows) if rows else "no case is finished", note, *self.reasons]))
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "table.txt").write_text(text + "\n", encoding="utf-8")
        self.write_record(cases, rows)
        self.log.flush()
        shutil.copyfile(self.work / "log.txt", self.out / "log.txt")
        if last:
            with tarfile.open(self.out / "work.tar.gz", "w:gz", compresslevel=3) as tar:
                tar.add(self.work, arcname="work", filter=lambda one: None if {"cache", "out"} & set(pathlib.Path(one.name).parts) else one)
        return text

    def write_record(self, cases, rows):
        shared, own = sorted(self.work.glob("*.jsonl")), []
        for case in cases:
            own += [self.work / gpu_cases.name_of(case) / f"{name}.jsonl" for name in ("pytorch", "layer")]
        with open(self.out / "rates.jsonl", "w", encoding="utf-8") as out:
            seen = set()  # pieces that cases have in common were measured once
            for record in [*shared, *own]:
                for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else []:
                    row = json.loads(line)
                    key = (row.get("name"), str(row.get("time_s")))
                    if row["kind"] == "header" or key not in seen:
                        out.write(line + "\n")
                    seen.add(key)
        write_runs(self.work, rows, self.out / "rates.runs.json")

    def probe(self):
        found = self.ask("probe", {})
        self.software = found["version"]
        self.say(f"PyTorch {found['version']} on {found['device']}")
        return found

    def run(self, cases):
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(self.work / "cache"))
        require_pytorch(self.options.python)
        machine = here(self.options.bin)
        require_same(self.options, gpu_cases.name_of, machine)
        self.worker.begin()  # importing PyTorch takes its time: meanwhile the first GEMMs
        try:
            self.records_of(cases[0])
        except Failed as why:  # which its cases will say, too
            self.say(str(why))
        found, able = self.probe(), []
        require_same(self.options, gpu_cases.name_of, machine | {"PyTorch": found["version"], "GPU": found["device"]})
        for case in cases:
            if not gpu_cases.memory_bytes(case) < found["memory_bytes"]:
                self.reasons.append(f"skipped: {gpu_cases.name_of(case)}: needs about {gpu_cases.memory_bytes(case) / 2**30:.0f} GiB of memory, "
                                    f"the device has {found['memory_bytes'] / 2**30:.0f}")
            elif case["mode"] == "compiled" and not found["compile"]:
                self.reasons.append(f"skipped: {gpu_cases.name_of(case)}: PyTorch {found['version']} has no torch.compile")
            else:
                able.append(case)
        if not able:
            self.nothing = (3, "nothing is measured: this machine can run none of the cases, for the reasons above")
        finished = []
        for case in able:
            needs = LEAST_SECONDS[case["mode"]] + AGAIN_SECONDS * len(finished)
            if self.attempt(case, self.first_pass, 0 if self.options.rehearse else needs):
                finished.append(case)
            self.write(able)
        for case in finished:
            self.attempt(case, self.second_pass, AGAIN_SECONDS)
        note = None
        if finished and self.left() > 10:
            try:
                note = self.drift(finished[0])
            except Failed as why:
                self.say(str(why))
        return self.write(able, note, last=True)


def keep_whole_lines(record):
    """A program that was ended may have left half a line."""
    if record.exists():
        text = record.read_bytes()
        record.write_bytes(text[:text.rfind(b"\n") + 1])


def usable_rows(record):
    return record.exists() and any('"kind":"measurement"' in line.replace(" ", "") for line in record.read_text(encoding="utf-8").splitlines())


def medians(record):
    rows = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return {row["name"]: statistics.median(row["time_s"]) for row in rows if row["kind"] == "measurement" and row["time_s"]}


def listed(judge, cases):
    """What would be run, without running any of it."""
    lines, seen = [" ".join(judge.memory_command())], set()
    for case in cases:
        lines.append(f"{gpu_cases.name_of(case)}: {gpt_counts.parameters(case) / 1e6:.0f} M parameters, {gpu_cases.tokens(case)} tokens, about "
                     f"{gpu_cases.memory_bytes(case) / 2**30:.0f} GiB, {len(gpu_cases.operations(case))} kinds of operations beside GEMMs")
        commands = [judge.gemm_command(case, judge.work)] + (list(judge.batched_commands(case)) if case["attention"] == "unfused" else [])
        lines += [f"  {' '.join(c)}" for c in commands if tuple(c) not in seen]
        seen.update(map(tuple, commands))
        lines.append("  gpu_gpt.py: operations, layer, host; trainmeter predict, with the in-place ratio and without; gpu_gpt.py: step")
    return "\n".join(lines)


def main(options):
    cases = options.cases
    judge = Judge(options)
    if options.list:
        print(listed(judge, cases))
        return
    if options.table:
        try:
            for case in cases:
                if (judge.work / gpu_cases.name_of(case) / "run.json").exists():
                    judge.predictions(case)
        except Failed as why:
            die(4, str(why))
        rows = judge.done(cases)
        if not rows:
            die(2, f"--table: nothing of these cases is finished in {judge.work}")
        print(table(rows))
        return
    try:
        print(judge.run(cases))
        if not judge.done(cases):
            die(*judge.nothing)
    except Failed as why:
        die(3, f"{why} (--python names another interpreter with PyTorch; more in {judge.work / 'log.txt'})")
    finally:
        judge.worker.end()
