// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where a key of a JSON file stands: readers keep file and path, whoever shows where a figure comes
// from looks the line up.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace trainmeter {

struct KeyPlace {
  std::string file;  // empty: in no file
  std::string key;   // as refusals name it: "peak_flops.bf16", "figures[3]"; empty: the whole file
  [[nodiscard]] KeyPlace at(std::string_view below) const;
  bool operator==(const KeyPlace&) const = default;
};

// Reads each file once.
class KeyLines {
 public:
  // 0 where the file can't be read or lacks the key.
  [[nodiscard]] std::size_t line(const KeyPlace& place);
  // "FILE:LINE", the file below the working directory as seen from there; "FILE" where the line
  // isn't known; empty where there is no file.
  [[nodiscard]] std::string shown(const KeyPlace& place);

 private:
  std::map<std::string, std::map<std::string, std::size_t, std::less<>>> lines_;
};

}  // namespace trainmeter
