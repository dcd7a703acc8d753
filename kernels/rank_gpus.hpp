// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which GPU each rank drives where a process drives one. Host logic, the same on every rank.
#pragma once

#include <string>
#include <vector>

namespace trainmeter {

// By its place among the ranks of its host, of the `visible` GPUs of its process (1 or more): a
// launcher may show a rank all GPUs of the host, or its own alone.
int gpu_of_rank(int rank, const std::vector<std::string>& hosts, int visible);

// What is wrong with the ranks' GPUs, "" where each has one of its own. `gpus` is what each rank
// says of itself: gpu_said() of its GPU.
std::string why_not_these_gpus(const std::vector<std::string>& hosts,
                               const std::vector<std::string>& gpus);

std::string gpu_said(const std::string& uuid);       // of a rank that has one
std::string no_gpu_said(const std::string& reason);  // of one that has none

}  // namespace trainmeter
