// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Looks at the machine through /proc, the dynamic loader and the folder that this program lies in.
#include "report/doctor.hpp"

#include "record/names.hpp"

#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sched.h>
#include <sstream>
#include <unistd.h>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

// The few entries of the CUDA driver API that are needed (cuda.h, stable since CUDA 4).
struct Driver {
  void* library = nullptr;
  template <class F>
  F* find(const char* name) const {
    return reinterpret_cast<F*>(::dlsym(library, name));
  }
};

void examine_gpus(Examination& out) {
  Driver driver{::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)};
  if (driver.library == nullptr) {
    out.why_no_gpu = "no CUDA device: driver not found";
    if (!has_nvidia_gpu()) return;
    out.why_no_gpu += ", although the PCI bus has an NVIDIA GPU";
    out.gpu_fix =
        "apt-get install nvidia-driver (Ubuntu: ubuntu-drivers install); in a container: start it "
        "with its host's GPUs";
    return;
  }
  auto* init = driver.find<int(unsigned)>("cuInit");
  auto* version = driver.find<int(int*)>("cuDriverGetVersion");
  auto* count = driver.find<int(int*)>("cuDeviceGetCount");
  auto* get = driver.find<int(int*, int)>("cuDeviceGet");
  auto* name = driver.find<int(char*, int, int)>("cuDeviceGetName");
  auto* memory = driver.find<int(std::size_t*, int)>("cuDeviceTotalMem_v2");
  auto* attribute = driver.find<int(int*, int, int)>("cuDeviceGetAttribute");
  if (!init || !version || !count || !get || !name || !memory || !attribute) {
    out.why_no_gpu = "no CUDA device: libcuda.so.1 lacks the driver API";
    return;
  }
  if (const int code = init(0); code != 0) {
    out.why_no_gpu = fmt::format("no CUDA device: cuInit gives error {}", code);
    return;
  }
  (void)version(&out.driver_cuda_version);
  int devices = 0;
  if (count(&devices) != 0 || devices == 0) {
    out.why_no_gpu = "no CUDA device: the driver finds none";
    return;
  }
  constexpr int kSms = 16, kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_...
  for (int i = 0; i < devices; ++i) {
    int device = 0, sms = 0, major = 0, minor = 0;
    std::size_t bytes = 0;
    std::array<char, 256> text{};
    if (get(&device, i) != 0) continue;
    (void)name(text.data(), static_cast<int>(text.size()) - 1, device);
    (void)memory(&bytes, device);
    (void)attribute(&sms, kSms, device);
    (void)attribute(&major, kMajor, device);
    (void)attribute(&minor, kMinor, device);
    out.gpus.push_back(
        {text.data(), sms, static_cast<std::int64_t>(bytes), fmt::format("{}.{}", major, minor)});
  }
}

void examine_cpu(Examination& out) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  out.cores = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  struct sysinfo memory {};
  if (::sysinfo(&memory) == 0)
    out.memory_bytes = static_cast<std::int64_t>(memory.totalram) * memory.mem_unit;
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string flags;
  for (std::string line; std::getline(cpuinfo, line);) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos) continue;
    if (out.cpu.empty() && line.starts_with("model name")) out.cpu = line.substr(colon + 2);
    if (flags.empty() && (line.starts_with("flags") || line.starts_with("Features")))
      flags = line.substr(colon + 2) + " ";
  }
  if (out.cpu.empty()) out.cpu = "unknown processor";
  for (const char* set : {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16",
                          "amx_int8", "asimd", "sve", "bf16"}) {
    if ((" " + flags).find(fmt::format(" {} ", set)) != std::string::npos)
      out.instruction_sets.emplace_back(set);
  }
}

bool loads(const char* library) {
  void* handle = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

// What GEMMs on a GPU are measured with. Programs load cuBLASLt as the loader finds it, or else from
// where this build found it, and each that of the CUDA that built it: which one, isn't known here.
Capability gemm_on_gpu(int driver_cuda_version) {
  constexpr int kLeastCuda = 12040;  // of cmake/Cuda.cmake
  const int newest = std::max(driver_cuda_version, kLeastCuda);
  const fs::path where_built = TRAINMETER_CUBLASLT_FOLDER;
  std::vector<std::string> found, missing;
  for (int major = newest / 1000; major >= kLeastCuda / 1000; --major) {
    const std::string name = fmt::format("libcublasLt.so.{}", major);
    void* library = ::dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr && !where_built.empty())
      library = ::dlopen((where_built / name).c_str(), RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) {
      missing.push_back(name);
      continue;
    }
    auto* get = reinterpret_cast<std::size_t (*)()>(::dlsym(library, "cublasLtGetVersion"));
    const std::size_t version = get == nullptr ? 0 : get();  // 130002 is 13.0.2
    found.push_back(version == 0 ? name
                                 : fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100,
                                               version % 100));
    found.back() += fmt::format(" if built with CUDA {}", major);
    ::dlclose(library);
  }
  if (!found.empty()) return {.why = fmt::format("our own; cuBLASLt {}", fmt::join(found, ", "))};
  return {.why = fmt::format("our own; {} is missing", fmt::join(missing, " or ")),
          .fix = fmt::format(
              "apt-get install libcublas-{}-{} (or that of the CUDA that built the programs)",
              newest / 1000, newest % 1000 / 10)};
}

std::optional<fs::path> program(const std::string& name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error && fs::exists(self.parent_path() / name)) return self.parent_path() / name;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((fs::path(folder) / name).c_str(), X_OK) == 0) return fs::path(folder) / name;
  }
  return std::nullopt;
}

// The first line of a file such as /sys/bus/pci/devices/*/vendor.
std::string line_of(const fs::path& file) {
  std::ifstream in(file);
  std::string out;
  std::getline(in, out);
  return out;
}

}  // namespace

bool has_nvidia_gpu(const fs::path& pci) {
  std::error_code none;
  for (const auto& device : fs::directory_iterator(pci, none)) {
    // 0x03: display controllers; NVIDIA has sound and bridges too.
    if (line_of(device.path() / "vendor") == "0x10de" &&
        line_of(device.path() / "class").starts_with("0x03"))
      return true;
  }
  return false;
}

Examination examine() {
  Examination out;
  utsname names{};
  (void)::uname(&names);
  out.host = names.nodename;
  out.system = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
  examine_cpu(out);
  examine_gpus(out);

  const bool gpu = !out.gpus.empty();
  const std::string build = "cmake --preset default && cmake --build build";
  const auto bench = [&](const std::string& what, const std::string& name, bool possible,
                         const std::string& with, const std::string& without,
                         const std::string& fix = "") {
    const bool built = program(name).has_value();
    out.findings.push_back({what, built && possible,
                            !possible ? without
                            : built   ? with
                                      : name + " is not built",
                            !possible ? fix
                            : built   ? ""
                                      : build});
  };
  bench("GEMM on the CPU", "gemm_bench", true, "oneDNN, OpenBLAS, register peak", "");
  bench("memory bandwidth of the CPU", "memory_bench", true, "copy, read, write, triad", "");
  bench("attention on the CPU", "attention_bench", true, "blocks in registers, OpenMP", "");
  bench("a layer's kernels on the CPU", "layer_bench", true, "in a row and alone", "");
  bench("work beside a GEMM on the CPU", "overlap_bench", out.cores > 1, "co-runners on some cores",
        "one core: none is left for a co-runner");
  bench("all-reduce between processes", "collective_bench",
        program("mpirun").has_value() && out.cores > 1, "MPI: mpirun -n 2 collective_bench",
        out.cores > 1 ? "mpirun is missing" : "one core: nothing to reduce between",
        out.cores > 1 ? "apt-get install openmpi-bin" : "");
  const auto on_gpu = [&](const std::string& what, const std::string& name,
                          const std::string& with) {
    bench(what + " on the GPU", name, gpu, with, out.why_no_gpu, out.gpu_fix);
  };
  const Capability gemm = gpu ? gemm_on_gpu(out.driver_cuda_version) : Capability{};
  on_gpu("GEMM", "gemm_bench", gemm.why);
  if (out.findings.back().can) out.findings.back().fix = gemm.fix;
  bench("memory bandwidth of the GPU", "memory_bench", gpu, "copy, read, write, triad",
        out.why_no_gpu, out.gpu_fix);
  on_gpu("attention", "attention_bench",
         loads("libcudnn.so.9") ? "cuDNN, our own" : "our own; libcudnn.so.9 is missing");
  on_gpu("a layer's kernels", "layer_bench", "in a row and alone");
  on_gpu("work beside a GEMM", "overlap_bench", "co-runners on some SMs");
  bench("all-reduce between GPUs", "collective_bench", out.gpus.size() > 1 && loads("libnccl.so.2"),
        "NCCL, one process",
        !gpu                   ? out.why_no_gpu
        : out.gpus.size() == 1 ? "one GPU: nothing to reduce between"
                               : "libnccl.so.2 is missing",
        out.gpus.size() > 1 ? "apt-get install libnccl2" : out.gpu_fix);
  out.findings.push_back({"GPU clocks and power", gpu && loads("libnvidia-ml.so.1"),
                          !gpu                         ? out.why_no_gpu
                          : loads("libnvidia-ml.so.1") ? "NVML"
                                                       : "libnvidia-ml.so.1 is missing",
                          out.gpu_fix});
  return out;
}

Document to_document(const Examination& e) {
  Document out;
  out.emplace_back(Heading{1, "This machine"});
  Table machine{{"what", "found"}, {}};
  machine.rows.push_back({"host", fmt::format("{} ({})", e.host, e.system)});
  machine.rows.push_back(
      {"processor",
       fmt::format("{}, {} core{}, {} of memory", e.cpu, e.cores, e.cores == 1 ? "" : "s",
                   format_bytes(static_cast<double>(e.memory_bytes)))});
  machine.rows.push_back(
      {"instruction sets", fmt::format("{}", fmt::join(e.instruction_sets, " "))});
  for (const DoctorGpu& gpu : e.gpus) {
    machine.rows.push_back(
        {"GPU",
         fmt::format("{}, {} SMs, {}, compute capability {}", gpu.name, gpu.sms,
                     format_bytes(static_cast<double>(gpu.memory_bytes)), gpu.compute_capability)});
  }
  if (e.gpus.empty()) machine.rows.push_back({"GPU", e.why_no_gpu});
  if (e.driver_cuda_version > 0) {
    machine.rows.push_back({"driver", fmt::format("CUDA {}.{}", e.driver_cuda_version / 1000,
                                                  e.driver_cuda_version % 1000 / 10)});
  }
  out.emplace_back(machine);
  out.emplace_back(Heading{2, "What can be measured"});
  Table findings{{"measurement", "", "with, or why not", "what would help"}, {}};
  for (const Capability& f : e.findings)
    findings.rows.push_back({f.what, f.can ? "yes" : "no", f.why, f.fix});
  out.emplace_back(findings);
  return out;
}

nlohmann::ordered_json to_json(const Examination& e) {
  nlohmann::ordered_json json = {{"host", e.host},
                                 {"system", e.system},
                                 {"cpu", e.cpu},
                                 {"cores", e.cores},
                                 {"memory_bytes", e.memory_bytes},
                                 {"instruction_sets", e.instruction_sets},
                                 {"why_no_gpu", e.why_no_gpu},
                                 {"driver_cuda_version", e.driver_cuda_version}};
  json["gpus"] = nlohmann::ordered_json::array();
  for (const DoctorGpu& gpu : e.gpus) {
    json["gpus"].push_back({{"name", gpu.name},
                            {"sms", gpu.sms},
                            {"memory_bytes", gpu.memory_bytes},
                            {"compute_capability", gpu.compute_capability}});
  }
  json["measurements"] = nlohmann::ordered_json::array();
  for (const Capability& f : e.findings) {
    json["measurements"].push_back(
        {{"what", f.what}, {"can", f.can}, {"why", f.why}, {"fix", f.fix}});
  }
  return json;
}

}  // namespace trainmeter
