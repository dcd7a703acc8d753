// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Others' outputs as records: nccl-tests' text and JSON, nvbandwidth's and Google Benchmark's JSON.
// What such a file doesn't say is "unknown" (0 where a record wants a number), never guessed.
#pragma once

#include "record/record.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace trainmeter {

struct Imported {
  Header header;
  std::vector<Measurement> rows;
  // What was in the file and is not in `rows`, and why; what it says went wrong.
  std::vector<std::string> left_out;
  std::string original;  // the file's content
  std::string hash;      // its SHA-256
};

// BadInput where the file is none of these, or has no measurement. `operation` is that of
// nccl-tests' text that doesn't say its own ("": none is given); BadInput where the file says
// another, or is of another kind.
Imported import_file(const std::filesystem::path& file, const std::string& operation = "");
// "all_reduce", "all_reduce_perf" and "allreduce" are allreduce; empty for what nccl-tests lacks.
std::string operation_named(const std::string& word);

inline const std::string kUnknown = "unknown";

// The parts of import_file(). Each fills header (its program, device, what it says of method), rows
// and left_out; `where` is the file's name, for messages.
void import_nccl_text(std::string_view text, const std::string& where, const std::string& operation,
                      Imported& to);
void import_nccl_json(const nlohmann::json& json, const std::string& where, Imported& to);
void import_nvbandwidth(const nlohmann::json& json, const std::string& where, Imported& to);
void import_google(const nlohmann::json& json, const std::string& where, Imported& to);

}  // namespace trainmeter
