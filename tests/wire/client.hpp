// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include <lrpc/queue/config.hpp>

#include "link.hpp"
#include "server.hpp"

namespace lrpc::queue::wire {

/// A line to `server` whose faults are drawn from `seed`.
[[nodiscard]] std::shared_ptr<Link> make_link(const std::shared_ptr<WireServer>& server, std::uint64_t seed);

/// For Config::backend_factory: a client that reaches the server over `link`, with nothing shared but bytes and wake-up
/// calls. Several clients may use one server, each over a link of its own.
[[nodiscard]] BackendFactory wire_backend(std::shared_ptr<Link> link);

}  // namespace lrpc::queue::wire
