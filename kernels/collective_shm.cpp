// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Making, attaching to and removing the segment.
#include "kernels/collective_shm.hpp"

#include "kernels/allreduce_sum.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <random>
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

// Room is taken now, so that a full /dev/shm is an error here and no bus error later.
void create(const std::string& name, std::int64_t bytes) {
  const Descriptor segment(::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
  if (segment.number() < 0) refuse("shm_open", errno);
  const int failed = ::posix_fallocate(segment.number(), 0, bytes);
  if (failed == 0) return;
  ::shm_unlink(name.c_str());
  refuse("posix_fallocate", failed);
}

std::shared_ptr<void> attach(const std::string& name, std::int64_t bytes) {
  const Descriptor segment(::shm_open(name.c_str(), O_RDWR, 0));
  if (segment.number() < 0) refuse("shm_open", errno);
  const auto length = static_cast<std::size_t>(bytes);
  void* const at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, segment.number(), 0);
  if (at == MAP_FAILED) refuse("mmap", errno);
  return {at, [length](void* mapped) { ::munmap(mapped, length); }};
}

}  // namespace

std::unique_ptr<ShmGroup> make_shm_group(int rank, int ranks, bool crowded, const Gather& gather) {
  const std::int64_t bytes = ShmGroup::region_bytes(ranks);
  std::string name;
  std::string failure;
  std::shared_ptr<void> region;
  try {
    if (rank == 0) {
      const std::string made = new_name();
      create(made, bytes);
      name = made;
    }
  } catch (const Unavailable& error) {
    failure = error.what();
  }
  name = gather(name).front();
  try {
    if (!name.empty()) region = attach(name, bytes);
  } catch (const Unavailable& error) {
    failure = error.what();
  }
  const std::vector<std::string> failures = gather(failure);
  if (rank == 0 && !name.empty()) ::shm_unlink(name.c_str());
  for (std::size_t other = 0; other < failures.size(); ++other) {
    if (failures[other].empty()) continue;
    throw Unavailable(failures[other] + " (rank " + std::to_string(other) + ")");
  }
  auto group = std::make_unique<ShmGroup>(std::move(region), rank, ranks, rank_timeout_s());
  if (crowded) group->set_spins(0);
  return group;
}

std::function<void(const void* send, void* receive)> shm_all_reduce(
    ShmGroup& group, const AllReduceProblem& problem) {
  if (!can_sum(problem.dtype)) {
    throw Unavailable("shm: all-reduce is in fp64, fp32, bf16 and fp16, not " +
                      std::string(to_string(problem.dtype)));
  }
  return [&group, dtype = problem.dtype, count = problem.bytes / size_of(problem.dtype),
          plan = plan_all_reduce(group.ranks(), problem.bytes)](const void* send, void* receive) {
    group.all_reduce(send, receive, count, dtype, plan);
  };
}

}  // namespace trainmeter
