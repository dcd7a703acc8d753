// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Durable appending of lines: lock, write all, fsync, unlock.
#include "record/journal.hpp"

#include "record/error.hpp"

#include <sys/file.h>
#include <sys/stat.h>

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

// A newline ends every line, so bytes after the last newline are what a killed writer left. True
// where some were cut off.
bool cut_unfinished_line(int descriptor, const std::string& file) {
  const off_t size = ::lseek(descriptor, 0, SEEK_END);
  off_t keep = size;
  char last = 0;
  while (keep > 0) {
    if (::pread(descriptor, &last, 1, keep - 1) != 1) {
      throw EnvironmentFailed(file + ": cannot be read: " + std::strerror(errno));
    }
    if (last == '\n') break;
    --keep;
  }
  if (keep == size) return false;
  if (keep == 0 && size > 0) {
    char first = 0;  // one unfinished line and nothing else: ours only if it starts like a record
    if (::pread(descriptor, &first, 1, 0) != 1 || first != '{') {
      throw BadInput(file + ": not a record; expected a new file or one written by trainmeter");
    }
  }
  if (::ftruncate(descriptor, keep) != 0) {
    throw EnvironmentFailed(file + ": cannot be repaired: " + std::strerror(errno));
  }
  return true;
}

void refuse_other_files(int descriptor, const std::string& file) {
  char first = 0;
  if (::pread(descriptor, &first, 1, 0) == 1 && first != '{') {
    throw BadInput(file + ": not a record; expected a new file or one written by trainmeter");
  }
}

}  // namespace

Journal::Journal(std::filesystem::path file, const Header& header) : file_(std::move(file)) {
  const std::string name = file_.string();
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
      refuse_other_files(descriptor_, name);
      repaired_ = cut_unfinished_line(descriptor_, name);
    }
    write_line(to_json_line(header));
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
