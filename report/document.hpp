// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A report as headings, paragraphs, tables and charts, rendered as text for a terminal or as
// Markdown; report/page.hpp makes an HTML page of it.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace trainmeter {

// Some text. Where it shows a number that can be followed, `number` is that number's id
// (report/numbers.hpp).
struct Text {
  std::string text, number;
  Text(std::string shown) : text(std::move(shown)) {}  // NOLINT: most text is only text
  Text(const char* shown) : text(shown) {}             // NOLINT
};
Text numbered(std::string text, std::string number);

struct Heading {
  int level = 1;  // 1 to 3; what follows a 3 unfolds in a page
  std::string text;
};

struct Paragraph {
  std::string text;
};

struct Lead {  // the answer, before everything else
  std::vector<Text> sentences;
};

struct Bullets {
  std::vector<Text> items;
};

// Columns whose title starts with '>' are right-aligned (numbers). Every row has as many cells as
// there are columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Text>> rows;
};

struct Chart {
  std::string id;               // a word, for links and file names
  std::string title;            // what it shows, in a sentence
  nlohmann::ordered_json spec;  // Vega-Lite, with its data; a datum's `number` is a number's id
  Table table;                  // the same data
  std::vector<double> bars;     // one a row of the table, drawn in a terminal; empty: none are
};

using Block = std::variant<Heading, Paragraph, Lead, Bullets, Table, Chart>;
using Document = std::vector<Block>;

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

bool right_aligned(const std::string& column);
std::string column_title(const std::string& column);

struct TextStyle {
  bool colour = false;
  bool ascii = false;  // bars of '#'
  int width = 100;     // paragraphs are wrapped here; tables never are
};

// Colour where stdout is a terminal and NO_COLOR is not set (no-color.org); the width of the
// terminal, 100 where there is none.
TextStyle style_of_stdout();

std::string to_text(const Document& document, const TextStyle& style);

// `pictures`: what stands before the id of a chart in its picture's name, "report-" for
// report-roofline.svg; empty: there are no pictures.
std::string to_markdown(const Document& document, const std::string& pictures = "");

}  // namespace trainmeter
