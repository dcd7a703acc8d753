// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own collectives but all-reduce between ranks that share memory: plain copies and sums through
// the group's slots, block by block.
#pragma once

#include "kernels/allreduce_shm.hpp"
#include "kernels/collective_layout.hpp"

#include <functional>

namespace trainmeter {

// The collective of `layout`, which is that of this rank. `send` and `receive` may lie in one
// buffer as the layout says of in place. std::invalid_argument where sums are asked for in a type
// that can't be added.
std::function<void(const void* send, void* receive)> shm_exchange(ShmGroup& group, DType dtype,
                                                                  const CollectiveLayout& layout);

}  // namespace trainmeter
