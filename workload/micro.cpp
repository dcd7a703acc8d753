// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of published micro-benchmarks.
#include "workload/micro.hpp"

#include "record/names.hpp"
#include "workload/limits.hpp"

#include <fmt/format.h>

#include <set>
#include <stdexcept>

namespace trainmeter {
namespace {

struct OperationRate {
  const char *operation, *key;
};
constexpr OperationRate kRates[] = {{"gemm", "flops_per_s"},
                                    {"copy", "bytes_per_s"},
                                    {"read", "bytes_per_s"},
                                    {"write", "bytes_per_s"},
                                    {"triad", "bytes_per_s"},
                                    {"allreduce", "bus_bytes_per_s"},
                                    {"allgather", "bus_bytes_per_s"},
                                    {"reducescatter", "bus_bytes_per_s"},
                                    {"alltoall", "bus_bytes_per_s"},
                                    {"sendrecv", "bus_bytes_per_s"},
                                    {"attention", "flops_per_s"},
                                    {"attention_forward", "flops_per_s"},
                                    {"attention_backward", "flops_per_s"}};

MicroFigure read_figure(StrictObject object) {
  MicroFigure f;
  f.id = filled(object, "id");
  f.operation = object.one_of("operation", micro_operations());
  f.dtype = object.one_of("dtype", dtype_names());
  if (object.has("scaling")) f.scaling = object.one_of("scaling", {"none", "tensor", "block128"});
  f.backend = filled(object, "backend");
  if (object.has("shape")) {
    StrictObject shape = object.object("shape");
    for (const char* key : {"m", "n", "k", "groups", "bytes", "seq_len", "head_dim"}) {
      if (shape.has(key)) f.shape[key] = shape.count(key);
    }
    if (shape.has("causal")) f.shape["causal"] = bounded(shape, "causal", 0, 1);
    shape.finish();
  }
  if (object.has("ranks")) f.ranks = object.count("ranks");
  f.flops_per_s = within_if_there(object, "flops_per_s", kFlopsPerS);
  f.bytes_per_s = within_if_there(object, "bytes_per_s", kMemoryBytesPerS);
  f.bus_bytes_per_s = within_if_there(object, "bus_bytes_per_s", kLinkBytesPerS);
  if (f.flops_per_s.has_value() + f.bytes_per_s.has_value() + f.bus_bytes_per_s.has_value() != 1) {
    object.refuse("flops_per_s", "exactly one of flops_per_s, bytes_per_s and bus_bytes_per_s");
  }
  const std::string rate = f.flops_per_s   ? "flops_per_s"
                           : f.bytes_per_s ? "bytes_per_s"
                                           : "bus_bytes_per_s";
  if (rate != rate_key_of(f.operation)) {
    object.refuse(rate, fmt::format("{}, the rate of {}", rate_key_of(f.operation), f.operation));
  }
  f.place = object.place().at(rate);
  if (object.has("predicts")) f.predicts = object.boolean("predicts");
  if (object.has("refuted")) f.refuted = object.boolean("refuted");
  f.source = read_source(object.object("source"));
  object.finish();
  return f;
}

}  // namespace

const std::vector<std::string>& micro_operations() {
  static const std::vector<std::string> kAll = [] {
    std::vector<std::string> out;
    for (const OperationRate& one : kRates) out.emplace_back(one.operation);
    return out;
  }();
  return kAll;
}

std::string rate_key_of(const std::string& operation) {
  for (const OperationRate& one : kRates) {
    if (operation == one.operation) return one.key;
  }
  throw std::invalid_argument(operation + ": no operation of a micro figure");
}

Micro read_micro(StrictObject object) {
  Micro micro;
  micro.id = filled(object, "id");
  micro.system = named(object, "system", object.text("system"));
  micro.title = object.text("title");
  std::set<std::string> ids;
  for (StrictObject& figure : object.objects("figures")) {
    micro.figures.push_back(read_figure(figure));
    if (!ids.insert(micro.figures.back().id).second)
      figure.refuse("id", "one that no figure before it has");
  }
  object.finish();
  return micro;
}

}  // namespace trainmeter
