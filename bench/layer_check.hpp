// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Whether a layer's steps, with data that flows from one to the next, compute the layer.
#pragma once

#include "bench/layer_flow.hpp"
#include "bench/layer_reference.hpp"
#include "kernels/operation.hpp"

namespace trainmeter {

// A layer of the same steps that takes a moment: 2 sequences of 32 tokens, in fp8 of 128, narrow,
// few heads and experts; the widths of a head and the kind of attention, gate and experts are the
// model's own.
struct SmallLayer {
  Model model;
  LayerShare share;
};
SmallLayer small_layer(const Model& model, const LayerShare& share);

// Compares each result row by row: of y and d_x a token's, of a weight's gradient an output's; the
// gates' gradients are one row.
// `error` is the largest error of a row as a share of its length, or of a tenth of the rows' mean
// length where it is shorter; `bound` is what roundings to `dtype` may add up to. Of a wrong layer
// `how` names the step that made the farthest result, and the first one beyond the bound, as `by`
// has them: a mistake is there or before it.
Check compare_layers(const Tensors& got, const LayerInput& input, DType dtype,
                     const std::vector<MadeBy>& by = {});

// Draws an input, lets it flow through the steps, and compares. Steps that aren't the layer's are
// an infinite error. Unavailable where a step can't run here.
Check check_layer(const SmallLayer& layer, const LayerSteps& steps, DType dtype,
                  const MakeStep& make);

}  // namespace trainmeter
