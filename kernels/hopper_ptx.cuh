// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Hopper's instructions by name, one a function, for code compiled for sm_90a. A struct, so that a
// kernel takes them as a parameter: tests run the same kernel on the CPU with models in their
// place.
//
// Addresses are of the shared window, 32 bits; a barrier has 8 bytes there. What waits, waits for
// all that the PTX ISA says; what is "asynchronous" reads shared memory until somebody waits.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

namespace trainmeter::hopper {

// A wgmma's sums, d[0] and on: as operands, and by name, which is their number. TM_TO7(4) names 40
// to 47.
#define TM_D2(i) "+f"(d[i]), "+f"(d[(i) + 1])
#define TM_D4(i) TM_D2(i), TM_D2((i) + 2)
#define TM_D8(i) TM_D4(i), TM_D4((i) + 4)
#define TM_D16(i) TM_D8(i), TM_D8((i) + 8)
#define TM_D32(i) TM_D16(i), TM_D16((i) + 16)
#define TM_D64(i) TM_D32(i), TM_D32((i) + 32)
#define TM_TO1(ten) "%" #ten "0, %" #ten "1"
#define TM_TO3(ten) TM_TO1(ten) ", %" #ten "2, %" #ten "3"
#define TM_TO5(ten) TM_TO3(ten) ", %" #ten "4, %" #ten "5"
#define TM_TO7(ten) TM_TO5(ten) ", %" #ten "6, %" #ten "7"
#define TM_TO9(ten) TM_TO7(ten) ", %" #ten "8, %" #ten "9"
#define TM_BELOW_40 TM_TO9() ", " TM_TO9(1) ", " TM_TO9(2) ", " TM_TO9(3) ", "
#define TM_BELOW_60 TM_BELOW_40 TM_TO9(4) ", " TM_TO9(5) ", "
#define TM_BELOW_80 TM_BELOW_60 TM_TO9(6) ", " TM_TO9(7) ", "
#define TM_BELOW_120 TM_BELOW_80 TM_TO9(8) ", " TM_TO9(9) ", " TM_TO9(10) ", " TM_TO9(11) ", "

// wgmma of `columns` columns, so of `sums` = columns / 2 sums a thread; then the numbers of the
// operands after them.
#define TM_WGMMA(columns, sums, names, a_, b_, accumulate_, mn_a, mn_b, ...)                    \
  template <bool kMnA, bool kMnB>                                                               \
  static __device__ void wgmma(float(&d)[sums], std::uint64_t a, std::uint64_t b,               \
                               bool accumulate) {                                               \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #accumulate_                              \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #columns "k16.f32.bf16.bf16 {" names \
                 "}, %" #a_ ", %" #b_ ", p, 1, 1, %" #mn_a ", %" #mn_b ";\n}"                   \
                 : __VA_ARGS__                                                                  \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kMnA), "n"(kMnB));    \
  }
#define TM_WGMMA_FP8(columns, sums, names, a_, b_, accumulate_, ...)                            \
  static __device__ void wgmma_fp8(float(&d)[sums], std::uint64_t a, std::uint64_t b,           \
                                   bool accumulate) {                                           \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #accumulate_                              \
                 ", 0;\nwgmma.mma_async.sync.aligned.m64n" #columns "k32.f32.e4m3.e4m3 {" names \
                 "}, %" #a_ ", %" #b_ ", p, 1, 1;\n}"                                           \
                 : __VA_ARGS__                                                                  \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));                          \
  }

struct Ptx {
  using TensorMap = CUtensorMap;

  // Barriers (mbarrier). A phase ends when `arrivals` have come and all expected bytes have landed.
  // mbarrier.init.
  static __device__ void barrier_init(std::uint32_t barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
  }
  // fence.mbarrier_init: makes them visible to the other blocks of the cluster and to TMA, before
  // cluster_sync().
  static __device__ void barrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  // mbarrier.arrive.expect_tx: one arrival, and so many bytes more to land.
  static __device__ void arrive_expecting(std::uint32_t barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
  }
  // mapa, mbarrier.arrive: at the barrier at the same place in block `rank` of the cluster. Nothing
  // that this thread wrote is released to the other block (".release.cluster" would be a fence of
  // the whole GPU, more than a thousand cycles): it says only that shared memory has been read.
  static __device__ void arrive_at(std::uint32_t barrier, int rank) {
    asm volatile(
        "{\n.reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(barrier),
        "r"(rank)
        : "memory");
  }
  // mbarrier.try_wait, until the phase of this parity is over: returns at once where it is the one
  // before.
  static __device__ void wait(std::uint32_t barrier, std::uint32_t parity) {
    asm volatile(
        "{\n.reg .pred over;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
        "@!over bra again;\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
  }
  // barrier.cluster.arrive and .wait: all threads of the cluster meet.
  static __device__ void cluster_sync() {
    asm volatile(
        "barrier.cluster.arrive.release;\n"
        "barrier.cluster.wait.acquire;" ::
            : "memory");
  }
  // bar.warp.sync: the lanes of a warp meet.
  static __device__ void warp_sync() { __syncwarp(); }
  // shfl.sync from lane 0: the same value in every lane, and the compiler knows: so that arithmetic
  // on it is the warp's.
  template <class Value>
  static __device__ Value uniform(Value value) {
    return __shfl_sync(0xffffffffU, value, 0);
  }
  // 256 threads meet at the block's barrier `name`: those of one warpgroup have only to say that
  // they were here (bar.arrive), the other's wait for it (bar.sync).
  static __device__ void bar_arrive(int name) {
    asm volatile("bar.arrive %0, 256;" ::"r"(name) : "memory");
  }
  static __device__ void bar_sync(int name) {
    asm volatile("bar.sync %0, 256;" ::"r"(name) : "memory");
  }

  // TMA. Coordinates in elements, the contiguous one first; what lies outside is read as zero and
  // not written.
  // cp.async.bulk.tensor to shared memory; the box's bytes are counted at the barrier.
  static __device__ void load(std::uint32_t to, const TensorMap& map, std::uint32_t barrier, int x,
                              int y, int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z)
        : "memory");
  }
  // The same .multicast::cluster: to the same place in every block of `mask`, and counted at each
  // one's barrier.
  static __device__ void load_multicast(std::uint32_t to, const TensorMap& map,
                                        std::uint32_t barrier, int x, int y, int z,
                                        std::uint16_t mask) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(x), "r"(y), "r"(z), "h"(mask)
        : "memory");
  }
  // cp.async.bulk.tensor to global memory, and cp.async.bulk.commit_group: a group of its own.
  static __device__ void store(const TensorMap& map, std::uint32_t from, int x, int y, int z,
                               std::uint64_t policy) {
    asm volatile(
        "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group.L2::cache_hint"
        " [%0, {%2, %3, %4}], [%1], %5;\ncp.async.bulk.commit_group;" ::"l"(&map),
        "r"(from), "r"(x), "r"(y), "r"(z), "l"(policy)
        : "memory");
  }
  // cp.reduce.async.bulk.tensor: the same, adding fp32 to what is there.
  static __device__ void add(const TensorMap& map, std::uint32_t from, int x, int y, int z) {
    asm volatile(
        "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.tile.bulk_group"
        " [%0, {%2, %3, %4}], [%1];\ncp.async.bulk.commit_group;" ::"l"(&map),
        "r"(from), "r"(x), "r"(y), "r"(z)
        : "memory");
  }
  // cp.async.bulk.wait_group.read: until all of this thread's stores have read their shared memory.
  static __device__ void wait_for_reads() {
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
  // fence.proxy.tensormap, acquire: TMA takes this thread's map as it is in memory now, where the
  // SM may still hold what lay there before. For maps in global memory, which are copied there
  // between launches; parameters of a kernel need none.
  static __device__ void acquire(const TensorMap& map) {
    asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" ::"l"(&map) : "memory");
  }
  // prefetch.tensormap.
  static __device__ void prefetch(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
  }
  // fence.proxy.async: this thread's writes to shared memory become visible to TMA.
  static __device__ void fence_proxy_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }

  // setmaxnreg.dec and .inc: registers of a thread of this warpgroup from here on; all its warps
  // must pass here.
  template <int kRegisters>
  static __device__ void setmaxnreg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }
  template <int kRegisters>
  static __device__ void setmaxnreg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
  }

  // wgmma.mma_async: d (64 x N, fp32, over 128 threads) = A B, or += where `accumulate`;
  // asynchronous. A and B in bf16 by descriptors, 16 deep in k. kMnA, kMnB: that operand is
  // mn-major.
  // Before the first: wgmma.fence, so that d and the operands are as this thread left them.
  static __device__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
  TM_WGMMA(256, 128, TM_BELOW_120 TM_TO7(12), 128, 129, 130, 131, 132, TM_D64(0), TM_D64(64))
  TM_WGMMA(192, 96, TM_BELOW_80 TM_TO9(8) ", " TM_TO5(9), 96, 97, 98, 99, 100, TM_D64(0),
           TM_D32(64))
  TM_WGMMA(176, 88, TM_BELOW_80 TM_TO7(8), 88, 89, 90, 91, 92, TM_D64(0), TM_D16(64), TM_D8(80))
  TM_WGMMA(144, 72, TM_BELOW_60 TM_TO9(6) ", " TM_TO1(7), 72, 73, 74, 75, 76, TM_D64(0), TM_D8(64))
  TM_WGMMA(128, 64, TM_BELOW_60 TM_TO3(6), 64, 65, 66, 67, 68, TM_D64(0))
  // A and B in e4m3, 32 deep in k, both K-major: fp8 knows no other.
  TM_WGMMA_FP8(192, 96, TM_BELOW_80 TM_TO9(8) ", " TM_TO5(9), 96, 97, 98, TM_D64(0), TM_D32(64))
  TM_WGMMA_FP8(144, 72, TM_BELOW_60 TM_TO9(6) ", " TM_TO1(7), 72, 73, 74, TM_D64(0), TM_D8(64))
  TM_WGMMA_FP8(136, 68, TM_BELOW_60 TM_TO7(6), 68, 69, 70, TM_D64(0), TM_D4(64))
  TM_WGMMA_FP8(128, 64, TM_BELOW_60 TM_TO3(6), 64, 65, 66, TM_D64(0))
  TM_WGMMA_FP8(112, 56, TM_BELOW_40 TM_TO9(4) ", " TM_TO5(5), 56, 57, 58, TM_D32(0), TM_D16(32),
               TM_D8(48))
  TM_WGMMA_FP8(96, 48, TM_BELOW_40 TM_TO7(4), 48, 49, 50, TM_D32(0), TM_D16(32))
  // wgmma.commit_group: those since the last one are a group.
  static __device__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  }
  // wgmma.wait_group: until all of this warp's groups but the last kPending are done.
  template <int kPending>
  static __device__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
  }
  // No instruction. After the last wait: keeps the compiler from reading d before it.
  template <int kValues>
  static __device__ void fence_operand(float (&d)[kValues]) {
#pragma unroll
    for (float& value : d) asm volatile("" : "+f"(value)::"memory");
  }

  // stmatrix: four matrices of 8 x 8, each to rows whose addresses eight of the lanes give.
  static __device__ void stmatrix(std::uint32_t to, const std::uint32_t (&words)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(to),
                 "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
                 : "memory");
  }
  // st.shared.v2.
  static __device__ void store_pair(std::uint32_t to, float first, float second) {
    asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(first), "f"(second) : "memory");
  }
  // mapa, st.async.v4: to the same place in block `rank` of the cluster; the 16 bytes are counted
  // at its barrier, as TMA's are, when they are there.
  static __device__ void st_async_v4(std::uint32_t to, const float* values, std::uint32_t barrier,
                                     int rank) {
    asm volatile(
        "{\n.reg .b32 there, bell;\n"
        "mapa.shared::cluster.u32 there, %0, %6;\n"
        "mapa.shared::cluster.u32 bell, %5, %6;\n"
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32"
        " [there], {%1, %2, %3, %4}, [bell];\n}" ::"r"(to),
        "f"(values[0]), "f"(values[1]), "f"(values[2]), "f"(values[3]), "r"(barrier), "r"(rank)
        : "memory");
  }
  // ld.shared, of four, one and two.
  static __device__ void read_shared_four(std::uint32_t from, float (&values)[4]) {
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(values[0]), "=f"(values[1]), "=f"(values[2]), "=f"(values[3])
                 : "r"(from)
                 : "memory");
  }
  static __device__ float read_shared(std::uint32_t from) {
    float value;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(from) : "memory");
    return value;
  }
  static __device__ void read_shared_pair(std::uint32_t from, float (&pair)[2]) {
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
                 : "=f"(pair[0]), "=f"(pair[1])
                 : "r"(from)
                 : "memory");
  }
  // ld.global.nc: of global memory that nobody writes meanwhile.
  static __device__ float read(const float* from) {
    return __ldg(from);
  }
  // cvt.rn.bf16x2.f32.
  static __device__ std::uint32_t bf16_pair(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const std::uint32_t*>(&pair);
  }
};

#undef TM_WGMMA_FP8
#undef TM_WGMMA
#undef TM_BELOW_120
#undef TM_BELOW_80
#undef TM_BELOW_60
#undef TM_BELOW_40
#undef TM_TO9
#undef TM_TO7
#undef TM_TO5
#undef TM_TO3
#undef TM_TO1
#undef TM_D64
#undef TM_D32
#undef TM_D16
#undef TM_D8
#undef TM_D4
#undef TM_D2

}  // namespace trainmeter::hopper
