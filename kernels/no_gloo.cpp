// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a build without gloo says where ranks of several hosts are to work together without MPI.
#include "kernels/collective_gloo.hpp"

namespace trainmeter {

bool has_gloo() {
  return false;
}

std::unique_ptr<GlooGroup> make_gloo_group(const RankGroup& /*group*/,
                                           const std::string& /*address*/,
                                           const Gather& /*gather*/) {
  throw Unavailable(
      "ranks of several hosts without MPI need gloo, and this was built without (libgloo-dev)");
}

}  // namespace trainmeter
