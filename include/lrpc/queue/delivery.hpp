// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include <lrpc/queue/envelope.hpp>

namespace lrpc::queue {

/// Names one delivery to the back end that made it.
struct DeliveryTag {
  std::uint64_t slot = 0;        ///< The back end's own.
  std::uint64_t generation = 0;  ///< The back end's own; 0 = no delivery.
  int attempts = 0;              ///< The delivery's number (D6), whatever the user does to the message.
  friend constexpr auto operator<=>(const DeliveryTag&, const DeliveryTag&) = default;
};

/// One hand-over of a message.
struct Delivery {
  EnvelopePtr message{};
  DeliveryTag tag{};
  int attempts = 0;            ///< This delivery's number (D6).
  bool lease_expired = false;  ///< The previous delivery was handed out by this process and its lease ran out.
  std::shared_ptr<const std::string> malformed{};  ///< Set: the stored form was broken, and how (D13).
};

}  // namespace lrpc::queue
