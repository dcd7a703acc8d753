// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Payloads of a collective on GPUs, its order and its check.
#include "kernels/collective_cuda.hpp"

#include "kernels/collective_check.hpp"

#include <algorithm>
#include <map>

namespace trainmeter {

GpuCollective::GpuCollective(const std::vector<GpuRank>& ranks, const CollectiveProblem& problem,
                             const OperandOptions& options, std::int64_t block)
    : ranks_(&ranks), problem_(problem), seed_(options.seed) {
  std::map<int, std::int64_t> set_bytes;  // by device
  for (const GpuRank& rank : ranks) {
    payloads_.push_back(
        {.layout = trainmeter::layout_of(problem, rank.group.me, rank.group.ranks()),
         .send_only = {},
         .buffer = {}});
    const CollectiveLayout& layout = payloads_.back().layout;
    set_bytes[rank.device] += operand_stride(buffer_bytes(layout)) +
                              (problem.in_place ? 0 : operand_stride(bytes_of(layout.send)));
  }
  gpus_ = static_cast<int>(set_bytes.size());
  const auto largest =
      std::ranges::max_element(set_bytes, {}, [](auto& one) { return one.second; });
  {
    const OnDevice here(largest->first);
    sets_ = sets_for(largest->second, options, device_bytes_free());
  }
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    Payload& payload = payloads_[rank];
    const OnDevice here(ranks[rank].device);
    payload.buffer = DeviceOperand(buffer_bytes(payload.layout), sets_, block);
    if (!problem.in_place) {
      payload.send_only = DeviceOperand(bytes_of(payload.layout.send), sets_, block);
      payload.send_only.copy_from_host(sent(rank, payload.send_only.bytes(), 0).data());
    }
  }
  prepare();
}

void GpuCollective::run(int set) {
  const GpuRank& first = ranks_->front();
  const auto elsewhere = [&](const GpuRank& rank) { return rank.device != first.device; };
  cuda_check(cudaEventRecord(start_.get(), first.stream.get()), "cudaEventRecord");
  for (const GpuRank& rank : *ranks_) {
    if (!elsewhere(rank)) continue;
    cuda_check(cudaStreamWaitEvent(rank.stream.get(), start_.get(), 0), "cudaStreamWaitEvent");
  }
  queue(set);
  for (const GpuRank& rank : *ranks_) {
    if (!elsewhere(rank)) continue;
    const OnDevice here(rank.device);
    cuda_check(cudaEventRecord(rank.done.get(), rank.stream.get()), "cudaEventRecord");
    cuda_check(cudaStreamWaitEvent(first.stream.get(), rank.done.get(), 0), "cudaStreamWaitEvent");
  }
}

Check GpuCollective::verify() {
  ranks_->front().stream.wait();  // and so for all others, which it waits for
  prepare();
  run(0);
  ranks_->front().stream.wait();
  return compare(0);
}

// Where a rank has the bits that one before it of its group was found to have, they are as good.
Check GpuCollective::compare(int set) {
  require_done();
  const bool sums = adds(problem_.what);
  Check out{
      .error = 0,
      .bound = 1,
      .how = sums ? "all elements on every GPU, fp64" : "all elements on every GPU, bit by bit"};
  std::vector<char> checked;
  PayloadError error;
  for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
    const GpuRank& here = (*ranks_)[rank];
    std::vector<char> found = received(rank, set);
    const bool known = problem_.what == CollectiveKind::all_reduce && here.group.groups == 1 &&
                       rank > 0 && found == checked;
    if (!known) {
      const std::int64_t at = problem_.in_place ? payloads_[rank].layout.receive_at : 0;
      error = check_payload(found.data() + bytes_at(at), problem_.dtype, payloads_[rank].layout,
                            here.group, seed_);
      checked = std::move(found);
    }
    out.error = std::max(out.error, error.worst);
    out.wrong += error.wrong;
  }
  out.ok = out.error < out.bound;
  return out;
}

const void* GpuCollective::send_of(std::size_t rank, int set) const {
  const Payload& payload = payloads_[rank];
  if (!problem_.in_place) return payload.send_only.data(set);
  return static_cast<char*>(payload.buffer.data(set)) + bytes_at(payload.layout.send_at);
}

void* GpuCollective::receive_of(std::size_t rank, int set) const {
  const Payload& payload = payloads_[rank];
  return static_cast<char*>(payload.buffer.data(set)) +
         (problem_.in_place ? bytes_at(payload.layout.receive_at) : 0);
}

std::pair<const void*, const void*> GpuCollective::first_allocations() const {
  const Payload& payload = payloads_.front();
  const void* const received = payload.buffer.data(0);
  return {problem_.in_place ? received : payload.send_only.data(0), received};
}

std::shared_ptr<void> GpuCollective::release() {
  return std::make_shared<std::vector<Payload>>(std::move(payloads_));
}

std::int64_t GpuCollective::bytes_of(std::int64_t elements) const {
  return bytes_at(std::max<std::int64_t>(1, elements));
}

std::int64_t GpuCollective::buffer_bytes(const CollectiveLayout& layout) const {
  return bytes_of(problem_.in_place ? layout.whole : layout.receive);
}

// A buffer of all bits set but for what the rank sends, `at` bytes from its begin.
std::vector<char> GpuCollective::sent(std::size_t rank, std::int64_t bytes, std::int64_t at) const {
  std::vector<char> out(static_cast<std::size_t>(bytes), static_cast<char>(0xff));
  const RankGroup& group = (*ranks_)[rank].group;
  fill_payload(out.data() + at, problem_.dtype, adds(problem_.what), seed_,
               group.members[static_cast<std::size_t>(group.me)], 0, payloads_[rank].layout.send);
  return out;
}

std::vector<char> GpuCollective::received(std::size_t rank, int set) const {
  const DeviceOperand& buffer = payloads_[rank].buffer;
  std::vector<char> out(static_cast<std::size_t>(buffer.bytes()));
  const OnDevice here((*ranks_)[rank].device);
  cuda_check(cudaMemcpy(out.data(), buffer.data(set), out.size(), cudaMemcpyDeviceToHost),
             "cudaMemcpy");
  return out;
}

// Nothing received, and in place what is to be sent.
void GpuCollective::prepare() {
  for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
    Payload& payload = payloads_[rank];
    const OnDevice here((*ranks_)[rank].device);
    if (problem_.in_place) {
      payload.buffer.copy_from_host(
          sent(rank, payload.buffer.bytes(), bytes_at(payload.layout.send_at)).data());
    } else {
      for (int set = 0; set < sets_; ++set) {
        cuda_check(cudaMemset(payload.buffer.data(set), 0xFF,
                              static_cast<std::size_t>(payload.buffer.bytes())),
                   "cudaMemset");
      }
      cuda_check(cudaStreamSynchronize(nullptr), "cudaMemset");  // a co-runner isn't waited for
    }
  }
}

}  // namespace trainmeter
