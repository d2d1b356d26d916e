// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "redis/router.hpp"
#include "redis/sentinel.hpp"

namespace lrpc::queue::redis {

/// The pause before try number `tries + 1`: jittered, doubling from 8 ms to about half a second.
[[nodiscard]] Duration pause_before(int tries);

/// Whether a call that failed so may be made again.
[[nodiscard]] inline bool may_repeat(const Error& error, Repeat repeat) noexcept {
  return error.code == ErrorCode::unavailable || (error.code == ErrorCode::outcome_unknown && repeat == Repeat::safe);
}

/// The connections to one server, or to the master that sentinels watch, made as they are needed, at most pool_size. A
/// call takes the one that has least to do; a new one is opened when all are busy. What fails before it was sent is
/// tried again, up to max_retries times, with jittered pauses; what may have been sent only where that is safe.
/// Thread-safe; has no thread of its own.
class Client final : public Router, public Route, public std::enable_shared_from_this<Client> {
 public:
  /// Opens min_idle_conns connections (at least one) within dial_timeout each.
  static Result<std::shared_ptr<Client>> open(const RedisConfig& config);
  /// Without a connection at first: a node of a cluster.
  static std::shared_ptr<Client> to(const RedisConfig& config, Endpoint endpoint);

  Result<std::vector<Reply>> call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) override;
  Result<std::shared_ptr<Connection>> own_connection(SteadyTime deadline) override;
  [[nodiscard]] std::string where() const override { return sentinels_ ? sentinels_->where() : endpoint_.where(); }
  [[nodiscard]] Duration usual_time() const noexcept override;
  /// One try of a call.
  Result<std::vector<Reply>> call_once(const Pipeline& commands, SteadyTime deadline);

  std::shared_ptr<Route> route(std::string_view /*key*/) override { return shared_from_this(); }
  std::vector<std::shared_ptr<Route>> nodes() override { return {shared_from_this()}; }
  [[nodiscard]] const RedisConfig& config() const noexcept override { return config_; }
  [[nodiscard]] bool cluster() const noexcept override { return false; }
  void close() override;
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }

 private:
  struct Member {
    std::shared_ptr<Connection> connection;
    std::size_t load = 0;  // calls of ours on it
  };

  Client(const RedisConfig& config, Endpoint endpoint, std::unique_ptr<Sentinels> sentinels);
  Result<std::shared_ptr<Connection>> take(SteadyTime deadline);
  void follow_master();
  void give_back(const std::shared_ptr<Connection>& connection, bool refused);
  [[nodiscard]] Timeouts timeouts() const noexcept;

  RedisConfig config_;  // constant after the constructor
  const Endpoint endpoint_;
  const std::unique_ptr<Sentinels> sentinels_;  // null where the endpoint is known
  std::mutex mutex_;                            // not held while connecting or calling
  std::condition_variable changed_;
  std::vector<Member> members_;
  std::size_t opening_ = 0;
  bool closed_ = false;
};

}  // namespace lrpc::queue::redis
