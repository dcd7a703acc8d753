// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "record/error.hpp"

#include <functional>
#include <string>

namespace trainmeter {

// What an action is refused with.
inline std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace trainmeter
