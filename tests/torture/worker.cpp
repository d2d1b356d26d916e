// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "own_clock.hpp"
#include "workload.hpp"

namespace lrpc::queue::torture {
namespace {

/// Of a message that fails whenever it is handled, and so becomes a dead letter.
bool is_doomed(const std::string& token) { return std::hash<std::string>{}(token) % 60 == 0; }

}  // namespace

std::int64_t between(Random& random, std::int64_t a, std::int64_t b) {
  return std::uniform_int_distribution<std::int64_t>(a, b)(random);
}
bool chance(Random& random, int percent) { return between(random, 1, 100) <= percent; }

Reading Part::now() const {
  const Instant instant = clock->now();
  return {.at_us = machine_us(),
          .wall_ms = instant.wall_ms,
          .tick_ms = setup.dues_by_wall ? instant.wall_ms : instant.tick_ms};
}

ChannelConfig channel_config(const std::string& channel, const Setup& setup) {
  return {.max_retries = kMaxRetries,
          .retry_delay = Duration(100),
          .max_in_flight = 8,
          .ack_timeout = setup.lease,
          .backoff = Backoff{.multiplier = 2, .max_delay = Duration(1'000), .jitter = true},
          .close_timeout = setup.close_timeout,
          .dead_letter_expired = channel == kWork,
          .dead_letter_limit = 1'000'000};
}

Rules rules_of(const Setup& setup) {
  return {.channels = {{.name = kWork, .subscribed = true, .expired_become_dead = true},
                       {.name = kPull, .subscribed = false}},
          .max_retries = kMaxRetries,
          .own_clocks_ms = setup.own_clocks ? kFarthestClockMs : 0,
          .lease_ms = setup.lease.count()};
}

Worker::Worker(Part part, std::string channel, const std::atomic<bool>* failing)
    : part_(std::move(part)), channel_(std::move(channel)), failing_(failing) {}

std::int64_t Worker::note(const Message<std::string>& message, std::string& token) {
  const std::int64_t number = number_++;
  token = message.body().substr(0, message.body().find('|'));
  part_.ledger.delivered(part_.name, number, token, channel_, message.attempts(), part_.now());
  return number;
}

Worker::Doing Worker::decide(std::int64_t /*number*/, const std::string& token, Random& random) const {
  if (failing_ != nullptr && *failing_) return Doing::fail;
  if (is_doomed(token)) return Doing::fail;
  const std::int64_t kind = between(random, 0, 999);
  if (kind < 60) return Doing::slow_ack;
  if (kind < 110) return Doing::retry;
  if (kind < 130) return Doing::retry_same;
  if (kind < 160) return Doing::retry_later;
  if (kind < 190) return Doing::fail;
  if (kind < 205) return Doing::reject;
  if (kind < 213) return Doing::abandon;
  return Doing::ack;
}

Result<ProcessRsp> Worker::handle(const Message<std::string>& message) {
  std::string token;
  const std::int64_t number = note(message, token);
  Random random(part_.seed * 1'000'003 + static_cast<std::uint64_t>(number));
  const auto end = [&](Ending ending) { part_.ledger.ended(part_.name, number, ending); };
  switch (decide(number, token, random)) {
    case Doing::slow_ack:
      // Some much longer than the lease, which is renewed meanwhile (D9).
      std::this_thread::sleep_for(chance(random, 8) ? part_.setup.lease * 3 / 2 : Duration(between(random, 5, 150)));
      break;
    case Doing::retry:
      end(Ending::retry);
      return ProcessRsp{.retry = true, .reason = "once more"};
    case Doing::retry_same:
      end(Ending::retry_same);
      return ProcessRsp{.retry = true, .skip_attempts = true};
    case Doing::retry_later:
      end(Ending::retry);
      return ProcessRsp{.retry_after = Duration(between(random, 0, 400)), .reason = "later"};
    case Doing::fail:
      end(Ending::retry);
      if (chance(random, 50)) throw std::runtime_error("cannot handle " + token);
      return fail(ErrorCode::backend, "cannot handle " + token);
    case Doing::reject:
      end(Ending::reject);
      return ProcessRsp{.dead_letter = true, .reason = "not wanted"};
    case Doing::ack:
    case Doing::abandon:
      break;
  }
  end(Ending::handled);
  return ProcessRsp{};
}

void Worker::ack(Channel<std::string>& channel, std::span<const Message<std::string>> messages,
                 std::span<const std::int64_t> numbers) {
  if (messages.empty()) return;
  for (const std::int64_t number : numbers) part_.ledger.ended(part_.name, number, Ending::handled);
  const std::int64_t began = machine_us();
  const auto done = messages.size() == 1 ? channel.ack(messages.front()) : channel.ack(messages);
  for (std::size_t i = 0; i < messages.size(); ++i) note_answer(done, messages[i].id(), numbers[i], began);
}

void Worker::note_answer(const Result<void>& done, const std::string& id, std::int64_t number, std::int64_t began_us) {
  if (done || std::ranges::find(done.error().accepted, id) != done.error().accepted.end()) {
    return part_.ledger.settled(part_.name, number, Answer::ok, {}, began_us);
  }
  part_.ledger.settled(part_.name, number, answer_of(done.error().code), to_string(done.error().code), began_us);
}

void Worker::settle(Channel<std::string>& channel, const Message<std::string>& message, std::int64_t number,
                    Doing doing, Random& random) {
  const auto end = [&](Ending ending) { part_.ledger.ended(part_.name, number, ending); };
  NackOptions nack;
  switch (doing) {
    case Doing::ack:
      return ack(channel, {&message, 1}, {&number, 1});
    case Doing::slow_ack:
      std::this_thread::sleep_for(Duration(between(random, 1, 20)));
      static_cast<void>(channel.touch(message));
      return ack(channel, {&message, 1}, {&number, 1});
    case Doing::abandon:
      return end(Ending::abandoned);
    case Doing::reject:
      end(Ending::reject);
      nack = {.reason = "not wanted", .dead_letter = true};
      break;
    case Doing::retry_same:
      end(Ending::retry_same);
      nack = {.skip_attempts = true};
      break;
    case Doing::retry_later:
      end(Ending::retry);
      nack = {.delay = Duration(between(random, 0, 400)), .reason = "later"};
      break;
    case Doing::retry:
    case Doing::fail:
      end(Ending::retry);
      nack = {.reason = "once more"};
      break;
  }
  // What the queue cannot take is handed out again when its lease ends.
  const std::int64_t began = machine_us();
  const auto done = channel.nack(message, nack);
  note_answer(done, message.id(), number, began);
}

void Worker::pull(Channel<std::string>& channel, const std::stop_token& stop, std::atomic<std::int64_t>* stalled,
                  std::atomic<bool>* forget) {
  Random random(part_.seed);
  while (!stop.stop_requested()) {
    const auto got = channel.next_batch(static_cast<std::size_t>(between(random, 1, 12)), Duration(200));
    if (!got) {
      const ErrorCode code = got.error().code;
      if (code == ErrorCode::channel_closed || code == ErrorCode::topic_closed || code == ErrorCode::queue_closed)
        return;
      if (code != ErrorCode::no_message) std::this_thread::sleep_for(Duration(20));
      continue;
    }
    std::vector<std::int64_t> numbers;
    std::vector<Doing> doings;
    for (const auto& message : *got) {
      std::string token;
      numbers.push_back(note(message, token));
      doings.push_back(decide(numbers.back(), token, random));
    }
    if (stalled != nullptr) std::this_thread::sleep_for(Duration(stalled->exchange(0)));
    if (forget != nullptr && forget->exchange(false)) {
      for (const std::int64_t number : numbers) part_.ledger.ended(part_.name, number, Ending::abandoned);
      continue;
    }
    // Those that are done go together, mostly.
    std::vector<Message<std::string>> done;
    std::vector<std::int64_t> done_numbers;
    const bool together = chance(random, 80);
    for (std::size_t i = 0; i < got->size(); ++i) {
      if (together && doings[i] == Doing::ack) {
        done.push_back((*got)[i]);
        done_numbers.push_back(numbers[i]);
      } else {
        settle(channel, (*got)[i], numbers[i], doings[i], random);
      }
    }
    ack(channel, done, done_numbers);
  }
}

std::int64_t depth_of_all(Topic<std::string>& topic, const Setup& setup) {
  std::int64_t sum = 0;
  for (const char* const name : {kWork, kPull}) {
    auto channel = topic.get_or_add_channel(name, channel_config(name, setup));
    const auto depth = channel ? channel->depth() : Result<std::int64_t>(std::unexpected(channel.error()));
    if (!depth) return -1;
    sum += *depth;
  }
  return sum;
}

bool note_the_end(Topic<std::string>& topic, const Setup& setup, Ledger& ledger) {
  for (const char* const name : {kWork, kPull}) {
    auto channel = topic.get_or_add_channel(name, channel_config(name, setup));
    if (!channel) return false;
    const auto depth = channel->depth();
    if (!depth) return false;
    ledger.depth(name, *depth, system_clock()->now().wall_ms);
    std::string cursor;
    do {
      const auto page = channel->dead_letters(500, cursor);
      if (!page) return false;
      for (const auto& letter : page->items) {
        const std::string body = letter.message ? letter.message->body() : std::string();
        ledger.dead({.token = body.substr(0, body.find('|')),
                     .channel = name,
                     .reason = letter.reason,
                     .attempts = letter.attempts,
                     .has_error = !letter.error.empty(),
                     .wall_ms = std::chrono::duration_cast<Duration>(letter.last_at.time_since_epoch()).count()});
      }
      cursor = page->cursor;
    } while (!cursor.empty());
  }
  return true;
}

}  // namespace lrpc::queue::torture
