// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The numbers in the JSON of predictions, validation and claims, and what those of a story have in
// common.
#pragma once

#include "record/key_places.hpp"
#include "report/numbers.hpp"
#include "report/predict.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace trainmeter {

// "qkv fprop 4096x2304x768 bf16" as a part of an id.
std::string word(std::string text);

// Where a leaf of JSON comes from, where the fields beside it don't say.
struct LeafSource {
  std::string kind, source, formula;
  std::vector<std::string> inputs;
};

// Adds the numbers of `json`, their ids `prefix`, ":" and the path, the first of an id stays.
// `source_of` knows the path.
void add_leaves(Numbers& numbers, const std::string& prefix, const nlohmann::ordered_json& json,
                const std::function<LeafSource(const std::string& path)>& source_of);

// "published" in a file of the published data, else "given".
std::string kind_of(const KeyPlace& place, const std::filesystem::path& published);

// Ids of measured numbers by the record's line that they came from: published figures of one page
// share their source.
std::map<std::string, std::string> ids_by_line(const Numbers& numbers);

// Those of a prediction: rates, factors, what was given, parts, estimates. Measured and published
// rates and the machine's figures are in `numbers` already.
void add_prediction(Numbers& numbers, const Prediction& prediction,
                    const std::filesystem::path& published, KeyLines& lines);

}  // namespace trainmeter
