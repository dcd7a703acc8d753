// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every published file loads, is named after its id, and says where its figures stand.
#include "record/error.hpp"
#include "record/strict_json.hpp"
#include "workload/claim.hpp"
#include "workload/layout.hpp"
#include "workload/worklist.hpp"

#include "../refusal.hpp"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Library library() {
  return Library(std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results" / "published");
}

// Every JSON file below results/published, with its content.
std::vector<std::pair<std::filesystem::path, nlohmann::json>> published_json() {
  std::vector<std::pair<std::filesystem::path, nlohmann::json>> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(library().root())) {
    if (entry.path().extension() == ".json")
      out.emplace_back(entry.path(), read_json_file(entry.path()));
  }
  return out;
}

bool has_null(const nlohmann::json& value) {
  if (value.is_null()) return true;
  return value.is_structured() && std::ranges::any_of(value, has_null);
}

// A file that a step time can be predicted for and held against what its source prints. Looked at
// in the file itself: a reader fills in what is absent.
bool is_scored(const nlohmann::json& run) {
  for (const char* key : {"model", "system", "seq_len", "global_batch_sequences", "parallel"}) {
    if (!run.contains(key)) return false;
  }
  for (const char* key :
       {"step_time_s", "tokens_per_s_per_gpu", "tokens_per_day", "tflops_per_gpu", "mfu", "hfu"}) {
    if (run.contains("published") && run.at("published").contains(key)) return true;
  }
  return false;
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
  EXPECT_GE(files, 250U);
}

TEST(Published, AllRunsAreThere) {
  EXPECT_GE(library().ids("runs").size(), 178U);
}

TEST(Published, EveryFileIsJsonWithoutNulls) {
  std::set<std::string> folders;
  for (const auto& [file, value] : published_json()) {
    folders.insert(file.parent_path().filename().string());
    EXPECT_TRUE(value.is_object()) << file;
    EXPECT_FALSE(has_null(value)) << file;
  }
  for (const char* folder : {"claims", "micro", "models", "runs", "systems", "traces"}) {
    EXPECT_TRUE(folders.contains(folder)) << folder;
  }
}

TEST(Published, IdsAreFileNamesAndStandOnce) {
  std::set<std::string> ids;
  std::set<std::string> figures;
  for (const auto& [file, value] : published_json()) {
    const std::string folder = file.parent_path().filename().string();
    if (folder == "published") continue;  // factors and calibration have none
    EXPECT_EQ(value.at("id"), file.stem().string()) << file;
    EXPECT_TRUE(ids.insert(folder + "/" + value.at("id").get<std::string>()).second) << file;
    if (folder != "micro") continue;
    for (const auto& figure : value.at("figures")) {
      EXPECT_TRUE(figures.insert(figure.at("id")).second) << figure.at("id") << " in " << file;
    }
  }
}

TEST(Published, EveryScoredRunSaysItsFamilyAndPrecision) {
  std::size_t scored = 0;
  for (const auto& [file, value] : published_json()) {
    if (file.parent_path().filename() != "runs" || !is_scored(value)) continue;
    ++scored;
    EXPECT_FALSE(value.value("family", "").empty()) << file;
    EXPECT_TRUE(value.contains("precision")) << file;
  }
  EXPECT_GE(scored, 84U);
}

// A layout that ran is legal; else the reader of it, or the file, is wrong.
TEST(Published, EveryScoredRunHasALegalLayoutAndAWorkList) {
  const Library lib = library();
  for (const std::string& id : lib.ids("runs")) {
    const trainmeter::Run run = lib.run(id);
    if (!is_scored(read_json_file(lib.file("runs", id)))) continue;
    SCOPED_TRACE(id);
    try {
      const std::vector<Choice> all = layouts(run);
      ASSERT_FALSE(all.empty());
      const WorkOptions options{run.precision, run.stack, run.system->gpus_per_node};
      for (const LayerKind kind : {LayerKind::embedding, LayerKind::dense, LayerKind::head}) {
        if (kind == LayerKind::dense && dense_layers(*run.model) == 0) continue;
        EXPECT_FALSE(layer_work(*run.model, kind, all.front().layout, options).traffic.empty());
      }
      if (run.model->moe) {
        EXPECT_FALSE(
            layer_work(*run.model, LayerKind::moe, all.front().layout, options).gemms.empty());
      }
    } catch (const BadInput& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

// A page that prints a schedule is taken at its word.
TEST(Published, APrintedScheduleIsTheOnlyOne) {
  const Library lib = library();
  for (const std::string& id : lib.ids("runs")) {
    const trainmeter::Run run = lib.run(id);
    if (!run.parallel || !run.parallel->schedule || run.parallel->pp == 1) continue;
    for (const Choice& choice : layouts(run)) {
      EXPECT_EQ(choice.layout.schedule, *run.parallel->schedule) << id;
      if (run.parallel->vpp) {
        EXPECT_EQ(choice.layout.vpp, *run.parallel->vpp) << id;
      }
    }
  }
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

// What lies in the working directory isn't what a file of somebody's means by an id.
TEST(Library, APlainNameInAFileIsAnId) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "plain_names";
  fs::create_directories(folder / "of_the_run");
  fs::copy_file(library().root() / "models/gpt2-124m.json", folder / "plainmodel",
                fs::copy_options::overwrite_existing);
  fs::copy_file(folder / "plainmodel", folder / "of_the_run/own",
                fs::copy_options::overwrite_existing);
  const auto refused = [&](const std::string& model) {
    const fs::path file = folder / "of_the_run/run.json";
    std::ofstream(file) << fmt::format(R"({{"id": "r", "title": "t", "model": "{}"}})", model);
    return refusal([&] { (void)library().run(file.string()); });
  };
  const fs::path before = fs::current_path();
  fs::current_path(folder);
  EXPECT_EQ(library().model("plainmodel").id, "gpt2-124m");  // as on a command line
  EXPECT_THAT(refused("plainmodel"),
              HasSubstr("run.json: model: 'plainmodel': no such file, and no such id in models"));
  EXPECT_EQ(refused("./own"), "nothing was refused");
  fs::current_path(before);
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
  const auto folder = std::filesystem::path(::testing::TempDir()) / "data_of_mine";
  std::filesystem::create_directories(folder / "systems");
  ::setenv("TRAINMETER_DATA", folder.c_str(), 1);
  EXPECT_EQ(published_data(), folder);
  ::setenv("TRAINMETER_DATA", "/somewhere", 1);
  EXPECT_THAT(refusal([] { (void)published_data(); }),
              HasSubstr("TRAINMETER_DATA: /somewhere: no published data here (expected folders"));
  ::unsetenv("TRAINMETER_DATA");
  EXPECT_TRUE(std::filesystem::is_directory(published_data() / "models"));
}

TEST(Library, CapitalsMakeNoOtherId) {
  EXPECT_EQ(library().system("H100").id, "h100");
  EXPECT_EQ(library().model("Llama-3-8B").id, "llama-3-8b");
  EXPECT_THAT(refusal([] { (void)library().system("H10"); }), HasSubstr("did you mean 'h100'?"));
}

// Report's price.cpp reads it there.
TEST(Published, ALocatorSaysWhoseAPriceIs) {
  for (const std::string& id : library().ids("systems")) {
    const System system = library().system(id);
    if (!system.price_usd_per_gpu_hour || system.kind == "cpu") continue;
    EXPECT_THAT(system.source->locator, HasSubstr("price: ")) << id;
  }
}

TEST(Library, AnUnknownIdIsAnsweredWithTheNearestFew) {
  const std::string message = refusal([] { (void)library().run("nope"); });
  EXPECT_THAT(message, HasSubstr("'nope': no such file, and no such id in runs (nearest: "));
  EXPECT_THAT(message, HasSubstr(fmt::format("all {}: ls ", library().ids("runs").size())));
  EXPECT_LT(message.size(), 300U);
  EXPECT_THAT(refusal([] { (void)library().run("llama"); }), HasSubstr("nearest: llama"));
  EXPECT_THAT(refusal([] { (void)library().run("deepseek-v3-stp"); }),
              HasSubstr("did you mean 'deepseek-v3-step'?"));
}

// Not one that is nearer by its letters, as deepseek-r1-rl is.
TEST(Library, AnUnknownIdIsAnsweredWithThoseThatBeginSo) {
  const std::string message = refusal([] { (void)library().run("deepseek-v3"); });
  EXPECT_THAT(message, HasSubstr("(did you mean 'deepseek-v3-step'?)"));
  EXPECT_THAT(message, testing::Not(HasSubstr("deepseek-r1")));
  EXPECT_THAT(message, HasSubstr("; deepseek-v3 is a claim: trainmeter claims deepseek-v3; "
                                 "deepseek-v3 is a model, which runs name"));
  EXPECT_THAT(refusal([] { (void)library().claim("GPT2-124m-10b"); }),
              HasSubstr("gpt2-124m-10b is a run: trainmeter predict --run gpt2-124m-10b"));
  EXPECT_THAT(refusal([] { (void)library().run("nope"); }), testing::Not(HasSubstr(" is a ")));
}
