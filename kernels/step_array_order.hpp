// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Which of a step kernel's arrays is which, in the order of step_arrays(). e is the problem's type,
// [] counts elements.
#pragma once

#include <cstddef>

namespace trainmeter::arrays {

struct RmsNorm {
  enum : std::size_t {
    x,  // e[rows,cols]
    w,  // e[cols]
    y,  // e[rows,cols]
  };
};

struct Swiglu {
  enum : std::size_t {
    x,  // e[rows,2 cols]
    y,  // e[rows,cols]
  };
};

struct Rope {
  enum : std::size_t {
    x,      // e[rows,heads,head_dim]
    table,  // fp32[rows,head_dim], a row: the cosines, then the sines
    y,      // as x
  };
};

struct CastFp8 {
  enum : std::size_t {
    x,  // e[rows,cols]
    q,  // fp8[rows,cols]
    s,  // fp32[rows,ceil(cols / 128)]
  };
};

struct CastFp8Transpose : CastFp8 {  // which come first; then of x^T
  enum : std::size_t {
    q_t = s + 1,  // fp8[cols,rows]
    s_t,          // fp32[cols,ceil(rows / 128)]
  };
};

struct CastFp8Block {
  enum : std::size_t {
    x,  // e[rows,cols]
    q,  // fp8[rows,cols]
    s,  // fp32[ceil(rows / 128),ceil(cols / 128)]
  };
};

struct RecastFp8 {
  enum : std::size_t {
    q,    // fp8[rows,cols]
    s,    // fp32[rows,ceil(cols / 128)]
    q_t,  // fp8[cols,rows]
    s_t,  // fp32[cols,ceil(rows / 128)]
  };
};

struct Permute {
  enum : std::size_t {
    x,      // e[rows,cols]
    place,  // int32[rows,top_k]
    y,      // e[rows top_k,cols]
  };
};

struct ResidualAdd {
  enum : std::size_t {
    a,  // e[rows,cols]
    b,  // e[rows,cols]
    y,  // e[rows,cols]
  };
};

struct LayerNorm {
  enum : std::size_t {
    x,  // e[rows,cols]
    w,  // e[cols]
    b,  // e[cols]
    y,  // e[rows,cols]
  };
};

struct Gelu {
  enum : std::size_t {
    x,  // e[rows,cols]
    y,  // e[rows,cols]
  };
};

struct CrossEntropy {
  enum : std::size_t {
    x,         // e[rows,cols]
    target,    // int32[rows]
    loss,      // fp32[rows]
    gradient,  // e[rows,cols]
  };
};

struct AdamW {
  enum : std::size_t {
    gradient,  // fp32[weights]
    weight,    // fp32[weights], as m and v changed in place
    m,         // fp32[weights]
    v,         // fp32[weights]
    rounded,   // bf16[weights], for bf16 alone: the rounded weight
  };
};

struct RmsNormBackward {
  enum : std::size_t {
    x,   // e[rows,cols]
    w,   // e[cols]
    dy,  // e[rows,cols]
    dx,  // e[rows,cols]
    dw,  // fp32[cols]
  };
};

struct SwigluBackward {
  enum : std::size_t {
    x,   // e[rows,2 cols]
    dy,  // e[rows,cols]
    dx,  // e[rows,2 cols]
  };
};

struct LayerNormBackward : RmsNormBackward {  // which come first
  enum : std::size_t {
    db = dw + 1,  // fp32[cols]
  };
};

struct GeluBackward {
  enum : std::size_t {
    x,   // e[rows,cols]
    dy,  // e[rows,cols]
    dx,  // e[rows,cols]
  };
};

struct RopeBackward {
  enum : std::size_t {
    dy,     // e[rows,heads,head_dim]
    table,  // as Rope's
    dx,     // as dy
  };
};

struct PermuteBackward {
  enum : std::size_t {
    dy,     // e[rows top_k,cols]
    place,  // int32[rows,top_k]
    dx,     // e[rows,cols]
  };
};

struct Unpermute {
  enum : std::size_t {
    x,      // e[rows top_k,cols]
    place,  // int32[rows,top_k]
    w,      // fp32[rows,top_k]
    y,      // e[rows,cols]
  };
};

struct UnpermuteBackward {
  enum : std::size_t {
    x,      // e[rows top_k,cols]
    place,  // int32[rows,top_k]
    w,      // fp32[rows,top_k]
    dy,     // e[rows,cols]
    dx,     // as x
    dw,     // as w
  };
};

struct TopkSoftmax {
  enum : std::size_t {
    x,       // e[rows,experts]
    chosen,  // int32[rows,top_k]
    w,       // fp32[rows,top_k]
  };
};

struct TopkSoftmaxBackward {
  enum : std::size_t {
    chosen,  // int32[rows,top_k]
    w,       // fp32[rows,top_k]
    dw,      // fp32[rows,top_k]
    dx,      // e[rows,experts]
  };
};

struct TopkSigmoid {
  enum : std::size_t {
    x,         // e[rows,experts]
    bias,      // fp32[experts]
    chosen,    // int32[rows,top_k]
    w,         // fp32[rows,top_k]
    affinity,  // fp32[rows,top_k]
  };
};

struct TopkSigmoidBackward {
  enum : std::size_t {
    chosen,    // int32[rows,top_k]
    affinity,  // fp32[rows,top_k]
    dw,        // fp32[rows,top_k]
    dx,        // e[rows,experts]
  };
};

// Code that serves two kernels has the names of one.
static_assert(+CastFp8::x == +CastFp8Block::x);
static_assert(+RmsNorm::x == +RmsNormBackward::x && +LayerNorm::x == +LayerNormBackward::x);
static_assert(+Rope::x == +RopeBackward::dy && +Rope::table == +RopeBackward::table &&
              +Rope::y == +RopeBackward::dx);
static_assert(+Unpermute::x == +PermuteBackward::dy &&
              +Unpermute::place == +PermuteBackward::place);
static_assert(+Unpermute::place == +UnpermuteBackward::place &&
              +Unpermute::w == +UnpermuteBackward::w);
static_assert(+TopkSoftmaxBackward::chosen == +TopkSigmoidBackward::chosen &&
              +TopkSoftmaxBackward::dx == +TopkSigmoidBackward::dx);

}  // namespace trainmeter::arrays
