// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Gathers what a header says.
#include "bench/session.hpp"

#include "kernels/launch.hpp"
#include "kernels/machine.hpp"
#include "record/names.hpp"

#include <fmt/format.h>

#include <array>
#include <random>
#include <unistd.h>

namespace trainmeter {
namespace {

constexpr std::array<std::string_view, 16> kAllowedPrefixes = {
    "OMP_",    "GOMP_",        "OPENBLAS_",    "DNNL_",        "ONEDNN_",      "MKL_",
    "CUBLAS_", "CUBLASLT_",    "NCCL_",        "OMPI_MCA_btl", "OMPI_MCA_pml", "OMPI_MCA_coll",
    "UCX_",    "CUDA_MODULE_", "CUDA_DEVICE_", "MALLOC_"};
constexpr std::array<std::string_view, 8> kAllowedNames = {
    "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "CUDA_LAUNCH_BLOCKING", "GLIBC_TUNABLES",
    "SLURM_JOB_ID",         "SLURM_NTASKS",         "SLURM_NNODES",         "OMPI_COMM_WORLD_SIZE"};

// An allowed prefix is of settings; what calls itself a secret is none.
constexpr std::array<std::string_view, 6> kSecretWords = {"TOKEN",      "SECRET", "PASS",
                                                          "CREDENTIAL", "KEY",    "AUTH"};

bool allowed(std::string_view name) {
  for (const std::string_view word : kSecretWords) {
    if (name.find(word) != std::string_view::npos) return false;
  }
  for (const std::string_view prefix : kAllowedPrefixes) {
    if (name.starts_with(prefix)) return true;
  }
  for (const std::string_view known : kAllowedNames) {
    if (name == known) return true;
  }
  return false;
}

}  // namespace

std::map<std::string, std::string> allowed_environment(const char* const* variables) {
  std::map<std::string, std::string> found;
  for (; *variables != nullptr; ++variables) {
    const std::string_view variable = *variables;
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos || !allowed(variable.substr(0, equals))) continue;
    found.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return found;
}

Discipline discipline_of(const Target& target, const Options& options, const Rules& rules) {
  return {.timer = target.kind == DeviceKind::gpu ? "cuda_events" : "steady_clock",
          .data = options.data,
          .cache = options.cache,
          .regime = options.regime,
          .warmup_s = rules.warmup_s,
          .min_time_s = rules.min_time_s,
          .min_samples = rules.min_samples,
          .target = rules.target,
          .max_time_s = rules.max_time_s};
}

Header make_header(const Options& options, const Target& target, const Rules& rules) {
  const std::string program = program_name(options.program);
  Header header;
  header.program = program;
  header.version = program_version();
  header.git_revision = git_revision();
  header.started_at = utc_now();
  header.host = node_name();
  // The random part is for containers, whose process ids repeat.
  header.session = fmt::format("{}-{}-{}-{:08x}", program, header.started_at, ::getpid(),
                               std::random_device{}());
  header.command = options.command;
  header.device = target.device;
  header.discipline = discipline_of(target, options, rules);
  header.software = library_versions();
  header.environment = allowed_environment(::environ);
  return header;
}

}  // namespace trainmeter
