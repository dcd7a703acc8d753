# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The process in which scripts/gpu_gpt.py answers, as scripts/validate_gpu.py asks it: with a limit of time, and begun anew where it was lost."""
import json
import os
import select
import signal
import subprocess
import time

from validate_work import SCRIPTS


class Failed(Exception):
    """What one case needed went wrong; the others run."""


class Worker:
    """scripts/gpu_gpt.py, started again where it was lost. The programs' libraries aren't its own."""

    def __init__(self, python, log):
        self.python, self.log, self.process = python, log, None

    def begin(self):
        if not self.process:
            self.process = subprocess.Popen([self.python, "-B", str(SCRIPTS / "gpu_gpt.py"), "serve"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)

    def ask(self, what, case, seconds):
        try:
            self.begin()
            self.process.stdin.write((json.dumps({"what": what, "case": case}) + "\n").encode())
            self.process.stdin.flush()
            answer = self.line(time.monotonic() + seconds)
        except BrokenPipeError:
            answer = self.ended()
        except OSError as why:
            answer = {"error": f"PyTorch's process: {why.strerror}", "lost": True}
        if answer.get("lost"):
            self.end()
        if "result" not in answer:
            raise Failed(f"{what}: {answer['error']}")
        return answer["result"]

    def ended(self):
        return {"error": f"PyTorch's process ended with code {self.process.wait()} (its last words are in log.txt)", "lost": True}

    def line(self, end):
        pipe, text = self.process.stdout.fileno(), b""
        while not text.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                return {"error": "no answer in time", "lost": True}
            more = os.read(pipe, 1 << 20)
            if not more:
                return self.ended()
            text += more
        return json.loads(text)

    def end(self):
        if self.process:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)  # torch.compile's helpers too
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None
