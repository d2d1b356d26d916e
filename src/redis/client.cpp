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

/// Whether the replies say that nothing was done, or not all of what may be done again.
bool refused(const std::vector<Reply>& replies, Repeat repeat) {
  const auto refusals = static_cast<std::size_t>(std::ranges::count_if(replies, is_refusal));
  return refusals > 0 && (refusals == replies.size() || repeat == Repeat::safe);
}

}  // namespace

// As go-redis does.
Duration pause_before(int tries) {
  const double ms = (8 << std::clamp(tries - 1, 0, 6)) * (0.5 + detail::random_unit());
  return Duration(static_cast<std::int64_t>(ms));
}

Client::Client(const RedisConfig& config, Endpoint endpoint, std::unique_ptr<Sentinels> sentinels)
    : config_(config), endpoint_(std::move(endpoint)), sentinels_(std::move(sentinels)) {
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
  std::unique_ptr<Sentinels> sentinels;
  if (!config.sentinel.master.empty()) {
    auto made = Sentinels::of(config.sentinel, *endpoint);
    if (!made) return std::unexpected(std::move(made.error()));
    sentinels = std::move(*made);
  }
  std::shared_ptr<Client> client(new Client(config, std::move(*endpoint), std::move(sentinels)));
  const int wanted = std::clamp(config.min_idle_conns, 1, config.pool_size);
  for (int i = 0; i < wanted; ++i) {
    auto connection = client->own_connection(SteadyTime::max());
    if (!connection) return std::unexpected(std::move(connection.error()));
    client->members_.push_back({.connection = std::move(*connection)});
  }
  return client;
}

std::shared_ptr<Client> Client::to(const RedisConfig& config, Endpoint endpoint) {
  return std::shared_ptr<Client>(new Client(config, std::move(endpoint), nullptr));
}

Result<std::shared_ptr<Connection>> Client::own_connection(SteadyTime deadline) {
  if (sentinels_) return sentinels_->connect(timeouts(), deadline);
  return Connection::open(endpoint_, timeouts(), deadline);
}

Result<std::vector<Reply>> Client::call(const Pipeline& commands, SteadyTime deadline, Repeat repeat) {
  for (int tries = 1;; ++tries) {
    Result<std::vector<Reply>> replies = call_once(commands, deadline);
    const bool again = replies ? refused(*replies, repeat) : may_repeat(replies.error(), repeat);
    if (!again) return replies;
    const SteadyTime next = after(pause_before(tries));
    if (tries > config_.max_retries || next >= deadline) return replies;
    std::unique_lock lock(mutex_);
    if (changed_.wait_until(lock, next, [this] { return closed_; })) return replies;
  }
}

Result<std::vector<Reply>> Client::call_once(const Pipeline& commands, SteadyTime deadline) {
  if (sentinels_) follow_master();
  auto connection = take(deadline);
  // Servers close connections that rest (timeout, CLIENT KILL), and balancers do.
  while (connection && (*connection)->dropped()) {
    give_back(*connection, false);
    connection = take(deadline);
  }
  if (!connection) return std::unexpected(std::move(connection.error()));
  auto replies = (*connection)->call(commands, deadline);
  give_back(*connection, replies && std::ranges::any_of(*replies, is_refusal));
  return replies;
}

// Calls under way end where they are.
void Client::follow_master() {
  if (!sentinels_->moved(timeouts())) return;
  std::vector<Member> members;
  const std::lock_guard lock(mutex_);
  members.swap(members_);
  changed_.notify_all();
}

// The connection with the least to do; a new one where all have something to do and there may be more.
Result<std::shared_ptr<Connection>> Client::take(SteadyTime deadline) {
  const SteadyTime patience = std::min(deadline, after(config_.pool_timeout));
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
      return fail(
          ErrorCode::unavailable,
          "no connection to Redis at " + where() + " was free within pool_timeout; raise redis_config.pool_size", true);
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
  // The sentinels may name another master by now.
  if (sentinels_) {
    std::erase_if(members_, [&](const Member& each) { return each.connection->where() != (*connection)->where(); });
  }
  members_.push_back({.connection = *connection, .load = 1});
  return connection;
}

// Where one connection is lost the others that rest are likely so, too, without having noticed; and who is refused by a
// server that is no longer in charge would be so by all connections to it.
void Client::give_back(const std::shared_ptr<Connection>& connection, bool refused) {
  const bool usable = connection->usable();
  const std::lock_guard lock(mutex_);
  const auto mine = std::ranges::find(members_, connection, &Member::connection);
  if (mine != members_.end()) --mine->load;
  if (usable && !refused) {
    changed_.notify_one();
    return;
  }
  std::erase_if(members_, [&](const Member& each) {
    return each.connection == connection || (!usable && each.load == 0) ||
           (refused && each.connection->where() == connection->where());
  });
  changed_.notify_all();
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
  if (sentinels_) sentinels_->rest();
}

}  // namespace lrpc::queue::redis
