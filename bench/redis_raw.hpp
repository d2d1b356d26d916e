// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <hiredis/hiredis.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace lrpc::queue::bench {

/// The reference: plain hiredis, pipelining by hand.
class RawRedis {
 public:
  explicit RawRedis(int port);

  /// Queues the XADD of the manual's six fields with this body.
  void append_publish(const std::string& stream, const std::string& body);
  void append_create_group(const std::string& stream);
  void append_read(const std::string& stream, std::size_t count, int block_ms);
  /// Queues XACK and XDEL of the entries that a read brought.
  void append_settle(const std::string& stream, const redisReply& read);
  void append(const std::vector<std::string>& words);

  using Reply = std::unique_ptr<redisReply, void (*)(redisReply*)>;
  /// The next reply; ends the process for an error.
  Reply get();
  void drain(std::size_t replies) {
    while (replies-- > 0) get();
  }

  /// How many entries a read brought.
  [[nodiscard]] static std::size_t entries(const redisReply& read);

 private:
  std::unique_ptr<redisContext, void (*)(redisContext*)> context_;
};

}  // namespace lrpc::queue::bench
