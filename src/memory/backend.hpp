// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <lrpc/queue/backend.hpp>

namespace lrpc::queue::memory {

/// The in-process back end: a queue of its own for each call.
Result<std::shared_ptr<Backend>> make_backend(const BackendContext& context);

}  // namespace lrpc::queue::memory
