// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The renderings of a document as text and as Markdown.
#include "report/document.hpp"

#include "record/text_limits.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <unistd.h>

namespace trainmeter {
namespace {

// Code points; nothing here is wider than one column.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string wrapped(const std::string& text, std::size_t width, const std::string& first,
                    const std::string& next) {
  std::istringstream words(visible(text));
  std::string out = first;
  std::size_t used = first.size();
  bool at_start = true;
  for (std::string word; words >> word;) {
    if (!at_start && used + 1 + width_of(word) > width) {
      out += "\n" + next;
      used = next.size();
      at_start = true;
    }
    if (!at_start) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width_of(word);
    at_start = false;
  }
  return out + "\n";
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return right ? space + text : text + space;
}

std::string table_text(const Table& table, const TextStyle& style) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    std::size_t width = width_of(column_title(table.columns[c]));
    for (const auto& row : table.rows) width = std::max(width, width_of(visible(row.at(c).text)));
    widths.push_back(width);
  }
  const auto line = [&](auto cell) {
    std::string out = "  ";
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (c > 0) out += "  ";
      out += padded(cell(c), widths[c], right_aligned(table.columns[c]));
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string head = line([&](std::size_t c) { return column_title(table.columns[c]); });
  if (style.colour) head = "\033[2m" + head.substr(0, head.size() - 1) + "\033[0m\n";
  std::string out = head;
  for (const auto& row : table.rows)
    out += line([&](std::size_t c) { return visible(row.at(c).text); });
  return out;
}

constexpr int kBarWidth = 24;
constexpr std::size_t kChartRows = 12;  // in a terminal

std::string bar(double share, bool ascii) {  // of the longest one
  if (!(share > 0)) return "";
  if (ascii) return std::string(static_cast<std::size_t>(std::ceil(share * kBarWidth)), '#');
  static const char* const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int parts = static_cast<int>(std::ceil(share * kBarWidth * 8));
  std::string out;
  for (int i = 0; i < parts / 8; ++i) out += "█";
  return out + eighths[parts % 8];
}

std::string chart_text(const Chart& chart, const TextStyle& style) {
  Table table = chart.table;
  if (!chart.bars.empty()) {
    double longest = 0;
    for (const double value : chart.bars) longest = std::max(longest, value);
    table.columns.emplace_back("");
    for (std::size_t row = 0; row < table.rows.size(); ++row)
      table.rows[row].emplace_back(bar(chart.bars.at(row) / longest, style.ascii));
  }
  const std::size_t rows = table.rows.size();
  if (rows > kChartRows) table.rows.erase(table.rows.begin() + kChartRows, table.rows.end());
  std::string out = visible(chart.title) + "\n\n" + table_text(table, style);
  if (rows > kChartRows)
    out += fmt::format("  ... and {} more (--format json lists them)\n", rows - kChartRows);
  return out;
}

// Text as Markdown that is nothing but that text: no cell ends in it, no markup and no link begins.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : visible(text)) {
    if (c == '<') {
      out += "&lt;";
    } else {
      if (c == '|' || c == '[' || c == '*' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string table_markdown(const Table& table) {
  std::string text = "|";
  for (const auto& column : table.columns) text += " " + escaped(column_title(column)) + " |";
  text += "\n|";
  for (const auto& column : table.columns) text += right_aligned(column) ? " ---: |" : " --- |";
  text += "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const Text& cell : row) text += " " + escaped(cell.text) + " |";
    text += "\n";
  }
  return text;
}

std::string chart_markdown(const Chart& chart, const std::string& pictures) {
  if (pictures.empty()) return escaped(chart.title) + "\n\n" + table_markdown(chart.table);
  return fmt::format(
      "![{}]({}{}.svg)\n\n<details><summary>The figures</summary>\n\n{}\n</details>\n",
      escaped(chart.title), pictures, chart.id, table_markdown(chart.table));
}

}  // namespace

Text numbered(std::string text, std::string number) {
  Text out(std::move(text));
  out.number = std::move(number);
  return out;
}

bool right_aligned(const std::string& column) {
  return column.starts_with('>');
}

std::string column_title(const std::string& column) {
  return right_aligned(column) ? column.substr(1) : column;
}

TextStyle style_of_stdout() {
  TextStyle style;
  if (::isatty(STDOUT_FILENO) == 0) return style;
  const char* no_color = std::getenv("NO_COLOR");
  style.colour = no_color == nullptr || *no_color == '\0';
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 60) {
    style.width = std::min<int>(size.ws_col, 120);
  }
  return style;
}

std::string to_text(const Document& document, const TextStyle& style) {
  const auto width = static_cast<std::size_t>(style.width);
  const Overloaded one{[&](const Heading& h) {
                         const std::string text = visible(h.text);
                         if (style.colour) return fmt::format("\033[1m{}\033[0m\n", text);
                         return h.level == 1 ? fmt::format("{}\n{}\n", text,
                                                           std::string(width_of(text), '='))
                                             : text + "\n";
                       },
                       [&](const Paragraph& p) { return wrapped(p.text, width, "", ""); },
                       [&](const Lead& lead) {
                         std::string all;
                         for (const Text& sentence : lead.sentences) all += sentence.text + " ";
                         return wrapped(all, width, "", "");
                       },
                       [&](const Bullets& b) {
                         std::string items;
                         for (const Text& item : b.items)
                           items += wrapped(item.text, width, "  - ", "    ");
                         return items;
                       },
                       [&](const Table& t) { return table_text(t, style); },
                       [&](const Chart& c) { return chart_text(c, style); }};
  std::string out;
  for (const Block& block : document) {
    if (!out.empty()) out += '\n';
    out += std::visit(one, block);
  }
  return out;
}

std::string to_markdown(const Document& document, const std::string& pictures) {
  const Overloaded one{[](const Heading& h) {
                         return fmt::format("{} {}\n",
                                            std::string(static_cast<std::size_t>(h.level), '#'),
                                            escaped(h.text));
                       },
                       [](const Paragraph& p) { return escaped(p.text) + "\n"; },
                       [](const Lead& lead) {
                         std::string all;
                         for (const Text& sentence : lead.sentences)
                           all += (all.empty() ? "" : " ") + escaped(sentence.text);
                         return all + "\n";
                       },
                       [](const Bullets& b) {
                         std::string items;
                         for (const Text& item : b.items) items += "- " + escaped(item.text) + "\n";
                         return items;
                       },
                       [](const Table& t) { return table_markdown(t); },
                       [&](const Chart& c) { return chart_markdown(c, pictures); }};
  std::string out;
  for (const Block& block : document) {
    if (!out.empty()) out += '\n';
    out += std::visit(one, block);
  }
  return out;
}

}  // namespace trainmeter
