// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The program as a user and a script meet it: output, exit codes, one clear line for each mistake.
#include "report/doctor.hpp"

#include "fixtures.hpp"
#include "program_runs.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace trainmeter;
using testing::HasSubstr;

TEST(Program, ClaimsAsJson) {
  const Outcome o = run_program("claims --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto claims = nlohmann::json::parse(o.out);
  ASSERT_TRUE(claims.is_array());
  std::map<std::string, nlohmann::json> by_id;
  for (const auto& claim : claims) by_id[claim.at("id")] = claim;
  EXPECT_EQ(by_id.at("deepseek-r1").at("gpu_hours"), 147000);
  EXPECT_EQ(by_id.at("deepseek-r1").at("cost_usd"), 294000);
  EXPECT_EQ(by_id.at("deepseek-v3").at("gpu_hours"), 2788000);
  EXPECT_EQ(by_id.at("deepseek-v3").at("cost_usd"), 5576000);
  EXPECT_THAT(by_id.at("r1-press").at("reason").get<std::string>(),
              HasSubstr("$81,920, not $294,000"));
}

TEST(Program, StrictFailsOnAContradiction) {
  EXPECT_EQ(run_program("claims r1-press --strict").code, 1);
  EXPECT_EQ(run_program("claims deepseek-v3 --strict").code, 0);
}

TEST(Program, ClaimsAtAPriceAndBeyondTheFinalRun) {
  const auto rental = [](const std::string& options) {
    const Outcome o = run_program("claims deepseek-r1 --format json " + options);
    EXPECT_EQ(o.code, 0) << o.err;
    return nlohmann::json::parse(o.out).at(0).at("cost").at("rental").at("usd");
  };
  EXPECT_EQ(rental("--price 2").at("p50"), 294000);
  EXPECT_EQ(rental("--price 2 --beyond-final-run 10").at("p95"), 2940000);
  EXPECT_LT(rental("").at("p05"), rental("").at("p95"));
  const std::string gpu = write_record(gpu_record(), "gpu.jsonl").string();
  EXPECT_EQ(run_program(fmt::format("claims deepseek-v3 --rates '{}'", gpu)).code, 0);
  const Outcome o =
      run_program("predict --run deepseek-v3-pretrain --price listings --samples 0 --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto cost = nlohmann::json::parse(o.out).at("estimates").at("cost_usd");
  EXPECT_LT(cost.at("p05"), cost.at("p50"));
}

TEST(Program, ReportFromARecordAlone) {
  for (const char* format : {"text", "md", "json", "html"}) {
    const Outcome o = run_program(fmt::format("report '{}' --format {}", record_file(), format));
    EXPECT_EQ(o.code, 0) << o.err;
    const std::string f = format;
    const bool in_full = f == "json" || f == "html";
    EXPECT_THAT(o.out, HasSubstr("512 H800 80 hours and cost $294,000"));
    EXPECT_EQ(o.out.find("$81,920") != std::string::npos, in_full) << format;
  }
  const std::string target = testing::TempDir() + "/story.md";
  EXPECT_EQ(run_program(fmt::format("report '{}' --format md -o '{}'", record_file(), target)).code,
            0);
  EXPECT_THAT(slurp(target), HasSubstr("| --- |"));
}

// Its pictures are drawn where the text can be written, and to a regular file alone.
TEST(Program, AReportsChartsAreBesideAFileAlone) {
  namespace fs = std::filesystem;
  const fs::path tools = fs::path(testing::TempDir()) / "charts that draw";
  const fs::path folder = fs::path(testing::TempDir()) / "a report's";
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::create_directories(tools / "venv/bin");
  for (const char* name : {"vega.js", "draw.py"}) std::ofstream(tools / name) << "\n";
  std::ofstream(tools / "venv/bin/python") << "#!/bin/sh\ncat >\"$2drawn.svg\"\n";
  fs::permissions(tools / "venv/bin/python", fs::perms::owner_all);
  const auto report = [&](const std::string& target) {
    return run_program(
        fmt::format("report '{}' --format md -o {}", record_file(), target),
        fmt::format("cd \"{}\" && TRAINMETER_CHARTS='{}'", folder.string(), tools.string()));
  };
  Outcome o = report("story.md");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(nlohmann::json::parse(slurp(folder / "story-drawn.svg")).is_object());
  EXPECT_THAT(slurp(folder / "story.md"), HasSubstr("(story-"));
  o = report("nodir/d.md");
  EXPECT_EQ(o.code, 2) << o.err;
  EXPECT_EQ(o.err, "trainmeter: nodir/d.md: cannot be written: No such file or directory\n");
  o = report("/dev/stdout");
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("| --- |"));
  EXPECT_EQ(report("/dev/full").code, 4);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 2U);
  EXPECT_FALSE(fs::exists("/dev/full-drawn.svg") || fs::exists("/dev/stdout-drawn.svg"));
}

// A file is whole or as it was.
TEST(Program, WhatIsWrittenReplacesAFileWhole) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "replaced";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / "real") << std::string(1 << 20, 'x');
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  // No file may grow beyond a block: what was there stays.
  const std::string limited = "ulimit -f 1; trap '' XFSZ;";
  const std::string command = fmt::format("claims -o '{}'", (folder / "link").string());
  EXPECT_EQ(run_program(command, limited).code, 4);
  EXPECT_EQ(slurp(folder / "real"), std::string(1 << 20, 'x'));
  EXPECT_EQ(run_program(command).code, 0);
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_THAT(slurp(folder / "real"), HasSubstr("contradictory"));
  EXPECT_EQ(fs::status(folder / "real").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder)) ++files;
  EXPECT_EQ(files, 2U);
}

TEST(Program, AnImportReplacesNoRecord) {
  namespace fs = std::filesystem;
  const std::string original =
      std::string(TRAINMETER_SOURCE_DIR) + "/tests/report/originals/nvbandwidth.json";
  const fs::path record = fs::path(testing::TempDir()) / "imported_once.jsonl";
  fs::remove_all(record.string() + ".originals");
  std::ofstream(record) << "";  // mktemp makes one
  const std::string command = fmt::format("import '{}' -o '{}'", original, record.string());
  EXPECT_EQ(run_program(command).code, 0);
  const std::string once = slurp(record);
  expect_refused(command,
                 "imported_once.jsonl: is there already; expected the path of a new record");
  EXPECT_EQ(slurp(record), once);
  EXPECT_EQ(run_program(fmt::format("import '{}' -o /dev/null", original)).code, 0);
  EXPECT_FALSE(fs::exists("/dev/null.originals"));
}

TEST(Program, ExportsForOtherTools) {
  for (const char* format : {"google", "bigger"}) {
    const Outcome o = run_program(fmt::format("export '{}' --format {}", record_file(), format));
    EXPECT_EQ(o.code, 0) << o.err;
    EXPECT_FALSE(nlohmann::json::parse(o.out).empty());
  }
  const std::string target = testing::TempDir() + "/export.csv";
  EXPECT_EQ(
      run_program(fmt::format("export '{}' --format csv -o '{}'", record_file(), target)).code, 0);
  EXPECT_THAT(slurp(target), HasSubstr("time_p50_s"));
}

TEST(Program, DoctorSaysWhatIsThere) {
  const Outcome o = run_program("doctor --format json");
  ASSERT_EQ(o.code, 0) << o.err;
  const auto json = nlohmann::json::parse(o.out);
  EXPECT_GE(json.at("cores").get<int>(), 1);
  EXPECT_TRUE(json.at("gpus").is_array());
  EXPECT_EQ(json.at("gpus").empty(), !json.at("why_no_gpu").get<std::string>().empty());
  for (const char* what : {"attention on the CPU", "attention on the GPU",
                           "work beside a GEMM on "
                           "the CPU",
                           "a layer's kernels on the GPU"}) {
    EXPECT_TRUE(std::ranges::any_of(json.at("measurements"), [&](const auto& row) {
      return row.at("what") == what;
    })) << what;
  }
}

// With a driver that has a GPU, and a cuBLASLt or none.
TEST(Program, DoctorLooksForTheCublasLtOfProgramsOnAGpu) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "fake_driver";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::create_symlink(TRAINMETER_FAKE_DRIVER, folder / "libcuda.so.1");
  std::filesystem::create_symlink("/bin/true", folder / "gemm_bench");  // where it isn't built
  const auto gemm_on_gpu = [&](const std::string& cuda) {
    const Outcome o =
        run_program("doctor --format json",
                    fmt::format("PATH='{0}':\"$PATH\" LD_LIBRARY_PATH='{0}' FAKE_CUDA={1}",
                                folder.string(), cuda));
    EXPECT_EQ(o.code, 0) << o.err;
    const auto json = nlohmann::json::parse(o.out);
    EXPECT_EQ(json.at("gpus").size(), 1U);
    for (const auto& row : json.at("measurements"))
      if (row.at("what") == "GEMM on the GPU") return row;
    return nlohmann::json::object();
  };
  const auto without = gemm_on_gpu("12060");
  if (without.at("fix") == "") {  // this machine has one
    EXPECT_THAT(without.at("why"), HasSubstr(" if built with CUDA 12"));
  } else {
    EXPECT_EQ(without.at("why"), "our own; libcublasLt.so.12 is missing");
    EXPECT_THAT(without.at("fix"), HasSubstr("apt-get install libcublas-12-6 "));
  }
  EXPECT_EQ(without.at("can"), true);

  std::filesystem::create_symlink(TRAINMETER_FAKE_DRIVER, folder / "libcublasLt.so.14");
  const auto with = gemm_on_gpu("14010");
  EXPECT_THAT(with.at("why"), HasSubstr("our own; cuBLASLt 14.1.2 if built with CUDA 14"));
  EXPECT_EQ(with.at("fix"), "");
}

TEST(Program, DoctorKnowsAGpuWithoutADriverByThePciBus) {
  const auto bus = std::filesystem::path(testing::TempDir()) / "pci";
  const auto add = [&](const char* device, const char* vendor, const char* kind) {
    std::filesystem::create_directories(bus / device);
    std::ofstream(bus / device / "vendor") << vendor << "\n";
    std::ofstream(bus / device / "class") << kind << "\n";
  };
  std::filesystem::remove_all(bus);
  EXPECT_FALSE(has_nvidia_gpu(bus));
  add("0000:00:02.0", "0x8086", "0x030000");
  add("0000:03:00.1", "0x10de", "0x040300");  // its sound
  EXPECT_FALSE(has_nvidia_gpu(bus));
  add("0000:03:00.0", "0x10de", "0x030200");
  EXPECT_TRUE(has_nvidia_gpu(bus));
}

TEST(Program, EachMistakeGetsOneLineAndExitCodeTwo) {
  expect_refused("", "expected a command");
  expect_refused("nonsense", "unknown argument 'nonsense' (try --help)");
  expect_refused("--nosuch", "unknown argument '--nosuch' (try --help)");
  expect_refused("claims -z", "unknown argument '-z' (try --help)");
  expect_refused("reprot", "unknown argument 'reprot' (did you mean 'report'?)");
  expect_refused("reprot --help", "unknown argument 'reprot' (did you mean 'report'?)");
  expect_refused("claims --fromat json", "unknown argument '--fromat' (did you mean '--format'?)");
  expect_refused("claims --format yaml", "--format");
  expect_refused("claims --price free", "--price: expected a number above 0, found 'free'");
  expect_refused("claims --beyond-final-run 0.5", "--beyond-final-run");
  expect_refused("predict --run gpt2-124m-10b --price listings",
                 "--price listings: none are published for a100");
  expect_refused("claims deepseek-r2", "deepseek-r");
  expect_refused("compare", "OLD");
  expect_refused(fmt::format("compare '{}'", record_file()), "NEW");
  expect_refused("compare /no/such.jsonl /no/such.jsonl", "/no/such.jsonl: cannot be read");
  expect_refused("compare , ,", "expected a record");
  expect_refused("compare x y --tolerance -1", "--tolerance: expected a number of 0 to 50");
  expect_refused("compare x y --confidence 95", "--confidence: expected a number of 0.5");
  expect_refused("compare x y --spread 0", "--spread");
  expect_refused("export", "RECORD");
  expect_refused("export x --format xml", "--format");
  expect_refused("report /no/such.jsonl", "/no/such.jsonl: cannot be read");
  expect_refused("report --published x.jsonl", "--published: expected no record");
  expect_refused("report --format pdf", "--format");
  expect_refused("explain", "NUMBER");
  expect_refused("explain deepseek-v3:cost_us --published", "did you mean deepseek-v3:cost_usd");
  expect_refused("predict", "--run");
  expect_refused("predict --run gpt2-124m-10b --price -1",
                 "--price: expected a number above 0, found '-1'");
  expect_refused("predict --run gpt2-124m-10b --price free", "found 'free'");
  expect_refused("predict --run gpt2-124m-10b --price 1e-320", "found '1e-320'");
  for (const char* command : {"predict --run gpt2-124m-10b", "claims", "report --published"}) {
    expect_refused(fmt::format("{} --price 1e300", command),
                   "--price: expected at most 1000 USD a GPU-hour, found '1e300'");
  }
  expect_refused(
      fmt::format("predict --run deepseek-v3-step --system h800 --rates '{}'", record_file()),
      "never carried to h800");
  expect_refused(
      fmt::format("predict --run deepseek-v3-step --rates '{}' --system measured", record_file()),
      "this machine has 2: none is left to compute on");
  expect_refused(fmt::format("report '{}' --run nope", record_file()), "no such id in runs");
  expect_refused("report --published --run nope", "no such id in runs");
  expect_refused("predict --run gpt2-124m-10b --seed -1", "--seed: expected a whole number");
  expect_refused("predict --run gpt2-124m-10b --samples 3",
                 "--samples: expected 0 (no range) or 100 to 1000000, found '3'");
  expect_refused("predict --run gpt2-124m-10b --samples -1", "expected 0 (no range) or 100 to ");
  expect_refused("predict --run /no/such.json", "/no/such.json");
  expect_refused("predict --run gpt2-124m-10b --system measured", "--rates");
  expect_refused("predict --run gpt2-124m-10b --seed x", "--seed");
  expect_refused("predict --run gpt2-124m-10b --price nan", "--price");
  expect_refused("validate --threads 0", "--threads");
  expect_refused("validate --threads -1", "--threads");
  expect_refused("validate --samples 10", "--samples");
  expect_refused("validate -o /no/such/folder/x --samples 100", "/no/such/folder/x");
  expect_refused("claims -o /no/such/folder/x", "/no/such/folder/x");
}

TEST(Program, AFullDiskIsTheEnvironmentsFault) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "skipped: no /dev/full";
  const std::string command =
      fmt::format("'{}/trainmeter' claims >/dev/full 2>/dev/null", TRAINMETER_BIN_DIR);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 4);
}

TEST(Program, AFileNeedsNoExtension) {
  const auto file = std::filesystem::path(testing::TempDir()) / "a_claim_of_mine";
  std::filesystem::copy_file(
      std::filesystem::path(TRAINMETER_SOURCE_DIR) / "results/published/claims/r1-press.json", file,
      std::filesystem::copy_options::overwrite_existing);
  const Outcome o =
      run_program("claims a_claim_of_mine", fmt::format("cd '{}' &&", testing::TempDir()));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_THAT(o.out, HasSubstr("contradictory"));
}
