// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Reads a JSON file once more, for the lines of its keys.
#include "record/key_places.hpp"

#include "record/error.hpp"
#include "record/text_limits.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

std::string below(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// Of every key, and of every object and list in a list: where it begins.
std::map<std::string, std::size_t, std::less<>> lines_of(const std::string& content) {
  struct Level {
    std::string path;
    bool list = false;
    std::size_t next = 0;  // element of the list
  };
  std::map<std::string, std::size_t, std::less<>> out;
  std::istringstream in(content);
  std::ptrdiff_t counted = 0;
  std::size_t line = 1;
  // The parser reads no further than the token that it reports, but for a number, which none of the
  // events below is of.
  const auto line_here = [&] {
    const auto here = std::clamp<std::ptrdiff_t>(in.tellg(), counted, std::ssize(content));
    line += static_cast<std::size_t>(
        std::count(content.begin() + counted, content.begin() + here, '\n'));
    counted = here;
    return line;
  };
  std::vector<Level> levels;
  std::string key;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    const bool in_list = !levels.empty() && levels.back().list;
    if (event == Event::key) {
      key = below(levels.back().path, parsed.get_ref<const std::string&>());
      out.emplace(key, line_here());
    } else if (event == Event::object_start || event == Event::array_start) {
      if (in_list) key = fmt::format("{}[{}]", levels.back().path, levels.back().next++);
      if (in_list || levels.empty()) out.emplace(key, line_here());
      levels.push_back({key, event == Event::array_start});
    } else if (event == Event::object_end || event == Event::array_end) {
      levels.pop_back();
    } else if (in_list) {
      ++levels.back().next;
    }
    return true;
  };
  [[maybe_unused]] const nlohmann::json whole = nlohmann::json::parse(in, watch);
  return out;
}

}  // namespace

KeyPlace KeyPlace::at(std::string_view below_it) const {
  return {file, below(key, below_it)};
}

std::size_t KeyLines::line(const KeyPlace& place) {
  if (place.file.empty()) return 0;
  const auto [known, is_new] = lines_.try_emplace(place.file);
  if (is_new) {
    try {
      const std::string content = read_text(place.file, "a JSON file");
      refuse_depth(content, place.file);
      known->second = lines_of(content);
    } catch (const BadInput&) {  // gone since it was read
    } catch (const nlohmann::json::exception&) {
    }
  }
  const auto found = known->second.find(place.key);
  return found == known->second.end() ? 0 : found->second;
}

std::string KeyLines::shown(const KeyPlace& place) {
  if (place.file.empty()) return "";
  std::error_code error;
  const fs::path here = fs::current_path(error);
  const fs::path from_here = fs::path(place.file).lexically_relative(here);
  const bool inside = !error && !from_here.empty() && *from_here.begin() != "..";
  const std::string file = inside ? from_here.string() : place.file;
  const std::size_t at = line(place);
  return at == 0 ? file : fmt::format("{}:{}", file, at);
}

}  // namespace trainmeter
