// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "connection.hpp"
#include "held_table.hpp"

namespace lrpc::queue::wire {

/// The client's side of a channel. What it knows of messages it read from replies.
class WireChannel final : public BackendChannel {
 public:
  WireChannel(std::shared_ptr<Connection> connection, std::string topic, std::string name, std::uint64_t number,
              std::int64_t dropped_before, const ChannelPolicy& policy);

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override;
  void set_receiving(bool on) noexcept override;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override;
  Result<void> settle(std::span<Settlement> settlements) override;
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override;
  std::optional<DeliveryTag> find(std::string_view id) override { return held_.find(id); }
  Result<BackendStats> stats() override;
  Result<std::int64_t> drop_all() override { return counted(Op::drop_all, {}); }
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override;
  Result<std::int64_t> purge_dead() override { return counted(Op::purge_dead, {}); }
  void configure(const ChannelPolicy& policy) override;
  Result<void> close() override;

 private:
  struct Fetched {
    std::size_t count = 0;
    std::int64_t due = 0;  // tick at which something may become ready
  };

  [[nodiscard]] Writer address() const;
  Result<Reply> call(Op op, const Writer& arguments);
  Result<std::int64_t> counted(Op op, const Writer& arguments);
  Result<Fetched> fetch(std::span<Delivery> out, const ReceiveOptions& options);
  Delivery read_delivery(Reader& in);
  Result<void> mark(Op op, const Writer& arguments, std::span<const DeliveryTag> tags, std::span<bool> done);
  void settled();
  [[nodiscard]] std::unexpected<Error> closed() const;

  const std::shared_ptr<Connection> connection_;
  const std::string topic_;
  const std::string name_;
  const std::uint64_t number_;
  const std::int64_t dropped_before_;
  std::atomic<Duration> lease_;
  std::atomic<std::int64_t> dead_limit_;
  std::atomic<bool> limited_{false};
  std::atomic<bool> receiving_{true};
  HeldTable held_;
  detail::Gate gate_;
  const std::shared_ptr<Wakeup> wakeup_ = std::make_shared<Wakeup>();
};

}  // namespace lrpc::queue::wire
