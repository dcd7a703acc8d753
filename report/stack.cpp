// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The stacks by their names in run files.
#include "report/stack.hpp"

#include "record/error.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace trainmeter {
namespace {

// The release in a run's software after `name` ("NeMo container 25.11", "Megatron-Core r0.8.0"); 0
// where the software isn't that.
double release(const Run& run, std::string_view name) {
  const std::string software = run.context.software.value_or("");
  if (software.find(name) == std::string::npos) return 0;
  const auto digit = software.find_first_of("0123456789");
  return digit == std::string::npos ? 0 : std::atof(software.c_str() + digit);
}

// fp32, as Megatron and torchtitan reduce by default, but for software that reduces in the 16 bits
// it computes in: llm-foundry (Composer's mixed_precision PURE) and fms-fsdp (policy bfSixteen).
double gradient_bytes(const Run& run) {
  const std::string software = run.context.software.value_or("");
  const bool narrow = software.find("llm-foundry") != std::string::npos ||
                      software.find("fms-fsdp") != std::string::npos;
  return narrow && run.precision != "fp32" ? 2 : 4;
}

// Of the SMs, where dispatch and combine between GPUs take some for themselves.
double share_left(const Run& run, const System& system) {
  constexpr std::int64_t kCommunicationSms = 20;  // DeepSeek-V3 report, 3.2.2
  if (!run.parallel || run.parallel->ep == 1) return 1;
  if (system.sms <= kCommunicationSms) {
    throw BadInput(fmt::format(
        "run {}: stack: deepseek gives {} {} to communication, and {} has {}: none is "
        "left to compute on",
        run.id, kCommunicationSms, system.kind == "gpu" ? "SMs" : "cores", system.id, system.sms));
  }
  return 1 - static_cast<double>(kCommunicationSms) / static_cast<double>(system.sms);
}

}  // namespace

std::vector<Stack> stacks_of(const Run& run, const System& system) {
  Stack one;
  const bool ampere = architecture(system) == "ampere";
  one.gradient_bytes = gradient_bytes(run);
  one.fused = run.stack != TrainingStack::fsdp || run.context.compiled.value_or(false);
  const auto with = [&](const char* kernel) {
    Stack out = one;
    out.attention = kernel;
    out.attention_factor =
        out.attention == "flash-attention-2" ? Factor::attention_flash2 : Factor::attention_fused;
    return out;
  };
  if (run.stack == TrainingStack::deepseek && system.sms > 0) {
    one.compute_sms = share_left(run, system);
    return {with("flash-attention-3")};  // their kernel isn't public: the best that is
  }
  // Megatron's fp16 runs on Ampere date from before FlashAttention (2022).
  if (ampere && run.stack == TrainingStack::megatron && run.precision == "fp16")
    return {with(kUnfused)};
  // FSDP here is plain PyTorch, whose attention is FlashAttention-2 or older.
  if (ampere || run.stack == TrainingStack::fsdp) return {with("flash-attention-2")};
  // Transformer Engine on Hopper had FlashAttention-2, and then preferred cuDNN's kernel: NeMo's
  // documentation says so from May 2024 (pull request 9188), before Megatron-Core 0.8.
  // Stacks of a laboratory's own are taken to have the best there is.
  constexpr double kNemo = 24.05;
  constexpr double kMegatronCore = 0.8;
  if (run.stack != TrainingStack::megatron || release(run, "NeMo") >= kNemo ||
      release(run, "Megatron-Core") >= kMegatronCore) {
    return {with("cudnn")};
  }
  return {with("cudnn"), with("flash-attention-2")};
}

}  // namespace trainmeter
