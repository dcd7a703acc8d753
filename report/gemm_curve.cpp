// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Tiles, waves and bandwidth.
#include "report/gemm_curve.hpp"

#include "record/formulas.hpp"
#include "record/names.hpp"
#include "record/real.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace trainmeter {
namespace {

struct Tile {
  double m, n;
  double rate;  // of the largest tile's: a smaller one reuses less of shared memory
};
// Tiles that CUTLASS and DeepGEMM choose from on Hopper: DeepGEMM 54e2261,
// csrc/jit_kernels/heuristics/sm90.hpp, and its pull request 81 (256 x 128).
constexpr std::array<Tile, 5> kTiles = {
    {{128, 256, 1}, {256, 128, 1}, {128, 128, 0.97}, {64, 256, 0.9}, {64, 128, 0.85}}};

// A tile's fill, drain and store cost as much as this many bytes of K. DeepGEMM's README table on
// H800 (fp8, one byte an element): 751, 1125 and 1426 TFLOP/s at K = 512, 1536 and 16384 are
// K / (K + k0) with k0 between 410 and 460.
constexpr double kTileCostBytes = 440;

// Half of a last wave's idle SMs are lost: split-K and stream-K use the other half.
double waves(double tiles, double sms) {
  const double exact = tiles / sms;
  return std::max(0.5 * (std::ceil(exact) + exact), exact < 1 ? exact : 1.0);
}

}  // namespace

double gemm_share(const System& device, const std::string& dtype, std::int64_t m, std::int64_t n,
                  std::int64_t k, std::int64_t groups, double peak_flops) {
  if (device.kind != "gpu" || device.sms < 1) return 1;
  const double sms = real(device.sms);
  const double bytes = dtype_bytes(dtype);
  const double depth = real(k) + kTileCostBytes / bytes;
  const double work = real(m) * real(n) * real(k) * real(groups);
  double best = 0;
  for (const Tile& tile : kTiles) {
    const double tiles = std::ceil(real(m) / tile.m) * std::ceil(real(n) / tile.n) * real(groups);
    const double time = waves(tiles, sms) * sms * tile.m * tile.n * depth / tile.rate;
    best = std::max(best, work / time);
  }
  if (peak_flops > 0 && device.memory_bytes_per_s) {
    const double memory_s =
        real(groups) * gemm_bytes(m, n, k, bytes, 2) / (kMemoryShare * *device.memory_bytes_per_s);
    best = std::min(best, 2 * work / memory_s / peak_flops);
  }
  return std::min(best, 1.0);
}

}  // namespace trainmeter
