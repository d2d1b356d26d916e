// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/client.hpp"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include <lrpc/queue/policy.hpp>

#include "engine/context.hpp"

namespace lrpc::queue::redis {
namespace {

/// Calls that share a connection at most: beyond it a caller waits, up to pool_timeout.
constexpr std::size_t kMostCalls = 128;

/// The pause before try number `tries`: jittered, doubling from 8 ms to about half a second, as go-redis does.
Duration pause_before(int tries) {
  const double ms = (8 << std::min(tries - 1, 6)) * (0.5 + detail::random_unit());
  return Duration(static_cast<std::int64_t>(ms));
}

}  // namespace

Result<std::shared_ptr<Router>> connect_client(const RedisConfig& config) { return Client::open(config); }

Client::Client(const RedisConfig& config, Endpoint endpoint) : config_(config), endpoint_(std::move(endpoint)) {
  // Durations have no upper limit in the configuration; sums with the present must not overflow.
  for (Duration* time : {&config_.dial_timeout, &config_.read_timeout, &config_.write_timeout, &config_.pool_timeout}) {
    *time = std::min(*time, kLongest);
  }
}

Timeouts Client::timeouts() const noexcept {
  return {.dial = config_.dial_timeout, .read = config_.read_timeout, .write = config_.write_timeout};
}

Duration Client::usual_time() const noexcept {
  return config_.pool_timeout + config_.write_timeout + config_.read_timeout;
}

Result<std::shared_ptr<Client>> Client::open(const RedisConfig& config) {
  Result<Endpoint> endpoint = endpoint_of(config);
  if (!endpoint) return std::unexpected(std::move(endpoint.error()));
  std::shared_ptr<Client> client(new Client(config, std::move(*endpoint)));
  const int wanted = std::clamp(config.min_idle_conns, 1, config.pool_size);
  for (int i = 0; i < wanted; ++i) {
    auto connection = client->own_connection(SteadyTime::max());
    if (!connection) return std::unexpected(std::move(connection.error()));
    client->members_.push_back({.connection = std::move(*connection)});
  }
  return client;
}

Result<std::shared_ptr<Connection>> Client::own_connection(SteadyTime deadline) {
  return Connection::open(endpoint_, timeouts(), deadline);
}

Result<std::vector<Reply>> Client::call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) {
  for (int tries = 1;; ++tries) {
    Result<std::vector<Reply>> replies = call_once(commands, deadline);
    if (replies) return replies;
    const ErrorCode code = replies.error().code;
    const bool again = code == ErrorCode::unavailable || (code == ErrorCode::outcome_unknown && repeat == Repeat::safe);
    const SteadyTime next = std::chrono::steady_clock::now() + pause_before(tries);
    if (!again || tries > config_.max_retries || next >= deadline) return replies;
    std::unique_lock lock(mutex_);
    if (changed_.wait_until(lock, next, [this] { return closed_; })) return replies;
  }
}

Result<std::vector<Reply>> Client::call_once(const Pipeline& commands, SteadyTime deadline) {
  auto connection = take(deadline);
  if (!connection) return std::unexpected(std::move(connection.error()));
  auto replies = (*connection)->call(commands, deadline);
  give_back(*connection);
  return replies;
}

// The connection with the least to do; a new one where all have something to do and there may be more.
Result<std::shared_ptr<Connection>> Client::take(SteadyTime deadline) {
  const SteadyTime patience = std::min(deadline, std::chrono::steady_clock::now() + config_.pool_timeout);
  std::unique_lock lock(mutex_);
  for (;;) {
    if (closed_) return fail(ErrorCode::unavailable, "the Redis client is closed");
    const auto least = std::ranges::min_element(members_, {}, &Member::load);
    const bool room = members_.size() + opening_ < static_cast<std::size_t>(config_.pool_size);
    if (least != members_.end() && (least->load == 0 || (!room && least->load < kMostCalls))) {
      ++least->load;
      return least->connection;
    }
    if (room) break;
    if (changed_.wait_until(lock, patience) == std::cv_status::timeout) {
      return fail(ErrorCode::unavailable,
                  "no connection to Redis at " + endpoint_.where() +
                      " was free within pool_timeout; raise redis_config.pool_size",
                  true);
    }
  }
  ++opening_;
  lock.unlock();
  auto connection = own_connection(deadline);
  lock.lock();
  --opening_;
  changed_.notify_all();
  if (!connection) return connection;
  if (closed_) return fail(ErrorCode::unavailable, "the Redis client is closed");
  members_.push_back({.connection = *connection, .load = 1});
  return connection;
}

void Client::give_back(const std::shared_ptr<Connection>& connection) {
  const bool usable = connection->usable();
  const std::lock_guard lock(mutex_);
  const auto mine = std::ranges::find(members_, connection, &Member::connection);
  if (mine != members_.end()) {
    --mine->load;
    if (!usable) members_.erase(mine);
  }
  changed_.notify_one();
}

void Client::close() {
  std::vector<Member> members;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    members.swap(members_);
  }
  changed_.notify_all();
  for (const Member& member : members) member.connection->abort();
}

}  // namespace lrpc::queue::redis
