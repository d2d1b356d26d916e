// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

/// \file
/// What is to become of each message, and what became of it, in memory of a size known from the start: what the soak
/// itself keeps must not look like a leak.

namespace lrpc::queue::soak {

/// What a message is for; its number decides.
enum class Kind : std::uint8_t {
  plain,
  flaky,     ///< Fails at its first delivery.
  doomed,    ///< Fails until it is a dead letter; done when that is requeued.
  rejected,  ///< Dead-lettered at its first delivery; done when that is requeued.
  expiring,  ///< Lives a second, and is sent back for longer at its first delivery.
  delayed,   ///< Published for later.
};
/// `keyed`: of a topic whose messages wait for the earlier ones of their key, where delays would pile up.
[[nodiscard]] Kind kind_of(std::uint64_t number, bool keyed);

/// What a consumer makes of a delivery.
enum class Doing : std::uint8_t { ack, retry, retry_same, fail, retry_late, reject };

inline constexpr int kMaxRetries = 2;
inline constexpr std::size_t kKeys = 16;
[[nodiscard]] inline std::size_t key_of(std::uint64_t number) { return number % kKeys; }

/// What became of the messages of one channel.
struct Tally {
  std::int64_t accepted = 0;  ///< Messages whose publish succeeded.
  std::int64_t handled = 0;   ///< Of these.
  std::int64_t dead = 0;      ///< Not handled, given up by a consumer.
  std::int64_t unseen = 0;    ///< Neither, of a kind that expires: the back end must have counted as many.
  std::int64_t missing = 0;   ///< Neither, of any other kind.

  Tally& operator+=(const Tally& other);
};

/// The messages of one topic that were accepted.
class Accepted {
 public:
  explicit Accepted(std::size_t room) : flags_(room) {}
  [[nodiscard]] std::size_t room() const noexcept { return flags_.size(); }
  void note(std::uint64_t number) noexcept { flags_[number].store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool has(std::uint64_t number) const noexcept { return flags_[number].load(std::memory_order_relaxed); }

 private:
  std::vector<std::atomic<bool>> flags_;
};

/// The messages of one channel. Safe from many threads.
class Book {
 public:
  /// `ordered`: messages of a key are to be done in their order; so it is promised of a subscription (D5, D8).
  Book(std::size_t room, bool keyed, bool ordered) : keyed_(keyed), ordered_(ordered), marks_(room) {}

  /// What to do with this delivery; notes that there was one, and whether the message is given up with it.
  [[nodiscard]] Doing decide(std::uint64_t number, int attempts);
  /// A delivery of it was settled as done.
  void handled(std::uint64_t number);

  [[nodiscard]] Tally tally(const Accepted& accepted) const;
  /// Deliveries that were done again.
  [[nodiscard]] std::int64_t repeated() const noexcept { return repeated_; }
  /// Messages that were done before an earlier one of their key; those that go round by the dead letters do not count.
  [[nodiscard]] std::int64_t out_of_order() const noexcept { return out_of_order_; }

 private:
  static constexpr std::uint8_t kSeen = 1;
  static constexpr std::uint8_t kHandled = 2;
  static constexpr std::uint8_t kGivenUp = 4;

  void check_order(std::uint64_t number);

  bool keyed_;
  bool ordered_;
  std::vector<std::atomic<std::uint8_t>> marks_;
  /// One more than the newest that was done.
  std::array<std::atomic<std::uint64_t>, kKeys> newest_{};
  std::atomic<std::int64_t> repeated_ = 0;
  std::atomic<std::int64_t> out_of_order_ = 0;
};

}  // namespace lrpc::queue::soak
