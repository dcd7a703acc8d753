// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Payloads of any rank, and the comparison with them.
#include "kernels/collective_check.hpp"

#include "kernels/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace trainmeter {
namespace {

// Elements that one seed fills, so that a rank can make another's data piece by piece.
constexpr std::int64_t kSeeded = 1 << 20;

double roundoff(DType type) {
  if (type == DType::fp64) return 0x1p-53;
  if (type == DType::fp32) return 0x1p-24;
  if (type == DType::fp16) return 0x1p-11;
  if (type == DType::fp8) return 0x1p-4;
  return type == DType::fp8_e5m2 ? 0x1p-3 : 0x1p-8;
}

double element(const void* data, DType type, std::int64_t index) {
  if (type == DType::fp64) return static_cast<const double*>(data)[index];
  if (type == DType::fp32) return static_cast<double>(static_cast<const float*>(data)[index]);
  if (size_of(type) == 1) {
    const std::uint8_t byte = static_cast<const std::uint8_t*>(data)[index];
    // An e5m2 is the upper half of an fp16.
    return static_cast<double>(type == DType::fp8
                                   ? float_from_fp8(byte)
                                   : float_from_fp16(static_cast<std::uint16_t>(byte << 8)));
  }
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return static_cast<double>(type == DType::bf16 ? float_from_bf16(bits) : float_from_fp16(bits));
}

std::uint64_t seed_of(std::uint64_t seed, int rank, std::int64_t first) {
  return operand_seed(seed, rank, 0) + static_cast<std::uint64_t>(first / kSeeded);
}

class Checker {
 public:
  Checker(DType type, const RankGroup& group, std::uint64_t seed)
      : type_(type), group_(group), seed_(seed), piece_(bytes_of(kSeeded)) {}

  // `count` elements at `got`, which lie within one seeded piece of the senders' buffers.
  void moved(const char* got, int from, std::int64_t read, std::int64_t count) {
    const char* const expected = payload(from, false, read, count);
    const auto size = static_cast<std::size_t>(size_of(type_));
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      if (std::memcmp(got + i * size, expected + i * size, size) == 0) continue;
      ++found.wrong;
      found.worst = std::numeric_limits<double>::infinity();
    }
  }

  void sum(const char* got, std::int64_t read, std::int64_t count) {
    sum_.assign(static_cast<std::size_t>(count), 0.0);
    size_.assign(static_cast<std::size_t>(count), 0.0);
    for (int rank = 0; rank < group_.ranks(); ++rank) {
      const char* const theirs = payload(rank, true, read, count);
      for (std::int64_t i = 0; i < count; ++i) {
        const double x = element(theirs, type_, i);
        sum_[static_cast<std::size_t>(i)] += x;
        size_[static_cast<std::size_t>(i)] += std::abs(x);
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double allowed =
          group_.ranks() * roundoff(type_) * size_[at] + std::numeric_limits<double>::min();
      const double error = std::abs(element(got, type_, i) - sum_[at]) / allowed;
      found.worst = std::max(
          found.worst, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
      if (!(error < 1)) ++found.wrong;
    }
  }

  PayloadError found;

 private:
  [[nodiscard]] std::size_t bytes_of(std::int64_t elements) const {
    return static_cast<std::size_t>(elements * size_of(type_));
  }

  const char* payload(int member, bool numbers, std::int64_t first, std::int64_t count) {
    fill_payload(piece_.data(), type_, numbers, seed_,
                 group_.members[static_cast<std::size_t>(member)], first, count);
    return piece_.data();
  }

  DType type_;
  const RankGroup& group_;
  std::uint64_t seed_;
  std::vector<char> piece_;
  std::vector<double> sum_, size_;
};

}  // namespace

void fill_payload(void* data, DType type, bool numbers, std::uint64_t seed, int rank,
                  std::int64_t first, std::int64_t count) {
  // What is only moved is filled byte by byte, whatever the bytes mean.
  const DType filled = numbers ? type : DType::int8;
  const std::int64_t each = numbers ? 1 : size_of(type);
  std::vector<char> all;
  auto* to = static_cast<char*>(data);
  while (count > 0) {
    const std::int64_t begin = first / kSeeded * kSeeded;
    const std::int64_t before = first - begin;
    const std::int64_t here = std::min(count, kSeeded - before);
    const auto bytes = static_cast<std::size_t>(here * size_of(type));
    if (before == 0) {
      fill_random(to, here * each, filled, seed_of(seed, rank, begin));
    } else {
      all.resize(static_cast<std::size_t>((before + here) * size_of(type)));
      fill_random(all.data(), (before + here) * each, filled, seed_of(seed, rank, begin));
      std::memcpy(to, all.data() + before * size_of(type), bytes);
    }
    to += bytes;
    first += here;
    count -= here;
  }
}

PayloadError check_payload(const void* receive, DType type, const CollectiveLayout& layout,
                           const RankGroup& group, std::uint64_t seed) {
  Checker checker(type, group, seed);
  for (const CollectiveLayout::Part& part : layout.parts) {
    for (std::int64_t done = 0; done < part.at.count;) {
      const std::int64_t read = part.read + done;
      const std::int64_t here = std::min(part.at.count - done, kSeeded - read % kSeeded);
      const char* const got =
          static_cast<const char*>(receive) + (part.at.first + done) * size_of(type);
      if (part.from == CollectiveLayout::kSum) {
        checker.sum(got, read, here);
      } else {
        checker.moved(got, part.from, read, here);
      }
      done += here;
    }
  }
  return checker.found;
}

}  // namespace trainmeter
