// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// In the check of a layer (layer_flow.hpp): columns and heads split and merged, which no step does.
#pragma once

#include "bench/layer_reference.hpp"

#include <cstdint>
#include <initializer_list>

namespace trainmeter {

// Columns [first, first + cols) of a matrix with rows of `wide`.
Tensor columns(const Tensor& from, std::int64_t wide, std::int64_t first, std::int64_t cols);

// Matrices of as many rows each, one right of the other.
Tensor beside(std::int64_t rows, std::initializer_list<const Tensor*> parts);

// [batch, first, second, dim] to [batch, second, first, dim]: tokens' heads to heads' tokens, and
// back.
Tensor swapped(const Tensor& from, std::int64_t batch, std::int64_t first, std::int64_t second);

}  // namespace trainmeter
