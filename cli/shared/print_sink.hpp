// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/types.hpp>

#include "shared/lease_keeper.hpp"
#include "shared/raw_body.hpp"
#include "shared/run_state.hpp"
#include "shared/sink.hpp"

namespace lrpc::queue::cli {

/// Prints one message a line, in order. What is ready is written together; a message is acked when it is written.
class PrintSink final : public Sink {
 public:
  struct Settings {
    bool json = false;                  ///< All of a message, not its body alone.
    std::optional<std::int64_t> max{};  ///< Stop the run when so many are acked.
    Duration renew_every{0};            ///< Renew leases during a write that takes long; 0 = never.
    bool acks_may_fail = false;         ///< Go on after a failed ack: the message comes again.
  };
  using OnAcked = std::function<void(const Message<RawBody>&)>;
  PrintSink(Channel<RawBody> channel, const Settings& settings, RunState& state, OnAcked on_acked = {})
      : channel_(std::move(channel)), settings_(settings), state_(state), on_acked_(std::move(on_acked)) {}

  [[nodiscard]] Result<void> start() override;
  bool finish() override;
  void kill() noexcept override {}  // a write under way ends with the program

 private:
  void run(const std::stop_token& stop);
  /// How many may still be taken at once; 0 = the run is over.
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] Result<void> print(const std::vector<Message<RawBody>>& messages);
  [[nodiscard]] Result<void> write(const std::vector<Message<RawBody>>& messages);

  Channel<RawBody> channel_;
  const Settings settings_;
  RunState& state_;
  const OnAcked on_acked_;
  std::optional<LeaseKeeper> keeper_;
  std::jthread thread_;
};

}  // namespace lrpc::queue::cli
