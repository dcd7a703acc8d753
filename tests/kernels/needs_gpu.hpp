// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// How a test of a GPU is skipped where there is none.
#pragma once

#include "kernels/machine.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#define NEEDS_GPU()                                             \
  if (trainmeter::gpus().devices.empty()) {                     \
    std::puts("skipped: no CUDA device");                       \
    GTEST_SKIP() << "skipped: " << trainmeter::gpus().why_none; \
  }
