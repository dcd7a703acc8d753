// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Results as nccl-tests prints them (its src/util.cu, version 2.19.6), line by line as they come,
// for scripts that read that. One comment line more says what measured.
#pragma once

#include "bench/options.hpp"
#include "record/record.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trainmeter {

// One of its "Using devices" lines, with the newline. A CPU's process is device 0 without a PCI
// address.
std::string nccl_tests_device(int rank, int group, int process, const std::string& host, int device,
                              const std::string& name);

class NcclTestsTable {
 public:
  using Put = std::function<void(const std::string&)>;

  // `by`: what measured ("shm: MPI, 2 processes"). `put` takes the text.
  NcclTestsTable(const Options& options, std::string by, Put put);

  void begin(const std::vector<std::string>& devices);
  // Out of place first, all its repetitions, then in place where there is such a case: each with the
  // same repetition of the other. `wrong`: elements.
  void take(const Measurement& row, std::int64_t wrong);
  // The footer. `least_GBps` is NCCL_TESTS_MIN_BW, below 0 where it isn't set; false where nine
  // tenths of it aren't reached, or an element was wrong. Of no row there is no verdict.
  bool end(double least_GBps);

 private:
  struct Half {
    Measurement row;
    std::int64_t wrong = 0;
  };
  void line(const Half* out_of_place, const Half* in_place);  // one may be null
  void print_waiting();
  void half(const Half* half);

  const Options& options_;
  std::string by_;
  Put put_;
  std::string program_;
  std::vector<Half> waiting_;  // a size's out of place, by repetition
  std::int64_t failed_rows_ = 0, halves_ = 0;
  double bus_sum_ = 0;
};

}  // namespace trainmeter
