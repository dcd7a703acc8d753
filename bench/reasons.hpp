// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Why what was asked for can't be had here: each reason once, with the element types that it is of.
#pragma once

#include "kernels/dtype.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {

class Reasons {
 public:
  // "multiplies fp32 and fp64, not bf16": of which types it is, stands before it anyway.
  void add(DType dtype, std::string_view backend, std::string_view why) {
    const std::string not_this = fmt::format(", not {}", to_string(dtype));
    if (why.ends_with(not_this)) why.remove_suffix(not_this.size());
    add(std::string(to_string(dtype)), fmt::format(" by {}: {}", backend, why));
  }
  void add(DType dtype, std::string_view why) {
    add(std::string(to_string(dtype)), fmt::format(": {}", why));
  }
  void add(const std::string& why) { add("", why); }

  [[nodiscard]] bool empty() const { return found_.empty(); }
  [[nodiscard]] std::vector<std::string> texts() const {  // "bf16, fp32 by onednn: ..."
    std::vector<std::string> out;
    for (const auto& [why, of] : found_)
      out.push_back(fmt::format("{}{}", fmt::join(of, ", "), why));
    return out;
  }

 private:
  void add(const std::string& of, const std::string& why) {
    auto found = std::ranges::find(found_, why, &Found::first);
    if (found == found_.end()) found = found_.insert(found_.end(), Found{why, {}});
    if (std::ranges::find(found->second, of) == found->second.end()) found->second.push_back(of);
  }

  using Found = std::pair<std::string, std::vector<std::string>>;
  std::vector<Found> found_;  // in the order in which they were met
};

}  // namespace trainmeter
