// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// By the system's architecture, and the power that its rates were measured at.
#include "report/gemm_factors.hpp"

#include "report/power_curve.hpp"
#include "report/transfer.hpp"

#include <fmt/format.h>

#include <optional>

namespace trainmeter {
namespace {

// Blackwell has no factors of its own yet: Hopper's are used, as the bill says.
bool is_hopper(const System& s) {
  const std::string arch = architecture(s);
  return arch == "hopper" || arch == "blackwell";
}

bool is_ampere(const System& s) {
  return architecture(s) == "ampere";
}

constexpr double kReferencePower = 700;  // watts of the cards that most published figures are of

}  // namespace

GemmFactors gemm_factors(const System& system, const RateBook& book, const std::string& dtype) {
  if (book.in_place().of(dtype, "") != nullptr) return {std::nullopt, std::nullopt, dtype};
  if (is_ampere(system)) return {Factor::in_place_ampere, std::nullopt, dtype};
  if (!is_hopper(system)) return {Factor::in_place_other, std::nullopt, dtype};
  if (dtype == "fp8") return {Factor::in_place_hopper_fp8, Factor::sustained_clock_fp8, dtype};
  return {Factor::in_place_hopper, Factor::sustained_clock, dtype};
}

double power_share_of(const Run& run, const System& system, const RateBook& book,
                      const std::string& dtype, const std::function<void(std::string)>& assume) {
  const auto cap = run.context.power_cap_w ? run.context.power_cap_w : system.power_w;
  const double known = book.cap_held(dtype);
  const double held = known > 0 ? known : kReferencePower;
  if (!cap || !(*cap < held) || !(is_hopper(system) || known > 0)) return 1;
  const double share = power_share(*cap, held);
  assume(
      fmt::format("power cap of {:.0f} W: GEMM rates x {:.2f}, the cap's ratio to {:.0f} W to "
                  "the power {:.1f}",
                  *cap, share, held, kPowerExponent));
  return share;
}

}  // namespace trainmeter
