// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <lrpc/queue/error.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/types.hpp>

#include "shared/child.hpp"
#include "shared/raw_body.hpp"

namespace lrpc::queue::cli {

/// What a handler command made of a message.
struct Verdict {
  enum class Kind {
    ack,       ///< Exit status 0.
    retry,     ///< Exit status 75 (EX_TEMPFAIL) and every other failure.
    reject,    ///< Exit status 65 (EX_DATAERR): give the message up.
    put_back,  ///< No fault of the message's: leave it in the channel, the attempt not counted.
  };
  Kind kind = Kind::ack;
  std::string error{};  ///< Why not ack, for people.
};

/// The handler of `--exec CMD`: one `sh -c CMD` per message, body on stdin (a JSON string as its text), LRPC_MSG_ID,
/// LRPC_MSG_ATTEMPTS, LRPC_MSG_TOPIC, LRPC_MSG_CHANNEL and LRPC_MSG_KEY in its environment.
class HandlerCommand {
 public:
  /// `timeout`: how long a command may run; 0 = without limit.
  HandlerCommand(ChildProcesses& children, std::string command, std::string topic, Duration timeout)
      : children_(children), command_(std::move(command)), topic_(std::move(topic)), timeout_(timeout) {}

  /// Runs the command and waits for it. An Error means that it could not be started (see ChildProcesses::run).
  [[nodiscard]] Result<Verdict> run(const Message<RawBody>& message) const;

 private:
  ChildProcesses& children_;
  const std::string command_;
  const std::string topic_;
  const Duration timeout_;
};

}  // namespace lrpc::queue::cli
