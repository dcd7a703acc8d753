// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// N(0,1) from a counter: the ziggurat of Marsaglia and Tsang (2000) with the tables of Doornik's
// variant (2005, ZIGNOR, 128 layers), on SplitMix64 of (seed, index).
#include "kernels/random.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>

namespace trainmeter {
namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

std::uint64_t mixed(std::uint64_t x) {  // the output function of SplitMix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr int kLayers = 128;
constexpr double kTail = 3.442619855899;       // where the base layer's tail begins
constexpr double kArea = 9.91256303526217e-3;  // of each layer

struct Ziggurat {
  std::array<double, kLayers + 1> x{};
  std::array<double, kLayers> ratio{};

  Ziggurat() {
    double f = std::exp(-0.5 * kTail * kTail);
    x[0] = kArea / f;
    x[1] = kTail;
    for (std::size_t i = 2; i < kLayers; ++i) {
      x[i] = std::sqrt(-2 * std::log(kArea / x[i - 1] + f));
      f = std::exp(-0.5 * x[i] * x[i]);
    }
    x[kLayers] = 0;
    for (std::size_t i = 0; i < kLayers; ++i) ratio[i] = x[i + 1] / x[i];
  }
};

// The 53 upper bits: in (0, 1).
double uniform(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

double normal(const Ziggurat& z, std::uint64_t state) {
  for (;;) {
    state += kGolden;
    const std::uint64_t bits = mixed(state);
    const std::size_t layer = bits & (kLayers - 1);  // the lowest bits, which uniform() drops
    const double u = 2 * uniform(bits) - 1;
    if (std::abs(u) < z.ratio[layer]) return u * z.x[layer];
    if (layer == 0) {
      double x = 0;
      double y = 0;
      do {
        state += kGolden;
        x = std::log(uniform(mixed(state))) / kTail;
        state += kGolden;
        y = std::log(uniform(mixed(state)));
      } while (-2 * y < x * x);
      return u < 0 ? x - kTail : kTail - x;
    }
    const double x = u * z.x[layer];
    const double f0 = std::exp(-0.5 * (z.x[layer] * z.x[layer] - x * x));
    const double f1 = std::exp(-0.5 * (z.x[layer + 1] * z.x[layer + 1] - x * x));
    state += kGolden;
    if (f1 + uniform(mixed(state)) * (f0 - f1) < 1) return x;
  }
}

// tf32 keeps 10 of fp32's 23 fraction bits: rounded here, a tensor core's own rounding changes
// nothing, so a tf32 product can be checked as closely as one in fp32.
float tf32_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0xfffU + ((bits >> 13) & 1U)) & ~0x1fffU);
}

constexpr int kLargestWhole = 4;  // of Values::integers

// One number of the kind, from the state of its element.
double drawn(const Ziggurat& z, Values values, std::uint64_t state) {
  switch (values) {
    case Values::normal:
      return normal(z, state);
    case Values::uniform:
      return 2 * uniform(mixed(state + kGolden)) - 1;
    case Values::integers:
      return std::floor((2 * kLargestWhole + 1) * uniform(mixed(state + kGolden))) - kLargestWhole;
    case Values::zeros:
      break;
  }
  return 0;
}

template <class T, class Convert>
void fill(void* data, std::int64_t count, std::uint64_t seed, Values values, Convert convert) {
  static const Ziggurat z;
  const std::uint64_t base = mixed(seed + kGolden);
  T* out = static_cast<T*>(data);
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = convert(drawn(z, values, base ^ mixed(static_cast<std::uint64_t>(i))));
  }
}

}  // namespace

void fill_random(void* data, std::int64_t count, DType type, std::uint64_t seed, Values values) {
  const auto fill_as = [&]<class T>(T, auto convert) {
    fill<T>(data, count, seed, values, convert);
  };
  switch (type) {
    case DType::fp64:
      return fill_as(double{}, [](double x) { return x; });
    case DType::fp32:
      return fill_as(float{}, [](double x) { return static_cast<float>(x); });
    case DType::tf32:
      return fill_as(float{}, [](double x) { return tf32_from_float(static_cast<float>(x)); });
    case DType::fp16:
      return fill_as(std::uint16_t{},
                     [](double x) { return fp16_from_float(static_cast<float>(x)); });
    case DType::bf16:
      return fill_as(std::uint16_t{},
                     [](double x) { return bf16_from_float(static_cast<float>(x)); });
    case DType::int8: {
      const double scale = values == Values::integers ? 1 : 32;
      return fill_as(std::int8_t{}, [scale](double x) {
        return static_cast<std::int8_t>(std::clamp(std::nearbyint(scale * x), -127.0, 127.0));
      });
    }
    case DType::fp8:
      return fill_as(std::uint8_t{},
                     [](double x) { return fp8_from_float(static_cast<float>(x)); });
    case DType::fp8_e5m2:  // the upper half of an fp16
      return fill_as(std::uint8_t{}, [](double x) {
        return static_cast<std::uint8_t>((fp16_from_float(static_cast<float>(x)) + 0x80U) >> 8U);
      });
  }
  throw std::invalid_argument("no such type");
}

std::uint64_t operand_seed(std::uint64_t seed, int set, int operand) {
  return mixed(mixed(seed + kGolden) +
               kGolden * static_cast<std::uint64_t>(set * 16 + operand + 1));
}

}  // namespace trainmeter
