// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Writes a record while measuring: every line is durable (append, flush, fsync) before append()
// returns. Several programs may append to one file: each line is written under a lock and names its
// session.
#pragma once

#include "record/record.hpp"

#include <filesystem>
#include <string>

namespace trainmeter {

class Journal {
 public:
  // Creates missing folders and the file, cuts off a half-written last line that a killed program
  // left (saying so on `repaired()`), and writes the header. BadInput if the path can't be a
  // record; EnvironmentFailed if the disk refuses.
  Journal(std::filesystem::path file, const Header& header);
  ~Journal();
  Journal(const Journal&) = delete;  // owns the open file
  Journal& operator=(const Journal&) = delete;

  void append(const Measurement&
                  measurement);  // EnvironmentFailed where the line could not be made durable
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] bool repaired() const { return repaired_; }

 private:
  void write_line(const std::string& line);

  std::filesystem::path file_;
  int descriptor_ = -1;
  bool repaired_ = false;
};

}  // namespace trainmeter
