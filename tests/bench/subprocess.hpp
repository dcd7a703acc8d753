// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Runs a real program and keeps what it said, for tests; and a folder that goes with the test.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace trainmeter {

struct Said {
  int code = -1;
  std::string out, err;
};

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bench_test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;  // owns the folder on the disk
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::string& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// Through the shell, with build/bin first in PATH.
inline Said run(const std::string& command) {
  const Folder folder;
  const std::string line = "PATH=" + std::string(TRAINMETER_BIN_DIR) + ":$PATH; (" + command +
                           ") >" + (folder / "out") + " 2>" + (folder / "err");
  const int status = std::system(line.c_str());
  Said said;
  said.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  said.out = read_text(folder / "out");
  said.err = read_text(folder / "err");
  return said;
}

// The same, but sends `signal` as soon as `record` has its first measurement.
inline Said run_and_signal(const std::string& command, const std::string& signal,
                           const std::string& record) {
  return run(command + " & child=$!; for i in $(seq 600); do " + "[ \"$(cat " + record +
             " 2>/dev/null | wc -l)\" -ge 2 ] && break; sleep 0.05; done; " + "kill -" + signal +
             " $child; wait $child");
}

}  // namespace trainmeter
