// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// posix_spawn, with both outputs read at the same time.
#include "report/child.hpp"

#include "record/error.hpp"

#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <spawn.h>
#include <unistd.h>

namespace trainmeter {
namespace {

class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0)
      throw EnvironmentFailed(std::string("no pipe: ") + std::strerror(errno));
  }
  ~Pipe() {
    close_writing();
    ::close(ends_[0]);
  }
  Pipe(const Pipe&) = delete;  // owns both ends
  Pipe& operator=(const Pipe&) = delete;
  [[nodiscard]] int reading() const { return ends_[0]; }
  [[nodiscard]] int writing() const { return ends_[1]; }
  void close_writing() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// What the child does before it becomes the program.
class Actions {
 public:
  Actions() { ::posix_spawn_file_actions_init(&actions_); }
  ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  void send(int from, const Pipe& to) {
    ::posix_spawn_file_actions_adddup2(&actions_, to.writing(), from);
  }
  void read(std::FILE* from) {
    ::posix_spawn_file_actions_adddup2(&actions_, ::fileno(from), STDIN_FILENO);
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

pid_t start(const std::vector<std::string>& command, const Actions& actions) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int failed =
      ::posix_spawnp(&child, words.front(), actions.get(), nullptr, words.data(), ::environ);
  if (failed != 0)
    throw EnvironmentFailed(command.front() + ": cannot be started: " + std::strerror(failed));
  return child;
}

int exit_code_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ChildOutput run_child(const std::vector<std::string>& command) {
  Pipe out, err;
  Actions actions;
  actions.send(STDOUT_FILENO, out);
  actions.send(STDERR_FILENO, err);
  const pid_t child = start(command, actions);
  out.close_writing();
  err.close_writing();
  ChildOutput said;
  std::array<pollfd, 2> open = {{{out.reading(), POLLIN, 0}, {err.reading(), POLLIN, 0}}};
  const std::array<std::string*, 2> texts = {&said.out, &said.err};
  std::array<char, 4096> some{};
  while (open[0].fd >= 0 || open[1].fd >= 0) {
    if (::poll(open.data(), open.size(), -1) < 0 && errno != EINTR) break;
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (open[i].revents == 0) continue;
      const ssize_t got = ::read(open[i].fd, some.data(), some.size());
      if (got > 0) {
        texts[i]->append(some.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        open[i].fd = -1;
      }
    }
  }
  said.code = exit_code_of(child);
  return said;
}

int run_visibly(const std::vector<std::string>& command, const std::string& input) {
  Actions actions;
  if (input.empty()) return exit_code_of(start(command, actions));
  // Not a pipe: a child that ends early would end this program with it.
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  if (!file || std::fwrite(input.data(), 1, input.size(), file.get()) != input.size() ||
      std::fflush(file.get()) != 0)
    throw EnvironmentFailed(std::string("a temporary file: writing failed: ") +
                            std::strerror(errno));
  std::rewind(file.get());
  actions.read(file.get());
  return exit_code_of(start(command, actions));
}

}  // namespace trainmeter
