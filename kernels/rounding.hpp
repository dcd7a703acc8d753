// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How many parts of a size cover a count, and how much they hold. In the count's own type, so that
// a GPU doesn't compute with 64 bits what fits into 32; both are positive.
#pragma once

#include "kernels/host_device.hpp"

#include <concepts>
#include <type_traits>

namespace trainmeter {

template <std::integral T>
TRAINMETER_BOTH T ceil_div(T count, std::type_identity_t<T> size) {
  return (count + size - 1) / size;
}

template <std::integral T>
TRAINMETER_BOTH T round_up(T count, std::type_identity_t<T> size) {
  return ceil_div(count, size) * size;
}

}  // namespace trainmeter
