// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Checks of a layer and its parts, and what was watched while it ran.
#include "bench/layer_run.hpp"

#include "bench/runner.hpp"
#include "bench/sentinel.hpp"

#include <algorithm>

namespace trainmeter {
namespace {

// What was watched during `phases` alone.
Watched during(const Watched& watched, const std::vector<Round>& phases) {
  Watched out = watched;
  std::erase_if(out.samples, [&](const TelemetrySample& sample) {
    return std::ranges::none_of(phases, [&](const Round& phase) {
      return phase.start_s <= sample.at_s && sample.at_s <= phase.end_s;
    });
  });
  return out;
}

}  // namespace

void take_check(const Measurement& part, Measurement& layer) {
  if (!layer.verified) return;
  if (!part.verified) {
    layer.verified = false;
    layer.failure = part.name + ": " + part.failure;
  } else if (layer.error_bound != 0 &&
             !(part.error * layer.error_bound > layer.error * part.error_bound)) {
    return;
  }
  layer.error = part.error;
  layer.error_bound = part.error_bound;
}

bool right_as_a_whole(const Case& layer, Measurement& whole) {
  whole.verified = true;
  whole.check = "each part by itself";
  try {
    const Check check = layer.check_whole();
    if (!check.ok) {
      note_check(check, true, whole);
      return false;
    }
    whole.error = check.error;
    whole.error_bound = check.bound;
    whole.check += ", and " + check.how;
  } catch (const Unavailable& error) {
    whole.notes["whole_unchecked"] = error.what();
  }
  return true;
}

std::unique_ptr<SequenceTimer> sequence_timer(DeviceKind kind) {
  return kind == DeviceKind::gpu ? make_gpu_sequence_timer()
                                 : make_cpu_sequence_timer(steady_clock());
}

void note_layer(const LayerSamples& samples, const Watched& watched,
                const std::vector<Round>& phases, Measurement& row) {
  row.stopped = samples.stopped;
  row.probes = samples.probes;
  row.marks = changed_states(row.probes, std::ssize(row.time_s));
  note_telemetry(during(watched, phases), row);
  note_sampling(watched, phases, row);
  forget_energy(row);
}

}  // namespace trainmeter
