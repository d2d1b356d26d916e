// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "shared/handler_command.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <array>
#include <cstring>
#include <utility>

#include "shared/durations.hpp"

namespace lrpc::queue::cli {

Result<Verdict> HandlerCommand::run(const Message<RawBody>& message) const {
  const std::array<std::string, 5> variables{
      fmt::format("LRPC_MSG_ID={}", message.id()), fmt::format("LRPC_MSG_ATTEMPTS={}", message.attempts()),
      fmt::format("LRPC_MSG_TOPIC={}", topic_), fmt::format("LRPC_MSG_CHANNEL={}", message.channel()),
      fmt::format("LRPC_MSG_KEY={}", message.key())};
  const Result<ChildEnd> end = children_.run(command_, body_text(message.body()), variables, timeout_);
  if (!end) return std::unexpected(end.error());
  switch (end->kind) {
    case ChildEnd::Kind::timed_out:
      return Verdict{.kind = Verdict::Kind::retry,
                     .error = fmt::format("still running after {} (handler_timeout)", format_duration(timeout_))};
    case ChildEnd::Kind::signalled:
      return Verdict{.kind = Verdict::Kind::retry,
                     .error = fmt::format("ended by signal {} ({})", end->value, ::strsignal(end->value))};
    case ChildEnd::Kind::exited:
      break;
  }
  if (end->value == 0) return Verdict{};
  return Verdict{.kind = end->value == EX_DATAERR ? Verdict::Kind::reject : Verdict::Kind::retry,
                 .error = fmt::format("exit status {}", end->value)};
}

}  // namespace lrpc::queue::cli
