// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks that came together, and nothing that moves data between them.
#include "kernels/collective.hpp"
#include "kernels/rank_cores.hpp"
#include "kernels/rendezvous.hpp"

#include <charconv>
#include <cstdlib>
#include <numeric>
#include <utility>

namespace trainmeter {
namespace {

class BootstrapWorld final : public World {
 public:
  explicit BootstrapWorld(const Interrupt& interrupt)
      : launch_(launched()),
        rendezvous_(launch_, rank_timeout_s(), {}, interrupt),
        hosts_(
            take_own_cores(launch_.rank, [this](const std::string& mine) { return gather(mine); })
                .hosts),
        everyone_(group_of({}, hosts_, launch_.rank)) {
    rendezvous_.know_hosts(hosts_);
  }

  [[nodiscard]] int ranks() const override { return launch_.ranks; }
  [[nodiscard]] int rank() const override { return launch_.rank; }
  [[nodiscard]] std::string how() const override {
    const std::string by = launch_.by == Launch::By::slurm ? "Slurm" : "torchrun";
    return "TCP rendezvous by " + by + "'s variables, " + std::to_string(ranks()) + " processes";
  }
  [[nodiscard]] std::vector<std::string> backends() const override { return {}; }
  [[nodiscard]] const RankGroup& group() const override { return everyone_; }
  [[nodiscard]] const std::vector<std::string>& hosts() const override { return hosts_; }

  std::vector<std::string> gather(const std::string& mine) override {
    return rendezvous_.gather(mine);
  }
  void barrier() override { gather(""); }
  std::int64_t decide(std::int64_t value) override { return numbers(value).front(); }
  std::vector<double> each(double value) override {
    std::vector<double> all;
    for (const std::string& text : gather(exact(value)))
      all.push_back(std::strtod(text.c_str(), nullptr));
    return all;
  }
  std::int64_t total(std::int64_t value) override {
    const std::vector<std::int64_t> all = numbers(value);
    return std::accumulate(all.begin(), all.end(), std::int64_t{0});
  }
  bool all(bool value) override { return total(value ? 1 : 0) == ranks(); }
  std::unique_ptr<Operation> collective(std::string_view backend, const CollectiveProblem&,
                                        const OperandOptions&) override {
    throw Unavailable(std::string(backend) + ": not between these ranks");
  }

 private:
  static std::string exact(double value) {  // as short as gives the same number again
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
  }
  std::vector<std::int64_t> numbers(std::int64_t value) {
    std::vector<std::int64_t> all;
    for (const std::string& text : gather(std::to_string(value)))
      all.push_back(std::atoll(text.c_str()));
    return all;
  }

  Launch launch_;
  Rendezvous rendezvous_;
  std::vector<std::string> hosts_;
  RankGroup everyone_;
};

}  // namespace

std::unique_ptr<World> make_bootstrap_world(const Leave& leave, const Interrupt& interrupt) {
  if (launched().by == Launch::By::mpi) return make_mpi_world({}, leave);
  return std::make_unique<BootstrapWorld>(interrupt);
}

}  // namespace trainmeter
