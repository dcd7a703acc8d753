// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Non-blocking calls, and a look at the communicator's state until it says how they went.
#include "kernels/nccl_communicator.hpp"

#include <nccl.h>

#include <array>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

namespace trainmeter {
namespace {

using Clock = std::chrono::steady_clock;

std::string hex(const ncclUniqueId& id) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : id.internal) {
    const auto bits = static_cast<unsigned char>(byte);
    text += {kDigits[bits >> 4], kDigits[bits & 15]};
  }
  return text;
}

ncclUniqueId from_hex(const std::string& text) {
  ncclUniqueId id{};
  if (text.size() != 2 * sizeof id.internal) throw RankLost("NCCL: no id from the first rank");
  for (std::size_t i = 0; i < sizeof id.internal; ++i) {
    id.internal[i] = static_cast<char>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  }
  return id;
}

std::string said(ncclResult_t result) {
  return std::string("NCCL: ") + ncclGetErrorString(result);
}

}  // namespace

NcclCommunicator::NcclCommunicator(const RankGroup& group, const Gather& gather, double timeout_s)
    : timeout_s_(timeout_s) {
  std::string mine;
  std::string failure;
  if (group.me == 0) {
    ncclUniqueId id{};
    const ncclResult_t made = ncclGetUniqueId(&id);
    made == ncclSuccess ? mine = hex(id) : failure = said(made) + " (ncclGetUniqueId)";
  }
  const std::vector<std::string> ids = gather(mine);
  const std::vector<std::string> failures = gather(failure);
  for (std::size_t rank = 0; rank < failures.size(); ++rank) {
    if (failures[rank].empty()) continue;
    throw Unavailable(failures[rank] + " (rank " + std::to_string(rank) + ")");
  }
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const ncclResult_t begun = ncclCommInitRankConfig(
      &communicator_, group.ranks(), from_hex(of_members(group, ids).front()), group.me, &config);
  if (begun != ncclSuccess && begun != ncclInProgress) {
    abort();
    throw RankLost(said(begun) + " (ncclCommInitRankConfig)");
  }
  try {
    settle();
  } catch (const RankLost&) {
    abort();
    throw;
  }
}

// Without a handshake, in which this rank would wait for the others again.
NcclCommunicator::~NcclCommunicator() {
  abort();
}

void NcclCommunicator::settle() {
  const auto begin = Clock::now();
  for (;;) {
    ncclResult_t state = ncclSuccess;
    {
      const std::lock_guard lock(mutex_);
      if (ended_) throw RankLost("NCCL: the communicator was aborted");
      const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
      if (asked != ncclSuccess) state = asked;
    }
    if (state == ncclSuccess) return;
    if (state != ncclInProgress) throw RankLost(said(state));
    if (Clock::now() - begin > std::chrono::duration<double>(timeout_s_)) {
      throw RankLost("NCCL: the ranks didn't come together within " +
                     std::to_string(static_cast<int>(timeout_s_)) + " s");
    }
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

std::string NcclCommunicator::failure() const {
  const std::lock_guard lock(mutex_);
  if (ended_) return "";
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
  if (asked != ncclSuccess) state = asked;
  return state == ncclSuccess || state == ncclInProgress ? "" : said(state);
}

void NcclCommunicator::abort() {
  const std::lock_guard lock(mutex_);
  if (ended_ || communicator_ == nullptr) return;
  ended_ = true;
  (void)ncclCommAbort(communicator_);
}

}  // namespace trainmeter
