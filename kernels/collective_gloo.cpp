// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// gloo's algorithms and its TCP; the sums are ours, in every type that our own all-reduce adds.
#include "kernels/collective_gloo.hpp"

#include "kernels/allreduce_sum.hpp"

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/alltoallv.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/reduce.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <numeric>
#include <utility>

namespace trainmeter {
namespace {

using Device = std::shared_ptr<gloo::transport::Device>;

constexpr std::uint64_t kSendRecvSlot = 1;  // the collectives' own have a prefix above it

// Names and their bytes. Every rank sets as many as the others, in the same order, and each time
// all ranks hand theirs round, so that what one asks for later is there.
class GatheredStore final : public gloo::rendezvous::Store {
 public:
  explicit GatheredStore(Gather gather) : gather_(std::move(gather)) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    for (const std::string& theirs : gather_(key + " " + std::string(data.begin(), data.end()))) {
      const auto end = theirs.begin() +
                       static_cast<std::ptrdiff_t>(std::min(theirs.find(' '), theirs.size() - 1));
      known_[{theirs.begin(), end}] = {end + 1, theirs.end()};
    }
  }
  std::vector<char> get(const std::string& key) override {
    const auto found = known_.find(key);
    if (found == known_.end()) throw RankLost("gloo: no rank told its '" + key + "'");
    return found->second;
  }
  void wait(const std::vector<std::string>& keys) override {
    for (const std::string& key : keys) (void)get(key);
  }
  using Store::wait;

 private:
  Gather gather_;
  std::map<std::string, std::vector<char>> known_;
};

Device open_device(const std::string& address) {
  gloo::transport::tcp::attr where;
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') {
    where.iface = interface;
  } else if (address.empty()) {
    throw Unavailable("gloo: no way from here to rank 0's host");
  } else {
    where.hostname = address;
  }
  try {
    return gloo::transport::tcp::CreateDevice(where);
  } catch (const std::exception& error) {
    throw Unavailable("gloo: " + (where.iface.empty() ? where.hostname : where.iface) + ": " +
                      error.what());
  }
}

template <class F>
auto or_lost(F call) {
  try {
    return call();
  } catch (const gloo::Exception& error) {
    throw RankLost(std::string("gloo: ") + error.what());
  }
}

// Elements of so many bytes, as gloo's templates want them.
template <class F>
void with_type_of_size(std::int64_t size, F call) {
  switch (size) {
    case 8:
      return call(std::uint64_t{});
    case 4:
      return call(std::uint32_t{});
    default:
      return call(std::uint16_t{});
  }
}

void add(DType type, void* out, const void* x, const void* y, std::size_t count) {
  const std::array<const void*, 2> in = {x, y};
  sum_arrays(type, out, in, static_cast<std::int64_t>(count));
}

class Group final : public GlooGroup {
 public:
  Group(const RankGroup& group, Device device, const Gather& gather)
      : context_(std::make_shared<gloo::rendezvous::Context>(group.me, group.ranks())) {
    context_->setTimeout(std::chrono::milliseconds(static_cast<long>(rank_timeout_s() * 1000)));
    GatheredStore store(gather);
    or_lost([&] { context_->connectFullMesh(store, device); });
  }

  void barrier() override {
    or_lost([&] {
      gloo::BarrierOptions options(context_);
      gloo::barrier(options);
    });
  }
  std::vector<double> each(double value) override { return all_of(value); }
  std::int64_t first(std::int64_t value) override {
    or_lost([&] {
      gloo::BroadcastOptions options(context_);
      options.setOutput(&value, 1);
      options.setRoot(0);
      gloo::broadcast(options);
    });
    return value;
  }
  std::int64_t sum(std::int64_t value) override {
    const std::vector<std::int64_t> values = all_of(value);
    return std::accumulate(values.begin(), values.end(), std::int64_t{0});
  }

  HostRun collective(const CollectiveProblem& problem) override {
    if (problem.what == CollectiveKind::reduce_scatter) {
      throw Unavailable("gloo: has no reducescatter between buffers that it wasn't made for");
    }
    require_sum("gloo", problem);
    const bool exchanges =
        problem.what == CollectiveKind::all_to_all || problem.what == CollectiveKind::send_recv;
    if (problem.in_place && exchanges) {
      throw Unavailable("gloo: " + std::string(to_string(problem.what)) + " can't work in place");
    }
    std::map<std::string, std::string> notes;
    if (problem.what == CollectiveKind::all_reduce) notes["algorithm"] = "ring";
    return {.run =
                [this, problem, layout = layout_of(problem, context_->rank, context_->size)](
                    const void* send, void* receive) {
                  // gloo reads what is sent through a pointer that could write.
                  or_lost([&] { run(problem, layout, const_cast<void*>(send), receive); });
                },
            .notes = std::move(notes)};
  }

 private:
  template <class T>
  std::vector<T> all_of(T value) {
    std::vector<T> values(static_cast<std::size_t>(context_->size));
    or_lost([&] {
      gloo::AllgatherOptions options(context_);
      options.setInput(&value, 1);
      options.setOutput(values.data(), values.size());
      gloo::allgather(options);
    });
    return values;
  }

  void run(const CollectiveProblem& problem, const CollectiveLayout& layout, void* send,
           void* receive) {
    const std::int64_t size = size_of(problem.dtype);
    const auto bytes = [&](std::int64_t elements) {
      return static_cast<std::size_t>(elements * size);
    };
    auto* const from = static_cast<char*>(send);
    auto* const to = static_cast<char*>(receive);
    switch (problem.what) {
      case CollectiveKind::all_reduce:
        return reduce_by(gloo::AllreduceOptions(context_), problem, send, receive,
                         [](auto& options) { gloo::allreduce(options); });
      case CollectiveKind::reduce: {
        gloo::ReduceOptions options(context_);
        options.setRoot(0);
        return reduce_by(std::move(options), problem, send, receive,
                         [](auto& ready) { gloo::reduce(ready); });
      }
      case CollectiveKind::all_gather: {
        gloo::AllgatherOptions options(context_);
        // In place what is sent lies at the beginning of an output that has it further on.
        if (!problem.in_place) options.setInput(from, bytes(layout.send));
        options.setOutput(to, bytes(layout.receive));
        return gloo::allgather(options);
      }
      case CollectiveKind::broadcast: {
        gloo::BroadcastOptions options(context_);
        if (context_->rank == 0 && !problem.in_place) options.setInput(from, bytes(layout.send));
        options.setOutput(to, bytes(layout.receive));
        options.setRoot(0);
        return gloo::broadcast(options);
      }
      case CollectiveKind::all_to_all: {
        gloo::AlltoallOptions options(context_);
        options.setInput(from, bytes(layout.send));
        options.setOutput(to, bytes(layout.receive));
        return gloo::alltoall(options);
      }
      case CollectiveKind::all_to_all_v: {
        std::vector<std::int64_t> gives;
        std::vector<std::int64_t> gets;
        for (const Piece& section : layout.sections) gives.push_back(section.count * size);
        for (const CollectiveLayout::Part& part : layout.parts) {
          gets.push_back(part.at.count * size);
        }
        gloo::AlltoallvOptions options(context_);
        options.setInput(from, std::move(gives));
        options.setOutput(to, std::move(gets));
        return gloo::alltoallv(options);
      }
      case CollectiveKind::send_recv: {
        const int ranks = context_->size;
        const auto sent = context_->createUnboundBuffer(from, bytes(layout.send));
        const auto got = context_->createUnboundBuffer(to, bytes(layout.receive));
        sent->send((context_->rank + 1) % ranks, kSendRecvSlot);
        got->recv((context_->rank + ranks - 1) % ranks, kSendRecvSlot);
        got->waitRecv();
        sent->waitSend();
        return;
      }
      case CollectiveKind::reduce_scatter:
        break;
    }
    throw std::invalid_argument("no such collective");
  }

  template <class Options, class F>
  static void reduce_by(Options options, const CollectiveProblem& problem, void* send,
                        void* receive, F call) {
    const DType type = problem.dtype;
    const auto count = static_cast<std::size_t>(problem.bytes / size_of(type));
    with_type_of_size(size_of(type), [&](auto element) {
      using Element = decltype(element);
      if (!problem.in_place) options.setInput(static_cast<Element*>(send), count);
      options.setOutput(static_cast<Element*>(receive), count);
    });
    options.setReduceFunction([type](void* out, const void* x, const void* y, std::size_t n) {
      add(type, out, x, y, n);
    });
    call(options);
  }

  std::shared_ptr<gloo::rendezvous::Context> context_;
};

}  // namespace

bool has_gloo() {
  return true;
}

std::unique_ptr<GlooGroup> make_gloo_group(const RankGroup& group, const std::string& address,
                                           const Gather& gather) {
  Device device;
  std::string failure;
  try {
    device = open_device(address);
  } catch (const Unavailable& error) {
    failure = error.what();
  }
  const std::vector<std::string> failures = gather(failure);
  for (std::size_t rank = 0; rank < failures.size(); ++rank) {
    if (failures[rank].empty()) continue;
    throw Unavailable(failures[rank] + " (rank " + std::to_string(rank) + ")");
  }
  return std::make_unique<Group>(group, std::move(device), [&](const std::string& mine) {
    return of_members(group, gather(mine));
  });
}

}  // namespace trainmeter
