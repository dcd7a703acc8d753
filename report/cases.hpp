// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which measurements are of one case, which of one process start, and which records a word on the
// command line names.
#pragma once

#include "record/record.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace trainmeter {

// Equal for measurements of one case: name, operation, dtype, backend, shape, layout, scaling,
// ranks, what ran beside it or in turn with it, and the SMs or cores it ran on; all of a device's
// are one word, so that cases match between devices of different size.
std::string case_key(const Measurement& measurement, const Header& header);

// Equal for measurements of one problem by any backend.
std::string problem_key(const Measurement& measurement, const Header& header);

// The name, with what it leaves out: ".../ranks:8", ".../sms:66" on a part of the device,
// ".../beside:gemm", ".../in_turn:layer".
std::string case_title(const Measurement& measurement, const Header& header);

// Which device the row is of, by its uuid: with --concurrent it notes its own, else it is its
// program's. "" where neither is known, as on a CPU.
std::string device_of(const Measurement& measurement, const Header& header);

// The same case on whichever device. Nothing where the row notes none of its own.
std::optional<Measurement> on_any_device(const Measurement& measurement);

// Equal for headers of one process start, also where its record was copied to another file.
std::string start_key(const Header& header);

// Leaves out the rows that an earlier record has too (a file named twice, or a copy of it): a
// measurement counts once. Says so in `warnings`; a record without other rows goes.
void leave_out_copies(std::vector<Record>& records, std::vector<std::string>& warnings);

// A file, a folder (every *.jsonl in it), or several, separated by commas; in order of their paths.
// BadInput where none is named.
std::vector<std::filesystem::path> record_files(const std::string& list);
std::vector<Record> read_record_list(const std::string& list);  // BadInput where one is missing

}  // namespace trainmeter
