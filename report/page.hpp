// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A document as one HTML file that needs nothing else: no network, no other file.
#pragma once

#include "report/document.hpp"
#include "report/numbers.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace trainmeter {

// The folder with the chart library (vega.js) and the converter's Python: $TRAINMETER_CHARTS, else
// beside the program (../share/trainmeter/charts, ../charts). Nothing where it isn't installed.
std::optional<std::filesystem::path> chart_tools();

// `library`: the JavaScript that draws charts; empty: the page has every table, and says which
// command gets the charts. Text from files never becomes markup.
std::string to_html(const Document& document, const Numbers& numbers, const std::string& library);

}  // namespace trainmeter
