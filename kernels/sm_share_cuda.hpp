// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A part of a GPU's multiprocessors for kernels that would take them all.
#pragma once

#include "kernels/cuda_support.hpp"

namespace trainmeter {

struct SmShare {
  CudaStream stream;
  int sms = 0;         // that its kernels may run on; 0: all
  bool green = false;  // and can't but run on
};

// A stream of a green context with at least `sms` of the current device's multiprocessors: it has
// them in steps (of 8, at least 8, on Hopper). 0, or as many as there are: an ordinary stream.
// Unavailable where the driver has no green contexts (CUDA 12.5). While a OneStream lives, that
// stream: what else holds the other SMs is not for an operation to say (a co-runner).
SmShare share_of_sms(int sms);

}  // namespace trainmeter
