// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The list of targets, and what all of them need.
#include "targets.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <unistd.h>

namespace trainmeter::fuzz {

const std::vector<Named>& targets() {
  static const std::vector<Named> kAll = {
      {"records", read_records},         {"imports", read_imports},
      {"workloads", read_workloads},     {"settings", read_settings},
      {"environment", read_environment}, {"rendezvous", read_rendezvous}};
  return kAll;
}

std::filesystem::path file_of(std::string_view text, const char* name) {
  static std::map<std::string, int> files;
  const auto [found, is_new] = files.emplace(name, -1);
  int& file = found->second;
  if (is_new) file = ::memfd_create(name, MFD_CLOEXEC);
  if (::ftruncate(file, 0) != 0 ||
      ::pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    std::abort();
  return "/proc/self/fd/" + std::to_string(file);
}

void check_message(std::string_view message) {
  constexpr std::size_t kLongest = 6000;  // all published ids, where none is near
  if (message.size() > kLongest) throw Broken{"a refusal that is no line but a page"};
  if (std::ranges::any_of(message, [](unsigned char c) { return c < ' ' || c == 0x7f; }))
    throw Broken{"a refusal with control characters: " + std::string(message)};
}

}  // namespace trainmeter::fuzz
