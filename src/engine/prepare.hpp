// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/envelope.hpp>
#include <lrpc/queue/policy.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue::detail {

/// Checks what a PubOptions may say, independent of any message.
[[nodiscard]] Result<void> check_options(const PubOptions& options);

/// Makes a message ready for the back end: size check (D15), id, timestamp, key, headers, expiry (D12), due time (D17),
/// encoding. `options` may be null.
[[nodiscard]] Result<void> prepare(Outgoing& out, const PubOptions* options, const TopicPolicy& policy,
                                   std::string_view topic, bool serializes, Instant now);

/// Encodes a body, containing what a user's codec throws.
[[nodiscard]] Result<Bytes> encode_body(const Envelope& message);

}  // namespace lrpc::queue::detail
