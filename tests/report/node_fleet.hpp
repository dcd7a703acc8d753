// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Simulated fleets of GPU nodes with planted faults, a record a node.
#pragma once

#include "record/record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace trainmeter {

struct NodeFleet {
  int nodes = 512;
  int gpus = 8;
  double spread = 0.008;    // standard deviation of a good GPU's, link's or network's log rate
  double common = 0.5;      // share of that variance which all cases of one GPU have in common
  double bad_nodes = 0.01;  // share of nodes with one fault each, of the four kinds in turn
  double slow = 0.05;       // by how much a slow GPU is
  int slow_nodes = 0;       // so many are slow with all their GPUs
  int rounds = 5;           // of pairs of nodes
  enum class Tails { normal, heavy, slow } tails = Tails::normal;
};

struct SimulatedFleet {
  std::vector<Record> records;
  std::map<std::string, std::string> bad;  // node: its fault
};

class NodeFleetSampler {
 public:
  NodeFleetSampler(const NodeFleet& fleet, std::uint64_t seed) : fleet_(fleet), random_(seed) {}

  SimulatedFleet draw() {
    SimulatedFleet out;
    std::vector<std::string> faults(static_cast<std::size_t>(fleet_.nodes));
    const int bad = static_cast<int>(std::lround(fleet_.bad_nodes * fleet_.nodes));
    for (int i = 0; i < bad; ++i) faults[i] = kFaults[(i + drawn_) % kFaults.size()];
    ++drawn_;
    std::fill_n(faults.rbegin(), fleet_.slow_nodes, kSlowNode);
    std::ranges::shuffle(faults, random_);
    std::vector<double> networks;
    for (int n = 0; n < fleet_.nodes; ++n) {
      out.records.push_back(node(n, faults[n]));
      if (!faults[n].empty()) out.bad[name(n)] = faults[n];
      networks.push_back(noise() * fleet_.spread +
                         (faults[n] == "half-rate NIC" ? std::log(0.5) : 0));
    }
    add_pairs(out.records, networks);
    return out;
  }

 private:
  static std::string name(int node) { return fmt::format("n{:04}", node); }

  double noise() {  // mean 0, standard deviation 1
    if (fleet_.tails == NodeFleet::Tails::heavy) return t_(random_) / std::sqrt(5.0 / 3);
    if (fleet_.tails == NodeFleet::Tails::slow) return (4 - gamma_(random_)) / 2;
    return normal_(random_);
  }

  static void add(Record& record, std::size_t session, Measurement m, double log_rate) {
    m.session = record.headers[session].session;
    m.verified = true;
    m.sms = 132;
    m.time_s = {1e-3 * std::exp(-log_rate)};
    record.lines.push_back({std::move(m), session, 0});
  }

  Record node(int n, const std::string& fault) {
    Record record;
    record.file = name(n) + ".jsonl";
    for (int gpu = 0; gpu < fleet_.gpus; ++gpu) {
      Header header;
      header.session = fmt::format("gpu-{}", gpu);
      header.host = name(n);
      header.device = {.kind = "gpu", .name = "Toy", .sms = 132};
      header.device.details["uuid"] = fmt::format("GPU-{}-{}", n, gpu);
      header.discipline.data = "normal";
      record.headers.push_back(header);
      add_gpu(record, gpu, gpu == 3 || fault == kSlowNode ? fault : "");
    }
    for (int from = 0; from < fleet_.gpus; ++from) {
      for (int to = 0; to < fleet_.gpus; ++to) {
        if (from == to) continue;
        Measurement m = {.name = fmt::format("peer_copy/{}/{}", from, to),
                         .operation = "peer_copy"};
        m.shape = {{"from", from}, {"to", to}};
        m.bytes = 1e8;
        const bool bad = fault == "bad NVLink" && from == 1 && to == 6;
        add(record, 0, m, noise() * fleet_.spread + (bad ? std::log(0.8) : 0));
      }
    }
    return record;
  }

  void add_gpu(Record& record, int gpu, const std::string& fault) {
    const double its = noise() * std::sqrt(fleet_.common);
    const double whole = fault == kSlowNode ? std::log1p(-fleet_.slow) : 0;
    const double slower = fault == "slow GPU" ? std::log1p(-fleet_.slow) : whole;
    for (const int size : {2048, 4096, 8192, 16384}) {
      Measurement m = {.name = fmt::format("gemm/bf16/{}", size), .operation = "gemm"};
      m.flops = 1e12;
      if (fault == "throttling GPU" && size > 4096) m.throttle_reasons = {"hw_thermal_slowdown"};
      add(record, gpu, m, slower + fleet_.spread * (its + noise() * std::sqrt(1 - fleet_.common)));
    }
    for (const char* kernel : {"copy", "triad"}) {
      Measurement m = {.name = std::string(kernel) + "/fp64", .operation = kernel};
      m.bytes = 1e9;
      add(record, gpu, m, whole + fleet_.spread * (its + noise() * std::sqrt(1 - fleet_.common)));
    }
  }

  // In each round every node is measured with another.
  void add_pairs(std::vector<Record>& records, const std::vector<double>& networks) {
    std::vector<int> order(networks.size());
    std::iota(order.begin(), order.end(), 0);
    for (int round = 0; round < fleet_.rounds; ++round) {
      std::ranges::shuffle(order, random_);
      for (std::size_t i = 0; i + 1 < order.size(); i += 2) {
        Measurement m = {.name = "allreduce/fp32/nccl", .operation = "allreduce"};
        m.ranks = 2;
        m.bytes = 1e9;
        m.notes["hosts"] = name(order[i]) + " " + name(order[i + 1]);
        add(records[order[i]], 0, m,
            std::min(networks[order[i]], networks[order[i + 1]]) + 0.2 * noise() * fleet_.spread);
      }
    }
  }

  inline static const std::string kSlowNode = "slow node";  // in all that its GPUs do themselves
  inline static const std::vector<std::string> kFaults = {"slow GPU", "half-rate NIC",
                                                          "throttling GPU", "bad NVLink"};
  NodeFleet fleet_;
  std::size_t drawn_ = 0;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::student_t_distribution<double> t_{5};
  std::gamma_distribution<double> gamma_{4};
};

}  // namespace trainmeter
