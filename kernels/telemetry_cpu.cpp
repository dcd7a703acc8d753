// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// A CPU's telemetry, from files of the kernel. Those of read() are few and small. /proc/cpuinfo is
// none of them: a virtual machine's says a nominal clock, and on some kernels reading it interrupts
// every core.
#include "kernels/cgroup.hpp"
#include "kernels/telemetry.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fcntl.h>
#include <sstream>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace trainmeter {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCoresWatched = 4;

struct PowerDomain {
  fs::path counter;
  std::uint64_t largest = 0;
};

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc{}) return std::nullopt;
  return value;
}

// The number behind `key` and a blank, at the start of a line.
std::optional<std::uint64_t> entry_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    if (text.starts_with(key) && text.substr(key.size()).starts_with(' ')) {
      return number_of(text.substr(key.size() + 1));
    }
    const auto end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return std::nullopt;
}

std::vector<int> some_of(const std::vector<int>& cores) {
  std::vector<int> out;
  const std::size_t count = std::min(cores.size(), kCoresWatched);
  for (std::size_t i = 0; i < count; ++i) out.push_back(cores[i * cores.size() / count]);
  return out;
}

class Cpu final : public TelemetrySource {
 public:
  Cpu(const CpuInfo& cpu, const fs::path& root, std::function<FileText(const fs::path&)> read)
      : proc_(root / "proc"), cgroup_(root / "sys/fs/cgroup"), read_(std::move(read)) {
    membership_ = read_(proc_ / "self/cgroup").text;
    cpu_stats_ = cpu_stat_files(cgroup_, membership_);
    for (const int core : some_of(cpu.core_ids)) {
      cores_.push_back(root / "sys/devices/system/cpu" / ("cpu" + std::to_string(core)));
    }
    find_packages(root / "sys/class/powercap");
  }

  TelemetrySample read() override {
    TelemetrySample out;
    out.at_s = steady_now_s();
    out.sm_clock_hz = clock();
    out.energy_uj = energy();
    out.quota_throttled_us = throttled();
    out.thermal_events = thermal_events();
    return out;
  }

  DeviceState state() override {
    DeviceState out;
    out.cpu_times = cpu_times();
    const double cpus = cgroup_limits(cgroup_, membership_).cpus;
    if (std::isfinite(cpus)) out.quota_cpus = cpus;
    return out;
  }

 private:
  std::optional<std::uint64_t> number_in(const char* sensor, const fs::path& file) {
    const FileText found = read_(file);
    const auto value = number_of(found.text);
    if (found.error == 0 && value) return value;
    cannot_read(sensor, file.string() + ": " +
                            (found.error == 0 ? "not a number"
                                              : std::generic_category().message(found.error)));
    return std::nullopt;
  }

  // Top-level zones called package-N. Zones inside them count parts of the same energy, and "psys"
  // counts the packages once more.
  void find_packages(const fs::path& powercap) {
    std::error_code none;
    for (const auto& zone : fs::directory_iterator(powercap, none)) {
      const std::string name = zone.path().filename();
      if (!name.starts_with("intel-rapl:") || std::count(name.begin(), name.end(), ':') != 1 ||
          !read_(zone.path() / "name").text.starts_with("package")) {
        continue;
      }
      const auto largest = number_in("energy", zone.path() / "max_energy_range_uj");
      if (largest) packages_.push_back({zone.path() / "energy_uj", *largest});
    }
    if (packages_.empty()) cannot_read("energy", powercap.string() + ": no processor packages");
    std::sort(packages_.begin(), packages_.end(),
              [](const auto& a, const auto& b) { return a.counter < b.counter; });
  }

  std::optional<double> clock() {
    double khz = 0;
    for (const fs::path& core : cores_) {
      const auto value = number_in("sm_clock", core / "cpufreq/scaling_cur_freq");
      if (!value) return std::nullopt;
      khz += static_cast<double>(*value);
    }
    return khz * 1e3 / static_cast<double>(cores_.size());
  }

  std::vector<Counter> energy() {
    std::vector<Counter> out;
    for (const PowerDomain& package : packages_) {
      const auto value = number_in("energy", package.counter);
      if (!value) return {};
      out.push_back({.value = *value, .largest = package.largest});
    }
    return out;
  }

  std::optional<Counter> throttled() {
    Counter sum;
    bool counts = false;
    for (const fs::path& file : cpu_stats_) {
      const std::string text = read_(file).text;
      const auto us = entry_of(text, "throttled_usec");
      const auto ns = entry_of(text, "throttled_time");
      if (!us && !ns) continue;
      counts = true;
      sum.value += us ? *us : *ns / 1000;
    }
    if (counts) return sum;
    cannot_read("quota_throttled", cgroup_.string() + ": no cpu.stat that counts it");
    return std::nullopt;
  }

  std::optional<Counter> thermal_events() {
    Counter sum;
    for (const fs::path& core : cores_) {
      const auto count = number_in("thermal_events", core / "thermal_throttle/core_throttle_count");
      if (!count) return std::nullopt;
      sum.value += *count;
    }
    return sum;
  }

  std::optional<CpuTimes> cpu_times() {
    const FileText machine = read_(proc_ / "stat");
    const FileText self = read_(proc_ / "self/stat");
    // cpu  user nice system idle iowait irq softirq steal; what comes behind is part of user.
    std::array<std::uint64_t, 8> ticks{};
    std::istringstream line(machine.text);
    std::string word;
    line >> word;
    for (std::uint64_t& value : ticks) line >> value;
    // Fields 14 and 15, utime and stime; field 2 is a name in brackets that may hold blanks.
    std::istringstream fields(self.text.substr(std::min(self.text.rfind(')'), self.text.size())));
    for (int skipped = 2; skipped < 14; ++skipped) fields >> word;
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    if (!line || !(fields >> user >> system)) {
      cannot_read("cpu_times", proc_.string() + ": stat or self/stat can't be read");
      return std::nullopt;
    }
    CpuTimes out;
    for (const std::uint64_t value : ticks) out.all.value += value;
    out.stolen.value = ticks[7];
    out.busy.value = out.all.value - ticks[3] - ticks[4] - ticks[7];
    out.own.value = user + system;
    return out;
  }

  fs::path proc_, cgroup_;
  std::function<FileText(const fs::path&)> read_;
  std::string membership_;
  std::vector<fs::path> cores_, cpu_stats_;
  std::vector<PowerDomain> packages_;
};

}  // namespace

FileText read_file(const fs::path& file) {
  FileText out;
  const int handle = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (handle < 0) return {.error = errno};
  std::array<char, 4096> part;
  ssize_t got = 0;
  while ((got = ::read(handle, part.data(), part.size())) > 0) {
    out.text.append(part.data(), static_cast<std::size_t>(got));
  }
  if (got < 0) out.error = errno;
  (void)::close(handle);
  return out;
}

std::unique_ptr<TelemetrySource> cpu_telemetry(const CpuInfo& cpu, const fs::path& root,
                                               std::function<FileText(const fs::path&)> read) {
  return std::make_unique<Cpu>(cpu, root, std::move(read));
}

}  // namespace trainmeter
