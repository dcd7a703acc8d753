// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// GEMMs of the GPU beside each other: the reference kernel against the host, the fast ones against
// the reference, bit for bit on numbers whose sums are exact; cuBLASLt's shares of SMs.
#include "kernels/dtype.hpp"
#include "kernels/gemm_cuda.hpp"
#include "kernels/gpu_timer.hpp"
#include "kernels/machine.hpp"

#include "each_tile.hpp"
#include "exact_fp8.hpp"
#include "needs_gpu.hpp"
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace trainmeter;

namespace {

struct Shape {
  std::int64_t m, n, k;
};

const GemmBackend& backend(std::string_view name) {
  return *std::ranges::find(gemm_backends(), name, &GemmBackend::name);
}

std::string name_of(const GemmProblem& p) {
  return std::string(to_string(p.dtype)) + " " + std::string(to_string(p.layout)) + " " +
         std::to_string(p.groups) + " of " + std::to_string(p.m) + "x" + std::to_string(p.n) + "x" +
         std::to_string(p.k) +
         (p.accumulate ? " adding"
          : p.fp32_out ? " in fp32"
                       : "") +
         (p.sms > 0 ? " on " + std::to_string(p.sms) + " SMs" : "");
}

void expect_right(const GemmBackend& one, const GemmProblem& problem) {
  if (const std::string why = one.why_not(problem); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return;
  }
  const Check check = one.make(problem, {})->verify();
  EXPECT_TRUE(check.ok) << one.name << " " << name_of(problem) << ": error " << check.error
                        << ", bound " << check.bound;
}

GemmProblem fp8_problem(Shape s, bool accumulate) {
  GemmProblem problem = {.m = s.m, .n = s.n, .k = s.k, .dtype = DType::fp8};
  problem.scaling = Scaling::block128;
  problem.accumulate = accumulate;
  return problem;
}

// Elements whose bits differ.
std::int64_t different(const std::vector<std::byte>& a, const std::vector<std::byte>& b,
                       std::size_t size) {
  if (a.size() != b.size()) return -1;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < a.size(); i += size)
    count += std::memcmp(&a[i], &b[i], size) != 0 ? 1 : 0;
  return count;
}

std::vector<std::byte> output_of(const GemmBackend& one, const GemmProblem& problem) {
  const auto made = one.make(problem, {.values = Values::integers});
  auto& gemm = dynamic_cast<DeviceGemm&>(*made);
  if (problem.scaling != Scaling::none) {
    gemm.set_values(exact_values(problem.m, problem.k, scale_block_of_a(problem), 1).data(),
                    exact_values(problem.n, problem.k, scale_block_of_b(problem), 2).data());
  }
  return gemm.output();
}

void expect_same(const GemmBackend& one, const GemmProblem& problem,
                 const std::vector<std::byte>& reference) {
  EXPECT_EQ(different(output_of(one, problem), reference,
                      static_cast<std::size_t>(output_size_of(problem))),
            0)
      << one.name << " " << name_of(problem) << ": elements differ from the reference's";
}

void expect_same_as_reference(const GemmBackend& one, const GemmProblem& problem) {
  if (const std::string why = one.why_not(problem); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return;
  }
  expect_same(one, problem, output_of(backend("reference"), problem));
}

}  // namespace

TEST(Gpu, TheReferenceIsRight) {
  NEEDS_GPU();
  for (const DType type : {DType::fp64, DType::fp32, DType::tf32, DType::fp16, DType::bf16}) {
    for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
      for (const Shape s : {Shape{1, 3, 5}, Shape{129, 257, 65}, Shape{300, 200, 700}})
        expect_right(backend("reference"), {s.m, s.n, s.k, type, layout, 2});
    }
  }
  for (const bool accumulate : {false, true}) {
    for (const Shape s : {Shape{8, 16, 16}, Shape{72, 136, 528}, Shape{260, 504, 336}})
      expect_right(backend("reference"), fp8_problem(s, accumulate));
  }
}

// Ragged edges in each direction, fewer and more steps than stages, batches.
TEST(Gpu, TheGenericTensorCoreGemmIsRight) {
  NEEDS_GPU();
  for (const DType type : {DType::bf16, DType::fp16}) {
    for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
      for (const Shape s : {Shape{8, 8, 8}, Shape{128, 128, 128}, Shape{72, 136, 520},
                            Shape{1000, 504, 328}, Shape{2048, 1024, 4096}}) {
        expect_right(backend("mma"), {s.m, s.n, s.k, type, layout, s.m < 1000 ? 3 : 1});
      }
    }
    expect_right(backend("mma"), {131, 77, 40, type, GemmLayout::nt});  // odd m and n
    expect_right(backend("mma"), {136, 72, 37, type, GemmLayout::tn});  // odd k
  }
}

TEST(Gpu, OurGemmsEqualTheReferenceBitForBit) {
  NEEDS_GPU();
  for (const char* name : {"mma", "hopper"}) {
    for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
      for (const Shape s : {Shape{72, 136, 520}, Shape{1000, 504, 328}, Shape{2048, 4096, 2048}})
        expect_same_as_reference(backend(name), {s.m, s.n, s.k, DType::bf16, layout});
    }
  }
  for (const GemmLayout layout : {GemmLayout::nn, GemmLayout::nt, GemmLayout::tn}) {
    GemmProblem wide = {1000, 504, 328, DType::bf16, layout, 2};
    wide.fp32_out = true;
    expect_same_as_reference(backend("hopper"), wide);
    for (const char* name : {"hopper", "cublaslt", "reference"}) expect_right(backend(name), wide);
  }
  GemmProblem adding = {1000, 504, 328, DType::bf16, GemmLayout::tn};
  adding.accumulate = true;
  expect_same_as_reference(backend("hopper"), adding);
  for (const bool accumulate : {false, true}) {
    for (const Shape s : {Shape{72, 136, 528}, Shape{1000, 504, 336}, Shape{4096, 2112, 2048}})
      expect_same_as_reference(backend("hopper"), fp8_problem(s, accumulate));
  }
}

// Whichever is the fastest. On all SMs, and on 8, which every cluster divides: there a cluster has
// many tiles, and the parities of its stages and slabs go on from one to the next.
void expect_every_tile_right(GemmProblem problem) {
  const GemmBackend& hopper = backend("hopper");
  if (const std::string why = hopper.why_not(problem); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return;
  }
  const std::vector<std::byte> reference = output_of(backend("reference"), problem);
  for (const int sms : {0, 8}) {
    problem.sms = sms;
    with_each_tile(problem, [&] { expect_same(hopper, problem, reference); });
  }
}

// Columns and rows that tiles divide, and that none does; a partner block beyond C; more tiles than
// the whole device works on at once; a batch of two where they are few.
TEST(Gpu, EveryTileOfEveryFamilyIsRight) {
  NEEDS_GPU();
  for (const Shape s : {Shape{1000, 2112, 528}, Shape{576, 1152, 336}, Shape{200, 504, 1040},
                        Shape{2048, 4096, 1024}}) {
    const std::int64_t groups = s.m < 1000 ? 2 : 1;
    for (const GemmLayout layout : {GemmLayout::nt, GemmLayout::nn, GemmLayout::tn}) {
      GemmProblem problem = {s.m, s.n, s.k, DType::bf16, layout, groups};
      expect_every_tile_right(problem);
      problem.fp32_out = true;
      expect_every_tile_right(problem);
    }
    GemmProblem gradient = {s.m, s.n, s.k, DType::bf16, GemmLayout::tn, groups};
    gradient.accumulate = true;
    expect_every_tile_right(gradient);
    for (const bool accumulate : {false, true}) expect_every_tile_right(fp8_problem(s, accumulate));
  }
}

// Parts of k that differ, none for some blocks.
TEST(Gpu, TilesWhoseKIsSharedAreRight) {
  NEEDS_GPU();
  for (const Shape s : {Shape{64, 2112, 7168}, Shape{128, 7168, 2048}, Shape{1, 136, 144}}) {
    expect_every_tile_right({s.m, s.n, s.k, DType::bf16, GemmLayout::nt, s.m == 1 ? 2 : 1});
    expect_every_tile_right(fp8_problem(s, false));
  }
}

// A sum of 448 x 448, then of terms that a tensor core drops beside it, then of -448 x 448: what is
// left are the small ones, if each 128 of k was added to fp32 by itself.
TEST(Gpu, Fp8SumsThatCancelAreRightWhenPromoted) {
  NEEDS_GPU();
  constexpr std::int64_t kRows = 256, kDepth = 384, kBlock = 128;
  constexpr float kSmall = 0.25F;
  constexpr float kSum = (kBlock - 2) * kSmall * kSmall;
  std::vector<float> a(kRows * kDepth), b(kRows * kDepth);
  for (std::int64_t row = 0; row < kRows; ++row) {
    float* of_a = &a[row * kDepth];
    float* of_b = &b[row * kDepth];
    std::fill_n(of_b, kDepth, kSmall);
    std::fill_n(of_a + kBlock, kBlock, kSmall);
    of_a[0] = of_b[0] = kFp8Max;
    of_a[kBlock] = kFp8Max, of_b[kBlock] = 0;  // so that every scale is 1
    of_b[2 * kBlock - 1] = kFp8Max, of_a[2 * kBlock - 1] = 0;
    of_a[2 * kBlock] = -kFp8Max, of_b[2 * kBlock] = kFp8Max;
  }
  const auto first_and_wrong = [&](const GemmBackend& one, const GemmProblem& problem) {
    const auto made = one.make(problem, {});
    auto& gemm = dynamic_cast<DeviceGemm&>(*made);
    gemm.set_values(a.data(), b.data());
    const std::vector<std::byte> c = gemm.output();
    std::vector<float> sums;
    for (std::size_t i = 0; i < c.size(); i += problem.accumulate ? 4 : 2) {
      std::uint16_t half = 0;
      float sum = 0;
      std::memcpy(problem.accumulate ? static_cast<void*>(&sum) : &half, &c[i],
                  problem.accumulate ? 4 : 2);
      sums.push_back(problem.accumulate ? sum : float_from_bf16(half));
    }
    return std::pair(sums.front(), std::ranges::count_if(sums, [](float x) { return x != kSum; }));
  };
  for (const bool accumulate : {false, true}) {
    const GemmProblem problem = fp8_problem({kRows, kRows, kDepth}, accumulate);
    for (const char* name : {"reference", "hopper"}) {
      if (const std::string why = backend(name).why_not(problem); !why.empty()) {
        std::printf("skipped: %s\n", why.c_str());
        continue;
      }
      const auto [first, wrong] = first_and_wrong(backend(name), problem);
      EXPECT_EQ(wrong, 0) << name << (accumulate ? " adding" : "") << ": " << first << ", not "
                          << kSum;
    }
  }
  // For contrast: the vendor's, with the same scales and with one for all.
  for (const Scaling scaling : {Scaling::block128, Scaling::tensor}) {
    GemmProblem problem = fp8_problem({kRows, kRows, kDepth}, false);
    problem.scaling = scaling;
    try {
      std::printf("cublaslt, scales of %s: %g where %g is exact\n",
                  std::string(to_string(scaling)).c_str(),
                  static_cast<double>(first_and_wrong(backend("cublaslt"), problem).first),
                  static_cast<double>(kSum));
    } catch (const Unavailable& why) {
      std::printf("skipped: %s\n", why.what());
    }
  }
}

// 16 SMs of a green context: right, and slower than all of them by far more than chance.
TEST(Gpu, CublasLtTakesAShareOfTheSms) {
  NEEDS_GPU();
  for (GemmProblem problem : {GemmProblem{4096, 4096, 4096, DType::bf16, GemmLayout::nt},
                              fp8_problem({4096, 4096, 4096}, false)}) {
    std::vector<double> fastest;
    for (const int sms : {0, 16}) {
      problem.sms = sms;
      try {
        const auto made = backend("cublaslt").make(problem, {});
        const Check check = made->verify();
        EXPECT_TRUE(check.ok) << sms << " SMs: error " << check.error;
        const auto notes = made->notes();
        if (sms == 0) {
          EXPECT_FALSE(notes.contains("green_context_sms"));
        } else if (notes.contains("green_context_sms")) {
          EXPECT_GE(std::stoi(notes.at("green_context_sms")), sms);
          EXPECT_LE(std::stoi(notes.at("green_context_sms")), 2 * sms);
        } else {
          GTEST_SKIP() << "skipped: the GPU has no more than 16 SMs";
        }
        GpuTimer timer;
        const std::vector<double> times = timer.time(
            made->stream(), 10, [&](int) { made->run(0); }, made->launches());
        fastest.push_back(*std::ranges::min_element(times));
        std::printf("%s on %s SMs: %.3g s\n", name_of(problem).c_str(),
                    sms == 0 ? "all" : notes.at("green_context_sms").c_str(), fastest.back());
      } catch (const Unavailable& why) {
        std::printf("skipped: %s\n", why.what());
      }
    }
    if (fastest.size() == 2) {
      EXPECT_GT(fastest[1] / fastest[0], 2);
    }
  }
}

TEST(WithoutGpu, EachGemmSaysWhyAndWhatItLacks) {
  for (const char* name : {"mma", "reference"}) {
    EXPECT_THROW(backend(name).make({0, 64, 64, DType::bf16, GemmLayout::nt}, {}),
                 std::invalid_argument);
    EXPECT_NE(backend(name).why_not({64, 64, 64, DType::int8, GemmLayout::nt}), "");
    EXPECT_NE(backend(name).why_not({64, 64, 64, DType::fp8, GemmLayout::nt}), "");  // no scales
  }
  EXPECT_NE(
      backend("mma").why_not({64, 64, 60, DType::bf16, GemmLayout::nt}).find("k is a multiple"),
      std::string::npos);
  EXPECT_NE(
      backend("mma").why_not({60, 64, 64, DType::bf16, GemmLayout::tn}).find("m is a multiple"),
      std::string::npos);
  EXPECT_NE(
      backend("mma").why_not({64, 60, 64, DType::fp16, GemmLayout::nn}).find("n is a multiple"),
      std::string::npos);
  for (const GemmBackend& one : gemm_backends())
    EXPECT_EQ(one.on_request, one.name == "reference") << one.name;
  if (!gpus().devices.empty()) return;
  const GemmProblem fine = {64, 64, 64, DType::bf16, GemmLayout::nt};
  for (const char* name : {"mma", "reference", "cublaslt"}) {
    EXPECT_EQ(backend(name).why_not(fine), gpus().why_none) << name;
    EXPECT_THROW(backend(name).make(fine, {}), Unavailable) << name;
  }
}
