// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The instructions of tensor-core kernels for compute capability 8.0 and newer, one a function. A
// struct, so that a kernel takes them as a parameter: tests run the same kernel on the CPU with
// models in their place.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace trainmeter::mma {

struct Ptx {
  // cp.async.cg: 16 bytes to shared memory that no register sees; zeros where they aren't `inside`.
  // They are there for this thread once their group is waited for, for the others after sync().
  static __device__ __forceinline__ void copy_chunk(std::uint32_t to, const void* from,
                                                    bool inside) {
    const int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
  }
  // cp.async.commit_group: the copies since the last one are a group.
  static __device__ __forceinline__ void end_group() {
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  // cp.async.wait_group: until all of this thread's groups but the last kPending are there.
  template <int kPending>
  static __device__ __forceinline__ void wait_for_groups() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
  }
  // bar.sync: the threads of a block meet.
  static __device__ __forceinline__ void sync() { __syncthreads(); }

  // ldmatrix, .trans where it kTransposes: four matrices of 8 x 8, whose rows' addresses the lanes
  // give.
  template <bool kTransposes>
  static __device__ __forceinline__ void load_matrices(std::uint32_t (&to)[4], std::uint32_t from) {
    if constexpr (kTransposes) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                   : "r"(from)
                   : "memory");
    } else {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                   : "r"(from)
                   : "memory");
    }
  }

  // mma.m16n8k16: sum += A B of 16 x 8 x 16, of T = __half or __nv_bfloat16.
  template <class T = __nv_bfloat16>
  static __device__ __forceinline__ void multiply_add(float (&sum)[4], const std::uint32_t (&a)[4],
                                                      std::uint32_t b0, std::uint32_t b1) {
    if constexpr (std::is_same_v<T, __half>) {
      asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
          "{%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    } else {
      asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
          "{%8, %9}, {%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
  }

  // shfl.sync.bfly: the value of lane ^ `mask`.
  static __device__ __forceinline__ float other_lanes(float value, int mask) {
    return __shfl_xor_sync(0xffffffffU, value, mask);
  }
  // ex2.approx and lg2.approx.
  static __device__ __forceinline__ float exp2(float x) {
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
  }
  static __device__ __forceinline__ float log2(float x) {
    float out;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
  }

  // cvt.rn.bf16x2.f32, the first in the lower half; and back, which is a shift.
  static __device__ __forceinline__ std::uint32_t bf16_pair(float first, float second) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
  static __device__ __forceinline__ float bf16_value(std::uint16_t bits) {
    return __uint_as_float(static_cast<std::uint32_t>(bits) << 16);
  }
  // st.shared.
  static __device__ __forceinline__ void store_shared(std::uint32_t to, std::uint32_t word) {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(word) : "memory");
  }
  // st.global.
  static __device__ __forceinline__ void store_pair(std::uint16_t* to, std::uint32_t pair) {
    *reinterpret_cast<std::uint32_t*>(to) = pair;
  }
  // red.global.add, to neighbours at a multiple of 8 bytes: in one instruction from 9.0 on.
  static __device__ __forceinline__ void add_pair(float* to, float first, float second) {
#if __CUDA_ARCH__ >= 900
    asm volatile("red.global.add.v2.f32 [%0], {%1, %2};" ::"l"(to), "f"(first), "f"(second)
                 : "memory");
#else
    atomicAdd(to, first);
    atomicAdd(to + 1, second);
#endif
  }
};

}  // namespace trainmeter::mma
