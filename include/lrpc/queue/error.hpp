// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lrpc::queue {

/// What went wrong, as one closed set shared by all back ends. 20001-20005 are the codes of the Go module.
enum class ErrorCode : int {
  queue_closed = 20001,       ///< The queue was closed.
  topic_closed = 20002,       ///< The topic was closed.
  channel_closed = 20003,     ///< The channel was closed.
  channel_not_found = 20004,  ///< No such channel, or it was deleted.
  no_message = 20005,         ///< Nothing became ready in time.
  message_not_found = 20006,  ///< The delivery is not in flight here (already settled, handed out again, unknown).
  invalid_config = 20007,     ///< A configuration value, key or file is wrong; the message names it.
  invalid_argument = 20008,   ///< An argument of the call is wrong; the message names it.
  body_too_large = 20009,     ///< The body is larger than `max_body_size`.
  queue_full = 20010,         ///< A channel would hold more than `max_msg_size` messages. Retryable.
  codec = 20011,              ///< A body could not be encoded, or its type has no codec.
  unavailable = 20012,        ///< The back end cannot be reached now. Retryable.
  timeout = 20013,            ///< The call did not finish in time.
  outcome_unknown = 20014,    ///< The reply was lost: the call may or may not have taken effect.
  unsupported = 20015,        ///< This back end or build does not do that.
  permission = 20016,         ///< Authentication failed or an access rule forbids the call.
  backend = 20017,            ///< Anything else; `native_code` tells more.
  cancelled = 20018,          ///< The caller's stop token was triggered.
};

/// The name of a code as written in this header, for example "queue_full"; "unknown" for any other value.
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// Why a call failed. The message names the topic or channel, what failed and, where one helps, the option to change.
/// It never holds a password.
struct Error {
  ErrorCode code = ErrorCode::backend;
  std::string message{};
  bool retryable = false;               ///< True when the same call may succeed later without a change.
  int native_code = 0;                  ///< The back end's own code (errno, broker code), 0 when there is none.
  std::string source{};                 ///< The back end that reported it ("memory", ...), empty for the engine.
  std::vector<std::string> accepted{};  ///< Ids that did succeed, where a call can succeed in part.
};

/// What every fallible call returns. Nothing throws across the API.
template <class T>
using Result = std::expected<T, Error>;

/// Shorthand: `return fail(ErrorCode::timeout, "...")`.
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message, bool retryable = false) {
  return std::unexpected(Error{.code = code, .message = std::move(message), .retryable = retryable});
}

namespace detail {

/// `result.transform(f)`, which libstdc++ 12 does not have.
template <class T, class F>
auto map_result(Result<T>&& result, F&& f) -> Result<decltype(f(std::move(*result)))> {
  if (!result) return std::unexpected(std::move(result.error()));
  return f(std::move(*result));
}

}  // namespace detail

}  // namespace lrpc::queue
