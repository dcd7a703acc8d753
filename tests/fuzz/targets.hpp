// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Everything that reads what strangers write, a function of a text each: for the fuzzers and, over
// their committed corpus, for fuzz_test.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter::fuzz {

// The text is accepted (true), or refused as its reader documents it. What else is thrown, and
// Broken, is a finding; so is whatever a sanitizer sees.
using Target = bool (*)(std::string_view text);

struct Named {
  const char* name;  // of its program, and of its folder below corpus/
  Target run;
};
const std::vector<Named>& targets();

// What a reader promised and didn't keep.
struct Broken {
  std::string what;
};

bool read_records(std::string_view text);      // JSON Lines; then written, anonymised, read again
bool read_imports(std::string_view text);      // nccl-tests, nvbandwidth, Google Benchmark
bool read_workloads(std::string_view text);    // models, systems, runs, claims, micro figures
bool read_settings(std::string_view text);     // acceptance rules, sites, factors, calibrations
bool read_environment(std::string_view text);  // Slurm's, torchrun's, MPI's: NAME=VALUE a line
bool read_rendezvous(std::string_view text);   // what a stranger, or a rank, sends over TCP

// A file in memory that holds `text`, until the next one is asked for under this name.
std::filesystem::path file_of(std::string_view text, const char* name);

// Runs `read`: true, or false where it refuses the text in one printable line.
template <class Error, class Read>
bool accepted(Read read);

void check_message(std::string_view message);

template <class Error, class Read>
bool accepted(Read read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    check_message(error.what());
    return false;
  }
}

}  // namespace trainmeter::fuzz
