// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Finds and reads the published files.
#include "record/error.hpp"
#include "record/text_limits.hpp"
#include "workload/claim.hpp"
#include "workload/limits.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unistd.h>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

// A published file is named after its id and says where its figures stand.
template <class T>
T checked(T value, const fs::path& file, const fs::path& root, const std::string& id,
          bool has_source) {
  if (!is_within(file, root)) return value;
  if (id != file.stem().string()) {
    throw BadInput(fmt::format("{}: id: expected '{}', as the file is named, found '{}'",
                               file.string(), file.stem().string(), id));
  }
  if (!has_source) {
    throw BadInput(
        fmt::format("{}: source: missing; a published file needs {{title, locator, url, read_on}}",
                    file.string()));
  }
  return value;
}

// "; deepseek-v3 is a claim: trainmeter claims deepseek-v3", where an id of another kind is meant.
std::string where_else(const Library& library, const std::string& kind, const std::string& id) {
  struct Place {
    const char *kind, *is, *used;
  };
  constexpr Place kPlaces[] = {{"claims", "a claim", ": trainmeter claims {}"},
                               {"runs", "a run", ": trainmeter predict --run {}"},
                               {"models", "a model, which runs name", ""},
                               {"systems", "a system", ": trainmeter predict --system {}"}};
  std::string out;
  for (const Place& place : kPlaces) {
    const std::vector<std::string> ids = library.ids(place.kind);
    if (kind == place.kind || std::ranges::find(ids, id) == ids.end()) continue;
    out += fmt::format("; {} is {}{}", id, place.is, fmt::format(fmt::runtime(place.used), id));
  }
  return out;
}

}  // namespace

struct Library::Read {
  std::mutex mutex;
  std::map<fs::path, Micro> micros;  // references stay valid
};

namespace {

constexpr const char* kNoData =
    "no published data here (expected folders models, systems, runs, claims, micro)";

bool has_data(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "systems", error);
}

}  // namespace

Library::Library(std::filesystem::path published)
    : root_(std::move(published)), read_(std::make_shared<Read>()) {
  if (!has_data(root_)) throw BadInput(fmt::format("{}: {}", root_.string(), kNoData));
}

std::vector<std::string> Library::ids(const std::string& kind) const {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_ / kind, error)) {
    if (entry.path().extension() == ".json") out.push_back(entry.path().stem().string());
  }
  std::ranges::sort(out);
  return out;
}

std::filesystem::path Library::file(const std::string& kind, const std::string& id_or_file) const {
  const fs::path named = id_or_file;
  if (names_a_file(id_or_file)) {
    if (::access(named.c_str(), F_OK) != 0) refuse_unreadable(named);
    return named;
  }
  const std::vector<std::string> known = ids(kind);
  if (std::ranges::find(known, id_or_file) == known.end()) {
    if (std::error_code ignored; plain_files_ && fs::exists(named, ignored)) return named;
    // "H100" is h100: ids differ in more than their capitals.
    const auto small = [](std::string text) {
      std::ranges::transform(text, text.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      return text;
    };
    const std::string wanted = small(id_or_file);
    for (const std::string& id : known) {
      if (small(id) == wanted) return root_ / kind / (id + ".json");
    }
    std::vector<std::string> likely = known;
    std::erase_if(likely, [&](const std::string& id) { return !id.starts_with(wanted); });
    if (likely.empty()) likely = known;
    const std::string near = nearest(wanted, likely);
    constexpr std::size_t kFew = 4;
    throw BadInput(
        fmt::format("'{}': no such file, and no such id in {} ({}){}", shortened(id_or_file), kind,
                    near.empty() ? fmt::format("nearest: {}; all {}: ls {}",
                                               fmt::join(nearest_few(wanted, likely, kFew), ", "),
                                               known.size(), (root_ / kind).string())
                                 : fmt::format("did you mean '{}'?", near),
                    where_else(*this, kind, wanted)));
  }
  return root_ / kind / (id_or_file + ".json");
}

Library Library::for_names_in_files() const {
  Library out = *this;
  out.plain_files_ = false;
  return out;
}

Model Library::model(const std::string& id_or_file) const {
  const fs::path path = file("models", id_or_file);
  const auto json = read_json_file(path);
  Model model = read_model(StrictObject(json, path.string()));
  const bool sourced = model.source.has_value();
  const std::string id = model.id;
  return checked(std::move(model), path, root_, id, sourced);
}

System Library::system(const std::string& id_or_file) const {
  const fs::path path = file("systems", id_or_file);
  const auto json = read_json_file(path);
  System system = read_system(StrictObject(json, path.string()));
  const bool sourced = system.source.has_value();
  const std::string id = system.id;
  return checked(std::move(system), path, root_, id, sourced);
}

Run Library::run(const std::string& id_or_file) const {
  const fs::path path = file("runs", id_or_file);
  const auto json = read_json_file(path);
  Run run = read_run(StrictObject(json, path.string()), *this);
  const bool sourced = run.source.has_value();
  const std::string id = run.id;
  return checked(std::move(run), path, root_, id, sourced);
}

Claim Library::claim(const std::string& id_or_file) const {
  const fs::path path = file("claims", id_or_file);
  Claim claim = read_claim(read_json_file(path), path.string(), *this);
  const std::string id = claim.run.id;
  return checked(std::move(claim), path, root_, id, true);
}

const Micro& Library::micro(const std::string& id_or_file) const {
  const std::scoped_lock lock(read_->mutex);
  if (const auto known = read_->micros.find(root_ / "micro" / (id_or_file + ".json"));
      known != read_->micros.end())
    return known->second;
  const fs::path path = file("micro", id_or_file);
  const auto json = read_json_file(path);
  Micro micro = read_micro(StrictObject(json, path.string()));
  const std::string id = micro.id;
  return read_->micros.insert_or_assign(path, checked(std::move(micro), path, root_, id, true))
      .first->second;
}

std::filesystem::path published_data() {
  std::error_code error;
  if (const char* set = std::getenv("TRAINMETER_DATA"); set != nullptr && *set != '\0') {
    if (!has_data(set)) throw BadInput(fmt::format("TRAINMETER_DATA: {}: {}", set, kNoData));
    return set;
  }
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path bin = self.parent_path();
    // Installed, beside the program in a carried folder, or in a build folder of the source tree.
    for (const char* place :
         {"../share/trainmeter/published", "../published", "../../results/published"}) {
      if (has_data(bin / place)) return fs::weakly_canonical(bin / place, error);
    }
  }
  return TRAINMETER_PUBLISHED_DATA;
}

}  // namespace trainmeter
