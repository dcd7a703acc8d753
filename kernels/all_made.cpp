// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A text with a mark before it that says whether it was made.
#include "kernels/all_made.hpp"

#include <exception>

namespace trainmeter {
namespace {

constexpr char kMade = '+';
constexpr char kFailed = '-';

std::string attempt(const std::function<std::string()>& make) {
  try {
    return kMade + make();
  } catch (const RankLost&) {
    throw;
  } catch (const std::exception& error) {
    return kFailed + std::string(error.what());
  }
}

}  // namespace

std::vector<std::string> all_made(const Gather& gather, const std::function<std::string()>& make) {
  std::vector<std::string> texts = gather(attempt(make));
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    const std::string said = texts[rank].substr(texts[rank].empty() ? 0 : 1);
    if (texts[rank].empty() || texts[rank].front() != kMade)
      throw Unavailable("rank " + std::to_string(rank) + ": " + said);
    texts[rank] = said;
  }
  return texts;
}

}  // namespace trainmeter
