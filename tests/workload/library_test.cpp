// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every published file loads, is named after its id, and says where its figures stand.
#include "record/error.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Library library() {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published");
}

void expect_complete(const std::optional<Source>& source, const std::string& what) {
  ASSERT_TRUE(source) << what;
  EXPECT_FALSE(source->title.empty()) << what;
  EXPECT_FALSE(source->locator.empty()) << what;
  EXPECT_TRUE(source->url.starts_with("http")) << what;
  EXPECT_EQ(source->read_on.size(), 10U) << what;
}

}  // namespace

TEST(Published, EveryFileLoadsAndNamesItsSource) {
  const Library lib = library();
  std::size_t files = 0;
  for (const std::string& id : lib.ids("models"))
    expect_complete(lib.model(id).source, id), ++files;
  for (const std::string& id : lib.ids("systems"))
    expect_complete(lib.system(id).source, id), ++files;
  for (const std::string& id : lib.ids("runs")) expect_complete(lib.run(id).source, id), ++files;
  for (const std::string& id : lib.ids("claims"))
    expect_complete(lib.claim(id).source, id), ++files;
  for (const std::string& id : lib.ids("micro")) {
    ++files;
    std::set<std::string> seen;
    for (const MicroFigure& figure : lib.micro(id).figures) {
      expect_complete(figure.source, figure.id);
      EXPECT_TRUE(seen.insert(figure.id).second) << figure.id << " stands twice in " << id;
    }
    EXPECT_NO_THROW((void)lib.system(lib.micro(id).system));
  }
  EXPECT_GE(files, 24U);
}

TEST(Published, NoMeasurementBeatsItsDatasheet) {
  const Library lib = library();
  for (const std::string& id : lib.ids("micro")) {
    const Micro micro = lib.micro(id);
    const System system = lib.system(micro.system);
    for (const MicroFigure& f : micro.figures) {
      if (f.flops_per_s) {
        EXPECT_LT(*f.flops_per_s, system.peak_flops.at(f.dtype)) << f.id;
      }
      if (f.bytes_per_s) {
        EXPECT_LT(*f.bytes_per_s, *system.memory_bytes_per_s) << f.id;
      }
    }
  }
}

TEST(Published, AFileWithoutItsSourceOrUnderAnotherNameIsRefused) {
  const auto root = std::filesystem::path(testing::TempDir()) / "published_without_source";
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root / "systems");
  std::ofstream(root / "systems" / "x.json") << R"({"id": "x", "gpu": "X"})";
  std::ofstream(root / "systems" / "y.json") << R"({"id": "z", "gpu": "X"})";
  const Library lib(root);
  try {
    (void)lib.system("x");
    FAIL();
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.json: source: missing"));
  }
  EXPECT_THROW((void)lib.system("y"), BadInput);
  EXPECT_EQ(library().system((root / "systems" / "x.json").string()).gpu,
            "X");  // a user's own file needs no source
}

TEST(Published, ARunThatNamesItselfIsRefused) {
  const auto file = std::filesystem::path(testing::TempDir()) / "circle.json";
  std::ofstream(file) << fmt::format(R"({{"id": "circle", "title": "c", "stages": ["{}"]}})",
                                     file.string());
  EXPECT_THROW((void)library().run(file.string()), BadInput);
}

TEST(Published, UnknownIdsNameTheNearest) {
  try {
    (void)library().claim("deepseek-r2");
    FAIL();
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("no such id in claims (did you mean 'deepseek-r1'?)"));
  }
  EXPECT_THROW(Library("/no/such/folder"), BadInput);
}

TEST(Published, TheEnvironmentNamesTheFolder) {
  ::setenv("TRAINMETER_DATA", "/somewhere", 1);
  EXPECT_EQ(published_data(), "/somewhere");
  ::unsetenv("TRAINMETER_DATA");
  EXPECT_TRUE(std::filesystem::is_directory(published_data() / "models"));
}
