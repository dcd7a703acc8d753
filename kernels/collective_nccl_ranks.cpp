// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// One process for each GPU, NCCL between them, and our own all-reduce where they are of one host;
// who started the processes brings them together.
#include "kernels/collective_cuda.hpp"
#include "kernels/machine.hpp"
#include "kernels/rank_gpus.hpp"

#if TRAINMETER_HAS_NCCL

#include "kernels/nccl_communicator.hpp"
#include "kernels/rank_watch.hpp"

#include <nccl.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace trainmeter {
namespace {

// This rank's part of a collective, checked together with the others'.
class RanksOperation final : public Operation {
 public:
  RanksOperation(World& world, std::unique_ptr<Operation> mine)
      : world_(world), mine_(std::move(mine)) {}

  void run(int set) override { mine_->run(set); }
  Check verify() override {
    Check check = mine_->verify();
    check.error = world_.slowest(check.error);
    check.wrong = world_.total(check.wrong);
    check.ok = check.error < check.bound;
    return check;
  }
  [[nodiscard]] int sets() const override { return mine_->sets(); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override { return mine_->notes(); }
  [[nodiscard]] void* stream() const override { return mine_->stream(); }
  [[nodiscard]] int launches() const override { return mine_->launches(); }

 private:
  World& world_;
  std::unique_ptr<Operation> mine_;
};

class NcclRanksWorld final : public World {
 public:
  NcclRanksWorld(std::unique_ptr<World> together, const Split& split)
      : together_(std::move(together)), gpu_(choose_gpu()) {
    cuda_check(cudaSetDevice(gpu_), "cudaSetDevice");
    const RankGroup members = group_of(split, hosts(), rank());
    mine_.push_back({.device = gpu_, .group = members, .stream = {}});
    const Gather texts = [this](const std::string& text) { return together_->gather(text); };
    all_.emplace(together_->group(), texts, rank_timeout_s());
    if (members.groups > 1) part_.emplace(members, texts, rank_timeout_s());
    sign_ = DeviceBuffer(sizeof(float));
    sign_.fill_bytes(0);
    watch_.emplace(RankWatch::Over{.finished = [this] { return finished(); },
                                   .failed = [this] { return failure(); },
                                   .abort =
                                       [this] {
                                         all_->abort();
                                         if (part_) part_->abort();
                                       }},
                   rank_timeout_s());
    // Connections are made by the first run, which must not find the stream held by a timer.
    align(mine_[0].stream.get());
    mine_[0].stream.wait();
    watch_->require();
    peer_ = make_peer_ranks(
        mine_, hosts(), [this](const std::string& text) { return agreeing().gather(text); },
        [this](const std::function<void()>& calls) { queued(calls); });
  }

  [[nodiscard]] int ranks() const override { return together_->ranks(); }
  [[nodiscard]] int rank() const override { return together_->rank(); }
  [[nodiscard]] std::string how() const override { return together_->how() + ", one for each GPU"; }
  [[nodiscard]] std::vector<std::string> backends() const override {
    return peer_ ? std::vector<std::string>{"nccl", "peer"} : std::vector<std::string>{"nccl"};
  }
  [[nodiscard]] const RankGroup& group() const override { return mine_[0].group; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override {
    return together_->hosts();
  }
  [[nodiscard]] int gpu() const override { return gpu_; }

  std::vector<std::string> gather(const std::string& mine) override {
    return agreeing().gather(mine);
  }
  void barrier() override { agreeing().barrier(); }
  std::int64_t decide(std::int64_t value) override { return agreeing().decide(value); }
  std::vector<double> each(double value) override { return agreeing().each(value); }
  std::int64_t total(std::int64_t value) override { return agreeing().total(value); }
  bool all(bool value) override { return agreeing().all(value); }
  void give_up() override {
    all_->abort();
    if (part_) part_->abort();
    together_->give_up();
  }

  // An all-reduce of one number between all ranks, which no rank leaves before all have come.
  void align(void* stream) override {
    queued([&] {
      const ncclResult_t taken = ncclAllReduce(sign_.data(), sign_.data(), 1, ncclFloat32, ncclSum,
                                               all_->get(), static_cast<cudaStream_t>(stream));
      if (taken != ncclSuccess && taken != ncclInProgress) {
        throw RankLost(std::string("NCCL: ") + ncclGetErrorString(taken));
      }
      all_->settle();
    });
  }

  std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    if (backend == "peer" && peer_)
      return std::make_unique<RanksOperation>(*this, peer_->make(problem, options));
    NcclCommunicator& between = part_ ? *part_ : *all_;
    return std::make_unique<RanksOperation>(
        *this, make_nccl_collective(
                   mine_, {between.get()},
                   [this, &between](const std::function<void()>& calls) {
                     queued([&] {
                       calls();
                       between.settle();
                     });
                   },
                   problem, options));
  }

 private:
  // Unavailable on every rank where one has no GPU of its own.
  int choose_gpu() {
    const Gpus found = gpus();
    const auto visible = static_cast<int>(found.devices.size());
    const int chosen = visible == 0 ? 0 : gpu_of_rank(rank(), hosts(), visible);
    const std::string mine = visible == 0
                                 ? no_gpu_said(found.why_none)
                                 : gpu_said(found.devices[static_cast<std::size_t>(chosen)].uuid);
    const std::string why = why_not_these_gpus(hosts(), together_->gather(mine));
    if (!why.empty()) throw Unavailable(why);
    return chosen;
  }

  // The watch's thread begins with the first GPU, whose context it would make. It mustn't throw.
  [[nodiscard]] bool finished() const {
    return cudaSetDevice(gpu_) == cudaSuccess &&
           cudaStreamQuery(mine_[0].stream.get()) == cudaSuccess;
  }

  [[nodiscard]] std::string failure() const {
    const std::string failed = all_->failure();
    return failed.empty() && part_ ? part_->failure() : failed;
  }

  // The watch is asked on both sides: what it aborted looks finished. What it says comes first.
  template <class F>
  void queued(F calls) {
    watch_->require();
    watch_->started();
    try {
      calls();
    } catch (const RankLost&) {
      watch_->require();
      throw;
    }
  }
  World& agreeing() {
    if (watch_) watch_->require();
    return *together_;
  }

  std::unique_ptr<World> together_;
  int gpu_;
  std::vector<GpuRank> mine_;  // one
  std::optional<NcclCommunicator> all_, part_;
  DeviceBuffer sign_;
  std::unique_ptr<GpuCollectives> peer_;
  std::optional<RankWatch> watch_;  // last: its thread uses the others
};

}  // namespace

std::unique_ptr<World> make_nccl_world(const Split& split, const Leave& leave,
                                       const Interrupt& interrupt) {
  return std::make_unique<NcclRanksWorld>(make_bootstrap_world(leave, interrupt), split);
}

}  // namespace trainmeter

#else

namespace trainmeter {

std::unique_ptr<World> make_nccl_world(const Split& /*split*/, const Leave& /*leave*/,
                                       const Interrupt& /*interrupt*/) {
  throw Unavailable("NCCL: not found when trainmeter was built (--device=cpu does without)");
}

}  // namespace trainmeter

#endif
