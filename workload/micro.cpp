// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Strict reading of published micro-benchmarks.
#include "workload/micro.hpp"

#include "record/names.hpp"
#include "workload/limits.hpp"

namespace trainmeter {
namespace {

MicroFigure read_figure(StrictObject object) {
  MicroFigure f;
  f.id = filled(object, "id");
  f.operation =
      object.one_of("operation", {"gemm", "copy", "read", "write", "triad", "allreduce",
                                  "allgather", "reducescatter", "alltoall", "sendrecv", "attention",
                                  "attention_forward", "attention_backward"});
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
  f.flops_per_s = object.optional(&StrictObject::positive, "flops_per_s");
  f.bytes_per_s = object.optional(&StrictObject::positive, "bytes_per_s");
  f.bus_bytes_per_s = object.optional(&StrictObject::positive, "bus_bytes_per_s");
  if (f.flops_per_s.has_value() + f.bytes_per_s.has_value() + f.bus_bytes_per_s.has_value() != 1) {
    object.refuse("flops_per_s", "exactly one of flops_per_s, bytes_per_s and bus_bytes_per_s");
  }
  f.place = object.place().at(f.flops_per_s   ? "flops_per_s"
                              : f.bytes_per_s ? "bytes_per_s"
                                              : "bus_bytes_per_s");
  if (object.has("predicts")) f.predicts = object.boolean("predicts");
  if (object.has("refuted")) f.refuted = object.boolean("refuted");
  f.source = read_source(object.object("source"));
  object.finish();
  return f;
}

}  // namespace

Micro read_micro(StrictObject object) {
  Micro micro;
  micro.id = filled(object, "id");
  micro.system = named(object, "system", object.text("system"));
  micro.title = object.text("title");
  for (StrictObject& figure : object.objects("figures"))
    micro.figures.push_back(read_figure(figure));
  object.finish();
  return micro;
}

}  // namespace trainmeter
