// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/hooks.hpp>

namespace lrpc::queue {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::queue_closed:
      return "queue_closed";
    case ErrorCode::topic_closed:
      return "topic_closed";
    case ErrorCode::channel_closed:
      return "channel_closed";
    case ErrorCode::channel_not_found:
      return "channel_not_found";
    case ErrorCode::no_message:
      return "no_message";
    case ErrorCode::message_not_found:
      return "message_not_found";
    case ErrorCode::invalid_config:
      return "invalid_config";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::body_too_large:
      return "body_too_large";
    case ErrorCode::queue_full:
      return "queue_full";
    case ErrorCode::codec:
      return "codec";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::outcome_unknown:
      return "outcome_unknown";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::permission:
      return "permission";
    case ErrorCode::backend:
      return "backend";
    case ErrorCode::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string_view to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::acked:
      return "acked";
    case Outcome::retried:
      return "retried";
    case Outcome::dead_lettered:
      return "dead_lettered";
    case Outcome::dropped:
      return "dropped";
    case Outcome::expired:
      return "expired";
  }
  return "unknown";
}

}  // namespace lrpc::queue
