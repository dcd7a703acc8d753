// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where the program is and how long it still takes: one rewritten line on stderr where that is a
// terminal, otherwise nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace trainmeter {

class Progress {
 public:
  Progress(std::size_t cases, bool terminal);
  ~Progress();
  Progress(const Progress&) = delete;  // owns the line on the terminal
  Progress& operator=(const Progress&) = delete;

  void start(const std::string& name);  // of the next case
  void say(std::string line);           // instead, where nobody knows how many cases there will be
  void clear();                         // before anything else is printed

 private:
  std::size_t cases_;
  bool terminal_;
  bool shown_ = false;
  std::size_t started_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// " 7/40  18 %  about 2 min left  gemm/..."; no time left before the first case is done.
std::string progress_line(std::size_t done, std::size_t cases, double elapsed_s,
                          const std::string& name);

}  // namespace trainmeter
