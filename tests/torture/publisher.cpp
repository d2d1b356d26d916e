// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <thread>
#include <utility>
#include <vector>

#include "workload.hpp"

namespace lrpc::queue::torture {
namespace {

/// What an error of a publish says about the message.
Published outcome_of(const Error& error) {
  const bool open = error.code == ErrorCode::outcome_unknown || error.code == ErrorCode::timeout;
  return open ? Published::unknown : Published::refused;
}

std::string body_of(const std::string& token, Random& random) {
  return token + "|" + std::string(static_cast<std::size_t>(between(random, 0, 200)), 'x');
}

}  // namespace

struct Publisher::Shape {
  std::string key{};
  std::optional<Duration> delay{};
  std::optional<Duration> expires{};
};

std::string Publisher::next_token() { return token_of(part_.name, number_++); }

Publisher::Shape Publisher::shape() {
  Shape shape;
  if (chance(random_, 30)) shape.key = part_.name + ".k" + std::to_string(between(random_, 0, 9));
  if (chance(random_, 6)) shape.delay = Duration(between(random_, 50, 3'000));
  // One that waits for its due time does not expire before.
  if (chance(random_, 6)) shape.expires = shape.delay.value_or(Duration(0)) + Duration(between(random_, 1'000, 4'000));
  return shape;
}

// Writes the intent of a new message.
std::string Publisher::note(const Shape& shape, bool ordered) {
  std::string token = next_token();
  const Reading now = part_.now();
  const std::int64_t due = shape.delay ? now.tick_ms + shape.delay->count() : 0;
  // The clock that the queue reads may lag a little (Clock::coarse): the earliest second that this can be.
  constexpr std::int64_t kLagMs = 10;
  const std::int64_t expires = shape.expires ? (now.wall_ms - kLagMs + shape.expires->count() + 999) / 1000 : 0;
  part_.ledger.intent(token, shape.key, due, expires, ordered && !shape.delay, now);
  return token;
}

void Publisher::publish_one(Topic<std::string>& topic) {
  const Shape what = shape();
  const std::string token = note(what, true);
  const auto id = topic.pub(body_of(token, random_), {.delay = what.delay, .key = what.key, .expires = what.expires});
  part_.ledger.outcome(token, id ? Published::accepted : outcome_of(id.error()), id ? "" : to_string(id.error().code));
}

void Publisher::publish_batch(Topic<std::string>& topic) {
  Shape what = shape();
  std::vector<Message<std::string>> messages;
  std::vector<std::string> tokens;
  for (std::int64_t left = between(random_, 2, 8); left > 0; --left) {
    tokens.push_back(note(what, true));
    messages.push_back(Message<std::string>::with_id(tokens.back(), body_of(tokens.back(), random_)));
  }
  const auto ids =
      topic.pub_msg_batch(std::move(messages), {.delay = what.delay, .key = what.key, .expires = what.expires});
  for (const std::string& token : tokens) {
    const bool accepted = ids || std::ranges::find(ids.error().accepted, token) != ids.error().accepted.end();
    part_.ledger.outcome(token, accepted ? Published::accepted : outcome_of(ids.error()),
                         ids ? "" : to_string(ids.error().code));
  }
}

void Publisher::publish_async(Topic<std::string>& topic) {
  for (std::int64_t left = between(random_, 1, 5); left > 0; --left) {
    const Shape what = shape();
    const std::string token = note(what, false);
    const auto taken =
        topic.pub_async(body_of(token, random_), {.delay = what.delay, .key = what.key, .expires = what.expires},
                        [&ledger = part_.ledger, token](Result<std::string> id) {
                          ledger.outcome(token, id ? Published::accepted : outcome_of(id.error()),
                                         id ? "" : to_string(id.error().code));
                        });
    if (!taken) part_.ledger.outcome(token, Published::refused, to_string(taken.error().code));
  }
}

void Publisher::run(const std::function<Result<Topic<std::string>>()>& topic, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto opened = topic();
    if (!opened) {
      std::this_thread::sleep_for(Duration(20));
      continue;
    }
    const std::int64_t kind = between(random_, 0, 99);
    if (kind < 88) {
      publish_one(*opened);
    } else if (kind < 94) {
      publish_batch(*opened);
    } else {
      publish_async(*opened);
    }
    std::this_thread::sleep_for(Duration(between(random_, 0, 50)));
  }
  // Callbacks use the ledger.
  if (auto opened = topic()) static_cast<void>(opened->flush(std::chrono::seconds(30)));
}

}  // namespace lrpc::queue::torture
