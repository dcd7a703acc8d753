// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// cuDNN's scaled dot-product attention (SDPA) by NVIDIA's cudnn-frontend, which takes everything of
// cuDNN's from the library that kernels/cudnn_library.hpp loaded.
//
// Its statistics are our L: the natural logarithm of a query's sum of exponentials of scaled scores
// (cudnn_frontend/node/softmax.h: the row's maximum plus PointwiseMode_t::LOG of the sum; base 2 is
// by a flag that isn't set here).
#include "kernels/attention_cudnn_plan.hpp"

#include "kernels/cudnn_library.hpp"

#include <algorithm>
#include <cmath>
#include <cudnn_frontend.h>
#include <stdexcept>
#include <vector>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // where it looks for cuDNN's functions (dynamic loading)
}

namespace trainmeter {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::SDPA_attributes;
using fe::graph::SDPA_backward_attributes;
using fe::graph::Tensor_attributes;
using enum AttentionTensor;

void use_library() {
  const RuntimeLibrary& library = cudnn_library();
  if (!library.why_not.empty()) throw Unavailable(library.why_not);
  fe::cudnn_dlhandle = library.handle;
}

// cuDNN's reason in one line: its messages have many, of which the first says what went wrong and
// the first warning, or the first plan's failure, why.
std::string in_a_line(const std::string& message) {
  constexpr std::size_t kMost = 300;
  std::string out = message.substr(0, message.find('\n'));
  out.erase(out.find_last_not_of(" _.") + 1);
  for (const char* mark : {"\nWarning: ", "\nPlan at index "}) {
    const std::size_t at = message.find(mark);
    if (at == std::string::npos) continue;
    out += ": " + message.substr(at + 1, message.find('\n', at + 1) - at - 1);
    break;
  }
  return "cudnn: " + out.substr(0, kMost);
}

void require(fe::error_t status) {
  if (status.is_bad()) throw Unavailable(in_a_line(status.get_message()));
}

Tensor_attributes described(const AttentionProblem& p, AttentionTensor tensor) {
  const CudnnTensor is = cudnn_tensor(p, tensor);
  Tensor_attributes out;
  out.set_name(std::string(to_string(tensor)))
      .set_uid(is.id)
      .set_dim({is.sizes.begin(), is.sizes.end()})
      .set_stride({is.strides.begin(), is.strides.end()})
      .set_data_type(tensor == l ? fe::DataType_t::FLOAT : fe::DataType_t::BFLOAT16);
  return out;
}

// Scale and mask. A causal query sees the keys up to its own, the last query all of them; one query
// sees them all, and cuDNN's decoding wants no mask for it.
template <class Attributes>
Attributes attributes_of(const AttentionProblem& p) {
  Attributes out;
  out.set_name("attention").set_attn_scale(1 / std::sqrt(static_cast<float>(p.head_dim)));
  if (p.causal && p.queries > 1) {
    out.set_diagonal_alignment(p.queries == p.keys ? fe::DiagonalAlignment_t::TOP_LEFT
                                                   : fe::DiagonalAlignment_t::BOTTOM_RIGHT)
        .set_diagonal_band_right_bound(0);
  }
  return out;
}

fe::graph::Graph graph_of(const AttentionProblem& p, int compute_capability) {
  fe::graph::Graph graph;
  graph.set_io_data_type(fe::DataType_t::BFLOAT16)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      .set_sm_version(compute_capability)
      // A plan outlives the CUDA graphs that its runs were recorded in. That a graph kept it alive
      // would need a libcudart.so beside the one that is linked in, and a question each run.
      .set_cuda_graph_retention(fe::CudaGraphRetention_t::NONE);
  const auto input = [&](AttentionTensor tensor) { return graph.tensor(described(p, tensor)); };
  const auto output = [&](Tensor_attributes& made, AttentionTensor tensor) {
    made = described(p, tensor);
    made.set_output(true);
  };
  if (p.pass == AttentionPass::forward) {
    auto attributes = attributes_of<SDPA_attributes>(p);
    attributes.set_generate_stats(true);
    const auto [made_o, made_l] = graph.sdpa(input(q), input(k), input(v), std::move(attributes));
    output(*made_o, o);
    output(*made_l, l);
  } else {
    const auto [made_q, made_k, made_v] =
        graph.sdpa_backward(input(q), input(k), input(v), input(o), input(d_o), input(l),
                            attributes_of<SDPA_backward_attributes>(p));
    output(*made_q, d_q);
    output(*made_k, d_k);
    output(*made_v, d_v);
  }
  return graph;
}

// Until cuDNN has said which of its engines can do it. `handle`: none for a device that the graph
// was told of.
void find_engines(fe::graph::Graph& graph, cudnnHandle_t handle) {
  require(graph.validate());
  require(graph.build_operation_graph(handle));
  require(graph.create_execution_plans({fe::HeurMode_t::A}));
  require(graph.check_support());
}

class Handle {
 public:
  explicit Handle(void* stream) {
    if (fe::detail::create_handle(&handle_) != CUDNN_STATUS_SUCCESS)
      throw Unavailable(in_a_line("cudnnCreate failed: " + fe::detail::get_last_error_string_()));
    if (fe::detail::set_stream(handle_, static_cast<cudaStream_t>(stream)) !=
        CUDNN_STATUS_SUCCESS) {
      (void)fe::detail::destroy_handle(handle_);
      throw Unavailable(
          in_a_line("cudnnSetStream failed: " + fe::detail::get_last_error_string_()));
    }
  }
  ~Handle() { (void)fe::detail::destroy_handle(handle_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  [[nodiscard]] cudnnHandle_t get() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

}  // namespace

// Row-major, as kernels/attention.hpp has them.
CudnnTensor cudnn_tensor(const AttentionProblem& p, AttentionTensor tensor) {
  const bool of_keys = tensor == k || tensor == v || tensor == d_k || tensor == d_v;
  const std::int64_t heads = of_keys ? p.kv_heads : p.heads;
  const std::int64_t rows = of_keys ? p.keys : p.queries;
  const bool scored = tensor == q || tensor == k || tensor == d_q || tensor == d_k;
  const std::int64_t width = tensor == l ? 1 : scored ? p.head_dim : p.value_dim;
  return {.id = static_cast<std::int64_t>(tensor) + 1,
          .sizes = {p.batch, heads, rows, width},
          .strides = {heads * rows * width, rows * width, width, 1}};
}

struct CudnnAttentionPlan::Built {
  Handle handle;
  fe::graph::Graph graph;
  std::vector<int> tensors;  // of the pass, in the order of their ids
};

CudnnAttentionPlan::CudnnAttentionPlan(const AttentionProblem& problem, int compute_capability,
                                       void* stream) {
  use_library();
  try {
    built_ = std::unique_ptr<Built>(
        new Built{Handle(stream), graph_of(problem, compute_capability), {}});
    find_engines(built_->graph, built_->handle.get());
    require(built_->graph.build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE));
  } catch (const Unavailable&) {
    throw;
  } catch (const std::runtime_error& error) {  // a function that this library doesn't have
    throw Unavailable(in_a_line(error.what()));
  }
  for (int i = 0; i < kAttentionTensors; ++i) {
    if (role_of(static_cast<AttentionTensor>(i), problem.pass) != TensorRole::unused)
      built_->tensors.push_back(i);
  }
}

CudnnAttentionPlan::~CudnnAttentionPlan() = default;

std::int64_t CudnnAttentionPlan::workspace_bytes() const {
  std::int64_t bytes = 0;
  require(built_->graph.get_workspace_size(bytes));
  return bytes;
}

std::string CudnnAttentionPlan::name() const {
  std::string name;
  require(built_->graph.get_plan_name(name));
  return name;
}

void CudnnAttentionPlan::run(const std::array<void*, kAttentionTensors>& tensors,
                             void* workspace) const {
  std::array<void*, kAttentionTensors> pointers{};
  const auto count = static_cast<int>(built_->tensors.size());
  for (int i = 0; i < count; ++i) pointers[i] = tensors[built_->tensors[i]];
  fe::error_t status;
  try {
    status = built_->graph.execute(built_->handle.get(), pointers.data(), count, workspace);
  } catch (const std::runtime_error& error) {  // a library, or its function, that isn't here
    throw Unavailable(in_a_line(error.what()));
  }
  if (status.is_bad()) throw std::runtime_error(in_a_line(status.get_message()));
}

std::string why_no_cudnn_engine(const AttentionProblem& problem, int compute_capability,
                                const std::string& device_json) {
  use_library();
  const auto device = std::make_shared<fe::DeviceProperties>();
  require(device->deserialize({device_json.begin(), device_json.end()}));
  fe::graph::Graph graph = graph_of(problem, compute_capability);
  graph.set_device_properties(device);
  try {
    find_engines(graph, nullptr);
  } catch (const Unavailable& error) {
    return error.what();
  }
  return "";
}

std::string why_no_cudnn_attention(const AttentionProblem& p, int compute_capability) {
  if (p.dtype != DType::bf16)
    return "cudnn: attention is in bf16 here, not " + std::string(to_string(p.dtype));
  if (compute_capability < 80) return "cudnn: needs a GPU of compute capability 8.0";
  if (p.head_dim % 8 != 0 || p.value_dim % 8 != 0)
    return "cudnn: head_dim and value_dim are multiples of 8";
  const bool backward = p.pass == AttentionPass::backward;
  if (backward && p.queries == 1 && p.keys == 1)
    return "cudnn: no backward pass of one query and one key";
  const int generation = compute_capability / 10;
  // Of MLA, on data-centre Blackwell.
  if (backward && generation == 10 && p.head_dim == 192 && p.value_dim == 128) return "";
  const std::int64_t most = backward && generation != 9 ? 128 : 256;
  if (std::max(p.head_dim, p.value_dim) > most) {
    return "cudnn: " + std::string(to_string(p.pass)) + " on compute capability " +
           std::to_string(generation) + ".x has head_dim and value_dim up to " +
           std::to_string(most);
  }
  return "";
}

}  // namespace trainmeter
