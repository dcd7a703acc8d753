// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// What is expected of a collective's bus rate, from its links' rates, and where these come from.
#pragma once

#include "bench/case.hpp"
#include "bench/target.hpp"
#include "kernels/telemetry.hpp"
#include "record/wire_bytes.hpp"

#include <string>
#include <vector>

namespace trainmeter {

// Notes of a row: bytes/s, as text; and of what links, told by whom.
inline constexpr const char* kExpectedNote = "expected_bus_bytes_per_s";
inline constexpr const char* kExpectedFromNote = "expected_from";

struct ExpectedLinks {
  LinkRates rates;
  std::string from;  // "18 NVLinks x 25 GB/s (NVML)"; where there is nothing to expect, why
};

// `state` as NVML told it: links that are active, by the rate of their generation; else, and for
// what is between hosts, those of the system file `system` ("": none given). BadInput where there
// is no such file.
ExpectedLinks expected_links(const Target& target, const DeviceState& state,
                             const std::string& system);

// BadInput for an id or file that is no system; also on CPUs, of whose links nothing is expected.
void require_known_system(const std::string& system);

// Of each case between GPUs, in its notes; none where nothing is known. `hosts` is of every rank of
// a group.
void note_expected(const ExpectedLinks& links, const std::vector<std::string>& hosts, Case& one);

// Which of NCCL's algorithms NCCL_ALGO names, as notes say it: "ring, by NCCL_ALGO"; "" where it
// names none of them alone, so that NCCL chooses.
std::string nccl_algorithm(const std::string& nccl_algo);

}  // namespace trainmeter
