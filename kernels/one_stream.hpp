// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Several operations of a GPU on one stream, so that they run in the order of their launches.
#pragma once

namespace trainmeter {

// While one lives, every operation that this thread makes for a GPU queues on the same stream,
// which goes with the last of them. One at a time in a thread.
class OneStream {
 public:
  OneStream();  // Unavailable without a device
  ~OneStream();
  OneStream(const OneStream&) = delete;  // counts the stream's owners
  OneStream& operator=(const OneStream&) = delete;
  static bool lives();  // in this thread
};

}  // namespace trainmeter
