// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A report as headings, paragraphs and tables, rendered as text for a terminal or as Markdown.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace trainmeter {

struct Heading {
  int level = 1;  // 1 or 2
  std::string text;
};

struct Paragraph {
  std::string text;
};

struct Bullets {
  std::vector<std::string> items;
};

// Columns whose title starts with '>' are right-aligned (numbers). Every row has as many cells as
// there are columns.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

using Block = std::variant<Heading, Paragraph, Bullets, Table>;
using Document = std::vector<Block>;

struct TextStyle {
  bool colour = false;
  int width = 100;  // paragraphs are wrapped here; tables never are
};

// Colour where stdout is a terminal and NO_COLOR is not set (no-color.org); the width of the
// terminal, 100 where there is none.
TextStyle style_of_stdout();

std::string to_text(const Document& document, const TextStyle& style);
std::string to_markdown(const Document& document);

}  // namespace trainmeter
