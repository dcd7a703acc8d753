// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Our own all-reduce over peer memory: its instructions, its kernels and their launch.
#include "kernels/all_made.hpp"
#include "kernels/allreduce_cuda.hpp"
#include "kernels/allreduce_peer_kernel.hpp"
#include "kernels/collective.hpp"
#include "kernels/rounding.hpp"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace trainmeter {
namespace {

// Other GPUs take part, so releases and acquires are the system's. Payloads are read by loads that
// the L1 cache of an acquiring block doesn't answer from before: not by the read-only path.
struct PeerGpu {
  static __device__ peer::Pack load(const peer::Pack* from) {
    peer::Pack out;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out.words[0]), "=r"(out.words[1]), "=r"(out.words[2]), "=r"(out.words[3])
                 : "l"(from)
                 : "memory");
    return out;
  }
  static __device__ void store(peer::Pack* to, const peer::Pack& pack) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(pack.words[0]),
                 "r"(pack.words[1]), "r"(pack.words[2]), "r"(pack.words[3])
                 : "memory");
  }

  static __device__ void store_release(peer::Epoch* to, peer::Epoch value) {
    asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
  }
  static __device__ peer::Epoch load_acquire(const peer::Epoch* from) {
    peer::Epoch value;
    asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
    return value;
  }
  static __device__ int look(const int* from) {
    int value;
    asm volatile("ld.relaxed.sys.global.s32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
    return value;
  }
  static __device__ void tell(int* to, int value) {
    asm volatile("st.relaxed.sys.global.s32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
  }
  static __device__ std::uint64_t now_ns() {
    std::uint64_t now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    return now;
  }

  static __device__ void block_sync() { __syncthreads(); }
  static __device__ bool any_of_block(bool value) { return __syncthreads_or(value ? 1 : 0) != 0; }

  static __device__ float widen(peer::Fp32, std::uint32_t bits) { return __uint_as_float(bits); }
  static __device__ float widen(peer::Bf16, std::uint16_t bits) {
    return __bfloat162float(__ushort_as_bfloat16(bits));
  }
  static __device__ float widen(peer::Fp16, std::uint16_t bits) {
    return __half2float(__ushort_as_half(bits));
  }
  static __device__ std::uint32_t narrow(peer::Fp32, float x) { return __float_as_uint(x); }
  static __device__ std::uint16_t narrow(peer::Bf16, float x) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
  }
  static __device__ std::uint16_t narrow(peer::Fp16, float x) {
    return __half_as_ushort(__float2half_rn(x));
  }
};

template <class Element, int kMost>
__global__ void __launch_bounds__(kPeerThreads, 1)
    peer_all_reduce(const __grid_constant__ peer::Task task) {
  const auto block = static_cast<int>(blockIdx.x);
  peer::AllReduce<Element, kMost, PeerGpu>(task, {.rank = task.first + block / task.blocks,
                                                  .block = block % task.blocks,
                                                  .thread = static_cast<int>(threadIdx.x),
                                                  .threads = kPeerThreads})
      .run();
}

template <class Element>
const void* kernel_of(int ranks) {
  if (ranks <= 2) return reinterpret_cast<const void*>(&peer_all_reduce<Element, 2>);
  if (ranks <= 4) return reinterpret_cast<const void*>(&peer_all_reduce<Element, 4>);
  return reinterpret_cast<const void*>(&peer_all_reduce<Element, kMostPeers>);
}

const void* kernel_for(DType type, int ranks) {
  if (type == DType::bf16) return kernel_of<peer::Bf16>(ranks);
  if (type == DType::fp16) return kernel_of<peer::Fp16>(ranks);
  return kernel_of<peer::Fp32>(ranks);
}

// Blocks that the current device runs at once. Asking loads the kernel, which mustn't happen while
// another device's blocks wait for this one's.
int resident_blocks(const void* kernel) {
  if (device_attribute(cudaDevAttrCooperativeLaunch) == 0) return 0;
  int of_sm = 0;
  cuda_check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_sm, kernel, kPeerThreads, 0),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return of_sm * device_attribute(cudaDevAttrMultiProcessorCount);
}

std::vector<std::string> names_of_gpus(const std::vector<int>& devices) {
  std::vector<std::string> names;
  for (const int device : devices) names.push_back("GPU " + std::to_string(device));
  return names;
}

void require_aligned(const void* pointer) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % sizeof(peer::Pack) != 0) {
    throw std::invalid_argument("a payload of the peer all-reduce begins at 16 bytes");
  }
}

}  // namespace

std::string why_no_peer_sum(DType type) {
  if (type == DType::fp32 || type == DType::bf16 || type == DType::fp16) return "";
  return "peer: sums are in fp32, bf16 and fp16, not " + std::string(to_string(type));
}

PeerGroup::PeerGroup(std::vector<std::string> who, DType type, std::int64_t bytes,
                     const PeerPlan& plan, double timeout_s)
    : who_(std::move(who)),
      count_(bytes / size_of(type)),
      plan_(plan),
      timeout_s_(timeout_s),
      kernel_(kernel_for(type, ranks())) {
  if (ranks() < 2 || ranks() > kMostPeers) {
    throw std::invalid_argument("a peer group has 2 to 8 ranks, not " + std::to_string(ranks()));
  }
  if (const std::string why = why_no_peer_sum(type); !why.empty()) throw Unavailable(why);
  if (plan.algorithm == AllReduceAlgorithm::one_shot) slot_packs_ = ceil_div(bytes, 16);
}

void PeerGroup::allot(std::int64_t block) {
  const auto zeros = [block](std::int64_t bytes) {
    DeviceBuffer buffer(bytes, block);
    buffer.fill_bytes(0);
    return buffer;
  };
  own_states_.push_back(zeros(sizeof(peer::RankState)));
  if (slot_packs_ > 0) own_slots_.push_back(zeros(2 * slot_packs_ * 16));
}

void PeerGroup::set_blocks(std::int64_t bytes, int resident) {
  if (resident < 1) throw Unavailable("peer: the GPU can't run blocks of all ranks at once");
  blocks_ = peer_blocks(plan_, ranks(), bytes, resident);
  cuda_check(cudaHostAlloc(reinterpret_cast<void**>(&lost_), sizeof(int),
                           cudaHostAllocMapped | cudaHostAllocPortable),
             "cudaHostAlloc");
  *lost_ = 0;
}

PeerGroup::PeerGroup(std::vector<int> devices, DType type, std::int64_t bytes, const PeerPlan& plan,
                     double timeout_s)
    : PeerGroup(names_of_gpus(devices), type, bytes, plan, timeout_s) {
  int resident = kMostPeerBlocks;
  for (const int device : devices) {
    const OnDevice here(device);
    for (const int other : devices) {
      if (other != device) enable_peer_access(device, other);
    }
    const auto sharing = static_cast<int>(std::ranges::count(devices, device));
    resident = std::min(resident, resident_blocks(kernel_) / sharing);
    allot();
    states_.push_back(own_states_.back().data());
    if (slot_packs_ > 0) slots_.push_back(own_slots_.back().data());
  }
  set_blocks(bytes, resident);
}

PeerGroup::PeerGroup(int me, int ranks, const Gather& gather, DType type, std::int64_t bytes,
                     const PeerPlan& plan, double timeout_s)
    : PeerGroup(std::vector<std::string>(static_cast<std::size_t>(ranks), "another process"), type,
                bytes, plan, timeout_s) {
  const std::vector<std::string> texts = all_made(gather, [&] {
    allot(kIpcBlock);
    std::string text =
        std::to_string(resident_blocks(kernel_)) + " " + ipc_handle_of(own_states_.front().data());
    if (slot_packs_ > 0) text += " " + ipc_handle_of(own_slots_.front().data());
    return text;
  });
  all_made(gather, [&] {
    int least = kMostPeerBlocks;
    for (int rank = 0; rank < ranks; ++rank) {
      std::istringstream words(texts[static_cast<std::size_t>(rank)]);
      int resident = 0;
      std::string state, slots;
      words >> resident >> state >> slots;
      least = std::min(least, resident);
      const auto mapped = [&](const std::vector<DeviceBuffer>& own, const std::string& handle) {
        return rank == me ? own.front().data() : others_.emplace_back(handle).data();
      };
      states_.push_back(mapped(own_states_, state));
      if (slot_packs_ > 0) slots_.push_back(mapped(own_slots_, slots));
    }
    set_blocks(bytes, least);
    return std::string();
  });
}

PeerGroup::~PeerGroup() {
  (void)cudaFreeHost(lost_);
}

std::vector<DeviceBuffer> PeerGroup::release() {
  std::vector<DeviceBuffer> all = std::move(own_states_);
  std::ranges::move(own_slots_, std::back_inserter(all));
  return all;
}

void PeerGroup::launch(int first, int count, std::span<const void* const> send,
                       std::span<void* const> receive, cudaStream_t stream) {
  check();
  peer::Task task = {};
  for (std::size_t rank = 0; rank < who_.size(); ++rank) {
    require_aligned(send[rank]);
    require_aligned(receive[rank]);
    task.send[rank] = send[rank];
    task.receive[rank] = receive[rank];
    task.states[rank] = static_cast<peer::RankState*>(states_[rank]);
    if (!slots_.empty()) task.slots[rank] = static_cast<peer::Pack*>(slots_[rank]);
  }
  task.lost = lost_;
  task.slot_packs = slot_packs_;
  task.count = count_;
  task.timeout_ns = static_cast<std::uint64_t>(timeout_s_ * 1e9);
  task.algorithm = plan_.algorithm;
  task.ranks = ranks();
  task.blocks = blocks_;
  task.first = first;
  void* arguments[] = {&task};
  cuda_check(cudaLaunchCooperativeKernel(kernel_, dim3(static_cast<unsigned>(count * blocks_)),
                                         dim3(kPeerThreads), arguments, 0, stream),
             "all-reduce kernel");
}

void PeerGroup::check() const {
  const int lost = *static_cast<volatile int*>(lost_);
  if (lost == 0) return;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", timeout_s_);
  throw RankLost("all-reduce: rank " + std::to_string(lost - 1) + " (" +
                 who_[static_cast<std::size_t>(lost - 1)] + ") did not come within " + seconds +
                 " s");
}

}  // namespace trainmeter
