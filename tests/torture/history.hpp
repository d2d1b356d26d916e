// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <lrpc/queue/error.hpp>

/// \file
/// What happened in a round, as all that took part wrote it down. Times are microseconds of one clock unless their
/// names say otherwise. A message is named by its token: "publisher:number", which is its body.

namespace lrpc::queue::torture {

/// What a publish said.
enum class Published : std::uint8_t {
  unknown,  ///< The outcome is unknown, or the publisher died before it learned it.
  accepted,
  refused,  ///< Certainly not stored.
};

/// What the consumer made of a delivery.
enum class Ending : std::uint8_t {
  none,        ///< It did not come to that.
  handled,     ///< Done; to be acked.
  retry,       ///< Failed, or sent back.
  retry_same,  ///< Sent back without counting the attempt.
  reject,      ///< Given up: to become a dead letter.
  abandoned,   ///< Never settled, on purpose.
};

/// What the queue answered to a settlement: an ack, a nack, a rejection.
enum class Answer : std::uint8_t {
  none,     ///< Nobody saw it: a subscription's own settlements have none, and who is killed learns none.
  ok,       ///< It is stored.
  refused,  ///< The delivery was not in flight there any more.
  unknown,  ///< The back end was not reached, or its answer not: stored or not.
  failed,   ///< Not stored, for any other reason.
};

/// To a settlement that was answered with this error.
[[nodiscard]] Answer answer_of(ErrorCode code) noexcept;

struct Intent {
  std::string publisher{};
  std::int64_t number = 0;
  std::string key{};
  std::int64_t due_tick_ms = 0;  ///< 0 = at once.
  std::int64_t expires_s = 0;    ///< 0 = never.
  bool ordered = true;           ///< Not delayed, and published one after the other.
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;  ///< 0 = not known.
  Published outcome = Published::unknown;
  std::string code{};
};

struct Delivered {
  std::string token{};
  std::string channel{};
  std::string consumer{};  ///< One life of one consumer: "c2.5" is the fifth of the second.
  std::int64_t number = 0;
  int attempts = 0;
  std::int64_t begin_us = 0;
  std::int64_t wall_ms = 0;
  std::int64_t tick_ms = 0;
  std::int64_t end_us = 0;
  Ending ending = Ending::none;
  Answer answer = Answer::none;
  std::string answer_code{};         ///< Of the error.
  std::int64_t settle_begin_us = 0;  ///< Of the call; 0 = none that was answered.
  std::int64_t settle_end_us = 0;
};

struct DeadLetterSeen {
  std::string token{};  ///< The body; empty when there was none.
  std::string channel{};
  std::string reason{};
  int attempts = 0;
  bool has_error = false;
  std::int64_t wall_ms = 0;  ///< When it was given up, by the queue.
};

/// What the nemesis did, and what it may be blamed for.
struct Fault {
  std::string name{};
  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  std::string target{};     ///< The life of a consumer that alone it concerns; empty = all.
  bool spreads = false;     ///< Though it has a target, what it does to deliveries may concern all: a group rebalances.
  bool redelivers = false;  ///< What was in flight may be handed out again.
  bool reorders = false;    ///< Messages may come late that nobody was seen to have been handed before.
  bool moves_clock = false;      ///< Due times and expiry may seem wrong.
  std::int64_t reach_ms = 0;     ///< How long after its end all that may still show.
  std::int64_t may_lose_ms = 0;  ///< What was accepted (or settled) at most that long before may be forgotten.
  bool lurks = false;  ///< Leaves lines that are found dead when they are next used, at any time, unless cut before.
  bool cuts = false;   ///< All lines that there were are closed when it ends, those that were dead included.
};

struct History {
  std::unordered_map<std::string, Intent> intents{};  ///< By token.
  std::vector<Delivered> deliveries{};
  std::vector<DeadLetterSeen> dead{};
  std::vector<Fault> faults{};
  std::unordered_map<std::string, std::int64_t> lives{};   ///< When each life of a process began, if it said so.
  std::unordered_map<std::string, std::int64_t> depths{};  ///< At the end, by channel.
  std::int64_t end_wall_ms = 0;                            ///< The machine's wall clock then.
};

/// The parts of a token.
struct TokenParts {
  std::string publisher{};
  std::int64_t number = 0;
};
[[nodiscard]] std::string token_of(const std::string& publisher, std::int64_t number);
[[nodiscard]] TokenParts parts_of(const std::string& token);

}  // namespace lrpc::queue::torture
