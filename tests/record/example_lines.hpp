// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A header and a measurement with every field set, for tests.
#pragma once

#include "record/record.hpp"

namespace trainmeter {

inline Header sample_header(const std::string& session = "gemm_bench-1") {
  return {.session = session,
          .program = "gemm_bench",
          .version = "0.1.0",
          .git_revision = "abc1234-dirty",
          .started_at = "2026-11-24T10:00:00Z",
          .host = "node \"7\"",
          .command = {"gemm_bench", "--out=a b.jsonl"},
          .device = {.kind = "cpu",
                     .name = "Some CPU",
                     .count = 1,
                     .sms = 2,
                     .memory_bytes = 1 << 30,
                     .last_level_cache_bytes = 1 << 25,
                     .details = {{"isa", "avx2"}}},
          .discipline = {.timer = "steady_clock",
                         .data = "normal",
                         .cache = "rotate",
                         .regime = "burst",
                         .warmup_s = 0.1,
                         .min_time_s = 0.2,
                         .min_samples = 10,
                         .target = 0.01,
                         .max_time_s = 2},
          .software = {{"oneDNN", "2.6.3"}},
          .environment = {{"OMP_NUM_THREADS", "2"}}};
}

inline Measurement sample_measurement(const std::string& session = "gemm_bench-1") {
  Measurement m;
  m.session = session;
  m.name = "gemm/fp32/onednn/m:64/n:64/k:64";
  m.operation = "gemm";
  m.dtype = "fp32";
  m.backend = "onednn";
  m.shape = {{"m", 64}, {"n", 64}, {"k", 64}};
  m.layout = "nt";
  m.flops = 524288;
  m.bytes = 49152;
  m.sms = 2;
  m.at = "2026-11-24T10:00:01Z";
  m.time_s = {0.001, 0.1 + 0.2, 1.0 / 3};
  m.runs_per_sample = 3;
  m.verified = true;
  m.error = 1.25e-7;
  m.error_bound = 1e-5;
  m.check = "all elements, fp64";
  m.repetition = 2;
  m.paired_with = "gemm/fp32/openblas/m:64/n:64/k:64";
  m.sm_clock_hz = {1.7e9};
  m.power_w = {650.5};
  m.temperature_c = {61};
  m.throttle_reasons = {"sw_power_cap"};
  m.stopped = "converged";
  m.marks = {{1, 2, "throttled: sw_power_cap"}};
  m.probes = {{0, 1.5e-4, 2.5e-4}, {2, 1.6e-4, 2.4e-4}};
  m.energy_j = 12.5;
  m.energy_steps = 20;
  m.stretches = {{0, 1, 6.5, 1.6e9}, {2, 2, {}, 1.7e9}};
  m.notes = {{"algorithm", "id 66"}};
  return m;
}

}  // namespace trainmeter
