// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Where Hopper's tensor cores and its copy engine (TMA) expect each element: swizzled shared
// memory, matrix descriptors, fragments in registers. Pure arithmetic, for the kernels and for
// tests on the CPU. Layouts as the PTX ISA gives them under "Asynchronous warpgroup level matrix
// instructions".
#pragma once

#include "kernels/host_device.hpp"

#include <cstdint>

namespace trainmeter::hopper {

constexpr int kWarpThreads = 32;
constexpr int kWarpgroupThreads = 128;
constexpr int kRowBytes = 128;  // of a row of swizzled shared memory
constexpr int kAtomBytes =
    8 * kRowBytes;                       // the swizzle repeats after eight rows; tiles start there
constexpr int kSharedBytes = 227 << 10;  // that a thread block may have

// The 128-byte swizzle: the 16-byte chunk within a row of 128 bytes, exclusive or the row modulo 8.
// So eight rows' chunks of one column lie in different banks.
TRAINMETER_BOTH std::uint32_t swizzled(std::uint32_t address) {
  return address ^ ((address >> 7 & 7) << 4);
}

// Which dimension of an operand is contiguous: k, or the one that stays in C (m of A, n of B).
enum class Major { k, mn };

// A descriptor of a swizzled operand: what wgmma reads its shared memory by. Bytes, decoded:
// - k-major: eight rows of 128 bytes (64 bf16 of k) after each other, the next eight `stride`
// later.
// - mn-major: 64 bf16 of m or n in a row, rows are k; the next eight of k are `stride` later, the
//   next 64 of m or n `leading` later.
struct Descriptor {
  std::uint32_t start = 0;
  std::uint32_t leading = 0;
  std::uint32_t stride = 0;
  std::uint32_t swizzle = 0;  // 1: 128 bytes
};

TRAINMETER_BOTH std::uint64_t encoded(const Descriptor& d) {
  const auto field = [](std::uint32_t bytes) {
    return static_cast<std::uint64_t>((bytes & 0x3ffff) >> 4);
  };
  return field(d.start) | field(d.leading) << 16 | field(d.stride) << 32 |
         static_cast<std::uint64_t>(d.swizzle) << 62;
}

TRAINMETER_BOTH Descriptor decoded(std::uint64_t bits) {
  const auto field = [bits](int shift) {
    return static_cast<std::uint32_t>(bits >> shift & 0x3fff) << 4;
  };
  return {field(0), field(16), field(32), static_cast<std::uint32_t>(bits >> 62)};
}

// Of an operand tile that is 64 deep in k, at `start`; `tile` is a multiple of 1024 bytes. Both
// majors hold 64 x 64 elements in 8 KiB.
TRAINMETER_BOTH std::uint64_t operand_descriptor(std::uint32_t start) {
  return encoded({.start = start, .leading = 64 * kRowBytes, .stride = kAtomBytes, .swizzle = 1});
}

// The same operand `bytes` further on, a multiple of 16. Nothing carries beyond the first field,
// for shared memory ends before it does.
TRAINMETER_BOTH std::uint64_t advanced(std::uint64_t descriptor, std::uint32_t bytes) {
  const auto low = static_cast<std::uint32_t>(descriptor) + (bytes >> 4);
  return (descriptor >> 32 << 32) | low;
}

// Bytes from one wgmma's operand to the next one's, 16 elements of k further on.
TRAINMETER_BOTH std::uint32_t step_bytes(Major major) {
  return major == Major::k ? 16 * 2 : 16 * kRowBytes;
}

// The accumulator of m64nNk16: where value i of a thread of the warpgroup belongs.
TRAINMETER_BOTH int fragment_row(int thread, int i) {
  return thread / kWarpThreads * 16 + thread % kWarpThreads / 4 + i / 2 % 2 * 8;
}
TRAINMETER_BOTH int fragment_column(int thread, int i) {
  return i / 4 * 8 + thread % 4 * 2 + i % 2;
}

// stmatrix.x4 writes four 8 x 8 matrices of 16 bits; lane 8 q + r gives the address of row r of
// matrix q. Matrices 0 and 1 are the upper and lower half of 16 rows, 2 and 3 those of the next 8
// columns: what four neighbouring pairs of the fragment hold.
TRAINMETER_BOTH int stmatrix_row(int thread) {
  return thread / kWarpThreads * 16 + thread % 16;
}
TRAINMETER_BOTH int stmatrix_chunk(int thread) {  // of 8 columns, from the first
  return thread % kWarpThreads / 16;
}

}  // namespace trainmeter::hopper
