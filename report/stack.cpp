// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The stacks by their names in run files.
#include "report/stack.hpp"

#include "record/error.hpp"
#include "report/predict.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <compare>
#include <optional>

namespace trainmeter {
namespace {

struct Release {
  int first = 0, second = 0;
  auto operator<=>(const Release&) const = default;
};

bool is_digit(char c) {
  return '0' <= c && c <= '9';
}

// The first N.N after `name` in a run's software ("NeMo container 25.11", "Megatron-Core
// r0.10.0"); nothing where there is none. A number in a word (H100) is none, but for r or v before
// it.
std::optional<Release> release(const Run& run, std::string_view name) {
  const std::string software = run.context.software.value_or("");
  const std::size_t named = software.find(name);
  if (named == std::string::npos) return std::nullopt;
  const char* const end = software.data() + software.size();
  for (std::size_t at = named + name.size(); at < software.size(); ++at) {
    if (!is_digit(software[at])) continue;
    std::size_t before = at - 1;
    if (software[before] == 'r' || software[before] == 'v') --before;
    const bool own_word = std::isalnum(static_cast<unsigned char>(software[before])) == 0;
    Release out;
    const auto first = std::from_chars(software.data() + at, end, out.first);
    if (own_word && first.ec == std::errc{} && first.ptr != end && *first.ptr == '.' &&
        std::from_chars(first.ptr + 1, end, out.second).ec == std::errc{})
      return out;
    while (at + 1 < software.size() && (is_digit(software[at + 1]) || software[at + 1] == '.'))
      ++at;
  }
  return std::nullopt;
}

// Transformer Engine on Hopper had FlashAttention-2, and then preferred cuDNN's kernel: NeMo's
// documentation says so from May 2024 (pull request 9188), before Megatron-Core 0.8. NeMo 2, whose
// number isn't its container's year and month, came after that. Nothing where the run names no
// release of these.
std::optional<bool> prefers_cudnn(const Run& run) {
  constexpr Release kContainer{24, 5}, kNemo{2, 0}, kMegatronCore{0, 8};
  constexpr int kFirstYear = 20;
  std::optional<bool> out;
  const auto take = [&](bool prefers) { out = out.value_or(false) || prefers; };
  if (const auto nemo = release(run, "NeMo"))
    take(*nemo >= (nemo->first < kFirstYear ? kNemo : kContainer));
  for (const char* name : {"Megatron-Core", "Megatron Core"}) {
    if (const auto core = release(run, name)) take(*core >= kMegatronCore);
  }
  return out;
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
  // Stacks of a laboratory's own are taken to have the best there is.
  Stack cudnn = with("cudnn");
  const auto says = prefers_cudnn(run);
  if (run.stack != TrainingStack::megatron || says.value_or(false)) return {cudnn};
  if (is_plan(run) && !says) {
    if (system.kind == "gpu")
      cudnn.assumed =
          "attention kernel isn't said: cudnn, as software since May 2024 has it (context.software "
          "names an older one)";
    return {cudnn};
  }
  Stack flash = with("flash-attention-2");
  flash.assumed = cudnn.assumed =
      "attention kernel isn't printed: cudnn or flash-attention-2, each in half of the draws";
  return {cudnn, flash};
}

}  // namespace trainmeter
