// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Collectives over a range of payloads, and the dispatch and combine of a mixture of experts.
#include "bench/case_lists.hpp"
#include "bench/expected.hpp"
#include "kernels/collective_host.hpp"
#include "kernels/gemm.hpp"
#include "kernels/moe_routing.hpp"
#include "record/error.hpp"
#include "record/names.hpp"
#include "workload/run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace trainmeter {
namespace {

constexpr std::int64_t kSmallest = 1 << 10;
constexpr std::int64_t kLargestCpu = std::int64_t{64} << 20;
constexpr std::int64_t kLargestGpu = std::int64_t{1} << 30;
// What a token's activations are sent in (DeepSeek-V3 report, 3.3), and the tokens of a rank.
constexpr const char* kDispatchType = "fp8";
constexpr const char* kCombineType = "bf16";
constexpr std::int64_t kTokens = 4096;

CollectiveKind collective_from(const std::string& operation) {
  using enum CollectiveKind;
  for (const CollectiveKind what : {all_reduce, all_gather, reduce_scatter, broadcast, reduce,
                                    all_to_all, all_to_all_v, send_recv}) {
    if (to_string(what) == operation) return what;
  }
  throw std::invalid_argument("no such collective: " + operation);
}

// The cases of one run of the program.
class Lister {
 public:
  Lister(const Options& options, const Target& target, World* world)
      : options_(options),
        asked_(options.collective),
        target_(target),
        world_(world),
        gpu_(target.kind == DeviceKind::gpu),
        virtual_(asked_.virtual_ranks > 0),
        ranks_(world != nullptr ? world->group().ranks()
               : virtual_       ? asked_.virtual_ranks
                                : 2) {}

  CaseList list() {
    choose_backends();
    for (const std::string& operation : asked_.operations) {
      if (of_experts(operation)) {
        add_experts(operation);
      } else {
        add_sizes(operation);
      }
    }
    // Whatever the size: said once.
    std::set<std::string> said;
    std::erase_if(list_.left_out, [&](const auto& why) { return !said.insert(why).second; });
    return std::move(list_);
  }

 private:
  using Shape = std::vector<std::pair<std::string, std::int64_t>>;

  // Without a world: all that this build could have.
  void choose_backends() {
    std::vector<std::string> there = {"shm", "mpi", "gloo"};
    if (gpu_) there = {"nccl", "peer"};
    if (virtual_) there = {"peer"};
    if (world_ != nullptr) there = world_->backends();
    for (const std::string& backend : asked_.backends) {
      if (std::ranges::find(there, backend) == there.end()) {
        throw Unavailable(
            fmt::format("--backend={}: here there is {} alone", backend, fmt::join(there, ", ")));
      }
    }
    backends_ = asked_.backends;
    if (backends_.empty()) {  // gloo is for hosts that share no memory
      backends_ = there;
      if (std::ranges::find(there, "shm") != there.end()) std::erase(backends_, "gloo");
    }
    const std::string& other = options_.versus;  // is named, too
    if (std::ranges::find(there, other) != there.end() &&
        std::ranges::find(backends_, other) == backends_.end()) {
      backends_.push_back(other);
    }
    if (asked_.nccl_tests) backends_.resize(1);
  }

  void add_sizes(const std::string& operation) {
    const CollectiveKind what = collective_from(operation);
    std::vector<std::int64_t> sizes = options_.bytes;
    if (sizes.empty()) {
      const std::int64_t largest = gpu_ && !virtual_ ? kLargestGpu : kLargestCpu;
      for (std::int64_t bytes = kSmallest; bytes <= largest; bytes *= 4) {
        sizes.push_back(bytes);
      }
    }
    const std::vector<std::string> dtypes =
        options_.dtypes.empty() ? std::vector<std::string>{"fp32"} : options_.dtypes;
    for (const std::string& dtype : dtypes) {
      for (const std::int64_t bytes : sizes) add_size(what, dtype, bytes);
    }
  }

  void add_size(CollectiveKind what, const std::string& dtype_name, std::int64_t asked) {
    const DType dtype = *dtype_from(dtype_name);
    const std::int64_t rest = asked % size_of(dtype);
    if (rest != 0 && !asked_.whole_elements) {
      throw BadInput(fmt::format("--bytes: {}: expected a multiple of {} ({})", asked,
                                 size_of(dtype), dtype_name));
    }
    const std::int64_t whole = asked - rest;
    CollectiveProblem problem{.dtype = dtype,
                              .bytes = even_bytes(what, dtype, whole, ranks_),
                              .what = what,
                              .in_place = false,
                              .counts = {}};
    double work = static_cast<double>(problem.bytes);
    if (what == CollectiveKind::all_to_all_v) {
      problem.bytes = even_bytes(CollectiveKind::all_to_all, dtype, whole, ranks_);
      problem.counts = distance_weighted(dtype, problem.bytes, ranks_);
      work = static_cast<double>(busiest(problem.counts, ranks_, true) * size_of(dtype));
    }
    if (!(work > 0)) {
      list_.left_out.push_back(fmt::format("{}/{}: {} bytes are too few for {} ranks",
                                           to_string(what), dtype_name, asked, ranks_));
      return;
    }
    for (const std::string& backend : backends_) {
      for (const bool in_place : asked_.in_place) {
        problem.in_place = in_place;
        if (const std::string why = why_not(problem, backend); !why.empty()) {
          list_.left_out.push_back(why);
          continue;
        }
        add(std::string(to_string(what)), dtype_name, backend, problem, work,
            {{"bytes", problem.bytes}});
      }
    }
  }

  // What a backend can't do whatever the size.
  static std::string why_not(const CollectiveProblem& problem, const std::string& backend) {
    using enum CollectiveKind;
    if (backend == "peer" && problem.what != all_reduce) {
      return fmt::format("{}: peer can't", to_string(problem.what));
    }
    if (backend == "gloo" && problem.what == reduce_scatter) return "reducescatter: gloo can't";
    const bool on_host = backend == "shm" || backend == "gloo" || backend == "mpi";
    if (on_host && adds(problem.what)) {
      if (const std::string why = why_no_host_sum(backend, problem.dtype); !why.empty()) {
        return fmt::format("{}: {}", to_string(problem.what), why);
      }
    }
    if (!problem.in_place) return "";
    const bool exchange = problem.what == all_to_all || problem.what == send_recv;
    const bool apart = backend == "nccl" || backend == "gloo";
    if (problem.what == all_to_all_v || (exchange && apart) ||
        (problem.what == reduce_scatter && backend == "mpi")) {
      return fmt::format("{} in place: {} can't", to_string(problem.what), backend);
    }
    return "";
  }

  void add_experts(const std::string& operation) {
    const auto asked = [&](bool in_place) { return std::ranges::count(asked_.in_place, in_place); };
    if (asked(true) > 0) list_.left_out.push_back(operation + " in place: nobody can");
    if (asked(false) == 0) return;
    const Library library(published_data());
    const std::vector<std::string> models =
        options_.models.empty() ? std::vector<std::string>{"deepseek-v3"} : options_.models;
    const std::vector<std::string> dtypes =
        options_.dtypes.empty()
            ? std::vector<std::string>{operation == "dispatch" ? kDispatchType : kCombineType}
            : options_.dtypes;
    for (const std::string& id : models) {
      const Model model = library.model(id);
      if (!model.moe) {
        throw BadInput(
            fmt::format("--models: {}: expected a mixture of experts for {}", id, operation));
      }
      for (const std::string& dtype : dtypes) add_model(operation, dtype, model.hidden, *model.moe);
    }
  }

  void add_model(const std::string& operation, const std::string& dtype_name, std::int64_t hidden,
                 const Moe& moe) {
    Routing routing{.tokens = options_.tokens.value_or(kTokens),
                    .experts = moe.experts,
                    .top_k = moe.experts_per_token,
                    .ranks = ranks_,
                    .nodes = asked_.nodes,
                    .group_limit = asked_.group_limit,
                    .skew = static_cast<double>(asked_.skew_pct) / 100};
    if (routing.group_limit == 0) {
      routing.group_limit = std::min(routing.nodes, moe.group_limit.value_or(routing.nodes));
    }
    Shape shape = {{"rows", routing.tokens},
                   {"cols", hidden},
                   {"experts", routing.experts},
                   {"top_k", routing.top_k}};
    if (routing.nodes > 1) {
      shape.emplace_back("nodes", routing.nodes);
      shape.emplace_back("group_limit", routing.group_limit);
    }
    if (asked_.skew_pct > 0) shape.emplace_back("skew_pct", asked_.skew_pct);
    const DType dtype = *dtype_from(dtype_name);
    const std::int64_t sent = sent_elements(dtype, hidden);
    const auto bytes_of_token = static_cast<double>(sent * size_of(dtype));
    std::vector<std::int64_t> tokens;
    try {
      // Drawing the experts of more tokens than fit would take minutes.
      const auto copies =
          static_cast<double>(routing.tokens) * static_cast<double>(fewest_ranks(routing));
      if (!fits(named(fmt::format("{}/{}", operation, dtype_name), shape),
                memory_of(copies * bytes_of_token, false))) {
        return;
      }
      tokens = route(routing);
    } catch (const std::invalid_argument& error) {
      throw BadInput(fmt::format("{}: {}", operation, error.what()));
    }
    CollectiveProblem problem{.dtype = dtype,
                              .bytes = 0,
                              .what = CollectiveKind::all_to_all_v,
                              .in_place = false,
                              .counts = {}};
    const auto n = static_cast<std::size_t>(ranks_);
    for (std::size_t from = 0; from < n; ++from) {
      for (std::size_t to = 0; to < n; ++to) {
        problem.counts.push_back(
            sent * (operation == "dispatch" ? tokens[from * n + to] : tokens[to * n + from]));
      }
    }
    const double work =
        static_cast<double>(busiest(problem.counts, ranks_, false) * size_of(problem.dtype));
    if (!(work > 0)) {
      list_.left_out.push_back(fmt::format("{}: every token stays where it is", operation));
      return;
    }
    for (const std::string& backend : backends_) {
      if (const std::string why = why_not(problem, backend); !why.empty()) {
        list_.left_out.push_back(fmt::format("{}, {}", operation, why));
      } else {
        add(operation, dtype_name, backend, problem, work, shape);
      }
    }
  }

  // Of the ranks on this device, where a rank sends and gets so much.
  [[nodiscard]] double memory_of(double bytes, bool in_place) const {
    const bool each_its_own = world_ == nullptr || (gpu_ && !virtual_);  // device
    return (in_place ? 1 : 2) * bytes * (each_its_own ? 1 : world_->ranks());
  }

  bool fits(const std::string& what, double bytes) {
    std::string why = why_no_room(what, bytes, target_);
    if (why.empty()) return true;
    list_.left_out.push_back(std::move(why));
    return false;
  }

  static std::string named(std::string name, const Shape& shape) {
    for (const auto& [key, value] : shape) name += fmt::format("/{}:{}", key, value);
    return name;
  }

  void add(const std::string& operation, const std::string& dtype, const std::string& backend,
           const CollectiveProblem& problem, double work, Shape shape) {
    Case made;
    if (of_experts(operation) && sent_with_scales(problem.dtype)) {
      made.scaling = to_string(Scaling::block128);
    }
    if (problem.in_place) shape.emplace_back("in_place", 1);
    if (world_ != nullptr && world_->group().groups > 1) {
      shape.emplace_back("groups", world_->group().groups);
    }
    if (virtual_) shape.emplace_back("virtual_ranks", ranks_);
    if (virtual_) {
      made.notes["virtual_ranks"] =
          "all ranks' payloads in one GPU's memory: a time of that memory, not of links";
    }
    const char* const algorithm = std::getenv("NCCL_ALGO");
    if (backend == "nccl" && algorithm != nullptr && !nccl_algorithm(algorithm).empty()) {
      made.notes["algorithm"] = nccl_algorithm(algorithm);
    }
    made.operation = operation;
    made.dtype = dtype;
    made.backend = backend;
    made.name = named(fmt::format("{}/{}/{}", operation, dtype, backend), shape);
    for (const auto& [key, value] : shape) made.shape[key] = value;
    if (made.scaling != "none") made.name += "/scaling:" + made.scaling;
    made.bytes = work;
    const double held =
        problem.counts.empty()  // a rank's own part, too
            ? work
            : static_cast<double>(busiest(problem.counts, ranks_, true) * size_of(problem.dtype));
    made.memory_bytes = memory_of(held, problem.in_place);
    if (!fits(made.name, made.memory_bytes)) return;
    made.make = [problem, backend, world = world_](const OperandOptions& operands) {
      return world->collective(backend, problem, operands);
    };
    list_.cases.push_back(std::move(made));
  }

  const Options& options_;
  const CollectiveOptions& asked_;
  const Target& target_;
  World* world_;
  bool gpu_;
  bool virtual_;  // ranks, of one GPU
  int ranks_;
  std::vector<std::string> backends_;
  CaseList list_;
};

}  // namespace

CaseList collective_cases(const Options& options, const Target& target, World* world) {
  return Lister(options, target, world).list();
}

}  // namespace trainmeter
