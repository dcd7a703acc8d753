// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Numbers and lists on a command line, read strictly: BadInput names the flag and what it expects.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainmeter {

std::int64_t parse_count(const std::string& flag, const std::string& text,
                         std::int64_t most);  // 1 to most
double parse_non_negative(const std::string& flag, const std::string& text);
// Of a list a,b,c each value once: what is named twice is measured once.
std::vector<std::string> parse_list(const std::string& flag, const std::string& text);
std::vector<std::int64_t> parse_counts(const std::string& flag, const std::string& text,
                                       std::int64_t most);
void one_of(const std::string& flag, const std::string& word,
            const std::vector<std::string>& allowed);  // or BadInput

}  // namespace trainmeter
