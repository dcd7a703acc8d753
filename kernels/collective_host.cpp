// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Payloads of a collective between processes.
#include "kernels/collective_host.hpp"

#include "kernels/allreduce_sum.hpp"
#include "kernels/collective_check.hpp"
#include "kernels/host_operand.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace trainmeter {
namespace {

void poison(const HostOperand& operand) {  // all bits set is a NaN of each floating-point type
  std::fill_n(operand.as<unsigned char>(0), operand.bytes(), static_cast<unsigned char>(0xff));
}

}  // namespace

// fp16 has no type in MPI, and bf16 is added there by a function of ours.
std::string why_no_host_sum(std::string_view backend, DType type) {
  const bool mpi = backend == "mpi";
  if (can_sum(type) && !(mpi && type == DType::fp16)) return "";
  return std::string(backend) + ": sums are in fp64, fp32" +
         (mpi ? " and bf16, not " : ", bf16 and fp16, not ") + std::string(to_string(type));
}

void require_sum(std::string_view backend, const CollectiveProblem& problem) {
  if (!adds(problem.what)) return;
  if (std::string why = why_no_host_sum(backend, problem.dtype); !why.empty()) {
    throw Unavailable(why);
  }
}

class HostPayloads {
 public:
  HostPayloads(World& world, int ranks_here, const CollectiveProblem& what,
               const OperandOptions& how)
      : problem(what),
        options(how),
        layout(layout_of(what, world.group().me, world.group().ranks())),
        rank_(world.rank()) {
    const std::int64_t size = size_of(what.dtype);
    const std::int64_t send_bytes = std::max<std::int64_t>(1, layout.send) * size;
    const std::int64_t receive_bytes =
        std::max<std::int64_t>(1, what.in_place ? layout.whole : layout.receive) * size;
    const std::int64_t set =
        operand_stride(receive_bytes) + (what.in_place ? 0 : operand_stride(send_bytes));
    // Whether it fits is decided together: a rank that leaves alone would leave the others waiting.
    std::int64_t sets = 0;
    std::string reason;
    try {
      sets = sets_for(set, how, host_bytes_for_operands() / ranks_here);
    } catch (const Unavailable& error) {
      reason = error.what();
    }
    sets = static_cast<std::int64_t>(-world.slowest(-static_cast<double>(sets)));
    if (sets == 0) {
      throw Unavailable(reason.empty() ? "another rank has too little memory" : reason);
    }
    buffer.emplace(receive_bytes, static_cast<int>(sets));
    if (!what.in_place) {
      send_only.emplace(send_bytes, static_cast<int>(sets));
      fill_payload(send_only->data(0), what.dtype, adds(what.what), how.seed, rank_, 0,
                   layout.send);
      send_only->repeat_first();
    }
    prepare();
    buffer->repeat_first();
  }

  [[nodiscard]] bool same(const CollectiveProblem& what, const OperandOptions& how) const {
    return problem.what == what.what && problem.dtype == what.dtype &&
           problem.bytes == what.bytes && problem.in_place == what.in_place &&
           problem.counts == what.counts && options.rotate_bytes == how.rotate_bytes &&
           options.seed == how.seed;
  }

  [[nodiscard]] void* send(int set) const {
    return problem.in_place ? at(set, layout.send_at) : send_only->data(set);
  }
  [[nodiscard]] void* receive(int set) const {
    return problem.in_place ? at(set, layout.receive_at) : buffer->data(set);
  }

  // The first set before a run: nothing received, and in place what is to be sent.
  void prepare() const {
    poison(*buffer);
    if (problem.in_place) {
      fill_payload(send(0), problem.dtype, adds(problem.what), options.seed, rank_, 0, layout.send);
    }
  }

  CollectiveProblem problem;
  OperandOptions options;
  CollectiveLayout layout;
  std::optional<HostOperand> send_only;  // made when the ranks have agreed on the number of sets
  std::optional<HostOperand> buffer;     // what is received; in place, of both

 private:
  [[nodiscard]] void* at(int set, std::int64_t element) const {
    return buffer->as<char>(set) + element * size_of(problem.dtype);
  }

  int rank_;
};

namespace {

class HostCollective final : public Operation {
 public:
  HostCollective(World& world, std::shared_ptr<HostPayloads> payloads, int shift, HostRun run)
      : world_(world), on_(std::move(payloads)), shift_(shift), run_(std::move(run)) {}

  void run(int set) override {
    const int shifted = (set + shift_) % sets();
    run_.run(on_->send(shifted), on_->receive(shifted));
  }

  Check verify() override {  // all ranks report the worst
    on_->prepare();
    run_.run(on_->send(0), on_->receive(0));
    const PayloadError found = check_payload(on_->receive(0), on_->problem.dtype, on_->layout,
                                             world_.group(), on_->options.seed);
    const double worst = world_.slowest(found.worst);
    return {.ok = worst < 1,
            .error = worst,
            .bound = 1,
            .how = adds(on_->problem.what) ? "all elements on every rank, fp64"
                                           : "all elements on every rank, bit by bit",
            .wrong = world_.total(found.wrong)};
  }

  [[nodiscard]] int sets() const override { return on_->buffer->sets(); }
  [[nodiscard]] std::map<std::string, std::string> notes() const override {
    std::map<std::string, std::string> all = run_.notes;
    if (run_.seen) all.merge(run_.seen());
    return all;
  }

 private:
  World& world_;
  std::shared_ptr<HostPayloads> on_;
  int shift_;
  HostRun run_;
};

}  // namespace

std::unique_ptr<Operation> HostCollectives::make(World& world, int ranks_here,
                                                 const CollectiveProblem& problem,
                                                 const OperandOptions& options, HostRun run) {
  std::shared_ptr<HostPayloads> payloads = last_.lock();
  const bool second = payloads != nullptr && payloads->same(problem, options);
  if (!second) payloads = std::make_shared<HostPayloads>(world, ranks_here, problem, options);
  last_ = payloads;
  const int shift = second ? payloads->buffer->sets() / 2 : 0;
  return std::make_unique<HostCollective>(world, std::move(payloads), shift, std::move(run));
}

}  // namespace trainmeter
