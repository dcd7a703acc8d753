# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Times on a GPU for scripts/gpu_gpt.py, by CUDA events; on a CPU, to rehearse, by its clock. For scripts/peer_gemm.py the length of a sleep."""
import time

import torch

SLEEP_HZ = 1.98e9  # cycles of torch.cuda._sleep in a second at Hopper's highest clock: at a lower one it sleeps longer


def on_gpu(case):
    return case["device"] == "cuda"


def synchronize(case):
    if on_gpu(case):
        torch.cuda.synchronize()


class Mark:
    """A point in the device's time; on a CPU, now."""

    def __init__(self, case):
        self.event = torch.cuda.Event(enable_timing=True) if on_gpu(case) else None
        self.at = None

    def put(self):
        if self.event:
            self.event.record()
        self.at = time.perf_counter()
        return self

    def passed(self):
        return not self.event or self.event.query()

    def until(self, end):
        """Seconds from here to `end`, after the device got there."""
        if not self.event:
            return end.at - self.at
        end.event.synchronize()
        return self.event.elapsed_time(end.event) * 1e-3


class Runs:
    """Runs of one kind, turning over `sets`, each timed on the device. Whatever the host needs to launch one passes while the device sleeps."""

    def __init__(self, case, run, sets):
        self.case, self.run, self.sets, self.number, self.late = case, run, sets, 0, 0
        for _ in range(3):
            synchronize(case)
            before = time.perf_counter()
            run(self.turn())
            self.sleep_s = 1.5 * (time.perf_counter() - before) + 20e-6
        synchronize(case)

    def turn(self):
        self.number += 1
        return self.sets[self.number % len(self.sets)]

    def seconds(self):
        """Of one run. One whose start the device reached before all of it was launched doesn't count, and the sleep grows."""
        while True:
            if on_gpu(self.case):
                torch.cuda._sleep(int(self.sleep_s * SLEEP_HZ))
            start = Mark(self.case).put()
            self.run(self.turn())
            too_late = on_gpu(self.case) and start.passed() and self.late < 20
            seconds = start.until(Mark(self.case).put())
            if not too_late:  # nor is it with more launches than the queue holds: the device has enough before it anyway
                return seconds
            self.late, self.sleep_s = self.late + 1, min(1.3 * self.sleep_s, 0.1)


def timed(case, run, sets, seconds, least=7, most=100):
    """Seconds of a run on the device, again and again."""
    runs, times, end = Runs(case, run, sets), [], time.perf_counter() + seconds
    while len(times) < least or (time.perf_counter() < end and len(times) < most):
        times.append(runs.seconds())
    return times
