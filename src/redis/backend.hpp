// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::redis {

/// Opens the Redis back end: over `Config::redis_client` where one is given, else over connections of its own to what
/// `Config::redis_config` names.
Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context);

}  // namespace lrpc::queue::redis
