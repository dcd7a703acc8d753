// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Rates from records and publications.
#include "report/rates.hpp"

#include "record/names.hpp"
#include "report/gemm_curve.hpp"

#include "fixtures.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

using namespace trainmeter;
using testing::HasSubstr;

namespace {

Measurement attention_at(const std::string& pass, double flops_per_s, std::int64_t seq_len,
                         std::int64_t width, bool causal = true) {
  Measurement out =
      measured(pass, "bf16", "kernel",
               {{"seq_len", seq_len}, {"head_dim", width}, {"causal", causal ? 1 : 0}}, 0, 1);
  out.flops = flops_per_s;
  return out;
}

std::optional<Rate> core(const RateBook& book, bool forward, const char* backend,
                         std::int64_t seq_len, std::int64_t width) {
  return book.attention(forward, backend, "bf16",
                        {.seq_len = seq_len, .head_dim = width, .value_dim = width, .group = 1});
}

}  // namespace

TEST(Rates, ComeFromTheMedian) {
  const Record record = record_of({gemm_at(2e12, 512, 512, 512)});
  EXPECT_NEAR(rate_of(record.lines[0].measurement, record.headers[0]) / 2e12, 1, 1e-12);
  EXPECT_NEAR(noise_of(record.lines[0].measurement), 1.4826 * 0.005,
              1e-9);  // deviations 0 0 0 .005 .005 .01 .01
}

TEST(Rates, OfACollectiveAreBusBandwidth) {
  const Record record = small_cpu();
  const Line& line = record.lines.back();
  EXPECT_NEAR(rate_of(line.measurement, record.headers[0]),
              (1 << 20) / 1e-3 * bus_factor("allreduce", 2), 1);
}

TEST(Rates, OfAStepsKernelsAreBytesAndNotTheMachinesBandwidth) {
  RateBook book;
  std::vector<Measurement> all;
  for (const std::string& kernel : step_kernel_names()) {
    EXPECT_TRUE(is_step_kernel(kernel) && !is_memory_kernel(kernel)) << kernel;
    all.push_back(measured(kernel, "bf16", "cuda", {{"rows", 8}, {"cols", 64}}, 5e9, 1e-3));
  }
  book.add(record_of(all));
  ASSERT_EQ(book.points().size(), step_kernel_names().size());
  for (const RatePoint& p : book.points()) EXPECT_NEAR(p.value, 5e12, 1) << p.operation;
  EXPECT_FALSE(book.memory());
  all.push_back(measured("copy", "fp64", "cuda", {{"bytes", 1 << 27}}, 2e9, 1e-3));
  book.add(record_of({all.back()}));
  EXPECT_NEAR(book.memory()->value, 2e12, 1);
}

TEST(Rates, TakeTheVeryShapeOfTheBestBackend) {
  RateBook book;
  book.add(
      record_of({gemm_at(1e12, 1024, 1024, 1024), gemm_at(3e12, 1024, 1024, 1024, "bf16", "other"),
                 gemm_at(9e12, 64, 64, 64)}));
  const auto exact = book.gemm("bf16", "nt", 1024, 1024, 1024);
  ASSERT_TRUE(exact);
  EXPECT_NEAR(exact->value, 3e12, 1);
  EXPECT_EQ(exact->shape, 0);
  EXPECT_EQ(exact->how, "exact shape");
  EXPECT_EQ(exact->origin, "test.jsonl:3");
  EXPECT_NEAR(book.best_gemm("bf16")->value, 9e12, 1);
  EXPECT_FALSE(book.gemm("fp64", "nt", 64, 64, 64));
  EXPECT_FALSE(RateBook().gemm("bf16", "nt", 64, 64, 64));
}

TEST(Rates, OfFp8AreOfScaledBlocksWhereTheyWereMeasured) {
  Measurement tensor = gemm_at(3e12, 1024, 1024, 1024, "fp8");
  tensor.scaling = "tensor";
  Measurement blocks = gemm_at(2e12, 1024, 1024, 1024, "fp8");
  blocks.scaling = "block128";
  RateBook alone;
  alone.add(record_of({tensor}));
  EXPECT_NEAR(alone.best_gemm("fp8")->value, 3e12, 1);
  RateBook both;
  both.add(record_of({tensor, blocks}));
  EXPECT_NEAR(both.best_gemm("fp8")->value, 2e12, 1);
}

TEST(Rates, OfACollectiveBetweenNodesAreNotThoseWithinOne) {
  Measurement within = measured("allreduce", "fp32", "mpi", {{"bytes", 1 << 20}}, 1 << 20, 1e-3);
  within.ranks = 2;
  Measurement between = within;
  between.notes["hosts"] = "n1 n2";
  RateBook book;
  book.add(record_of({within, between}));
  EXPECT_EQ(book.points().size(), 1U);
}

TEST(Rates, OfACollectiveBetweenVirtualRanksAreNone) {
  Measurement m = measured("allreduce", "bf16", "peer", {{"bytes", 1 << 20}}, 1 << 20, 1e-3);
  m.ranks = 8;
  EXPECT_TRUE(gives_rate(m, cpu_header()));
  m.shape["virtual_ranks"] = 8;
  EXPECT_FALSE(gives_rate(m, cpu_header()));
}

TEST(Rates, AShareOfAGpuGivesNone) {
  Header header = cpu_header();
  header.device.kind = "gpu";
  header.device.sms = 132;
  Measurement m = gemm_at(1e12, 512, 512, 512);
  m.sms = 112;
  EXPECT_FALSE(gives_rate(m, header));
  m.sms = 132;
  EXPECT_TRUE(gives_rate(m, header));
}

TEST(Rates, LieBetweenTheShapesAround) {
  RateBook book;  // of a device without a curve
  book.add(record_of({gemm_at(1e12, 1024, 1024, 1024), gemm_at(4e12, 4096, 1024, 1024)}));
  const auto middle = book.gemm("bf16", "nt", 2048, 1024, 1024);
  EXPECT_NEAR(middle->value / 2e12, 1, 1e-9);  // as far from one as from the other
  EXPECT_THAT(middle->how, HasSubstr("between shapes, nearest"));
  EXPECT_THAT(middle->how, HasSubstr("x1024x1024"));
  // Weights exp(-d^2 / 2) + 0.05 / 2, d = log 1.5 and log(8 / 3) away.
  const auto weight = [](double d) { return std::exp(-0.5 * d * d) + 0.025; };
  const double near = weight(std::log(1.5)), far = weight(std::log(8.0 / 3));
  EXPECT_NEAR(book.gemm("bf16", "nt", 1536, 1024, 1024)->value /
                  (1e12 * std::exp(std::log(4) * far / (near + far))),
              1, 1e-9);
  EXPECT_THAT(book.gemm("bf16", "nt", 1536, 1024, 1024)->how, HasSubstr("nearest 1024x1024x1024"));
}

TEST(Rates, FollowTheDevicesCurveBetweenShapes) {
  RateBook book;
  book.describe(toy_gpu());
  book.add(record_of({gemm_at(400e12, 12800, 256, 1000)}));  // a share of 1000 / 1220
  // Half a wave: 100 tiles of 64 x 256 or 50 of 128 x 256, half of whose idle SMs are lost.
  const double half = gemm_share(toy_gpu(), "bf16", 6400, 256, 1000, 1, 1e15);
  EXPECT_NEAR(book.gemm("bf16", "nt", 6400, 256, 1000)->value / (400e12 * 1.22 * half), 1, 1e-9);
  EXPECT_LT(half, 1000.0 / 1220);
}

TEST(Rates, OfFarShapesStayWithinWhatTheCurveAndTheBestShapeAllow) {
  RateBook book;
  book.describe(toy_gpu());
  const std::vector<std::array<std::int64_t, 3>> shapes = {
      {4096, 4096, 4096}, {8192, 1024, 512}, {128, 8192, 8192}, {512, 512, 16384}};
  std::vector<Measurement> measured_at;
  double best = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const auto& [m, n, k] = shapes[i];
    const double share = gemm_share(toy_gpu(), "bf16", m, n, k, 1, 1e15);
    const double of_curve = (400 + 100 * static_cast<double>(i)) * 1e12;
    measured_at.push_back(gemm_at(of_curve * share, m, n, k));
    best = std::max(best, of_curve);
  }
  book.add(record_of(measured_at));
  std::mt19937_64 random(1);
  const auto dimension = [&] {
    return static_cast<std::int64_t>(
        std::exp(std::uniform_real_distribution<double>(0, std::log(1e7))(random)));
  };
  for (int i = 0; i < 2000; ++i) {
    const std::int64_t m = dimension(), n = dimension(), k = dimension(), groups = 1 + i % 64;
    SCOPED_TRACE(fmt::format("{} x {}x{}x{}", groups, m, n, k));
    const auto rate = book.gemm("bf16", "nt", m, n, k, groups);
    ASSERT_TRUE(rate);
    EXPECT_GT(rate->value, 0);
    EXPECT_LE(rate->value,
              best * gemm_share(toy_gpu(), "bf16", m, n, k, groups, 1e15) * (1 + 1e-9));
    EXPECT_GE(rate->shape, 0.5 * 0.05);
    EXPECT_TRUE(std::isfinite(rate->shape));
    if (HasFailure()) return;
  }
}

TEST(Rates, LearnTheErrorOfNeighboursFromTheRecord) {
  RateBook smooth;
  smooth.add(record_of({gemm_at(1e12, 512, 512, 512), gemm_at(1e12, 1024, 512, 512),
                        gemm_at(1e12, 512, 1024, 512)}));
  RateBook rough;
  rough.add(record_of({gemm_at(1e12, 512, 512, 512), gemm_at(2e12, 1024, 512, 512),
                       gemm_at(2e12, 512, 1024, 512)}));
  // Leaving each out: the first is guessed at log 2 too much; the others by what the first weighs
  // beside the third, at distances log 2 and sqrt(2) log 2.
  const auto weight = [](double d) { return std::exp(-0.5 * d * d) + 0.05 / 3; };
  const double two = std::log(2);
  const double first = weight(two), third = weight(std::sqrt(2) * two);
  const double off = two * first / (first + third);
  const double error = std::sqrt((two * two + 2 * off * off) / 3);
  // Half of it at a known shape, twice far from all.
  EXPECT_NEAR(rough.gemm("bf16", "nt", 512, 512, 513)->shape / error, 0.5, 1e-3);
  EXPECT_NEAR(rough.gemm("bf16", "nt", 1 << 30, 512, 512)->shape / error, 2, 1e-9);
  EXPECT_NEAR(smooth.gemm("bf16", "nt", 1 << 30, 512, 512)->shape, 2 * 0.05, 1e-9);
  double last = 0;
  for (const std::int64_t k : {520, 600, 800, 1200, 2400, 10000}) {
    const double uncertainty = rough.gemm("bf16", "nt", 512, 512, k)->shape;
    EXPECT_GT(uncertainty, last);
    last = uncertainty;
  }
}

TEST(Rates, AnotherLayoutIsNearButNotTheSame) {
  Measurement other = gemm_at(1e12, 1024, 1024, 1024);
  other.layout = "tn";
  RateBook book;
  book.add(record_of({other}));
  const auto rate = book.gemm("bf16", "nt", 1024, 1024, 1024);
  EXPECT_NEAR(rate->value, 1e12, 1);
  EXPECT_GT(rate->shape, 0.5 * 0.05);
  EXPECT_LT(rate->shape, 0.05);
  Measurement same = gemm_at(0.8e12, 1024, 1024, 1024);  // slower, but what was asked for
  book.add(record_of({same}));
  EXPECT_NEAR(book.gemm("bf16", "nt", 1024, 1024, 1024)->value, 0.8e12, 1);
  EXPECT_NEAR(book.gemm("bf16", "tn", 1024, 1024, 1024)->value, 1e12, 1);
}

TEST(Rates, GroupsAreAShapeOfTheirOwn) {
  Measurement grouped = gemm_at(1e12, 128, 256, 1000);
  grouped.shape["groups"] = 100;
  RateBook book;
  book.describe(toy_gpu());
  book.add(record_of({grouped}));
  EXPECT_EQ(book.gemm("bf16", "nt", 128, 256, 1000, 100)->shape, 0);
  // A single GEMM of the same rows lies at the same place, on the same curve.
  const auto single = book.gemm("bf16", "nt", 12800, 256, 1000);
  EXPECT_NEAR(single->value, 1e12, 1);
  EXPECT_GT(single->shape, 0);
  // One group alone fills few SMs.
  EXPECT_LT(book.gemm("bf16", "nt", 128, 256, 1000)->value, 0.2e12);
}

TEST(Rates, WithoutAnyShapeAreUncertain) {
  RateBook book;
  book.add(record_of({measured("gemm", "bf16", "onednn", {}, 1e12, 1)}));
  const auto rate = book.gemm("bf16", "nt", 64, 64, 64);
  ASSERT_TRUE(rate);
  EXPECT_EQ(rate->how, "shape not printed");
  EXPECT_GE(rate->shape, 0.1);
}

TEST(Attention, LiesBetweenLengthsAndStaysAtTheEnds) {
  RateBook book;
  book.add(record_of({attention_at("attention_forward", 100e12, 1024, 128),
                      attention_at("attention_forward", 400e12, 4096, 128),
                      attention_at("attention_backward", 50e12, 1024, 128),
                      attention_at("attention_forward", 900e12, 2048, 64)}));
  const auto forward = [&](std::int64_t seq_len, std::int64_t width) {
    return *core(book, true, "kernel", seq_len, width);
  };
  EXPECT_NEAR(forward(1024, 128).value / 100e12, 1, 1e-9);
  EXPECT_EQ(forward(1024, 128).how, "exact shape");
  EXPECT_EQ(forward(1024, 128).shape, 0);
  EXPECT_NEAR(forward(2048, 128).value / 200e12, 1, 1e-9);
  EXPECT_GT(forward(2048, 128).shape, 0);
  EXPECT_THAT(forward(2048, 128).how, HasSubstr("nearest 4096 tokens, width 128"));
  EXPECT_NEAR(forward(16, 128).value / 100e12, 1, 1e-9);
  EXPECT_NEAR(forward(1 << 20, 128).value / 400e12, 1, 1e-9);
  EXPECT_GT(forward(1 << 20, 128).shape, 0);
  EXPECT_NEAR(forward(2048, 192).value / 200e12, 1, 1e-9);  // the nearest width
  EXPECT_GT(forward(1024, 192).shape, 0);
  EXPECT_NEAR(forward(512, 80).value / 900e12, 1, 1e-9);
  EXPECT_NEAR(core(book, false, "kernel", 4096, 128)->value / 50e12, 1, 1e-9);
  EXPECT_FALSE(core(book, true, "another", 1024, 128));
  EXPECT_FALSE(core(RateBook(), true, "kernel", 1024, 128));
}

TEST(Attention, MeasuredIsOfItsDtypeWidthsAndGrouping) {
  const auto at = [](const char* backend, const char* dtype, double rate, std::int64_t heads,
                     std::int64_t kv_heads, std::int64_t head_dim, std::int64_t value_dim,
                     std::int64_t queries = 1024) {
    Measurement out = measured("attention_forward", dtype, backend,
                               {{"batch", 1},
                                {"heads", heads},
                                {"kv_heads", kv_heads},
                                {"queries", queries},
                                {"seq_len", 1024},
                                {"head_dim", head_dim},
                                {"value_dim", value_dim},
                                {"causal", 1}},
                               0, 1);
    out.flops = rate;
    return out;
  };
  RateBook book;
  book.add(record_of(
      {at("openmp", "bf16", 10e9, 8, 8, 128, 128), at("openmp", "bf16", 11e9, 8, 2, 128, 128),
       at("openmp", "bf16", 12e9, 8, 8, 192, 128), at("openmp", "fp32", 90e9, 8, 8, 128, 128),
       at("openmp", "bf16", 99e9, 8, 8, 128, 128, 1),  // decode
       at("other", "bf16", 9e9, 8, 8, 128, 128)}));
  const auto rate = [&](const char* dtype, const AttentionShape& shape) {
    return *book.measured_attention(true, dtype, shape);
  };
  const AttentionShape plain{.seq_len = 1024, .head_dim = 128, .value_dim = 128, .group = 1};
  EXPECT_NEAR(rate("bf16", plain).value, 10e9, 1);
  EXPECT_EQ(rate("bf16", plain).how, "exact shape, by openmp");
  EXPECT_EQ(rate("bf16", plain).origin, "test.jsonl:2");
  EXPECT_NEAR(rate("fp16", plain).value, 10e9, 1);  // one datapath
  EXPECT_NEAR(rate("fp32", plain).value, 90e9, 1);
  EXPECT_NEAR(rate("bf16", {.seq_len = 1024, .head_dim = 128, .value_dim = 128, .group = 4}).value,
              11e9, 1);
  EXPECT_NEAR(rate("bf16", {.seq_len = 1024, .head_dim = 192, .value_dim = 128, .group = 1}).value,
              12e9, 1);
  const Rate far = rate("bf16", {.seq_len = 4096, .head_dim = 96, .value_dim = 96, .group = 1});
  EXPECT_NEAR(far.value, 10e9, 1);
  EXPECT_GT(far.shape, 0);
  EXPECT_FALSE(book.measured_attention(false, "bf16", plain));
}

TEST(Attention, OfTheFullSquareLosesTheDiagonalsTiles) {
  RateBook book;
  book.add(record_of({attention_at("attention_forward", 600e12, 4200, 128, false)}));
  // 4,200 of 4,620 tokens.
  EXPECT_NEAR(core(book, true, "kernel", 4200, 128)->value / (600e12 / 1.1), 1, 1e-9);
  // Measured on causal attention, it counts for nothing.
  book.add(record_of({attention_at("attention_forward", 500e12, 4200, 128)}));
  EXPECT_NEAR(core(book, true, "kernel", 4200, 128)->value / 500e12, 1, 1e-9);
}

TEST(Attention, OfBothPassesTogetherStandsInForEither) {
  RateBook book;
  book.add(record_of({attention_at("attention", 300e12, 2048, 128)}));
  EXPECT_NEAR(core(book, true, "kernel", 2048, 128)->value / 300e12, 1, 1e-9);
  EXPECT_NEAR(core(book, false, "kernel", 2048, 128)->value / 300e12, 1, 1e-9);
  book.add(record_of({attention_at("attention_backward", 250e12, 2048, 128)}));
  EXPECT_NEAR(core(book, true, "kernel", 2048, 128)->value / 300e12, 1, 1e-9);
  EXPECT_NEAR(core(book, false, "kernel", 2048, 128)->value / 250e12, 1, 1e-9);
}

TEST(Rates, LeaveOutWhatFailedOrDidNotRunAlone) {
  Measurement wrong = gemm_at(5e12, 1024, 1024, 1024);
  wrong.verified = false;
  Measurement busy = gemm_at(5e12, 1024, 1024, 1024);
  busy.beside = "allreduce";
  RateBook book;
  book.add(record_of({wrong, busy}));
  EXPECT_TRUE(book.points().empty());
}

TEST(Rates, AreNotThoseOfZerosWarmCachesAndProbes) {
  for (const char* note : {"data", "cache", "probe"}) {
    Measurement flattered = gemm_at(5e12, 1024, 1024, 1024);
    flattered.notes[note] = "as noted";
    RateBook book;
    book.add(record_of({flattered}));
    EXPECT_TRUE(book.points().empty()) << note;
  }
  Record zeros = record_of({gemm_at(5e12, 1024, 1024, 1024)});
  zeros.headers[0].discipline.data = "zeros";
  Record hot = record_of({gemm_at(5e12, 1024, 1024, 1024)});
  hot.headers[0].discipline.cache = "hot";
  RateBook book;
  book.add(zeros);
  book.add(hot);
  EXPECT_TRUE(book.points().empty());
  book.add(record_of({gemm_at(5e12, 1024, 1024, 1024)}));
  EXPECT_EQ(book.points().size(), 1U);
}

TEST(Rates, MemoryIsTriadFirst) {
  RateBook book;
  book.add(small_cpu());
  EXPECT_NEAR(book.memory()->value, 20e9, 1);
  EXPECT_FALSE(RateBook().memory());
  EXPECT_NEAR(book.register_peak("bf16")->value / 2e12, 1, 0.01);  // its fastest samples
}

TEST(Rates, PublishedOnesOfTheH800NameTheirSource) {
  const Library library = published_library();
  RateBook book;
  book.add_published(library, library.system("h800"));
  const auto fp8 = book.best_gemm("fp8");
  ASSERT_TRUE(fp8);
  EXPECT_TRUE(fp8->transferred.empty());
  EXPECT_GT(fp8->value, 1.3e15);
  EXPECT_LT(fp8->value, 1.979e15);  // below its peak
  EXPECT_THAT(fp8->origin, HasSubstr("DeepGEMM"));
  const auto bf16 = book.best_gemm("bf16");  // nobody published one for the H800
  ASSERT_TRUE(bf16);
  EXPECT_FALSE(bf16->transferred.empty());
  EXPECT_LT(bf16->value, 989e12);
  ASSERT_TRUE(book.memory());
  EXPECT_LT(book.memory()->value, 3.36e12);
}

TEST(Rates, OfAnotherSystemAreMarkedAndScaled) {
  const Library library = published_library();
  RateBook own, other;
  own.add_published(library, library.system("h100"));
  other.add_published(library, library.system("h200"));
  const auto here = own.memory();
  const auto there = other.memory();
  ASSERT_TRUE(here && there);
  EXPECT_EQ(here->how.find("measured on"), std::string::npos);
  EXPECT_THAT(there->how, HasSubstr("projected to h200"));
  EXPECT_NEAR(
      there->value / here->value,
      *library.system("h200").memory_bytes_per_s / *library.system("h100").memory_bytes_per_s,
      1e-9);
  EXPECT_GT(there->noise, here->noise);
  // Other SMs, other rates.
  RateBook ampere;
  ampere.add_published(library, library.system("a100"));
  for (const RatePoint& p : ampere.points()) {
    EXPECT_NE(p.transferred, "h100") << p.name;
  }
}

TEST(Rates, OfASystemOfOnesOwnComeFromItsLike) {
  const Library library = published_library();
  System mine = library.system("h100");
  mine.id = "mine";
  RateBook book;
  book.add_published(library, mine);
  const auto gemm = book.gemm("bf16", "nt", 4096, 4096, 4096);
  ASSERT_TRUE(gemm);
  EXPECT_THAT(gemm->how, HasSubstr("projected to mine"));
  mine.sms = 64;  // a smaller die: nobody's like
  RateBook none;
  none.add_published(library, mine);
  EXPECT_FALSE(none.gemm("bf16", "nt", 4096, 4096, 4096));
}

TEST(Rates, ASweepGivesStartAndBandwidth) {
  RateBook book;
  std::vector<Measurement> lines;
  constexpr double kStart = 2e-5;
  constexpr double kBus = 5e9;
  for (const std::int64_t bytes : {1 << 12, 1 << 16, 1 << 20, 1 << 24}) {
    const double wire = static_cast<double>(bytes) * bus_factor("allreduce", 4);
    Measurement m = measured("allreduce", "fp32", "mpi", {{"bytes", bytes}},
                             static_cast<double>(bytes), kStart + wire / kBus);
    m.ranks = 4;
    lines.push_back(m);
  }
  book.add(record_of(lines));
  const auto sweep = book.sweep("allreduce", false);
  ASSERT_TRUE(sweep);
  EXPECT_NEAR(sweep->start_s / kStart, 1, 1e-6);
  EXPECT_NEAR(sweep->bus_bytes_per_s / kBus, 1, 1e-6);
  EXPECT_EQ(sweep->ranks, 4);
  EXPECT_FALSE(book.sweep("allreduce", true));
  EXPECT_FALSE(book.sweep("allgather", false));
}
