// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <stop_token>
#include <string>

#include <lrpc/queue.hpp>

#include "checker.hpp"
#include "ledger.hpp"

/// \file
/// What producers and consumers do in a round, as threads or as processes: by the public API alone, and by the book.

namespace lrpc::queue::torture {

using Random = std::mt19937_64;

/// Evenly from a to b.
[[nodiscard]] std::int64_t between(Random& random, std::int64_t a, std::int64_t b);
[[nodiscard]] bool chance(Random& random, int percent);

inline constexpr const char* kTopic = "torture";
inline constexpr const char* kWork = "work";  ///< Consumed by subscriptions.
inline constexpr const char* kPull = "pull";  ///< Consumed by `next`.
inline constexpr int kMaxRetries = 4;

/// How a round is set up, the same for all that take part.
struct Setup {
  Duration lease{2'000};
  Duration close_timeout{1'000};
  /// Due times go by the wall clock; otherwise by the clock's ticks.
  bool dues_by_wall = true;
  /// Each process has a wall clock of its own, which the nemesis moves.
  bool own_clocks = false;
};

[[nodiscard]] ChannelConfig channel_config(const std::string& channel, const Setup& setup);
[[nodiscard]] Rules rules_of(const Setup& setup);

/// Who takes part: its name is one life of it, its clock that of the queue.
struct Part {
  std::string name{};
  std::uint64_t seed = 0;
  Setup setup{};
  Ledger& ledger;
  std::shared_ptr<Clock> clock = system_clock();

  [[nodiscard]] Reading now() const;
};

/// Publishes until it is stopped: alone, in batches, in the background; with keys, delays and expiry.
class Publisher {
 public:
  explicit Publisher(Part part) : part_(std::move(part)), random_(part_.seed) {}
  /// What is under way at the stop is finished.
  void run(const std::function<Result<Topic<std::string>>()>& topic, const std::stop_token& stop);

 private:
  struct Shape;
  void publish_one(Topic<std::string>& topic);
  void publish_batch(Topic<std::string>& topic);
  void publish_async(Topic<std::string>& topic);
  std::string next_token();
  Shape shape();
  std::string note(const Shape& shape, bool ordered);

  Part part_;
  Random random_;
  std::int64_t number_ = 0;
};

/// What a consumer makes of each delivery: mostly ack; some slowly, some sent back, thrown, given up.
class Worker {
 public:
  /// `failing`, if any: while true all that a handler is given fails.
  Worker(Part part, std::string channel, const std::atomic<bool>* failing = nullptr);

  /// A handler of a subscription.
  Result<ProcessRsp> handle(const Message<std::string>& message);
  /// Takes and settles messages by `next` until it is stopped or the channel says that it is closed. While `stalled` is
  /// above 0 it rests for so many milliseconds at once with what it has, `forget` makes it settle nothing of it.
  void pull(Channel<std::string>& channel, const std::stop_token& stop, std::atomic<std::int64_t>* stalled = nullptr,
            std::atomic<bool>* forget = nullptr);

 private:
  enum class Doing : std::uint8_t { ack, slow_ack, retry, retry_same, retry_later, fail, reject, abandon };
  std::int64_t note(const Message<std::string>& message, std::string& token);
  Doing decide(std::int64_t number, const std::string& token, Random& random) const;
  void settle(Channel<std::string>& channel, const Message<std::string>& message, std::int64_t number, Doing doing,
              Random& random);
  void ack(Channel<std::string>& channel, std::span<const Message<std::string>> messages,
           std::span<const std::int64_t> numbers);
  void note_answer(const Result<void>& done, const std::string& id, std::int64_t number, std::int64_t began_us);

  Part part_;
  std::string channel_;
  const std::atomic<bool>* failing_;
  std::atomic<std::int64_t> number_ = 0;
};

/// Writes the dead letters and the depth of all channels, and the machine's time; false when the back end does not
/// tell.
[[nodiscard]] bool note_the_end(Topic<std::string>& topic, const Setup& setup, Ledger& ledger);
/// Ready + in flight + delayed of all channels; -1 when the back end does not tell.
[[nodiscard]] std::int64_t depth_of_all(Topic<std::string>& topic, const Setup& setup);

}  // namespace lrpc::queue::torture
