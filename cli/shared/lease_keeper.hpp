// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>

#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/types.hpp>

#include "shared/raw_body.hpp"

namespace lrpc::queue::cli {

/// Renews the leases of messages that `next` handed out, for as long as somebody works on them.
class LeaseKeeper {
 public:
  LeaseKeeper(Channel<RawBody> channel, Duration every);
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;
  ~LeaseKeeper() = default;

  /// Keeps these, which must stay where they are, until `release`.
  void hold(std::span<const Message<RawBody>> messages);
  void release();

 private:
  void run(const std::stop_token& stop);

  Channel<RawBody> channel_;
  const Duration every_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::span<const Message<RawBody>> held_;
  std::jthread thread_;
};

}  // namespace lrpc::queue::cli
