// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <lrpc/queue.hpp>

#include "account.hpp"
#include "figures.hpp"

/// \file
/// What the parts of a soak share.

namespace lrpc::queue::soak {

using SteadyClock = std::chrono::steady_clock;

[[nodiscard]] inline std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now().time_since_epoch()).count();
}

/// What travels.
struct Load {
  std::uint64_t number = 0;
  std::int64_t sent_us = 0;  ///< As now_us.
  std::string filler{};
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Load, number, sent_us, filler)

struct Plan {
  std::string backend{};
  std::chrono::milliseconds time{std::chrono::minutes(60)};
  std::int64_t rate = 300;  ///< Messages a second over all topics.
  std::filesystem::path folder = "soak";
  std::int64_t leak = 0;  ///< Bytes a message that are lost on purpose, to see the verdict.

  /// How often something is opened and closed, and dead letters are looked at.
  [[nodiscard]] Duration beat() const { return std::clamp<Duration>(time / 40, Duration(250), Duration(4'000)); }
};

/// The process that the back end runs in, if it has one.
class Server {
 public:
  Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  virtual ~Server() = default;
  /// How a queue gets to it.
  [[nodiscard]] virtual Config config() const { return {}; }
  /// In KiB.
  [[nodiscard]] virtual std::optional<std::int64_t> memory() { return std::nullopt; }
  /// What `memory` is; empty when there is none.
  [[nodiscard]] virtual std::string_view memory_is() const { return {}; }
  /// Whether it may not grow: a Java machine takes what it is given before it collects.
  [[nodiscard]] virtual bool judged() const { return true; }
  /// Whether queues that are open at the same time see the same topics.
  [[nodiscard]] virtual bool shared() const { return true; }
};
[[nodiscard]] std::unique_ptr<Server> start_server(const std::string& backend);
[[nodiscard]] std::unique_ptr<Server> start_redis();
[[nodiscard]] std::unique_ptr<Server> start_kafka();

/// Calls that failed. The first ones are written to a file.
class Trouble {
 public:
  explicit Trouble(const std::filesystem::path& folder);
  void error(std::string_view what, const Error& error);
  void error(std::string_view what);
  /// A line of the library's log.
  void log(LogLevel level, std::string_view line);
  [[nodiscard]] std::int64_t errors() const noexcept { return errors_; }
  [[nodiscard]] std::int64_t warnings() const noexcept { return warnings_; }

 private:
  void write(std::ofstream& file, std::int64_t number, std::string_view text);

  std::mutex mutex_;
  std::ofstream error_file_;
  std::ofstream log_file_;
  std::atomic<std::int64_t> errors_ = 0;
  std::atomic<std::int64_t> warnings_ = 0;
};

struct Counts {
  std::atomic<std::int64_t> published = 0;  ///< Messages.
  std::atomic<std::int64_t> handled = 0;    ///< Deliveries that were done.
  std::atomic<std::int64_t> lost_leases = 0;
  std::atomic<std::int64_t> requeued = 0;
  std::atomic<std::int64_t> purged = 0;
  std::atomic<std::int64_t> listed = 0;  ///< Dead letters.
  std::atomic<std::int64_t> guests = 0;  ///< What was opened and closed.
  // As the library counts.
  std::atomic<std::int64_t> dead = 0;
  std::atomic<std::int64_t> expired = 0;
  std::atomic<std::int64_t> dropped = 0;
};

/// Counts what the library says became of deliveries.
class Watcher final : public Observer {
 public:
  explicit Watcher(Counts& counts) : counts_(&counts) {}
  void settled(std::string_view topic, std::string_view channel, Outcome outcome, std::size_t messages) override;

 private:
  Counts* counts_;
};

/// A channel of the load.
struct Station {
  Station(std::string the_name, bool by_handler, const ChannelConfig& the_config, std::size_t room, bool keyed)
      : name(std::move(the_name)), subscribed(by_handler), config(the_config), book(room, keyed, keyed && by_handler) {}

  std::string name;
  bool subscribed;  ///< By a handler; else by `next_batch`.
  ChannelConfig config;
  Book book;
  std::optional<Channel<Load>> channel{};
};

/// A topic of the load.
struct Line {
  std::string name{};
  bool keyed = false;
  Accepted accepted;
  std::list<Station> stations{};
  std::optional<Topic<Load>> topic{};
};

/// Everything. The server comes first, as it ends last.
struct World {
  explicit World(Plan the_plan, Server& the_server);

  /// A further queue over the same back end (over memory: an empty one).
  [[nodiscard]] Result<Queue> another_queue(StartOffset offset = StartOffset::earliest);

  const Plan plan;
  Server& server;
  Trouble trouble;
  Counts counts;
  Meter publish_time;  ///< Of a call that waits for the outcome.
  Meter handle_time;   ///< From the publish to the handler, of messages that are not held back by a delay or a key.
  std::list<Line> lines{};
  std::optional<Queue> queue{};
  std::atomic<std::int64_t> depth = 0;  ///< Of all channels, as last seen.

 private:
  [[nodiscard]] Config config();
};

/// Sleeps; false when the stop was requested.
bool rest(Duration time, const std::stop_token& stop);

/// The value of a call without which there is no soak.
template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace lrpc::queue::soak
