// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Processes without MPI: they meet over TCP. Those of one host work over shared memory, and by gloo
// where asked for; those of several hosts by gloo.
#include "kernels/collective_gloo.hpp"
#include "kernels/collective_shm_world.hpp"
#include "kernels/rank_cores.hpp"
#include "kernels/rendezvous.hpp"

#include <algorithm>

namespace trainmeter {
namespace {

// What both worlds have of their ranks' meeting.
class Meeting {
 public:
  explicit Meeting(const Interrupt& interrupt)
      : launch_(launched()),
        rendezvous_(launch_, rank_timeout_s(), {}, interrupt),
        here_(take_own_cores(launch_.rank, texts())) {
    rendezvous_.know_hosts(here_.hosts);
  }

  [[nodiscard]] Gather texts() {
    return [this](const std::string& mine) { return rendezvous_.gather(mine); };
  }
  [[nodiscard]] const Launch& launch() const { return launch_; }
  [[nodiscard]] const RanksOnHost& here() const { return here_; }
  [[nodiscard]] bool one_host() const {
    return std::ranges::all_of(here_.hosts, [&](const auto& h) { return h == here_.hosts[0]; });
  }
  [[nodiscard]] std::string how() const {
    const std::string by = launch_.by == Launch::By::slurm ? "Slurm" : "torchrun";
    return "TCP rendezvous by " + by + "'s variables, " + std::to_string(launch_.ranks) +
           " processes" + apart_;
  }
  // They have one host name and no memory in common.
  void set_apart(const std::string& why) { apart_ = "; as on several hosts: " + why; }
  std::unique_ptr<GlooGroup> connect(const RankGroup& group) {
    return make_gloo_group(group, own_address(launch_, here_.hosts, texts()), texts());
  }

  // gloo says what failed, the rendezvous who is gone: a rank whose connection to rank 0 is closed,
  // or that doesn't answer within another rank_timeout_s().
  template <class F>
  auto naming_the_lost(F call) {
    try {
      return call();
    } catch (const RankLost& lost) {
      throw RankLost(std::string(lost.what()) + "; " + roll_call());
    }
  }

 private:
  std::string roll_call() {
    try {
      rendezvous_.gather("here");
    } catch (const RankLost& error) {
      return error.what();
    }
    return "all ranks still answer";
  }

  Launch launch_;
  Rendezvous rendezvous_;
  RanksOnHost here_;
  std::string apart_;
};

class LocalWorld final : public ShmWorld {
 public:
  LocalWorld(std::unique_ptr<Meeting> meeting, std::unique_ptr<ShmGroup> all, const Split& split)
      : meeting_(std::move(meeting)) {
    const RanksOnHost& here = meeting_->here();
    RankGroup members = group_of(split, here.hosts, meeting_->launch().rank);
    auto part =
        members.groups > 1 ? make_shm_group(members, here.crowded, meeting_->texts()) : nullptr;
    take(std::move(all), here.hosts, std::move(members), std::move(part), here.ranks);
  }

  [[nodiscard]] std::string how() const override { return meeting_->how(); }
  [[nodiscard]] std::vector<std::string> backends() const override {
    return has_gloo() ? std::vector<std::string>{"shm", "gloo"} : std::vector<std::string>{"shm"};
  }
  std::vector<std::string> gather(const std::string& mine) override {
    return meeting_->texts()(mine);
  }
  std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    if (backend != "gloo") return ShmWorld::collective(backend, problem, options);
    if (gloo_ == nullptr) gloo_ = meeting_->connect(group());
    return operation(problem, options, gloo_->collective(problem));
  }

 private:
  std::unique_ptr<Meeting> meeting_;
  std::unique_ptr<GlooGroup> gloo_;  // connected by the first collective that asks for it
};

class GlooWorld final : public World {
 public:
  GlooWorld(std::unique_ptr<Meeting> meeting, const Split& split)
      : meeting_(std::move(meeting)), members_(group_of(split, hosts(), meeting_->launch().rank)) {
    RankGroup everyone = group_of({}, hosts(), meeting_->launch().rank);
    all_ = meeting_->connect(everyone);
    if (members_.groups > 1) part_ = meeting_->connect(members_);
  }

  [[nodiscard]] int ranks() const override { return meeting_->launch().ranks; }
  [[nodiscard]] int rank() const override { return meeting_->launch().rank; }
  [[nodiscard]] std::string how() const override { return meeting_->how(); }
  [[nodiscard]] std::vector<std::string> backends() const override { return {"gloo"}; }
  [[nodiscard]] const RankGroup& group() const override { return members_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override {
    return meeting_->here().hosts;
  }

  std::vector<std::string> gather(const std::string& mine) override {
    return meeting_->texts()(mine);
  }
  void barrier() override {
    meeting_->naming_the_lost([&] { all_->barrier(); });
  }
  std::int64_t decide(std::int64_t value) override {
    return meeting_->naming_the_lost([&] { return all_->first(value); });
  }
  std::vector<double> each(double value) override {
    return meeting_->naming_the_lost([&] { return all_->each(value); });
  }
  std::int64_t total(std::int64_t value) override {
    return meeting_->naming_the_lost([&] { return all_->sum(value); });
  }
  bool all(bool value) override { return total(value ? 1 : 0) == ranks(); }

  std::unique_ptr<Operation> collective(std::string_view /*backend*/,
                                        const CollectiveProblem& problem,
                                        const OperandOptions& options) override {
    HostRun gloo = (part_ == nullptr ? *all_ : *part_).collective(problem);
    return operations_.make(
        *this, meeting_->here().ranks, problem, options,
        {.run = [this, run = std::move(gloo.run)](
                    const void* send,
                    void* receive) { meeting_->naming_the_lost([&] { run(send, receive); }); },
         .notes = std::move(gloo.notes)});
  }

 private:
  std::unique_ptr<Meeting> meeting_;
  RankGroup members_;
  std::unique_ptr<GlooGroup> all_, part_;  // the latter where there are several groups
  HostCollectives operations_;
};

}  // namespace

std::unique_ptr<World> make_local_world(const Split& split, const Interrupt& interrupt) {
  auto meeting = std::make_unique<Meeting>(interrupt);
  if (!meeting->one_host()) return std::make_unique<GlooWorld>(std::move(meeting), split);
  std::unique_ptr<ShmGroup> all;
  try {
    const Launch& launch = meeting->launch();
    all = make_shm_group(launch.rank, launch.ranks, meeting->here().crowded, meeting->texts());
  } catch (const NotShared& error) {
    const std::string why = std::string(error.what()) + ": ranks on hosts that are all called " +
                            meeting->here().hosts[0] +
                            " have no /dev/shm in common (containers, or machines of one name)";
    if (!has_gloo()) throw Unavailable(why);
    meeting->set_apart(why);
    return std::make_unique<GlooWorld>(std::move(meeting), split);
  }
  return std::make_unique<LocalWorld>(std::move(meeting), std::move(all), split);
}

}  // namespace trainmeter
