// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/sentinel.hpp"

#include <algorithm>
#include <utility>

namespace lrpc::queue::redis {
namespace {

/// How often somebody looks whether the master is still the same, and how long that may keep a call from its work.
constexpr auto kBetweenLooks = std::chrono::seconds(1);
constexpr Duration kLook = std::chrono::milliseconds(200);

/// One command on a connection of its own.
Result<Reply> ask_for(Connection& connection, const Pipeline& command, SteadyTime deadline) {
  Result<std::vector<Reply>> replies = connection.call(command, deadline);
  if (replies) return std::move(replies->front());
  // Nothing was changed by it.
  if (replies.error().code == ErrorCode::outcome_unknown) replies.error().code = ErrorCode::unavailable;
  return std::unexpected(std::move(replies.error()));
}

}  // namespace

Result<std::unique_ptr<Sentinels>> Sentinels::of(const SentinelConfig& config, const Endpoint& login) {
  if (config.addrs.empty()) {
    return fail(ErrorCode::invalid_config, "redis_config.sentinel.addrs: is empty, but sentinel.master is set");
  }
  std::vector<Endpoint> sentinels;
  for (const std::string& address : config.addrs) {
    Result<Endpoint> sentinel = parse_address(address, "sentinel.addrs");
    if (!sentinel) return std::unexpected(std::move(sentinel.error()));
    // A port that is not named is that of sentinels.
    if (address == sentinel->host || address == "[" + sentinel->host + "]") sentinel->port = "26379";
    sentinel->password = config.password;
    sentinel->db = Endpoint::kNoDatabase;
    sentinel->tls = login.tls;
    if (!login.named) sentinel->tls.server_name = sentinel->host;
    sentinels.push_back(std::move(*sentinel));
  }
  return std::unique_ptr<Sentinels>(new Sentinels(config.master, login, std::move(sentinels)));
}

std::string Sentinels::where() const {
  const std::lock_guard lock(mutex_);
  const std::string name = "master \"" + master_ + "\"";
  return known_ ? known_->where() + " (" + name + ")" : name;
}

Result<std::shared_ptr<Connection>> Sentinels::connect(Timeouts timeouts, SteadyTime deadline) {
  deadline = std::min(deadline, after(timeouts.dial));
  Result<Endpoint> master = find(timeouts, deadline);
  if (!master) return std::unexpected(std::move(master.error()));
  auto connection = connect_to(*master, timeouts, deadline);
  if (!connection) {
    // A sentinel that lost sight of the others may be wrong for long.
    distrust_first();
    return connection;
  }
  const std::lock_guard lock(mutex_);
  known_ = std::move(*master);
  return connection;
}

bool Sentinels::moved(Timeouts timeouts) {
  const auto now = std::chrono::steady_clock::now();
  const SteadyTime deadline = now + std::min(kLook, timeouts.dial);
  std::unique_lock lock(mutex_);
  if (!known_ || now < next_look_) return false;
  next_look_ = SteadyTime::max();  // until this look is over
  std::shared_ptr<Connection> watch = std::exchange(watch_, nullptr);
  const Endpoint sentinel = sentinels_.front();
  lock.unlock();
  if (!watch || !watch->usable()) watch = Connection::open(sentinel, timeouts, deadline).value_or(nullptr);
  const Result<std::optional<Endpoint>> named = watch ? ask(*watch, deadline) : std::nullopt;
  lock.lock();
  next_look_ = after(kBetweenLooks);
  if (named && *named) {
    watch_ = std::move(watch);
    return (**named).where() != known_->where();
  }
  // Another one next time.
  std::ranges::rotate(sentinels_, sentinels_.begin() + 1);
  return false;
}

void Sentinels::rest() {
  const std::lock_guard lock(mutex_);
  watch_.reset();
}

// Asks one after the other, each for no longer than its share of the time; the last share is the master's.
Result<Endpoint> Sentinels::find(const Timeouts& timeouts, SteadyTime deadline) {
  const std::vector<Endpoint> sentinels = this->sentinels();
  std::string answers;
  std::size_t left = sentinels.size() + 1;
  std::size_t strangers = 0;
  std::size_t refusals = 0;
  for (const Endpoint& sentinel : sentinels) {
    Result<std::optional<Endpoint>> master = ask(sentinel, timeouts, share_of(deadline, left--));
    if (master && *master) {
      prefer(sentinel);
      return std::move(**master);
    }
    if (master) ++strangers;
    if (!master && master.error().code == ErrorCode::permission) ++refusals;
    answers += (answers.empty() ? "" : "; ") + sentinel.where() + ": " +
               (master ? "does not know it" : master.error().message);
  }
  if (strangers == sentinels.size()) {
    return fail(ErrorCode::invalid_config,
                "redis_config.sentinel.master: no sentinel knows a master \"" + master_ + "\" (" + answers + ")");
  }
  if (refusals == sentinels.size()) {
    return fail(ErrorCode::permission, "redis_config.sentinel.password: the sentinels refuse it (" + answers + ")");
  }
  const std::lock_guard lock(mutex_);
  if (strangers == 0 && known_) return *known_;
  return fail(ErrorCode::unavailable,
              "redis_config.sentinel.addrs: no sentinel tells who is master \"" + master_ + "\" (" + answers + ")",
              true);
}

// Empty when it does not know the name.
Result<std::optional<Endpoint>> Sentinels::ask(const Endpoint& sentinel, const Timeouts& timeouts,
                                               SteadyTime deadline) const {
  auto connection = Connection::open(sentinel, timeouts, deadline);
  if (!connection) return std::unexpected(std::move(connection.error()));
  return ask(**connection, deadline);
}

Result<std::optional<Endpoint>> Sentinels::ask(Connection& sentinel, SteadyTime deadline) const {
  Pipeline command;
  command.add({"SENTINEL", "get-master-addr-by-name", master_});
  Result<Reply> reply = ask_for(sentinel, command, deadline);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->is_error()) return std::unexpected(error_of(reply->text(), "SENTINEL", sentinel.where()));
  if (reply->is_nil()) return std::nullopt;
  if (reply->size() != 2) return unexpected_reply("SENTINEL get-master-addr-by-name");
  return login_.at(std::string((*reply)[0].text()), std::string((*reply)[1].text()));
}

Result<std::shared_ptr<Connection>> Sentinels::connect_to(const Endpoint& master, const Timeouts& timeouts,
                                                          SteadyTime deadline) const {
  auto connection = Connection::open(master, timeouts, deadline);
  if (!connection) return connection;
  Pipeline command;
  command.add({"ROLE"});
  Result<Reply> role = ask_for(**connection, command, deadline);
  if (!role) return std::unexpected(std::move(role.error()));
  // A user without the right to ask does without: a replica shows at the first write.
  if (role->is_error() || (role->size() > 0 && (*role)[0].text() == "master")) return connection;
  return fail(ErrorCode::unavailable,
              "Redis at " + master.where() + " is not yet or no longer the master \"" + master_ + "\"", true);
}

std::vector<Endpoint> Sentinels::sentinels() const {
  const std::lock_guard lock(mutex_);
  return sentinels_;
}

void Sentinels::prefer(const Endpoint& sentinel) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(sentinels_, sentinel.where(), &Endpoint::where);
  if (found != sentinels_.end()) std::rotate(sentinels_.begin(), found, found + 1);
}

void Sentinels::distrust_first() {
  const std::lock_guard lock(mutex_);
  std::ranges::rotate(sentinels_, sentinels_.begin() + 1);
}

}  // namespace lrpc::queue::redis
