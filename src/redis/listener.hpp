// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "redis/router.hpp"
#include "redis/waker.hpp"

namespace lrpc::queue::redis {

/// What a channel wants to hear.
class Ears {
 public:
  Ears() = default;
  Ears(const Ears&) = delete;
  Ears& operator=(const Ears&) = delete;
  virtual ~Ears() = default;
  /// Somebody said that there is something to look for. Never blocks.
  virtual void heard() noexcept = 0;
  /// Whether `tick` is wanted, some times a second; who changes its mind wakes the listener.
  [[nodiscard]] virtual bool wants_tick() const = 0;
  virtual void tick() = 0;
};

/// One thread of a queue that hears what scripts publish to channels: a message that is due earlier than those who wait
/// know, one that was given back, a channel that was deleted. What it misses while its connection is down costs time,
/// not messages: consumers look by themselves now and then. Its thread begins with the first channel.
/// Lock order: its own is innermost; it calls Ears without it.
class Listener {
 public:
  /// A line on which nothing is heard for this long is asked for a sign of life, and for twice as long given up: nobody
  /// else would tell that it is dead, when it was not closed.
  static constexpr Duration kSilence = std::chrono::seconds(15);
  explicit Listener(std::shared_ptr<Router> router, Duration silence = kSilence)
      : router_(std::move(router)), silence_(silence) {}
  ~Listener() { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Hears `name` (a channel's stream) for `ears` from now on, soon after this returns.
  void add(const std::string& name, const std::shared_ptr<Ears>& ears);
  void remove(const std::string& name, const Ears* ears);
  /// Somebody wants ticks from now on.
  void wake() const noexcept { waker_.wake(); }
  void stop();

 private:
  using Ring = std::multimap<std::string, std::weak_ptr<Ears>, std::less<>>;

  void run(const std::stop_token& stop);
  bool connect(Connection::Call& call);
  void hear(Connection::Call& call);
  void tell(std::string_view name);  // "" = all
  void tick();
  [[nodiscard]] bool anybody_wants_tick();
  [[nodiscard]] std::vector<std::shared_ptr<Ears>> find(std::string_view name);

  const std::shared_ptr<Router> router_;
  const Duration silence_;
  Waker waker_;
  std::mutex mutex_;
  Ring ring_;                         // guarded by mutex_
  Pipeline changes_;                  // guarded by mutex_: to be sent
  std::shared_ptr<Connection> line_;  // of the thread
  std::jthread thread_;               // guarded by mutex_ until stop
};

}  // namespace lrpc::queue::redis
