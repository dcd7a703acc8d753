// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Ranks find each other over TCP, without MPI: rank 0 listens, the others come, and texts go round.
// For starting and for errors; nothing is measured over it.
#pragma once

#include "kernels/collective.hpp"
#include "kernels/launch.hpp"
#include "kernels/rendezvous_channel.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace trainmeter {

class Rendezvous {
 public:
  // Returns when all ranks are there. RankLost, naming them, where ranks are missing after
  // `timeout_s`, or where rank 0 can't be reached or refuses this one; PortTaken or Unavailable
  // where rank 0 can't listen there, the latter, too, where it would do so for other hosts without
  // a token. Connections of strangers and of other runs are refused, and counted in the error.
  // Errors have the host beside a rank where `hosts` has every rank's. Interrupted, soon, where
  // `interrupt` has a signal by then.
  Rendezvous(const Launch& launch, double timeout_s, std::vector<std::string> hosts = {},
             Interrupt interrupt = {});

  // Every rank's text, by rank. RankLost where one closed its connection or is silent.
  std::vector<std::string> gather(const std::string& mine);
  void know_hosts(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }

 private:
  void welcome_all();
  void join();
  [[noreturn]] void lost(std::size_t rank) const;
  [[nodiscard]] int signal() const { return interrupt_ ? interrupt_() : 0; }
  void end_where_interrupted() const;

  Launch launch_;
  double timeout_s_;
  std::vector<std::string> hosts_;
  Interrupt interrupt_;
  std::vector<Channel> peers_;  // of rank 0: by rank, the first without use; of others: rank 0
};

// For ranks that wait for another in vain, by other means than this one: who doesn't come within
// `timeout_s`, or why that isn't known. "" where all come.
std::string who_is_missing(const Launch& launch, const std::vector<std::string>& hosts,
                           double timeout_s);

}  // namespace trainmeter
