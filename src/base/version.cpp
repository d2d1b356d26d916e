// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/version.hpp>

namespace lrpc::queue {

std::string_view version() noexcept { return LRPC_QUEUE_VERSION; }

}  // namespace lrpc::queue
