// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What a build without MPI says where processes are to work together.
#include "kernels/collective.hpp"

namespace trainmeter {

std::unique_ptr<World> make_mpi_world(const Split& /*split*/, const Leave& /*leave*/) {
  throw Unavailable("MPI: built without MPI");
}

}  // namespace trainmeter
