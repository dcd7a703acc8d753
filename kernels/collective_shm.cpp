// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Making, attaching to and removing the segment.
#include "kernels/collective_shm.hpp"

#include "kernels/allreduce_choice.hpp"
#include "kernels/exchange_shm.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <iomanip>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;  // owns it
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void refuse(const char* what, int error) {
  throw Unavailable(std::string("shared memory: ") + what + ": " + std::strerror(error));
}

std::string new_name() {
  std::random_device random;
  return "/trainmeter-" + std::to_string(::getpid()) + "-" + std::to_string(random());
}

// A new segment, as long as it has a name: until then ranks can attach to it.
class Segment {
 public:
  // Room is taken now, so that a full /dev/shm is an error here and no bus error later.
  explicit Segment(std::int64_t bytes) : name_(new_name()) {
    const Descriptor segment(::shm_open(name_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
    if (segment.number() < 0) refuse("shm_open", errno);
    const int failed = ::posix_fallocate(segment.number(), 0, bytes);
    if (failed == 0) return;
    ::shm_unlink(name_.c_str());
    refuse("posix_fallocate", failed);
  }
  ~Segment() { ::shm_unlink(name_.c_str()); }  // where ranks are lost in between, too
  Segment(const Segment&) = delete;            // owns it
  Segment& operator=(const Segment&) = delete;
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
};

std::shared_ptr<void> attach(const std::string& name, std::int64_t bytes) {
  const Descriptor segment(::shm_open(name.c_str(), O_RDWR, 0));
  if (segment.number() < 0) refuse("shm_open", errno);
  const auto length = static_cast<std::size_t>(bytes);
  void* const at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, segment.number(), 0);
  if (at == MAP_FAILED) refuse("mmap", errno);
  return {at, [length](void* mapped) { ::munmap(mapped, length); }};
}

std::string described(const AllReducePlan& plan) {
  return std::string(to_string(plan.algorithm)) + ", blocks of " +
         std::to_string(plan.block_bytes) + " bytes" + (plan.ahead ? ", one ahead" : "") +
         (plan.streaming ? ", past the caches" : "");
}

// How this rank wrote what the others read, since the operation was made.
std::map<std::string, std::string> stores_of(const StoreChoice& now, const StoreChoice& before) {
  const std::int64_t past = now.blocks(true) - before.blocks(true);
  const std::int64_t all = past + now.blocks(false) - before.blocks(false);
  if (all == 0) return {};
  std::ostringstream text;
  text << std::setprecision(3) << past << " of " << all << " blocks past the caches; the last at "
       << now.bytes_per_s(true) / 1e9 << " GB/s, the last into them at "
       << now.bytes_per_s(false) / 1e9;
  return {{"handed_over", text.str()}};
}

}  // namespace

std::unique_ptr<ShmGroup> make_shm_group(int rank, int ranks, bool crowded, const Gather& gather) {
  const std::int64_t bytes = ShmGroup::region_bytes(ranks);
  std::optional<Segment> segment;
  std::string failure;
  std::shared_ptr<void> region;
  try {
    if (rank == 0) segment.emplace(bytes);
  } catch (const Unavailable& error) {
    failure = error.what();
  }
  const std::string name = gather(segment ? segment->name() : "").front();
  try {
    if (!name.empty()) region = attach(name, bytes);
  } catch (const Unavailable& error) {
    failure = error.what();
  }
  const std::vector<std::string> failures = gather(failure);
  segment.reset();
  for (std::size_t other = 0; other < failures.size(); ++other) {
    if (failures[other].empty()) continue;
    const std::string why = failures[other] + " (rank " + std::to_string(other) + ")";
    if (name.empty()) throw Unavailable(why);
    throw NotShared(why);
  }
  auto group = std::make_unique<ShmGroup>(std::move(region), rank, ranks, rank_timeout_s());
  if (crowded) group->set_spins(0);
  return group;
}

std::unique_ptr<ShmGroup> make_shm_group(const RankGroup& group, bool crowded,
                                         const Gather& gather) {
  std::unique_ptr<ShmGroup> made;
  std::string none, not_shared;  // why
  try {
    made = make_shm_group(group.me, group.ranks(), crowded,
                          [&](const std::string& mine) { return of_members(group, gather(mine)); });
  } catch (const NotShared& error) {
    not_shared = error.what();
  } catch (const Unavailable& error) {
    none = error.what();
  }
  for (const std::string& theirs : gather(none)) {
    if (!theirs.empty()) throw Unavailable(theirs);
  }
  for (const std::string& theirs : gather(not_shared)) {
    if (!theirs.empty()) throw NotShared(theirs);
  }
  return made;
}

void name_ranks(ShmGroup& group, const std::vector<int>& members,
                const std::vector<std::string>& hosts) {
  std::vector<ShmGroup::Named> names;
  for (const int rank : members) {
    names.push_back({.rank = rank, .host = hosts[static_cast<std::size_t>(rank)]});
  }
  group.set_names(std::move(names));
}

HostRun shm_collective(ShmGroup& group, const CollectiveProblem& problem) {
  require_sum("shm", problem);
  if (problem.what != CollectiveKind::all_reduce) {
    const CollectiveLayout layout = layout_of(problem, group.rank(), group.ranks());
    return {
        .run = shm_exchange(group, problem.dtype, layout),
        .notes = {},
        .seen = [&group, before = group.stores()] { return stores_of(group.stores(), before); }};
  }
  struct State {
    std::vector<AllReducePlan> plans;  // one, when it is chosen
    std::size_t tried = 0;
    StoreChoice before;
  };
  const auto state = std::make_shared<State>(
      State{.plans = chosen_plans(group.ranks(), problem.bytes), .before = group.stores()});
  // Chosen by the first run, before which the ranks have agreed that each of them is prepared: one
  // that is not would leave the others waiting in a trial.
  const auto run = [&group, problem, state](const void* send, void* receive) {
    if (state->plans.size() > 1) {
      state->tried = state->plans.size();
      state->plans = {
          fastest_plan(group, state->plans, problem.bytes, problem.dtype, problem.in_place)};
      state->before = group.stores();
    }
    group.all_reduce(send, receive, problem.bytes / size_of(problem.dtype), problem.dtype,
                     state->plans.front());
  };
  const auto seen = [&group, state] {
    std::map<std::string, std::string> notes = stores_of(group.stores(), state->before);
    notes["algorithm"] = described(state->plans.front());
    if (state->tried > 0) notes["algorithms_tried"] = std::to_string(state->tried);
    return notes;
  };
  return {.run = run, .notes = {}, .seen = seen};
}

}  // namespace trainmeter
