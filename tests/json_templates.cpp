// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The JSON library's templates, optimised. The first object of a test program that isn't: of each
// template that several objects hold the linker takes the first, which would else be a test's, for
// the layers' own reading too.
#include <nlohmann/json.hpp>

#include <string>

namespace trainmeter {

template <class Json>
static std::string read_and_written(const std::string& text) {
  return Json::parse(text.begin(), text.end()).dump(1) + Json::parse(text).dump();
}

std::string json_templates(const std::string& text) {
  return read_and_written<nlohmann::json>(text) + read_and_written<nlohmann::ordered_json>(text);
}

}  // namespace trainmeter
