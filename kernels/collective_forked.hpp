// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks that one process forks. They have its memory in common from the start, so nothing needs a
// name, a port or a launcher.
#pragma once

#include "kernels/collective.hpp"

#include <memory>

namespace trainmeter {

// Memory that processes forked from now on share with this one; zeros. Unavailable where there is
// none.
std::shared_ptr<void> shared_with_children(std::int64_t bytes);

std::int64_t forked_world_bytes(int ranks);

// Of the child that is `rank`. `region` is shared_with_children(forked_world_bytes(ranks)) of
// before the first fork. Ranks wait for each other ten times rank_timeout_s(), since one may
// measure while the others wait.
std::unique_ptr<World> make_forked_world(std::shared_ptr<void> region, int rank, int ranks);

}  // namespace trainmeter
