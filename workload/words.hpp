// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The words of a user's files that the engine decides by, as enums. How each is spelled in a file
// and in messages stands here alone, in the order of its values.
#pragma once

#include "record/strict_json.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

// Models.
enum class AttentionKind { mha, gqa, mla };
enum class FfnKind { swiglu, gelu, relu2 };
// Runs: whose training software it is, or is like; its pipeline's order; which activations it
// computes again; and how a published MFU counts the attention core.
enum class TrainingStack { megatron, fsdp, deepseek, other };
enum class Schedule { one_f_one_b, interleaved, zb, dualpipe };
enum class Recompute { none, selective, full };
enum class AttentionFlops { causal, full, none };

template <class Word>
struct Spelling;

template <>
struct Spelling<AttentionKind> {
  static constexpr std::array<std::string_view, 3> kAll{"mha", "gqa", "mla"};
};
template <>
struct Spelling<FfnKind> {
  static constexpr std::array<std::string_view, 3> kAll{"swiglu", "gelu", "relu2"};
};
template <>
struct Spelling<TrainingStack> {
  static constexpr std::array<std::string_view, 4> kAll{"megatron", "fsdp", "deepseek", "other"};
};
template <>
struct Spelling<Schedule> {
  static constexpr std::array<std::string_view, 4> kAll{"1f1b", "interleaved", "zb", "dualpipe"};
};
template <>
struct Spelling<Recompute> {
  static constexpr std::array<std::string_view, 3> kAll{"none", "selective", "full"};
};
template <>
struct Spelling<AttentionFlops> {
  static constexpr std::array<std::string_view, 3> kAll{"causal", "full", "none"};
};

template <class Word>
concept IsWord = requires { Spelling<Word>::kAll; };

template <IsWord Word>
constexpr std::string_view to_string(Word word) {
  return Spelling<Word>::kAll.at(static_cast<std::size_t>(word));
}

// BadInput where the file says another word, or none.
template <IsWord Word>
Word read_word(StrictObject& object, std::string_view key) {
  constexpr auto& kAll = Spelling<Word>::kAll;
  const std::string found = object.one_of(key, {kAll.begin(), kAll.end()});
  return static_cast<Word>(std::ranges::find(kAll, found) - kAll.begin());
}

}  // namespace trainmeter
