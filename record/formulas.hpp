// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Every formula that turns facts into rates or money, once each, with its source. Seconds, bytes,
// FLOP. docs/formulas.md derives them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace trainmeter {

// FLOPs of C[m,n] += A[m,k] B[k,n]: a multiply and an add per term. Source: LAPACK Working Note 41,
// appendix C.
double gemm_flops(std::int64_t m, std::int64_t n, std::int64_t k);

// Least bytes of that GEMM: each operand read once, the result written once.
double gemm_bytes(std::int64_t m, std::int64_t n, std::int64_t k, double input_bytes,
                  double output_bytes);

// Bytes one run of a memory kernel moves over arrays of `array_bytes`: copy 2 (a = b), read 1 (sum
// a), write 1 (a = s), triad 3 (a = b + s c). Source: STREAM, which counts no write-allocate.
// std::invalid_argument for another kernel.
double stream_bytes(std::string_view kernel, double array_bytes);

// Least bytes of one run of a memory-bound kernel of a training step (kernels/step_kernel.hpp):
// each input read once, each output written once, a state both. `shape` as in the record; e =
// `element_bytes` of the activations. With r rows, c cols:
// rmsnorm             2 r c e + c e                  x, y, and the weights
// swiglu              3 r c e                        gate, up, y
// rope                2 r heads head_dim e + 4 r head_dim   x, y, and the table in fp32
// cast_fp8            r c (e + 1) + 4 r ceil(c / 128)       x, q, and a scale for each 1x128
// cast_fp8_transpose  r c (e + 2) + 4 r ceil(c / 128) + 4 c ceil(r / 128)
// cast_fp8_block      r c (e + 1) + 4 ceil(r / 128) ceil(c / 128)
// recast_fp8          2 r c + 4 r ceil(c / 128) + 4 c ceil(r / 128)   q and scales, and the turned
// permute             r c e (1 + top_k) + 4 r top_k  x, its copies, and their places
// residual_add        3 r c e
// layernorm           2 r c e + 2 c e                x, y, weights and biases
// gelu                2 r c e
// cross_entropy       2 r c e + 8 r                  logits, gradient; target and loss
// adamw               weights x adamw_bytes(e)
// rmsnorm_backward    3 r c e + c e + 4 c            x, dy, dx, the weights, their gradient in fp32
// swiglu_backward     5 r c e                        gate, up and their gradients, dy
// layernorm_backward  3 r c e + c e + 8 c            as rmsnorm_backward, and the biases' gradient
// gelu_backward       3 r c e                        x, dy, dx
// rope_backward, permute_backward   as forward
// unpermute           r c e (1 + top_k) + 8 r top_k  x, y, and for each copy its place and weight
// unpermute_backward  r c e (1 + 2 top_k) + 12 r top_k    dy, x and dx; place, weight, gradient
// topk_softmax        r experts e + 8 r top_k        logits; for each chosen one expert and gate
// topk_softmax_backward   r experts e + 12 r top_k   the logits' gradient; expert, gate, gradient
// topk_sigmoid        r experts e + 4 experts + 12 r top_k   and biases and affinities
// topk_sigmoid_backward   r experts e + 12 r top_k   with affinities for gates
// std::invalid_argument for another kernel, std::out_of_range where a size is missing.
double step_kernel_bytes(std::string_view kernel, const std::map<std::string, std::int64_t>& shape,
                         double element_bytes);

// The attention core: products of each query with the keys that it sees, and with their values.
// Causal: the queries are the last of the keys' tokens, and see keys - queries / 2 of them on
// average, half of the square where they are all (as FlashAttention's benchmarks count). Sizes may
// be fractions: a share of a batch.
struct AttentionSize {
  double batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, head_dim = 1, value_dim = 1;
  bool causal = true;
};
// Forward 2 batch heads queries (keys seen) (head_dim + value_dim); backward 2.5 x that, because
// scores are computed again (five products for two). Source: Dao 2023 (FlashAttention-2), 4.1.
double attention_flops(const AttentionSize& size, bool backward);
// Least bytes, each tensor once, with `element_bytes` an element and 4 for a query's logarithm of
// the softmax' sum. Forward: Q, K, V; O and that. Backward: these and dO; dQ, dK, dV.
double attention_bytes(const AttentionSize& size, bool backward, double element_bytes);

// AdamW for one weight, in fp32: reads gradient, weight, m, v, writes weight, m, v: 28. Where
// activations are narrower than that, the weight is also written as wide as they are.
double adamw_bytes(double element_bytes);

// busbw = algbw x factor, where algbw = payload / time. Source: nccl-tests doc/PERFORMANCE.md.
// allreduce 2(n-1)/n; allgather, reducescatter, alltoall, alltoallv (n-1)/n; broadcast, reduce,
// sendrecv 1, and ours dispatch and combine, whose payload is what leaves a rank, 1. 0 for one
// rank.
double bus_factor(std::string_view collective, std::int64_t ranks);

double rate(double work, double seconds);  // work / seconds; NaN unless seconds > 0

// Compute time lost per second of traffic under it, where that makes a run take `slowdown` times as
// long: in a second, 1 / slowdown of it is done.
double lost_share(double slowdown);

// FLOP that one SM (on a CPU: one core) does in a cycle of its clock, so that a fallen clock and a
// pipe that isn't full can be told apart. A tile of m x n over k takes 2 m n k / this many cycles.
double flops_per_cycle(double flops, double seconds, double clock_hz, double sms);

// Work of `runs` runs over their energy: FLOP/J, or bytes/J. NaN unless joules > 0.
double work_per_joule(double work, double runs, double joules);

// Model FLOPs utilisation: tokens/s x model FLOPs per token / (GPUs x peak). The caller names
// convention and peak. Source: Chowdhery et al., PaLM (2022), appendix B.
double mfu(double tokens_per_s, double flops_per_token, double gpus, double peak_flops);

double gpu_hours(double gpus, double wall_s);  // GPUs x hours
double cost_usd(double gpu_hours, double price_usd_per_gpu_hour);

// What the last digit of a printed figure is worth, from its trailing zeros: 294,000 -> 1000; 80 ->
// 10; 3.42 -> 0.01.
double printed_unit(double printed);

// Whether `computed` agrees with `printed`, a decimal figure shown to a last digit worth `unit`
// (294,000 in thousands: 1000).
bool agrees_within_rounding(double computed, double printed, double unit);

}  // namespace trainmeter
