// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Preloaded (LD_PRELOAD), it makes the disk below every *.jsonl as network file systems are, by
// FAULTY_DISK:
//   quota     after three lines there is room for half a line: a short write, then EDQUOT
//   late      the fourth line is written, but fsync finds that there is no room: ENOSPC
//   stale     after three lines the server has forgotten the file: ESTALE
//   no_locks  nobody gives locks: ENOLCK
//   append    O_APPEND is looking for the end first and writing there some time later: writers that
//             don't lock write over each other
//   rename    is done, and then said to have failed with ENOENT, as where a server was asked twice
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace {

constexpr int kLines = 3;
int written = 0;  // lines, by this process

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is(std::string_view fault) {
  const char* const asked = std::getenv("FAULTY_DISK");
  return asked != nullptr && asked == fault;
}

bool is_record(int descriptor) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  return length > 0 &&
         std::string_view(path.data(), static_cast<std::size_t>(length)).ends_with(".jsonl");
}

int fails(int code) {
  errno = code;
  return -1;
}

}  // namespace

extern "C" {

int flock(int descriptor, int operation) {
  if (is("no_locks") && operation != LOCK_UN && is_record(descriptor)) return fails(ENOLCK);
  return real<int(int, int)>("flock")(descriptor, operation);
}

int fsync(int descriptor) {
  if (is("late") && is_record(descriptor) && written > kLines) return fails(ENOSPC);
  return real<int(int)>("fsync")(descriptor);
}

ssize_t write(int descriptor, const void* from, size_t bytes) {
  static const auto really = real<ssize_t(int, const void*, size_t)>("write");
  if (!is_record(descriptor)) return really(descriptor, from, bytes);
  ++written;
  if (is("quota") && written > kLines) {
    return written == kLines + 1 ? really(descriptor, from, bytes / 2) : fails(EDQUOT);
  }
  if (is("stale") && written > kLines) return fails(ESTALE);
  if (is("append")) {
    struct stat status {};
    ::fstat(descriptor, &status);
    ::usleep(20'000);
    // With O_APPEND even pwrite() appends.
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_APPEND);
    return ::pwrite(descriptor, from, bytes, status.st_size);
  }
  return really(descriptor, from, bytes);
}

int rename(const char* from, const char* to) {
  static const auto really = real<int(const char*, const char*)>("rename");
  const int done = really(from, to);
  return done == 0 && is("rename") && std::string_view(to).ends_with(".jsonl") ? fails(ENOENT)
                                                                               : done;
}

}  // extern "C"
