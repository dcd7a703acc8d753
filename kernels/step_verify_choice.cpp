// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Compares scores within what their roundings leave open.
#include "kernels/step_verify_choice.hpp"

#include "kernels/step_verify_parts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainmeter::step_verify {
namespace {

bool may_precede(const Score& a, const Score& b) {
  return a.value + a.off >= b.value - b.off;
}

class Choice {
 public:
  Choice(const std::vector<Candidate>& experts, std::span<const std::int32_t> chosen,
         const StepProblem& problem)
      : experts_(experts),
        chosen_(chosen),
        groups_(problem.groups),
        limit_(problem.group_limit),
        size_(problem.experts / problem.groups),
        is_chosen_(experts.size()) {}

  [[nodiscard]] bool fits() {
    for (const std::int32_t e : chosen_) {
      if (e < 0 || e >= std::ssize(experts_) || is_chosen_[static_cast<std::size_t>(e)])
        return false;
      is_chosen_[static_cast<std::size_t>(e)] = true;
    }
    for (std::size_t j = 1; j < chosen_.size(); ++j)
      if (!may_precede_expert(chosen_[j - 1], chosen_[j])) return false;
    return groups_fit();
  }

 private:
  [[nodiscard]] bool may_precede_expert(std::int64_t a, std::int64_t b) const {
    const Candidate& first = experts_[static_cast<std::size_t>(a)];
    const Candidate& second = experts_[static_cast<std::size_t>(b)];
    if (first.logit == second.logit && first.bias == second.bias) return a < b;
    return may_precede(first.score, second.score);
  }

  // Each must be kept, or passed over, or may be either; and the group_limit that are kept have no
  // expert that had to be chosen and wasn't.
  [[nodiscard]] bool groups_fit() const {
    std::vector<Score> scores;
    for (std::int64_t g = 0; g < groups_; ++g) scores.push_back(score_of(g));
    std::int64_t kept = 0;
    std::int64_t could_be_kept = 0;
    for (std::int64_t g = 0; g < groups_; ++g) {
      const Score& own = scores[static_cast<std::size_t>(g)];
      const auto better = std::ranges::count_if(  // for certain
          scores, [&](const Score& other) { return !may_precede(own, other); });
      const auto rivals = std::ranges::count_if(
          scores, [&](const Score& other) { return &other != &own && may_precede(other, own); });
      if (better >= limit_) {
        if (has_chosen(g)) return false;
      } else if (rivals < limit_ || has_chosen(g)) {
        ++kept;
        if (!leaves_the_rest(g)) return false;
      } else if (leaves_the_rest(g)) {
        ++could_be_kept;
      }
    }
    return kept <= limit_ && kept + could_be_kept >= limit_;
  }

  // The sum of the two highest.
  [[nodiscard]] Score score_of(std::int64_t group) const {
    double first = -std::numeric_limits<double>::infinity();
    double second = first;
    double off = 0;
    for (std::int64_t e = group * size_; e < (group + 1) * size_; ++e) {
      const Score& score = experts_[static_cast<std::size_t>(e)].score;
      second = std::max(second, std::min(first, score.value));
      first = std::max(first, score.value);
      off = std::max(off, score.off);
    }
    if (size_ == 1) return {first, off};
    return {first + second, 2 * off + kU * std::abs(first + second)};
  }

  [[nodiscard]] bool has_chosen(std::int64_t group) const {
    return std::any_of(is_chosen_.begin() + group * size_, is_chosen_.begin() + (group + 1) * size_,
                       [](bool chosen) { return chosen; });
  }

  // Whether the last of the chosen may precede all others here.
  [[nodiscard]] bool leaves_the_rest(std::int64_t group) const {
    for (std::int64_t e = group * size_; e < (group + 1) * size_; ++e) {
      if (!is_chosen_[static_cast<std::size_t>(e)] && !may_precede_expert(chosen_.back(), e))
        return false;
    }
    return true;
  }

  const std::vector<Candidate>& experts_;
  std::span<const std::int32_t> chosen_;
  std::int64_t groups_, limit_, size_;
  std::vector<bool> is_chosen_;
};

}  // namespace

bool may_choose(const std::vector<Candidate>& experts, std::span<const std::int32_t> chosen,
                const StepProblem& problem) {
  return Choice(experts, chosen, problem).fits();
}

}  // namespace trainmeter::step_verify
