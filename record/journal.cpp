// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Durable appending of lines: lock, write all, fsync, unlock.
#include "record/journal.hpp"

#include "record/error.hpp"
#include "record/text_limits.hpp"

#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace trainmeter {
namespace {

// Other programs append to the same file; nobody's line may end up inside another's.
class Lock {
 public:
  Lock(int descriptor, const std::string& file) : descriptor_(descriptor) {
    while (::flock(descriptor_, LOCK_EX) != 0) {
      if (errno != EINTR)
        throw EnvironmentFailed(file + ": cannot be locked: " + std::strerror(errno));
    }
  }
  ~Lock() { ::flock(descriptor_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int descriptor_;
};

char byte_at(int descriptor, off_t place, const std::string& file) {
  char byte = 0;
  if (::pread(descriptor, &byte, 1, place) != 1)
    throw EnvironmentFailed(file + ": cannot be read: " + std::strerror(errno));
  return byte;
}

// Its first line with the newline; without one where the file has none.
std::string first_line(int descriptor, const std::string& file) {
  std::string line;
  char block[4096];
  while (line.size() < kLongestText) {
    const ssize_t count = ::pread(descriptor, block, sizeof block, static_cast<off_t>(line.size()));
    if (count < 0) throw EnvironmentFailed(file + ": cannot be read: " + std::strerror(errno));
    if (count == 0) break;
    line.append(block, static_cast<std::size_t>(count));
    if (const auto end = line.find('\n'); end != std::string::npos) {
      line.resize(end + 1);
      break;
    }
  }
  return line;
}

bool is_header(const std::string& line) {
  try {
    const nlohmann::json json = nlohmann::json::parse(line);
    return json.is_object() && json.value("kind", "") == "header" &&
           json.value("schema", 0) == kRecordSchema;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

// Nothing of somebody else's file may be cut off, so it's looked at before. A first line that was
// never finished is ours where it is the beginning of a header as we write it, `own`.
void refuse_other_files(int descriptor, const std::string& own, const std::string& file) {
  const std::string line = first_line(descriptor, file);
  if (line.empty()) return;
  const std::string begins = own.substr(0, own.find("\"session\""));
  const std::size_t known = std::min(line.size(), begins.size());
  if (line.ends_with('\n') ? !is_header(line) : line.compare(0, known, begins, 0, known) != 0) {
    throw BadInput(file + ": not a record; expected a new file or one written by trainmeter");
  }
}

// A newline ends every line, so bytes after the last newline are what a killed writer left. True
// where some were cut off.
bool cut_unfinished_line(int descriptor, const std::string& file) {
  const off_t size = ::lseek(descriptor, 0, SEEK_END);
  off_t keep = size;
  while (keep > 0 && byte_at(descriptor, keep - 1, file) != '\n') --keep;
  if (keep == size) return false;
  if (::ftruncate(descriptor, keep) != 0) {
    throw EnvironmentFailed(file + ": cannot be repaired: " + std::strerror(errno));
  }
  return true;
}

}  // namespace

Journal::Journal(std::filesystem::path file, const Header& header) : file_(std::move(file)) {
  const std::string name = file_.string();
  const std::string line = to_json_line(header);
  if (std::error_code error; file_.has_parent_path()) {
    std::filesystem::create_directories(file_.parent_path(), error);
    if (error) throw BadInput(name + ": its folder cannot be made: " + error.message());
  }
  descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw BadInput(name + ": cannot be written: " + std::strerror(errno));
  try {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      if (!S_ISCHR(status.st_mode))
        throw BadInput(name + ": not a regular file; expected a path for a record");
    } else {
      const Lock lock(descriptor_, name);
      refuse_other_files(descriptor_, line, name);
      repaired_ = cut_unfinished_line(descriptor_, name);
    }
    write_line(line);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

Journal::~Journal() {
  ::close(descriptor_);
}

void Journal::append(const Measurement& measurement) {
  write_line(to_json_line(measurement));
}

void Journal::write_line(const std::string& line) {
  const std::string text = line + "\n";
  const Lock lock(descriptor_, file_.string());
  const off_t start = ::lseek(descriptor_, 0, SEEK_END);
  const auto fail = [&](const char* what) {
    const int code = errno;
    // Take back the part that was written, so that the file stays valid up to here.
    if (start >= 0 && ::ftruncate(descriptor_, start) != 0) errno = code;
    throw EnvironmentFailed(file_.string() + ": " + what + ": " + std::strerror(code));
  };
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("writing failed");
    done += static_cast<std::size_t>(written);
  }
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) fail("fsync failed");
}

}  // namespace trainmeter
