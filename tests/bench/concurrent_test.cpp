// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// --concurrent: real processes on two cores, with operations that only move a clock, and the real
// programs: who was slowest, and what becomes of the others where one fails.
#include "bench/concurrent.hpp"

#include "bench/exit_code.hpp"
#include "bench/harness.hpp"
#include "bench/together.hpp"
#include "kernels/machine.hpp"
#include "record/error.hpp"
#include "record/record.hpp"

#include "fakes.hpp"
#include "subprocess.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

namespace trainmeter {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kTwoDevices =
    " --device=cpu --concurrent=2 --cache=hot --benchmark_min_time=0.01 "
    "--benchmark_min_warmup_time=0.01 --case_seconds=0.1 ";
const std::string kSmallGemm = "gemm_bench --m=256 --n=256 --k=256 --dtype=fp32" + kTwoDevices +
                               "--benchmark_filter=openblas ";

// CPUs that the system shows; asked without cpu_info(), which a process asks for itself alone.
bool one_core() {
  return ::sysconf(_SC_NPROCESSORS_ONLN) < 2;
}

#define NEEDS_TWO_CORES() \
  if (one_core()) GTEST_SKIP() << "skipped: one core"

Measurement row_of(double time_s, const std::string& beside) {
  Measurement row;
  row.time_s.assign(100, time_s);
  row.beside = beside;
  return row;
}

TEST(Slowest, IsTheDeviceWithTheLongestTimeTogether) {
  const Slowest found =
      slowest_of({row_of(1e-3, "none"), row_of(2e-3, "gemm"), row_of(2.4e-3, "none"),
                  row_of(3e-3, "gemm"), row_of(2.5e-3, "none"), row_of(2.9e-3, "gemm")});
  EXPECT_EQ(found.device, 1U);
  EXPECT_EQ(found.row, 3U);
  EXPECT_DOUBLE_EQ(found.speed_vs_alone, 0.8);
}

// A program of two fake cases. What a device's process does on a run is `on_run(device, run)`.
struct Fake {
  std::function<double(int device)> cost_s = [](int) { return 1e-3; };
  std::function<void(int device, const std::string& backend, std::int64_t run)> on_run;
  std::function<Check(int device)> check = [](int) {
    return Check{.ok = true, .bound = 1, .how = "fake"};
  };
  std::function<void(int device)> on_make;
  std::string out;

  [[nodiscard]] int run(const DeviceProcess& process) const {
    FakeTime time;
    Job job;
    job.options = read_options(Program::gemm, {"gemm_bench", "--out=" + out, "--resume"});
    job.target.device = {.kind = "cpu", .name = "fake", .sms = 1, .details = {}};
    const int device = process.world.rank();
    for (const std::string backend : {"openblas", "onednn"}) {
      Case made;
      made.name = "gemm/fp32/" + backend + "/m:1/n:1/k:1";
      made.operation = "gemm";
      made.dtype = "fp32";
      made.backend = backend;
      made.shape = {{"m", 1}, {"n", 1}, {"k", 1}};
      made.flops = 2;
      made.make = [this, &time, device, backend](const OperandOptions&) {
        if (on_make) on_make(device);
        auto operation = std::make_unique<FakeOperation>(
            time, [this, device](std::int64_t) { return cost_s(device); });
        operation->check = check(device);
        operation->on_run = [this, device, backend, fake = operation.get()] {
          if (on_run) on_run(device, backend, static_cast<std::int64_t>(fake->ran.size()));
        };
        return operation;
      };
      job.list.cases.push_back(std::move(made));
    }
    job.timer = make_cpu_timer(time.clock(1e-8), nullptr);
    job.world = &process.world;
    job.devices = process.devices;
    return run_job(std::move(job));
  }
};

struct Ended {
  int code;
  std::string err;
};

Ended run_on_two(const Fake& fake) {
  Options options;
  options.device = "cpu";
  options.concurrent = 2;
  const pid_t self = ::getpid();
  int code = kFine;
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  try {
    code = on_each_device(options, [&](const DeviceProcess& process) { return fake.run(process); });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = kEnvironmentFailed;
  }
  if (::getpid() != self) {
    std::fflush(nullptr);
    std::_Exit(code);
  }
  (void)::testing::internal::GetCapturedStdout();
  return {code, ::testing::internal::GetCapturedStderr()};
}

std::vector<std::string> rows_in(const std::string& file) {
  std::vector<std::string> rows;
  for (const Line& line : read_record(file).lines) {
    rows.push_back(line.measurement.name + " beside " + line.measurement.beside);
  }
  return rows;
}

TEST(Concurrent, EveryDeviceIsMeasuredAloneAndTogetherAndTheSlowestNamed) {
  NEEDS_TWO_CORES();
  const Folder folder;
  Fake fake;
  fake.out = folder / "r.jsonl";
  fake.cost_s = [](int device) { return device == 1 ? 3e-3 : 1e-3; };
  const Ended ended = run_on_two(fake);
  ASSERT_EQ(ended.code, kFine) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("together: device 1 (cores "));
  EXPECT_THAT(ended.err, HasSubstr("was the slowest in 2 of 2 cases, at 1.00 of its speed alone"));
  EXPECT_THAT(ended.err, Not(HasSubstr("device 0 (")));
  const std::string name = "gemm/fp32/openblas/m:1/n:1/k:1";
  const std::vector<std::string> rows = rows_in(fake.out);
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_THAT(std::vector(rows.begin(), rows.begin() + 4),
              ElementsAre(name + "/device:0 beside none", name + "/device:0 beside gemm",
                          name + "/device:1 beside none", name + "/device:1 beside gemm"));
  const Record record = read_record(fake.out);
  for (const Line& line : record.lines) {  // each device's own times, not the slowest's
    const Measurement& row = line.measurement;
    EXPECT_THAT(row.time_s,
                Each(::testing::DoubleNear(row.shape.at("device") == 1 ? 3e-3 : 1e-3, 1e-9)));
    EXPECT_EQ(row.ranks, 1);
    EXPECT_THAT(row.notes.at("device"), HasSubstr("cores "));
  }
  // All take as many samples together.
  EXPECT_EQ(record.lines[1].measurement.time_s.size(), record.lines[3].measurement.time_s.size());

  const Ended again = run_on_two(fake);
  EXPECT_EQ(again.code, kFine);
  EXPECT_THAT(again.err, HasSubstr("all 2 cases are finished"));
  EXPECT_EQ(rows_in(fake.out).size(), 8U);
}

// Of each case in `file` one row, of device 1, that names it as rows with times do, and says `why`.
void expect_failed_on_second(const std::string& file, const std::string& why) {
  const Record record = read_record(file);
  ASSERT_EQ(record.lines.size(), 2U);
  for (const Line& line : record.lines) {
    const Measurement& row = line.measurement;
    EXPECT_FALSE(row.usable());
    EXPECT_THAT(row.name, EndsWith("/device:1"));
    EXPECT_EQ(row.shape.at("device"), 1);
    EXPECT_THAT(row.notes.at("device"), HasSubstr("cores "));
    EXPECT_THAT(row.failure, StartsWith("device 1 (" + row.notes.at("device") + "): " + why));
  }
}

TEST(Concurrent, AWrongResultNamesItsDevice) {
  NEEDS_TWO_CORES();
  const Folder folder;
  Fake fake;
  fake.out = folder / "r.jsonl";
  fake.check = [](int device) {
    return Check{.ok = device == 0, .error = device == 0 ? 0.5 : 7, .bound = 1, .how = "fake"};
  };
  const Ended ended = run_on_two(fake);
  EXPECT_EQ(ended.code, kCheckFailed) << ended.err;
  expect_failed_on_second(fake.out, "wrong result: error 7");
  EXPECT_EQ(read_record(fake.out).lines.front().measurement.error, 7);

  fake.out = folder / "both.jsonl";
  fake.check = [](int) { return Check{.ok = false, .error = 7, .bound = 1, .how = "fake"}; };
  EXPECT_EQ(run_on_two(fake).code, kCheckFailed);
  const std::string name = "gemm/fp32/openblas/m:1/n:1/k:1";
  const std::vector<std::string> rows = rows_in(fake.out);
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0], name + "/device:0 beside none");
  EXPECT_EQ(rows[1], name + "/device:1 beside none");
}

TEST(Concurrent, ALackNamesItsDevice) {
  NEEDS_TWO_CORES();
  const Folder folder;
  Fake fake;
  fake.out = folder / "r.jsonl";
  fake.on_make = [](int device) {
    if (device == 1) throw Unavailable("too little memory");
  };
  const Ended ended = run_on_two(fake);
  EXPECT_EQ(ended.code, kUnavailable) << ended.err;
  expect_failed_on_second(fake.out, "too little memory");
}

TEST(Concurrent, ADeviceThatFailsInMidRunIsNamedAndFinishedWorkKept) {
  NEEDS_TWO_CORES();
  for (const bool killed : {false, true}) {
    const Folder folder;
    Fake fake;
    fake.out = folder / "r.jsonl";
    fake.on_run = [killed](int device, const std::string& backend, std::int64_t run) {
      if (device != 1 || backend != "onednn" || run < 20) return;
      if (killed) (void)::raise(SIGKILL);
      throw std::runtime_error("no more power");
    };
    const Ended ended = run_on_two(fake);
    EXPECT_EQ(ended.code, kEnvironmentFailed) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr("device 1 (cores "));
    EXPECT_THAT(ended.err, HasSubstr(killed ? "was ended by signal 9" : "no more power"));
    EXPECT_EQ(rows_in(fake.out).size(), 4U);
    fake.on_run = nullptr;
    const Ended resumed = run_on_two(fake);
    EXPECT_EQ(resumed.code, kFine) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("1 of 2 cases are finished"));
    EXPECT_EQ(rows_in(fake.out).size(), 8U);
  }
}

TEST(ConcurrentPrograms, ShowTheSlowestAndItsSpeedAgainstAlone) {
  NEEDS_TWO_CORES();
  for (const std::string& command :
       {kSmallGemm,
        "memory_bench --bytes=1048576 --kernels=copy --dtype=fp64 --benchmark_filter=openmp/" +
            kTwoDevices}) {
    const Folder folder;
    const Said said = run(command + "--benchmark_format=json --out=" + (folder / "r.jsonl"));
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.out, HasSubstr("\"slowest_device\": "));
    EXPECT_THAT(said.out, HasSubstr("\"speed_vs_alone\": "));
    EXPECT_THAT(said.err, HasSubstr("together: device "));
    const Record record = read_record(folder / "r.jsonl");
    EXPECT_THAT(record.headers[0].device.details.at("concurrent"), HasSubstr("; 1: cores "));
    for (const Line& line : record.lines) EXPECT_TRUE(line.measurement.usable());
    EXPECT_EQ(record.lines.size() % 4, 0U);
  }
}

TEST(ConcurrentPrograms, SayWhatTheyCannotDo) {
  Said said = run("gemm_bench --device=cpu --concurrent=1");
  EXPECT_EQ(said.code, 2) << said.err;
  said = run("gemm_bench --device=cpu --concurrent=2 --versus=openblas");
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--concurrent: expected without --versus"));
  said = run("gemm_bench --device=cpu --concurrent=100000");
  EXPECT_EQ(said.code, 3) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--concurrent=100000: there are "));
  NEEDS_TWO_CORES();
  said = run("gemm_bench --m=1 --n=1 --k=1 --models=no-such-model" + kTwoDevices);
  EXPECT_EQ(said.code, 2) << said.err;
  EXPECT_EQ(std::count(said.err.begin(), said.err.end(), '\n'), 1) << said.err;
}

// Starts `command`, lets the shell line `then` act on it ($parent, and $1 $2: the devices'
// processes) when its record has a finished case, and says "left" of each of these that is still
// there after two seconds.
Said run_and(const std::string& command, const std::string& then, const std::string& record) {
  return run(command + " --out=" + record + " & parent=$!; for i in $(seq 600); do [ \"$(cat " +
             record + " 2>/dev/null | wc -l)\" -ge 5 ] && break; sleep 0.05; done; " +
             "set -- $(cat /proc/$parent/task/$parent/children); " + then +
             "; wait $parent; code=$?; for i in $(seq 40); do kill -0 $1 2>/dev/null || kill -0 $2 "
             "2>/dev/null || break; sleep 0.05; done; for p in $1 $2; do kill -0 $p 2>/dev/null && "
             "echo left $p >&2; done; exit $code");
}

TEST(ConcurrentPrograms, LeaveNoProcessBehind) {
  NEEDS_TWO_CORES();
  const std::string slow =
      "gemm_bench --m=256 --n=256 --k=256,257,258,259,260,261,262,263 --dtype=fp32 "
      "--benchmark_filter=openblas --benchmark_format=json" +
      kTwoDevices;
  struct {
    std::string then;
    int code;
    std::string said;
  } const ways[] = {{"kill -INT $parent", 130, ", interrupted"},
                    {"kill -INT $parent $1 $2", 130, ", interrupted"},  // as a terminal does
                    {"kill -9 $2", 4, "device 1 (cores "},
                    {"kill -9 $parent", 137, ""}};
  for (const auto& way : ways) {
    const Folder folder;
    const Said said = run_and(slow, way.then, folder / "r.jsonl");
    EXPECT_EQ(said.code, way.code) << way.then << "\n" << said.err;
    EXPECT_THAT(said.err, HasSubstr(way.said)) << way.then;
    EXPECT_THAT(said.err, Not(HasSubstr("left"))) << way.then;
    const std::size_t rows = read_record(folder / "r.jsonl").lines.size();
    EXPECT_GE(rows, 4U) << way.then;
    EXPECT_LT(rows, 32U) << way.then;
  }
}

}  // namespace
}  // namespace trainmeter
