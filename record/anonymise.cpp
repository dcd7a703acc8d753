// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// An allow-list: each text field keeps what is known to be harmless, and a new field keeps nothing.
#include "record/anonymise.hpp"

#include "record/names.hpp"
#include "record/overlap.hpp"

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/nil_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

namespace trainmeter {
namespace {

using Words = std::set<std::string>;

const Words kPrograms = {"gemm_bench",    "memory_bench",  "attention_bench", "collective_bench",
                         "layer_bench",   "nccl-tests",    "nvbandwidth",     "google-benchmark",
                         "validate_step", "overlap_bench", "peer_gemm"};
const Words kOperations(operation_names().begin(), operation_names().end());
const Words kBackends = {"onednn",    "openblas",    "cublaslt", "openmp",   "openmp_nt", "cuda",
                         "cuda_bulk", "copy_engine", "nccl",     "mpi",      "registers", "shm",
                         "hopper",    "pytorch",     "gloo",     "composed", "peer",      "mma",
                         "reference", "co_runner",   "deepgemm", "cudnn"};
const Words kShapeKeys = {"m",          "n",           "k",
                          "groups",     "bytes",       "cores",
                          "threads",    "node",        "from",
                          "to",         "ways",        "rows",
                          "cols",       "heads",       "top_k",
                          "pinned",     "head_dim",    "experts",
                          "weights",    "batch",       "kv_heads",
                          "queries",    "seq_len",     "value_dim",
                          "causal",     "device",      "in_place",
                          "nodes",      "group_limit", "skew_pct",
                          "accumulate", "fp32_out",    "virtual_ranks",
                          "sms",        "co_sms",      "co_bytes_per_s"};
const Words kThrottleReasons(throttle_reason_names().begin(), throttle_reason_names().end());
const Words kSoftware = {"CUDA",     "MPI",    "NCCL",    "OpenBLAS", "compiler",
                         "cuBLASLt", "oneDNN", "PyTorch", "cuDNN"};
const Words kDeviceWords = {"NVIDIA", "AMD",      "Intel",     "Intel(R)", "Xeon",  "Xeon(R)",
                            "EPYC",   "Instinct", "Processor", "CPU",      "GPU",   "Platinum",
                            "Gold",   "Silver",   "Core",      "Core(TM)", "Ryzen", "Tesla",
                            "PCIe",   "SXM",      "HBM3",      "NVL",      "Grace", "Neoverse",
                            "Ultra",  "GeForce",  "RTX",       "Graviton", "@"};
const Words kDataWords = {"normal", "uniform", "zeros", "integers", "rotate",
                          "cold",   "hot",     "burst", "sustained"};

std::string known(const std::string& text, const Words& words) {
  return text.empty() || words.contains(text) ? text : "other";
}

bool matches(const std::string& text, const char* pattern) {
  constexpr std::size_t kLongest = 100;
  return text.size() <= kLongest && std::regex_match(text, std::regex(pattern));
}

std::string matching(const std::string& text, const char* pattern) {
  return matches(text, pattern) ? text : "";
}

std::string time_of_day(const std::string& text) {
  return matching(text, "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z");
}

// A product's name, word by word: makers, and types such as H100, A100-SXM4-80GB, 7763, 2.40GHz.
std::string product(const std::string& text) {
  std::istringstream words(text);
  std::string out;
  for (std::string word; words >> word;) {
    if (kDeviceWords.contains(word) ||
        matches(word,
                "([A-Z]{0,4}[0-9]{1,4}[A-Z]{0,2}|PCIE|SXM[0-9]|[0-9]+-Core|[0-9.]{1,5}GHz)"
                "(-(SXM[0-9]|PCIE|PCIe|[0-9]{2,3}GB))*"))
      out += (out.empty() ? "" : " ") + word;
  }
  return out.empty() ? "other" : out;
}

class Anonymiser {
 public:
  explicit Anonymiser(const std::string& salt)
      : generate_(boost::uuids::name_generator_sha1(boost::uuids::nil_uuid())(salt)) {}

  [[nodiscard]] std::string pseudonym(const char* kind, const std::string& text) const {
    constexpr std::size_t kDigits = 23;  // of a version-5 UUID: 80 bits or so
    return std::string(kind) + "-" + boost::uuids::to_string(generate_(text)).substr(0, kDigits);
  }

  [[nodiscard]] Header header(const Header& h) const;
  [[nodiscard]] Measurement measurement(const Measurement& m) const;

 private:
  [[nodiscard]] Device device(const Device& d) const;
  [[nodiscard]] std::map<std::string, std::string> notes(const Measurement& m) const;

  boost::uuids::name_generator_sha1 generate_;
};

Device Anonymiser::device(const Device& d) const {
  Device out = d;
  out.name = product(d.name);
  out.details.clear();
  for (const auto& [key, value] : d.details) {
    if (key == "uuid") out.details[key] = pseudonym("gpu", value);
    if (key == "concurrent") out.details[key] = "";  // that all were measured at once
    if (key == "compute_capability" || key == "cuda_driver" || key == "cuda_runtime")
      out.details[key] = matching(value, "[0-9]{1,3}\\.[0-9]{1,3}");
    if (key == "instruction_sets")
      out.details[key] = matching(value, "((avx|amx|fma)[0-9a-z_]{0,12} ?)*");
  }
  return out;
}

Header Anonymiser::header(const Header& h) const {
  Header out = h;
  out.session = pseudonym("session", h.session);
  out.program = known(h.program, kPrograms);
  out.version = matching(h.version, "[0-9]{1,4}(\\.[0-9]{1,4})*");
  out.git_revision = matching(h.git_revision, "[0-9a-f]{7,40}(-dirty)?");
  out.started_at = time_of_day(h.started_at);
  out.host = pseudonym("host", h.host);
  out.command = {out.program};
  // accept asks whether the list of cases was cut short
  for (std::size_t i = 0; i < h.command.size(); ++i) {
    std::string word = h.command[i];
    if (word == "--max_seconds" && i + 1 < h.command.size()) word += "=" + h.command[++i];
    if (matches(word, "--max_seconds=[0-9.]{1,12}")) out.command.push_back(word);
  }
  out.device = device(h.device);
  out.discipline.timer = known(h.discipline.timer, {"steady_clock", "cuda_events"});
  out.discipline.data = known(h.discipline.data, kDataWords);
  out.discipline.cache = known(h.discipline.cache, kDataWords);
  out.discipline.regime = known(h.discipline.regime, kDataWords);
  out.software.clear();
  for (const auto& [name, version] : h.software) {
    if (kSoftware.contains(name))
      out.software[name] =
          matching(version, "(gcc |clang |Open MPI v)?[0-9]{1,4}(\\.[0-9]{1,4}){0,3}");
  }
  out.environment.clear();
  for (const char* name : {"OMP_NUM_THREADS", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS",
                           "SLURM_NNODES", "CUDA_VISIBLE_DEVICES"}) {
    const auto found = h.environment.find(name);
    if (found != h.environment.end() && matches(found->second, "[0-9]{1,6}(,[0-9]{1,3})*"))
      out.environment[name] = found->second;
  }
  return out;
}

// gemm/fp32/onednn/m:64/n:64/k:64, part by part.
std::string case_name(const std::string& text) {
  std::istringstream parts(text);
  std::string out;
  for (std::string part; std::getline(parts, part, '/');) {
    const auto colon = part.find(':');
    const bool size = colon != std::string::npos && kShapeKeys.contains(part.substr(0, colon)) &&
                      matches(part.substr(colon + 1), "[0-9]{1,16}");
    const bool word = kOperations.contains(part) || kBackends.contains(part) || part == "nn" ||
                      part == "nt" || part == "tn" ||
                      std::ranges::find(dtype_names(), part) != dtype_names().end();
    out += (out.empty() ? "" : "/") + (size || word ? part : "other");
  }
  return out;
}

std::map<std::string, std::string> Anonymiser::notes(const Measurement& m) const {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : m.notes) {
    if (key == "others_busy_share" || key == "stolen_share" || key == "slowest_rank" ||
        key == "slowest_rank_share" || key == "cuda_graph_vs_events" || key == "laps_vs_layer" ||
        key == "alone_vs_layer" || key == "launched_vs_layer" || key == "in_place_ratio" ||
        key == "in_place_ratio_others" || key == "clock_in_layer_hz" || key == "clock_alone_hz" ||
        key == "co_layer_bytes" || key == "co_paced_bytes_per_s") {
      out[key] = matching(value, "[0-9.e-]{1,24}");
    } else if (key == kOfLayer) {
      out[key] = case_name(value);
    } else if (key == "data" || key == "cache") {
      out[key] = known(value, kDataWords);
    } else if (key == "gemms_by") {
      std::istringstream words(value);
      for (std::string word; words >> word;)
        out[key] += (out[key].empty() ? "" : " ") +
                    (matches(word, "[0-9]{1,4}") ? word : known(word, kBackends));
    } else if (key == "probe") {  // of a search: no rate is taken from it
      out[key] = "";
    } else if (key == "in_turn") {  // nor from what was timed in turn with something
      out[key] = known(value, {"layer"});
    } else if (key == "slowest_rank_host") {
      out[key] = pseudonym("host", value);
    } else if (key == "device") {
      out[key] = matches(value, "cores [0-9,-]{1,90}") ? value : pseudonym("gpu", value);
    } else if (key == "hosts") {
      std::istringstream hosts(value);
      for (std::string host; hosts >> host;)
        out[key] += (out[key].empty() ? "" : " ") + pseudonym("host", host);
    }
  }
  return out;
}

Measurement Anonymiser::measurement(const Measurement& m) const {
  Measurement out = m;
  out.session = pseudonym("session", m.session);
  out.name = case_name(m.name);
  out.operation = known(m.operation, kOperations);
  out.backend = known(m.backend, kBackends);
  std::erase_if(out.shape, [](const auto& item) { return !kShapeKeys.contains(item.first); });
  out.layout = known(m.layout, {"none", "nn", "nt", "tn"});
  const auto harmless = [](const std::string& what) {
    const bool plain = what == "none" || what == kInLayer || what == kIdle;
    return plain ? what : known(what, kOperations);
  };
  const std::string in_layer = in_layer_beside("");
  out.beside = m.beside.starts_with(in_layer)
                   ? in_layer_beside(harmless(m.beside.substr(in_layer.size())))
                   : harmless(m.beside);
  out.at = time_of_day(m.at);
  out.paired_with = case_name(m.paired_with);
  out.check = "";
  if (!m.failure.empty()) out.failure = "failed";
  for (std::string& reason : out.throttle_reasons) reason = known(reason, kThrottleReasons);
  out.stopped = known(m.stopped, {"converged", "time_limit", "sample_limit", "enough"});
  for (Mark& mark : out.marks) mark.why = mark.why.starts_with("throttled") ? "throttled" : "other";
  out.notes = notes(m);
  return out;
}

}  // namespace

Record anonymised(const Record& record, const std::string& salt) {
  const Anonymiser anonymiser(salt);
  Record out;
  for (const Header& header : record.headers) out.headers.push_back(anonymiser.header(header));
  for (const Line& line : record.lines)
    out.lines.push_back({anonymiser.measurement(line.measurement), line.session, line.line});
  return out;
}

std::string to_text(const Record& record) {
  std::string out;
  for (const Header& header : record.headers) out += to_json_line(header) + "\n";
  for (const Line& line : record.lines) out += to_json_line(line.measurement) + "\n";
  return out;
}

}  // namespace trainmeter
