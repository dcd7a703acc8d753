// SPDX-FileCopyrightText: 2026 the trainmeter authors
// SPDX-License-Identifier: Apache-2.0
// Names of the transfers.
#include "kernels/transfer.hpp"

#include <stdexcept>

namespace trainmeter {

std::string_view to_string(TransferKind kind) {
  switch (kind) {
    case TransferKind::host_to_device:
      return "host_to_device";
    case TransferKind::device_to_host:
      return "device_to_host";
    case TransferKind::peer_copy:
      return "peer_copy";
  }
  throw std::invalid_argument("no such transfer");
}

}  // namespace trainmeter
