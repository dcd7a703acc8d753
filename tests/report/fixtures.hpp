// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Small records and runs for the report's tests.
#pragma once

#include "record/formulas.hpp"
#include "record/record.hpp"
#include "workload/run.hpp"

#include "../refusal.hpp"
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace trainmeter {

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A file of this test alone: others run at the same time.
inline std::filesystem::path file_of_test(const std::string& name) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string own = std::string(test->test_suite_name()) + "." + test->name() + "." + name;
  std::ranges::replace(own, '/', '_');
  return std::filesystem::path(::testing::TempDir()) / own;
}

inline std::filesystem::path write_text(const std::string& text, const std::string& name) {
  const auto file = file_of_test(name);
  std::ofstream(file) << text;
  return file;
}

// A GPU that nobody makes: 100 SMs, 1 PFLOP/s in bf16, no bound by memory.
inline System toy_gpu() {
  System system;
  system.id = "toy";
  system.gpu = "Toy";
  system.gpus_per_node = 8;
  system.sms = 100;
  system.peak_flops = {{"bf16", 1e15}};
  return system;
}

inline Library published_library() {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published");
}

inline std::vector<Measurement> joined(const std::vector<std::vector<Measurement>>& parts) {
  std::vector<Measurement> all;
  for (const auto& rows : parts) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

inline Header cpu_header() {
  Header h;
  h.session = "test-1";
  h.program = "gemm_bench";
  h.version = "0";
  h.git_revision = "none";
  h.started_at = "2026-11-24T10:00:00Z";
  h.host = "here";
  h.device = {.kind = "cpu",
              .name = "Some CPU",
              .count = 1,
              .sms = 2,
              .memory_bytes = 1LL << 34,
              .last_level_cache_bytes = 1 << 25,
              .details = {}};
  h.discipline = {.timer = "steady_clock", .data = "normal", .cache = "rotate"};
  return h;
}

inline Measurement measured(const std::string& operation, const std::string& dtype,
                            const std::string& backend, std::map<std::string, std::int64_t> shape,
                            double work, double seconds) {
  Measurement m;
  m.session = "test-1";
  m.operation = operation;
  m.dtype = dtype;
  m.backend = backend;
  m.shape = std::move(shape);
  m.name = operation + "/" + dtype + "/" + backend;
  for (const auto& [key, value] : m.shape) m.name += fmt::format("/{}:{}", key, value);
  const bool compute = operation == "gemm" || operation == "fma";
  (compute ? m.flops : m.bytes) = work;
  m.sms = 2;
  m.at = "2026-11-24T10:00:01Z";
  m.time_s = {seconds * 0.99,  seconds,         seconds * 1.01, seconds,
              seconds * 0.995, seconds * 1.005, seconds};
  m.verified = true;
  m.error = 0;
  m.error_bound = 1;
  m.check = "test";
  return m;
}

// A GEMM that ran at `flops_per_s`.
inline Measurement gemm_at(double flops_per_s, std::int64_t m, std::int64_t n, std::int64_t k,
                           const std::string& dtype = "bf16",
                           const std::string& backend = "onednn") {
  Measurement out = measured("gemm", dtype, backend, {{"m", m}, {"n", n}, {"k", k}},
                             gemm_flops(m, n, k), gemm_flops(m, n, k) / flops_per_s);
  out.layout = "nt";
  return out;
}

inline Record record_of(const std::vector<Measurement>& measurements) {
  Record record;
  record.file = "test.jsonl";
  record.headers = {cpu_header()};
  std::size_t line = 2;
  for (const Measurement& m : measurements) record.lines.push_back({m, 0, line++});
  return record;
}

// As if all of this device had been measured.
inline void put_on(const Device& device, Record& record) {
  for (Header& header : record.headers) header.device = device;
  for (Line& line : record.lines) line.measurement.sms = device.sms;
}

inline Device h200() {
  return {.kind = "gpu",
          .name = "NVIDIA H200",
          .count = 1,
          .sms = 132,
          .memory_bytes = 150'100'000'000,
          .last_level_cache_bytes = 0,
          .details = {}};
}

// Rates of a small CPU: 1 TFLOP/s at every shape tried, 20 GB/s.
inline Record small_cpu() {
  Measurement all_reduce =
      measured("allreduce", "fp32", "mpi", {{"bytes", 1 << 20}}, 1 << 20, 1e-3);
  all_reduce.ranks = 2;
  return record_of({gemm_at(1e12, 1024, 1024, 1024), gemm_at(1e12, 4096, 3072, 768),
                    gemm_at(1e12, 4096, 768, 3072),
                    measured("fma", "bf16", "registers", {{"cores", 2}}, 2e12, 1),
                    measured("triad", "fp64", "openmp", {{"bytes", 1 << 27}}, 3.0 * (1 << 27),
                             3.0 * (1 << 27) / 20e9),
                    measured("copy", "fp64", "openmp", {{"bytes", 1 << 27}}, 2.0 * (1 << 27),
                             2.0 * (1 << 27) / 30e9),
                    all_reduce});
}

inline std::filesystem::path write_record(const Record& record, const std::string& name) {
  const auto file = file_of_test(name);
  std::ofstream out(file);
  for (const Header& header : record.headers) out << to_json_line(header) << '\n';
  for (const Line& line : record.lines) out << to_json_line(line.measurement) << '\n';
  return file;
}

// On 8 H100; with micro-batches of four sequences it needs more memory than they have.
inline nlohmann::json llama_by_memory(int microbatch) {
  return {
      {"id", "mine"},
      {"title", "Mine"},
      {"gpus", 8},
      {"seq_len", 6144},
      {"global_batch_sequences", 16},
      {"model", "llama-3-8b"},
      {"system", "h100"},
      {"parallel", {{"tp", 2}, {"microbatch_sequences", microbatch}, {"recompute", "selective"}}}};
}

}  // namespace trainmeter
