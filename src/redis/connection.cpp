// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/connection.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace lrpc::queue::redis {
SteadyTime share_of(SteadyTime deadline, std::size_t parties) {
  const auto now = std::chrono::steady_clock::now();
  return now + (deadline - now) / static_cast<std::int64_t>(parties);
}

Result<std::shared_ptr<Connection>> Connection::open(const Endpoint& endpoint, const Timeouts& timeouts,
                                                     SteadyTime deadline) {
  deadline = std::min(deadline, after(timeouts.dial));
  Result<std::unique_ptr<Socket>> socket = Socket::connect(endpoint, deadline);
  if (!socket) return std::unexpected(std::move(socket.error()));
  std::shared_ptr<Connection> connection(new Connection(std::move(*socket), timeouts, endpoint.where()));
  if (auto ok = connection->log_in(endpoint, deadline); !ok) return std::unexpected(std::move(ok.error()));
  return connection;
}

Result<void> Connection::log_in(const Endpoint& endpoint, SteadyTime deadline) {
  Pipeline commands;
  std::vector<std::string_view> names;
  if (!endpoint.password.empty()) {
    if (endpoint.username.empty()) {
      commands.add({"AUTH", endpoint.password});
    } else {
      commands.add({"AUTH", endpoint.username, endpoint.password});
    }
    names.emplace_back("AUTH");
  }
  if (endpoint.db == Endpoint::kNoDatabase) {
    commands.add({"PING"});
  } else {
    commands.begin(2).arg("SELECT").arg(endpoint.db);
  }
  names.emplace_back(endpoint.db == Endpoint::kNoDatabase ? "PING" : "SELECT");
  // For the operator who looks at CLIENT LIST; a user without the right to it does without.
  commands.add({"CLIENT", "SETNAME", "lrpc-queue"});
  Result<std::vector<Reply>> replies = call(commands, deadline);
  if (!replies) {
    Error& error = replies.error();
    // Nothing was changed by it: simply not connected.
    if (error.code == ErrorCode::outcome_unknown) error.code = ErrorCode::unavailable;
    return std::unexpected(std::move(error));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!(*replies)[i].is_error()) continue;
    Error error = error_of((*replies)[i].text(), names[i], where_);
    if (error.code == ErrorCode::backend) error.code = ErrorCode::invalid_config;
    return std::unexpected(std::move(error));
  }
  return {};
}

Result<std::vector<Reply>> Connection::call(const Pipeline& commands, SteadyTime deadline) {
  Call mine{.wanted = commands.commands()};
  mine.replies.reserve(mine.wanted);
  std::unique_lock lock(mutex_);
  if (broken_) {
    Error error = *broken_;
    error.code = ErrorCode::unavailable;  // these commands were not sent
    return std::unexpected(std::move(error));
  }
  const auto now = std::chrono::steady_clock::now();
  if (now >= deadline) {
    return fail(ErrorCode::timeout, "the call's time-out passed before Redis at " + where_ + " was asked", true);
  }
  if (places_.empty()) heard_ = now;
  enqueue(lock, mine, commands);
  for (bool first = true; !mine.done() && (first || std::chrono::steady_clock::now() < deadline); first = false) {
    if (!reading_) {
      receive(lock, deadline, /*patient=*/false, -1);
    } else if (deadline == SteadyTime::max()) {
      mine.changed.wait(lock);
    } else {
      mine.changed.wait_until(lock, deadline);
    }
  }
  if (!mine.done()) {
    // The replies will come, but to nobody.
    std::ranges::find(places_, &mine, &Place::call)->call = nullptr;
    // Also where they are still to be sent: they will be.
    mine.error = Error{.code = ErrorCode::outcome_unknown,
                       .message = "Redis at " + where_ + " did not answer before the call's time-out",
                       .retryable = true};
  }
  if (!reading_) pass_on_reading();
  if (mine.error) return std::unexpected(std::move(*mine.error));
  return std::move(mine.replies);
}

void Connection::enqueue(std::unique_lock<std::mutex>& lock, Call& call, const Pipeline& commands) {
  places_.push_back({.call = &call, .missing = call.wanted});
  if (!writing_) {
    call.sent = true;
    send(lock, commands.bytes());
    return;
  }
  outbox_.append(commands.bytes());
  ++outbox_calls_;
}

void Connection::post(Call& call, const Pipeline& commands) {
  std::unique_lock lock(mutex_);
  call.wanted = call.endless ? std::numeric_limits<std::size_t>::max() : commands.commands();
  if (broken_) {
    call.error = *broken_;
    call.error->code = ErrorCode::unavailable;
    return;
  }
  enqueue(lock, call, commands);
}

bool Connection::await(Call& call, SteadyTime deadline, int wake) {
  std::unique_lock lock(mutex_);
  bool woken = false;
  while (!call.done() && !woken && std::chrono::steady_clock::now() < deadline) {
    woken = !receive(lock, deadline, /*patient=*/true, wake);
  }
  return call.done();
}

void Connection::send(const Pipeline& commands) {
  std::unique_lock lock(mutex_);
  if (writing_) {
    outbox_.append(commands.bytes());
  } else {
    send(lock, commands.bytes());
  }
}

// Writes `bytes`, then what has gathered meanwhile, for all who left it here.
void Connection::send(std::unique_lock<std::mutex>& lock, std::string_view bytes) {
  writing_ = true;
  std::string batch;
  for (;;) {
    lock.unlock();
    std::size_t written = 0;
    Result<void> result = socket_->write(bytes, after(timeouts_.write), written);
    lock.lock();
    if (!result) fail_all(result.error());
    if (outbox_.empty() || broken_) break;
    batch.clear();
    std::swap(batch, outbox_);
    bytes = batch;
    for (auto it = places_.end() - static_cast<std::ptrdiff_t>(std::exchange(outbox_calls_, 0)); it != places_.end();
         ++it) {
      if (it->call != nullptr) it->call->sent = true;
    }
  }
  writing_ = false;
}

// Reads once, for all; false when somebody ended the wait.
bool Connection::receive(std::unique_lock<std::mutex>& lock, SteadyTime deadline, bool patient, int wake) {
  reading_ = true;
  const SteadyTime silent = patient ? SteadyTime::max() : heard_ + timeouts_.read;
  lock.unlock();
  std::array<char, 16'384> buffer;
  const Result<std::size_t> got = socket_->read(buffer, std::min(deadline, silent), wake);
  lock.lock();
  reading_ = false;
  if (got) {
    heard_ = std::chrono::steady_clock::now();
    take_in({buffer.data(), *got});
  } else if (got.error().code == ErrorCode::cancelled) {
    return false;
  } else if (got.error().code != ErrorCode::timeout || silent <= deadline) {
    fail_all(got.error());
  }
  return true;
}

// Hands the replies in `bytes` to the calls they belong to.
void Connection::take_in(std::string_view bytes) {
  if (auto fed = reader_.feed(bytes); !fed) {
    fail_all(fed.error());
    return;
  }
  for (;;) {
    Result<std::optional<Reply>> next = reader_.next();
    if (!next || (*next && places_.empty())) {
      Error why = next ? Error{.code = ErrorCode::backend, .message = "a reply to nothing"} : std::move(next.error());
      why.message = "Redis at " + where_ + ": " + why.message;
      fail_all(why);
      return;
    }
    if (!*next) return;
    Place& place = places_.front();
    if (place.call != nullptr) place.call->replies.push_back(std::move(**next));
    if (--place.missing > 0) continue;
    if (place.call != nullptr) place.call->changed.notify_one();
    places_.pop_front();
  }
}

// Somebody must read as long as somebody waits.
void Connection::pass_on_reading() {
  const auto next = std::ranges::find_if(places_, [](const Place& place) { return place.call != nullptr; });
  if (next != places_.end()) next->call->changed.notify_one();
}

void Connection::fail_all(const Error& why) {
  if (!broken_) {
    broken_ = why;
    broken_->retryable = true;
    socket_->shut_down();
  }
  for (const Place& place : std::exchange(places_, {})) {
    if (place.call == nullptr) continue;
    place.call->error = *broken_;
    place.call->error->code = place.call->sent ? ErrorCode::outcome_unknown : ErrorCode::unavailable;
    place.call->changed.notify_one();
  }
  outbox_.clear();
  outbox_calls_ = 0;
}

void Connection::abort() noexcept { socket_->shut_down(); }

bool Connection::dropped() {
  const std::lock_guard lock(mutex_);
  if (broken_) return true;
  if (!places_.empty() || writing_ || reading_ || !socket_->ended()) return false;
  fail_all({.code = ErrorCode::unavailable, .message = "Redis at " + where_ + " has closed a resting connection"});
  return true;
}

bool Connection::usable() const {
  const std::lock_guard lock(mutex_);
  return !broken_;
}

std::size_t Connection::load() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

}  // namespace lrpc::queue::redis
