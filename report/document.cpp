// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The two renderings of a document.
#include "report/document.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <unistd.h>

namespace trainmeter {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

// Code points; nothing here is wider than one column.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string wrapped(const std::string& text, std::size_t width, const std::string& first,
                    const std::string& next) {
  std::istringstream words(text);
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

bool right_aligned(const std::string& column) {
  return column.starts_with('>');
}
std::string title(const std::string& column) {
  return right_aligned(column) ? column.substr(1) : column;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return right ? space + text : text + space;
}

std::string table_text(const Table& table, const TextStyle& style) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    std::size_t width = width_of(title(table.columns[c]));
    for (const auto& row : table.rows) width = std::max(width, width_of(row.at(c)));
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
  std::string head = line([&](std::size_t c) { return title(table.columns[c]); });
  if (style.colour) head = "\033[2m" + head.substr(0, head.size() - 1) + "\033[0m\n";
  std::string out = head;
  for (const auto& row : table.rows) out += line([&](std::size_t c) { return row.at(c); });
  return out;
}

std::string escaped(const std::string& text) {  // of what would end a Markdown cell
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

}  // namespace

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
  std::string out;
  for (const Block& block : document) {
    if (!out.empty()) out += '\n';
    out += std::visit(Overloaded{[&](const Heading& h) {
                                   if (style.colour)
                                     return fmt::format("\033[1m{}\033[0m\n", h.text);
                                   return h.level == 1
                                              ? fmt::format("{}\n{}\n", h.text,
                                                            std::string(width_of(h.text), '='))
                                              : h.text + "\n";
                                 },
                                 [&](const Paragraph& p) { return wrapped(p.text, width, "", ""); },
                                 [&](const Bullets& b) {
                                   std::string items;
                                   for (const auto& item : b.items)
                                     items += wrapped(item, width, "  - ", "    ");
                                   return items;
                                 },
                                 [&](const Table& t) { return table_text(t, style); }},
                      block);
  }
  return out;
}

std::string to_markdown(const Document& document) {
  std::string out;
  for (const Block& block : document) {
    if (!out.empty()) out += '\n';
    out += std::visit(Overloaded{[](const Heading& h) {
                                   return fmt::format(
                                       "{} {}\n",
                                       std::string(static_cast<std::size_t>(h.level), '#'), h.text);
                                 },
                                 [](const Paragraph& p) { return p.text + "\n"; },
                                 [](const Bullets& b) {
                                   std::string items;
                                   for (const auto& item : b.items) items += "- " + item + "\n";
                                   return items;
                                 },
                                 [](const Table& t) {
                                   std::string text = "|";
                                   for (const auto& column : t.columns)
                                     text += " " + escaped(title(column)) + " |";
                                   text += "\n|";
                                   for (const auto& column : t.columns)
                                     text += right_aligned(column) ? " ---: |" : " --- |";
                                   text += "\n";
                                   for (const auto& row : t.rows) {
                                     text += "|";
                                     for (const auto& cell : row)
                                       text += " " + escaped(cell) + " |";
                                     text += "\n";
                                   }
                                   return text;
                                 }},
                      block);
  }
  return out;
}

}  // namespace trainmeter
