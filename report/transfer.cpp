// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rules of a transfer, each beside its reason.
#include "report/transfer.hpp"

#include "report/gemm_curve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

namespace trainmeter {
namespace {

// What a transfer adds to the spread, as a standard deviation of the logarithm.
// Another card of the same chip: cooling and silicon set its clock. MAMF's fp8 on H100 and H200:
// 1,403 and 1,453 TFLOP/s. Copies: 0.87 of the datasheet's bandwidth on H100, 0.90 on H200.
constexpr double kSameChipSpread = 0.05;
// Another chip of the architecture. MAMF's share of the peak: A100 SXM 0.87, PCIe 0.81; H100 0.80
// and 0.71 (bf16, fp8), GH200 0.84 and 0.78; B200 0.78, B300 0.79.
constexpr double kOtherChipSpread = 0.10;
// Another architecture: MAMF's bf16 share is 0.87 on A100, 0.80 on H100, 0.78 on B200; a library's
// kernels are tuned for each, and may not be yet.
constexpr double kOtherArchitectureSpread = 0.20;
// Attention kernels are written for one architecture: FlashAttention-2 reaches 0.64 of A100's peak
// and 0.34 of H100's, FlashAttention-3 0.65.
constexpr double kOtherArchitectureAttention = 0.40;
// Collectives, nccl-tests' bandwidth over the link's: 1.07 on H200, H100 and H800, 0.94 on B200,
// 0.78 on A100 (no reduction in the switch).
constexpr double kLinkSpread = 0.10;
constexpr double kOtherArchitectureLinkSpread = 0.25;

constexpr double kAtCap = 0.05;  // this near to its cap, power is at it
// Hz, SXM cards: stas00/ml-engineering, compute/accelerator; the H200's in
// results/measured/h200-burst.
constexpr double kHopperBoost = 1980e6;
constexpr double kSamePeak = 0.01;       // datasheets round: 312 and 311.8
constexpr double kNinetyPercent = 3.29;  // standard deviations in the middle 90 % of a normal

// "NVIDIA H100 80GB HBM3": nvidia, h100, 80gb, hbm3.
std::set<std::string> words_of(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) {
    return std::isalnum(c) != 0 ? static_cast<char>(std::tolower(c)) : ' ';
  });
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

double peak_of(const System& system, const std::string& dtype) {
  const auto found = system.peak_flops.find(dtype == "fp8_e5m2" ? "fp8" : dtype);
  return found == system.peak_flops.end() ? 0 : found->second;
}

bool close(double a, double b, double tolerance) {
  return std::abs(a / b - 1) < tolerance;
}

double spread_of(Nearness near, double same_chip, double same_architecture, double other) {
  return near == Nearness::same_chip           ? same_chip
         : near == Nearness::same_architecture ? same_architecture
                                               : other;
}

const char* far(Nearness near) {
  return near == Nearness::other_architecture ? ", another architecture: nothing nearer is known"
                                              : "";
}

// Which collectives differ in their payload alone.
std::string sweep(const RatePoint& p) {
  return fmt::format("{} {} {}", p.operation, p.backend, p.ranks);
}

// What rates stand for one another: a dtype's GEMMs, memory kernels, a collective.
std::string kind_of(const RatePoint& p) {
  if (is_compute(p.operation)) return p.dtype + " " + p.operation;
  return is_memory_kernel(p.operation) ? "memory kernels" : p.operation;
}

class Projector {
 public:
  Projector(const std::vector<RatePoint>& points, const System& from, const System& to,
            const TransferOptions& options)
      : points_(points), from_(from), to_(to), options_(options) {
    // The largest rate of a collective's sweep is taken to be all wire.
    for (const RatePoint& p : points) best_[sweep(p)] = std::max(best_[sweep(p)], p.value);
  }

  Projection run() {
    Projection out;
    for (const RatePoint& p : points_) {
      if (auto projected = one(p)) out.points.push_back(std::move(*projected));
    }
    for (const auto& [text, u] : used_) {
      const std::string low = u.low + 0.005 < u.high ? fmt::format("{:.2f} to ", u.low) : "";
      out.reasons.push_back(fmt::format("{}: {} x {}{:.2f} ({}), spread + {:.1f} %", title(),
                                        text.first, low, u.high, text.second, 100 * u.spread));
    }
    for (const auto& [kind, why] : left_out_) {
      out.reasons.push_back(fmt::format("{}: {} left out: {}", title(), kind, why));
    }
    return out;
  }

 private:
  struct Used {
    double low, high, spread;
  };

  [[nodiscard]] std::string title() const {
    return fmt::format("measured on {}, projected to {}", from_.id, to_.id);
  }

  std::optional<RatePoint> leave_out(const RatePoint& p, const std::string& why) {
    left_out_.insert({kind_of(p), why});
    return std::nullopt;
  }

  void used(const std::string& what, const std::string& why, double factor, double spread) {
    Used& u = used_.insert({{what, why}, {factor, factor, spread}}).first->second;
    u = {std::min(u.low, factor), std::max(u.high, factor), std::max(u.spread, spread)};
  }

  std::optional<RatePoint> one(const RatePoint& p) {
    const Nearness near = nearness(from_, to_, p.operation, p.dtype);
    if (from_.kind != to_.kind) return leave_out(p, "a CPU is no GPU");
    if (near > options_.farthest) return leave_out(p, "the devices differ too much");
    const auto nearer = [&](const RatePoint& other) {
      return other.nearness < near && kind_of(other) == kind_of(p);
    };
    if (options_.known != nullptr && std::ranges::any_of(*options_.known, nearer)) {
      return leave_out(p, "rates from nearer by are known");
    }
    RatePoint out = p;
    out.nearness = near;
    if (is_compute(p.operation)) return compute(std::move(out), near);
    if (near == Nearness::own) return out;
    const bool of_memory = is_memory_kernel(p.operation) || is_step_kernel(p.operation);
    return of_memory ? memory(std::move(out), near) : link(std::move(out), near);
  }

  void mark(RatePoint& out, double spread, const std::string& why) const {
    out.noise = std::hypot(out.noise, spread);
    out.transferred = from_.id;
    out.projection = (out.projection.empty() ? title() + ": " : out.projection + "; ") + why;
  }

  std::optional<RatePoint> memory(RatePoint out, Nearness near) {
    if (!from_.memory_bytes_per_s || !to_.memory_bytes_per_s) {
      return leave_out(out, "no memory bandwidth is known");
    }
    const double ratio = *to_.memory_bytes_per_s / *from_.memory_bytes_per_s;
    const double spread =
        spread_of(near, kSameChipSpread, kOtherChipSpread, kOtherArchitectureSpread);
    out.value *= ratio;
    used("memory kernels",
         fmt::format("memory bandwidths {:.0f} / {:.0f} GB/s{}", *to_.memory_bytes_per_s / 1e9,
                     *from_.memory_bytes_per_s / 1e9, far(near)),
         ratio, spread);
    mark(out, spread, fmt::format("memory x {:.2f}{}", ratio, far(near)));
    return out;
  }

  // The bytes on the wire go with the link, the start of a collective doesn't.
  std::optional<RatePoint> link(RatePoint out, Nearness near) {
    const bool inside = out.ranks <= from_.gpus_per_node;
    if (inside != (out.ranks <= to_.gpus_per_node)) {
      return leave_out(out,
                       fmt::format("{} ranks lie in one node on one of the two alone", out.ranks));
    }
    const auto& a = inside ? from_.nvlink_bytes_per_s : from_.nic_bytes_per_s;
    const auto& b = inside ? to_.nvlink_bytes_per_s : to_.nic_bytes_per_s;
    const char* where = inside ? "inside a node" : "between nodes";
    if (!a || !b) {
      return leave_out(out, fmt::format("no link {} is known for {}", where, (a ? to_ : from_).id));
    }
    const double ratio = *b / *a;
    const double wire = out.value / best_.at(sweep(out));
    const double factor = 1 / (wire / ratio + (1 - wire));
    out.value *= factor;
    const double spread = spread_of(near, kLinkSpread, kLinkSpread, kOtherArchitectureLinkSpread);
    used(fmt::format("collectives {}", where),
         fmt::format("links {:.0f} / {:.0f} GB/s, starts as long{}", *b / 1e9, *a / 1e9, far(near)),
         factor, spread);
    mark(out, spread,
         fmt::format("{} x {:.2f}{}", inside ? "NVLink" : "network", factor, far(near)));
    return out;
  }

  std::optional<RatePoint> compute(RatePoint out, Nearness near) {
    const double from_peak = peak_of(from_, out.dtype), to_peak = peak_of(to_, out.dtype);
    bool memory_bound = false;
    double roof = 1;
    if (near != Nearness::own) {
      if (!(from_peak > 0 && to_peak > 0)) {
        return leave_out(out, fmt::format("no {} peak is known for {}", out.dtype,
                                          from_peak > 0 ? to_.id : from_.id));
      }
      if (near != Nearness::same_chip) roof = to_peak / from_peak;
      const bool gemm = out.operation == "gemm" || out.operation == "grouped_gemm";
      if (options_.gemm_shapes && gemm && from_.sms > 0 && to_.sms > 0 &&
          std::min({out.m, out.n, out.k}) > 0) {
        // The curve's share on each device: bounds by memory bandwidth, tiles that fill other SMs.
        const auto [m, n, k, groups] = size_of_a_group(out);
        const auto share = [&](const System& s, double peak) {
          return gemm_share(s, out.dtype, m, n, k, groups, peak);
        };
        roof *= share(to_, to_peak) / share(from_, from_peak);
        memory_bound = share(to_, to_peak) < share(to_, 0);
      }
      const bool attention = out.operation.starts_with("attention");
      const double far_spread = attention ? kOtherArchitectureAttention : kOtherArchitectureSpread;
      const double spread = spread_of(near, kSameChipSpread, kOtherChipSpread, far_spread);
      const std::string why = near == Nearness::same_chip
                                  ? "same SMs and tensor rate"
                                  : fmt::format("{} peaks {:.0f} / {:.0f} TFLOP/s{}", out.dtype,
                                                to_peak / 1e12, from_peak / 1e12, far(near));
      used(memory_bound ? "GEMMs bound by memory" : "compute", why, roof, spread);
      mark(out, spread,
           memory_bound ? fmt::format("{}; bound by memory x {:.2f}", why, roof) : why);
    }
    const double under_cap = options_.power ? capped(out, near, from_peak, to_peak) : 1;
    // A rate that memory bounds leaves power to spare.
    out.value *= memory_bound ? std::min(roof, under_cap) : roof * under_cap;
    return out;
  }

  // The factor of a change of the power cap, with its spread and words put into `out`.
  double capped(RatePoint& out, Nearness near, double from_peak, double to_peak) {
    if (!to_.power_w) return 1;
    const double cap = *to_.power_w;
    const bool same_chip = near <= Nearness::same_chip;
    const double watts = out.power_w;
    const bool at_cap = from_.power_w && close(watts, *from_.power_w, kAtCap);
    // A card that throttles on power elsewhere than at the datasheet's cap has another limit set.
    const bool other_limit = out.power_capped && watts > 0 && !at_cap;
    const double held = other_limit ? watts : from_.power_w.value_or(watts);
    if (!(held > 0)) return 1;  // neither cap nor power is known: left to who uses the rate
    const double nominal = from_.power_w.value_or(held);
    if (near == Nearness::own && close(cap, nominal, kSamePeak)) return 1;  // measured there
    out.cap_w = cap;
    // The shares of the peak that architectures reach, each under its own cap, hold its power.
    if (near == Nearness::other_architecture || (same_chip && close(cap, held, kSamePeak)))
      return 1;
    const bool joules = same_chip && watts > kIdleShareHigh * nominal;
    double full = 1;  // the rate at the full clock, of this one
    if (joules && at_cap && from_peak > 0) {
      const bool sxm = from_.sms == 132 && architecture(from_) == "hopper";
      full = std::max(1.0, from_peak / out.value);
      if (sxm && out.clock_hz > 0) full = std::clamp(kHopperBoost / out.clock_hz, 1.0, full);
    }
    // Where power was measured, e = dynamic power / rate joules per FLOP, falling with the clock;
    // else the caps, per FLOP of the peak.
    const auto factor = [&](double exponent, double idle_share) {
      if (!joules) {
        const double peaks = same_chip ? 1 : to_peak / from_peak;
        return std::min(1.0, std::pow(cap / held / peaks, exponent));
      }
      const double idle = idle_share * nominal;
      const double dynamic = std::max(cap - idle, 0.01 * cap);
      return std::min(full, std::pow(dynamic / (watts - idle), exponent));
    };
    const PowerExponent e = joules ? options_.exponent : PowerExponent{};
    const double central = factor(e.value, kIdleShare);
    // A card whose power is unknown may not have been at its cap at all: exponent 0.
    const double least = joules ? e.low : 0;
    const auto [low, high] =
        std::minmax({central, factor(least, kIdleShareLow), factor(least, kIdleShareHigh),
                     factor(e.high, kIdleShareLow), factor(e.high, kIdleShareHigh)});
    const double spread = std::log(high / low) / kNinetyPercent;
    if (!(spread > 0)) return central;  // the other cap doesn't bind either
    const std::string caps = fmt::format("{:.0f} to {:.0f} W", held, cap);
    const char* what = joules ? "dynamic power from joules per FLOP" : "ratio, power not measured,";
    const std::string from =
        e.clocks > 0 ? fmt::format(", measured at {} clocks", e.clocks) : std::string();
    used("power cap",
         fmt::format("{}, {} to the power {:.{}f}{}", caps, what, e.value, e.clocks > 0 ? 2 : 1,
                     from),
         central, spread);
    const double pico = (watts - kIdleShare * nominal) / out.value * 1e12;
    mark(out, spread,
         fmt::format("power cap {} x {:.2f} ({})", caps, central,
                     joules ? fmt::format("{:.2f} pJ/FLOP at {:.0f} W", pico, watts)
                            : "power not measured"));
    return central;
  }

  const std::vector<RatePoint>& points_;
  const System& from_;
  const System& to_;
  const TransferOptions& options_;
  std::map<std::string, double> best_;
  std::map<std::pair<std::string, std::string>, Used> used_;
  std::set<std::pair<std::string, std::string>> left_out_;
};

}  // namespace

double power_share(double cap_w, double held_w) {
  return cap_w < held_w ? std::pow(cap_w / held_w, kPowerExponent) : 1;
}

Projection project(const std::vector<RatePoint>& points, const System& from, const System& to,
                   const TransferOptions& options) {
  return Projector(points, from, to, options).run();
}

std::string architecture(const System& system) {
  static const std::map<std::string, std::set<std::string>> kChips = {
      {"ampere", {"a100", "a800"}},
      {"hopper", {"h100", "h200", "h800", "h20", "gh200"}},
      {"blackwell", {"b200", "b300", "gb200", "gb300"}}};
  const std::set<std::string> words = words_of(system.gpu);
  for (const auto& [name, chips] : kChips) {
    if (std::ranges::any_of(chips, [&](const auto& chip) { return words.contains(chip); }))
      return name;
  }
  return "";
}

Nearness nearness(const System& from, const System& to, const std::string& operation,
                  const std::string& dtype) {
  if (from.id == to.id) return Nearness::own;
  const std::string name = architecture(from);
  if (name != architecture(to) || (name.empty() && from.gpu != to.gpu))
    return Nearness::other_architecture;
  const bool same_rate =
      !is_compute(operation) || close(peak_of(from, dtype), peak_of(to, dtype), kSamePeak);
  return from.sms == to.sms && same_rate ? Nearness::same_chip : Nearness::same_architecture;
}

std::optional<System> system_of_device(const Device& device, const Library& library) {
  const std::set<std::string> words = words_of(device.name);
  const double memory = static_cast<double>(device.memory_bytes);
  std::optional<System> best;
  double best_gap = 0.2;  // of the logarithm: drivers count GiB and keep some for themselves
  for (const std::string& id : library.ids("systems")) {
    const System system = library.system(id);
    const std::set<std::string> own = words_of(system.gpu);
    const auto same_form = [&](const char* form) {
      return own.contains(form) == words.contains(form);
    };
    if (system.kind != device.kind || !words.contains(id.substr(0, id.find('-')))) continue;
    if (!same_form("pcie") || !same_form("nvl") || !same_form("mig")) continue;
    if (system.sms > 0 && device.sms > 0 && system.sms != device.sms) continue;
    const double gap =
        system.memory_bytes && memory > 0 ? std::abs(std::log(memory / *system.memory_bytes)) : 0;
    // Those that differ in their network alone: the plainest name.
    if (gap < best_gap || (best && gap == best_gap && id.size() < best->id.size())) {
      best = system;
      best_gap = gap;
    }
  }
  return best;
}

}  // namespace trainmeter
