// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// The rates that an extrapolation stands on. Measured records and published micro-benchmarks come
// through the same type, and each rate keeps where it came from and how well it fits what was asked
// for.
#pragma once

#include "record/record.hpp"
#include "report/communication_sms.hpp"
#include "report/in_place.hpp"
#include "report/slowdowns.hpp"
#include "workload/micro.hpp"
#include "workload/run.hpp"
#include "workload/system.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trainmeter {

// What a rate rests on. Projected: measured by the user's records, on another chip
// (report/transfer.hpp). Assumed: a share of another kernel's rate.
enum class Basis { measured, projected, published, datasheet, assumed };
std::string_view to_string(Basis basis);

// A rate with its relative uncertainties (standard deviations of its logarithm).
struct Rate {
  double value = 0;  // FLOP/s or bytes/s, per device
  double noise = 0;  // spread of the measurement
  double shape = 0;  // error of taking another shape's rate; 0 where the very shape was measured
  std::string
      origin;  // "results/measured/x.jsonl:12" or "published: DeepGEMM README, Performance tables"
  std::string how;  // exact shape; between shapes; ..., measured on h100, projected to h800: ...
  Basis basis = Basis::measured;
  std::string figure;  // id of the published one that `origin` speaks of; empty: none
  std::string key;     // of the system file whose figure it is a share of; empty: none
  bool of_weight_gradients = false;  // of a GEMM: those were measured, here or nearby
  bool sustained = false;            // at the clock that the power cap leaves
};

// Where too few shapes are known to learn it from.
inline constexpr double kLeastShapeError = 0.05;

// From where a rate comes, the best first: another card of the same chip has as many SMs at the
// same peak.
enum class Nearness { own, same_chip, same_architecture, other_architecture };

// One point that was measured or published.
struct RatePoint {
  std::string operation;  // gemm fma copy read write triad rmsnorm ... allreduce ...
  std::string dtype, backend, layout;
  std::string pass_layout;           // of a GEMM; see below
  std::int64_t m = 0, n = 0, k = 0;  // gemm; 0 where not printed
  double work_bytes = 0;             // of one run; 0 where published
  std::int64_t bytes = 0;            // memory kernels: an array; collectives: payload
  std::int64_t groups = 1;  // gemm: side by side; grouped_gemm: m, in a weight gradient k, of all
  std::int64_t seq_len = 0, head_dim = 0;  // attention
  std::int64_t value_dim = 0, group = 0;   // 0 where not printed
  std::int64_t queries = 0;
  bool causal = true;
  bool uneven = false;  // of groups: their sizes differ
  bool adds = false;    // of a GEMM: to what C holds, in fp32
  std::int64_t ranks = 1;
  bool one_node = true;  // no more ranks than a node had where it was measured, as far as is known
  double value = 0;
  double noise = 0;
  std::string name;  // of the case, or the published id
  std::string origin;
  std::string transferred;  // the system it was measured on, where that is another one
  std::string projection;   // then: how it was carried over (report/transfer.hpp)
  Nearness nearness = Nearness::own;
  bool published = false;
  KeyPlace place;             // where the figure stands, of a published one
  double power_w = 0;         // settled (record/samples.hpp); 0 unknown
  double clock_hz = 0;        // median while it was measured; 0 unknown
  std::string regime;         // burst, sustained; "": neither was asked for
  bool power_capped = false;  // the driver said that it throttled on power
  double cap_w = 0;           // projected to this power cap; 0: as it was measured
  [[nodiscard]] bool of_weight_gradients() const { return pass_layout == "tn"; }
};

// m, n, k of one group, and how many there are. A grouped GEMM's m, in a weight gradient its k, is
// that of all groups.
GemmSize size_of_a_group(const RatePoint& point);

// The rate of a point, used for another shape with this error (0: the very shape); `fit` says so.
Rate rate_at(const RatePoint& point, double shape, const std::string& fit);

struct AttentionShape {
  std::int64_t seq_len = 0;
  std::int64_t head_dim = 0, value_dim = 0;
  std::int64_t group = 1;  // query heads to a head of keys and values
};

class RateBook {
 public:
  // Of their lines that give rates, those that stand for a case (report/rate_lines.hpp): of all
  // that are added at once.
  void add(const Record& record);
  void add(const std::vector<Record>& records);
  void add(RatePoint point) { points_.push_back(std::move(point)); }

  // What others measured on `system`; where nobody did for a dtype, on another card of the same
  // chip (report/transfer.hpp), and marked so. A figure that is refuted (workload/micro.hpp) is
  // left out, one that is too late to predict with is a ceiling alone.
  void add_published(const Library& library, const System& system);

  // The device whose rates these are: its SMs and bandwidth shape the curve between known shapes.
  void describe(const System& system) { device_ = system; }

  // All three below, where `records` have measured them.
  void set_measured_in_steps(const std::vector<Record>& records);

  // What GEMMs reach in a step of their rates alone (report/in_place.hpp), where that was measured.
  void set_in_place(InPlaceRatios ratios) { in_place_ = std::move(ratios); }
  [[nodiscard]] const InPlaceRatios& in_place() const { return in_place_; }

  // What traffic beside GEMMs costs them, where that was measured (report/slowdowns.hpp).
  void set_slowdowns(Slowdowns slowdowns) { slowdowns_ = std::move(slowdowns); }
  [[nodiscard]] const Slowdowns& slowdowns() const { return slowdowns_; }

  // What communication with SMs of its own costs, where that was measured.
  void set_layers_beside(std::vector<LayersBeside> layers) { layers_beside_ = std::move(layers); }
  [[nodiscard]] const std::vector<LayersBeside>& layers_beside() const { return layers_beside_; }

  // `groups` GEMMs of one shape, FLOP/s: the very shape where it is known, else the curve
  // (report/gemm_curve.hpp) times what the shapes around it reach of it. The best backend. A weight
  // gradient where none near by was measured: the rate of other passes times what those measured
  // reach of it. `adds`: weight gradients are added up in fp32, so that such rows come first.
  // Nothing where no GEMM of this dtype is known.
  [[nodiscard]] std::optional<Rate> gemm(const std::string& dtype, std::string_view layout,
                                         std::int64_t m, std::int64_t n, std::int64_t k,
                                         std::int64_t groups = 1, bool adds = true) const;
  // FLOP/s of the causal attention core, counted as its makers do (half the square; backward 2.5 x
  // forward): `backend`'s in `dtype` (fp16 and bf16 are one) at the nearest head widths and
  // grouping of heads, interpolated between sequence lengths.
  [[nodiscard]] std::optional<Rate> attention(bool forward, std::string_view backend,
                                              std::string_view dtype,
                                              const AttentionShape& shape) const;
  // The same of the fastest backend that was measured; `how` names it.
  [[nodiscard]] std::optional<Rate> measured_attention(bool forward, std::string_view dtype,
                                                       const AttentionShape& shape) const;
  // Bytes/s of a kernel of a step that was measured as itself, at the nearest size.
  [[nodiscard]] std::optional<Rate> kernel(std::string_view operation, std::string_view dtype,
                                           double bytes) const;
  [[nodiscard]] std::optional<Rate> memory() const;  // triad, else copy, else read: bytes/s
  // Start-up and bandwidth of a collective, fitted to its sweep over payloads (least squares of the
  // relative error, over the sweep with the most payloads): t = start_s + payload x bus factor /
  // bus_bytes_per_s. Nothing where fewer than three payloads are known. `published`: figures of
  // others, else ours.
  struct Sweep {
    double start_s = 0, bus_bytes_per_s = 0;
    std::int64_t ranks = 0;
    bool one_node = true;                  // as far as is known
    std::vector<const RatePoint*> points;  // of the book
  };
  [[nodiscard]] std::optional<Sweep> sweep(std::string_view collective, bool published) const;
  // Bus bandwidth at the nearest payload, in bytes/s.
  [[nodiscard]] std::optional<Rate> bus(std::string_view collective, double bytes) const;
  [[nodiscard]] std::optional<Rate> register_peak(
      const std::string& dtype) const;  // measured fma loop
  [[nodiscard]] std::optional<RatePoint> best_gemm(const std::string& dtype) const;
  // The same with the published ones that are too late to predict with: the ceiling.
  [[nodiscard]] std::optional<RatePoint> best_known_gemm(const std::string& dtype) const;
  // The power cap that rates of this dtype hold under: the device's own, whose figures, or a share
  // of whose datasheet, they are; else the one they were projected to. 0 where that isn't known.
  [[nodiscard]] double cap_held(const std::string& dtype) const;
  [[nodiscard]] const std::vector<RatePoint>& points() const { return points_; }
  // Published figures that are too late to predict with.
  [[nodiscard]] const std::vector<RatePoint>& later() const { return later_; }

 private:
  struct Known;  // a shape with what it reaches of the curve
  [[nodiscard]] std::vector<Known> known_shapes(const std::string& dtype, std::string_view layout,
                                                const GemmSize& near, bool adds) const;
  [[nodiscard]] std::optional<double> weight_gradients_of_others(const std::string& dtype,
                                                                 const GemmSize& near,
                                                                 bool adds) const;
  static Known interpolated(const std::vector<Known>& known, double m, double n, double k,
                            const RatePoint* left_out);
  static double shape_error(const std::vector<Known>& known);

  std::vector<RatePoint> points_, later_;
  InPlaceRatios in_place_;
  Slowdowns slowdowns_;
  std::vector<LayersBeside> layers_beside_;
  System device_;
};

// The device rates of one usable measurement: FLOP/s per device for gemm and fma, bytes/s for
// memory kernels and transfers, bus bandwidth for collectives, from the median time of the samples
// that count. A register loop (fma) is a ceiling: its 5 % fastest, which no other program slowed
// down. Noise: kNormalMad x MAD / median, the standard deviation where the noise is normal.
double rate_of(const Measurement& measurement, const Header& header);
double rate_at(const Measurement& measurement, const Header& header, double seconds);
double noise_of(const Measurement& measurement);
RatePoint point_of(const Record& record, const Line& line);
// Usable, with nothing beside it, and measured as training meets it: on normal data, not out of the
// caches, and no short probe of a search, the luckiest of which would win; nor what was timed in
// turn with a layer for the ratio alone, at the layer's clock.
bool gives_rate(const Measurement& measurement, const Header& header);

// The layout that names a GEMM's pass: nt is fprop, nn dgrad, tn wgrad. In fp8, whose operands are
// all K-major (layout nt), what adds to C in fp32 is a weight gradient, and all else serves fprop
// and dgrad, as nt.
std::string pass_layout(const Measurement& measurement);
// That of the rows that serve a pass.
std::string_view layout_that_serves(std::string_view dtype, std::string_view layout_of_pass);

bool is_memory_kernel(std::string_view operation);  // whose rate is the memory's: STREAM's
bool is_step_kernel(std::string_view operation);    // memory-bound, and counted as least bytes
bool is_compute(std::string_view operation);
bool is_collective(std::string_view operation);

}  // namespace trainmeter
