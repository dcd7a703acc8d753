// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strangers' texts, before anything is made of them.
#include "record/text_limits.hpp"

#include "record/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace trainmeter {

std::string read_text(const std::filesystem::path& file, std::string_view expected) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    throw BadInput(fmt::format("{}: is a folder; expected {}", file.string(), expected));
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse_unreadable(file);
  std::string text;
  std::array<char, 1 << 16> part;
  while (in.read(part.data(), part.size()) || in.gcount() > 0) {
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLongestText) {
      throw BadInput(fmt::format("{}: expected at most {} MiB, found more", file.string(),
                                 kLongestText >> 20));
    }
  }
  if (in.bad()) throw BadInput(fmt::format("{}: reading failed", file.string()));
  return text;
}

void refuse_unreadable(const std::filesystem::path& file) {
  throw BadInput(fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
}

std::string visible(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (c == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080 to U+009F, in UTF-8
      out += '?';
      ++i;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += ' ';
    } else {
      out += c < ' ' || c == 0x7F ? '?' : text[i];
    }
  }
  return out;
}

std::string shortened(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  if (text.size() > most) out.replace(most - 3, 3, "...");
  std::ranges::replace_if(
      out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

void refuse_depth(std::string_view text, const std::string& where) {
  // Most lines hold too few brackets, wherever they stand.
  if (std::ranges::count(text, '[') + std::ranges::count(text, '{') <= kDeepest) return;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (c == '\\' && quoted) ++i;
    if (quoted) continue;
    if (c == ']' || c == '}') --depth;
    if ((c == '[' || c == '{') && ++depth > kDeepest) {
      throw BadInput(fmt::format(
          "{}: expected at most {} objects and lists in each other, found more", where, kDeepest));
    }
  }
}

}  // namespace trainmeter
