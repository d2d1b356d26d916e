// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::kafka {

/// Connects to the brokers of `kafka_config`, within dial_timeout.
[[nodiscard]] Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context);

}  // namespace lrpc::queue::kafka
