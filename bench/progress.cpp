// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The progress line.
#include "bench/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace trainmeter {

std::string progress_line(std::size_t done, std::size_t cases, double elapsed_s,
                          const std::string& name) {
  std::string left;
  if (done > 0) {
    const double seconds =
        elapsed_s / static_cast<double>(done) * static_cast<double>(cases - done);
    left = seconds < 90 ? fmt::format("about {:.0f} s left  ", std::ceil(seconds))
                        : fmt::format("about {:.0f} min left  ", std::ceil(seconds / 60));
  }
  return fmt::format("{}/{}  {:.0f} %  {}{}", done + 1, cases,
                     100.0 * static_cast<double>(done) / static_cast<double>(cases), left, name);
}

Progress::Progress(std::size_t cases, bool terminal) : cases_(cases), terminal_(terminal) {}

Progress::~Progress() {
  clear();
}

void Progress::start(const std::string& name) {
  const std::size_t done = started_++;
  if (!terminal_) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
  say(progress_line(done, std::max(cases_, started_), elapsed.count(), name));
}

void Progress::say(std::string line) {
  if (!terminal_) return;
  line.resize(std::min<std::size_t>(line.size(), 79));  // a wrapped line can't be taken back
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace trainmeter
