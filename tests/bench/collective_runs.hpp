// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// collective_bench under mpirun, with little time for each case.
#pragma once

#include "subprocess.hpp"
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <unistd.h>

namespace trainmeter {

// Ranks that wait let the others run: there may be fewer cores than ranks.
inline std::string mpirun(int ranks) {
  const std::string as_root = ::geteuid() == 0 ? "--allow-run-as-root " : "";
  return "OMPI_MCA_mpi_yield_when_idle=1 mpirun " + as_root + "--oversubscribe -n " +
         std::to_string(ranks) + " ";
}

inline const std::string kBrief =
    "collective_bench --device=cpu --cache=hot --benchmark_min_time=0.02 "
    "--benchmark_min_warmup_time=0.01 --case_seconds=0.3 ";

class CollectiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v mpirun >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "skipped: no mpirun";
    }
  }
  Folder folder_;
};

}  // namespace trainmeter
