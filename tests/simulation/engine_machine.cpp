// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine_machine.hpp"

#include <algorithm>

#include "memory/backend.hpp"

namespace lrpc::queue::simulation {

Coverage life_coverage("a message as the engine sees it",
                       {"none", "ready", "out", "settling", "delayed", "dead", "gone"},
                       {"publish", "deliver", "expire", "dead_expired", "dead_retries", "ack", "nack", "reject",
                        "arrive_acked", "arrive_ready", "arrive_delayed", "arrive_dead", "arrive_dropped", "lease_ends",
                        "due"},
                       {{"none", "publish", "ready"},
                        {"ready", "deliver", "out"},
                        {"ready", "expire", "gone"},
                        {"ready", "dead_expired", "dead"},
                        {"ready", "dead_retries", "dead"},
                        {"ready", "arrive_acked", "gone"},
                        {"ready", "arrive_ready", "ready"},
                        {"ready", "arrive_delayed", "delayed"},
                        {"ready", "arrive_dead", "dead"},
                        {"ready", "arrive_dropped", "gone", true},
                        {"out", "ack", "settling"},
                        {"out", "nack", "settling"},
                        {"out", "reject", "settling"},
                        {"out", "lease_ends", "ready"},
                        {"settling", "arrive_acked", "gone"},
                        {"settling", "arrive_ready", "ready"},
                        {"settling", "arrive_delayed", "delayed"},
                        {"settling", "arrive_dead", "dead"},
                        {"settling", "arrive_dropped", "gone"},
                        {"settling", "lease_ends", "ready"},
                        {"delayed", "due", "ready"}});

EngineMachine::EngineMachine(std::uint64_t seed, Journal& journal)
    : random_(seed),
      journal_(journal),
      clock_(std::make_shared<ManualClock>(TimePoint(std::chrono::milliseconds(1'700'000'000'000)))) {
  policy_.max_retries = static_cast<int>(random_.between(-1, 3));
  policy_.retry_delay = Duration(random_.chance(30) ? 0 : random_.between(1, 300));
  if (random_.chance(50)) policy_.backoff = {.multiplier = 2, .max_delay = Duration(random_.between(10, 1000))};
  if (random_.chance(30)) policy_.ttl_cap = Duration(random_.between(1, 4000));
  policy_.ack_timeout = Duration(random_.between(50, 500));
  policy_.dead_letter = random_.chance(80);
  policy_.dead_letter_expired = random_.chance(50);
  auto context = std::make_shared<detail::Context>();
  context->clock = clock_;
  context->logger = [](LogLevel, std::string_view) {};
  backend_ = *memory::make_backend({.config = context->config, .clock = clock_, .logger = context->logger});
  context->backend = backend_;
  context->capabilities = backend_->capabilities();
  context->capabilities.batch_acks = random_.chance(50);
  topic_ = *backend_->open_topic("t", {});
  line_ = std::make_shared<BrokenLine>(*topic_->open_channel("c", policy_, true));
  core_ = std::make_shared<detail::ChannelCore>(context, "t", "c", TypedEnvelope<std::string>::kType, line_, policy_);
  queue_ = std::make_unique<detail::SettleQueue>(core_);
  say([&] {
    return "at most " + std::to_string(policy_.max_retries) + " retries after " +
           std::to_string(policy_.retry_delay.count()) + " ms times " + std::to_string(policy_.backoff.multiplier) +
           " up to " + std::to_string(policy_.backoff.max_delay.count()) + ", cap " +
           (policy_.ttl_cap ? std::to_string(policy_.ttl_cap->count()) : "none");
  });
}

void EngineMachine::step() {
  static const Choice<Step> steps{
      {&EngineMachine::publish, 12},     {&EngineMachine::receive, 16},     {&EngineMachine::ack, 10},
      {&EngineMachine::fail, 14},        {&EngineMachine::break_line, 3},   {&EngineMachine::retry_line, 6},
      {&EngineMachine::pass_time, 10},   {&EngineMachine::look_at_dead, 2}, {&EngineMachine::add_timer, 10},
      {&EngineMachine::remove_timer, 3}, {&EngineMachine::turn_wheel, 5}};
  steps.take_one(random_, [&](Step one) {
    if (!(this->*one)()) return false;
    check_equal(queue_->pending().size(), acks_.size() + settlements_.size(), "outcomes on their way");
    check_equal(queue_->retries(), waits_for_retry_, "whether something waits to be tried again");
    check_equal(wheel_.size(), due_.size(), "timers that wait");
    return true;
  });
}

bool EngineMachine::publish() {
  const Instant now = clock_->now();
  Outgoing out{.message = Envelope::make<std::string>("body")};
  out.message->set_id("m" + std::to_string(last_message_));
  out.message->set_enqueued_at_ms(now.wall_ms);
  if (random_.chance(40)) out.message->set_expires_at(now.wall_s() + random_.between(0, 4));
  messages_[last_message_] = {.expires_at = out.message->expires_at(), .enqueued_at_ms = now.wall_ms};
  const auto published = topic_->publish({&out, 1}, Duration(0));
  check(published.has_value(), "a publish fails");
  say([&] {
    return "publish m" + std::to_string(last_message_) + ", expires at " +
           std::to_string(messages_[last_message_].expires_at);
  });
  ++last_message_;
  count(Life::none, LifeEvent::publish, Life::ready);
  return true;
}

std::int64_t EngineMachine::expiry_of(const Message& message) const {
  if (message.expires_at == 0 || !policy_.ttl_cap) return message.expires_at;
  return std::min(message.expires_at, (message.enqueued_at_ms + policy_.ttl_cap->count() + 999) / 1000);
}

std::optional<std::pair<Life, DeadReason>> EngineMachine::given_up(const Message& message) const {
  const std::int64_t expiry = expiry_of(message);
  if (expiry != 0 && clock_->now().wall_ms >= expiry * 1000) {
    const bool kept = policy_.dead_letter && policy_.dead_letter_expired;
    return std::pair(kept ? Life::dead : Life::gone, DeadReason::expired);
  }
  // The first delivery and max_retries more; this one would be number attempts + 1.
  if (message.lease_expired && policy_.max_retries >= 0 && message.attempts + 1 > policy_.max_retries + 1) {
    return std::pair(policy_.dead_letter ? Life::dead : Life::gone, DeadReason::max_retries);
  }
  return std::nullopt;
}

void EngineMachine::run_timers() {
  const std::int64_t tick = clock_->now().tick_ms;
  for (auto& [number, message] : messages_) {
    if (message.life == Life::delayed && message.due <= tick) {
      count(Life::delayed, LifeEvent::due, Life::ready);
      message.life = Life::ready;
    }
    if ((message.life == Life::out || message.life == Life::settling) && !message.renewed &&
        message.lease_end <= tick) {
      count(message.life, LifeEvent::lease_ends, Life::ready);
      message.life = Life::ready;
      message.lease_expired = true;
    }
  }
}

bool EngineMachine::receive() {
  if (line_->broken || line_->refuses) return false;  // what is given up would be left to its lease
  const Instant now = clock_->now();
  std::vector<Delivery> out(static_cast<std::size_t>(random_.between(1, 4)));
  const bool renewed = random_.chance(40);
  const auto count_of = core_->backend->receive(out, {.now = now, .renewed = renewed});
  check(count_of.has_value(), "receive fails");
  out.resize(*count_of);
  run_timers();
  std::vector<int> expected;
  for (const Delivery& one : out) {
    const int number = std::stoi(one.message->id().substr(1));
    Message& message = messages_.at(number);
    check(message.life == Life::ready,
          [&] { return "D1, D8: m" + std::to_string(number) + " is handed out, and is not ready"; });
    const auto given = given_up(message);
    ++message.attempts;
    if (given) {
      const bool expired = given->second == DeadReason::expired;
      count(Life::ready,
            given->first == Life::gone ? LifeEvent::expire
            : expired                  ? LifeEvent::dead_expired
                                       : LifeEvent::dead_retries,
            given->first);
      message.life = given->first;
      message.delivery = 0;
      if (given->first == Life::dead) dead_.emplace_back(number, given->second);
      continue;
    }
    expected.push_back(number);
    message.lease_expired = false;
    message.life = Life::out;
    message.renewed = renewed;
    message.lease_end = now.tick_ms + policy_.ack_timeout.count();
    message.tag = one.tag;
    message.delivery = ++last_delivery_;
    count(Life::ready, LifeEvent::deliver, Life::out);
  }
  const std::size_t kept = core_->admit(out, now);
  check_equal(kept, expected.size(), "D7, D12: how many may be delivered");
  for (std::size_t i = 0; i < kept; ++i) {
    const int number = expected[i];
    const Message& message = messages_.at(number);
    check(out[i].message->id() == "m" + std::to_string(number), "D7, D12: which are delivered");
    check_equal(out[i].attempts, message.attempts, "D6: attempts");
    check(policy_.max_retries < 0 || message.attempts <= policy_.max_retries + 1,
          "D7: more deliveries than max_retries allows");
    user_.emplace_back(number, message.delivery);
    say([&] { return "deliver m" + std::to_string(number) + ", attempt " + std::to_string(message.attempts); });
  }
  return true;
}

EngineMachine::Message* EngineMachine::out_by(int number, std::uint64_t delivery) {
  Message& message = messages_.at(number);
  const bool may = message.life == Life::out || message.life == Life::settling ||
                   (message.life == Life::ready && message.lease_expired);
  return may && message.delivery == delivery ? &message : nullptr;
}

// What the back end hears of.
void EngineMachine::arrive(const Coming& coming) {
  Message* const message = out_by(coming.message, coming.delivery);
  if (message == nullptr) return;  // its lease ended, and it went on without
  const Life before = message->life;
  message->delivery = 0;
  message->lease_expired = false;
  if (!coming.counts) --message->attempts;
  message->life = coming.becomes;
  if (coming.becomes == Life::delayed) {
    message->due = clock_->now().tick_ms + coming.delay.count();
    if (coming.delay.count() == 0) message->life = Life::ready;
  }
  if (coming.becomes == Life::dead) dead_.emplace_back(coming.message, coming.reason);
  const LifeEvent event = coming.becomes == Life::dead                              ? LifeEvent::arrive_dead
                          : message->life == Life::ready                            ? LifeEvent::arrive_ready
                          : message->life == Life::delayed                          ? LifeEvent::arrive_delayed
                          : coming.reason == DeadReason::expired /* marks an ack */ ? LifeEvent::arrive_acked
                                                                                    : LifeEvent::arrive_dropped;
  count(before, event, message->life);
}

// The queue has tried to send all that it has.
void EngineMachine::sent() {
  if (acks_.empty() && settlements_.empty()) return;
  if (line_->broken) {
    waits_for_retry_ = true;
    return;
  }
  const auto lost = std::exchange(line_->refuses, false);
  for (const Coming& one : acks_) {
    if (!lost) arrive(one);
  }
  for (const Coming& one : settlements_) {
    if (!lost) arrive(one);
  }
  acks_.clear();
  settlements_.clear();
}

bool EngineMachine::ack() {
  if (user_.empty()) return false;
  const std::size_t at = random_.below(user_.size());
  const auto [number, delivery] = user_[at];
  user_.erase(user_.begin() + static_cast<std::ptrdiff_t>(at));
  Message& message = messages_.at(number);
  if (message.delivery != delivery) return true;
  say([&] { return "ack m" + std::to_string(number); });
  const Coming coming{.message = number,
                      .delivery = delivery,
                      .becomes = Life::gone,
                      .reason = DeadReason::expired,
                      .tag = message.tag};
  if (message.life == Life::out) {
    count(Life::out, LifeEvent::ack, Life::settling);
    message.life = Life::settling;
  }
  const bool may_wait = random_.chance(40);
  const bool batches = core_->context->capabilities.batch_acks;
  queue_->ack(coming.tag, may_wait);
  if (!batches && !line_->broken) {  // goes alone, at once
    if (!line_->refuses) arrive(coming);
    return true;
  }
  acks_.push_back(coming);
  if (may_wait) {
    check(queue_->deferred() || acks_.size() >= 64, "an ack that is only noted asks for a flush");
    if (!random_.chance(50)) return true;
    queue_->flush();
  }
  if (!waits_for_retry_) sent();
  return true;
}

bool EngineMachine::fail() {
  if (user_.empty()) return false;
  const std::size_t at = random_.below(user_.size());
  const auto [number, delivery] = user_[at];
  user_.erase(user_.begin() + static_cast<std::ptrdiff_t>(at));
  Message& message = messages_.at(number);
  if (message.delivery != delivery) return true;
  Failure failure{.skip_attempts = random_.chance(20), .reject = random_.chance(15)};
  if (random_.chance(30)) failure.delay = Duration(random_.between(0, 400));
  const Settlement settlement = core_->settlement_for(message.tag, failure, "why");
  // By the contract's words (D7, D8, D18).
  Coming coming{.message = number, .delivery = delivery, .tag = message.tag};
  const bool spent = policy_.max_retries >= 0 && !failure.skip_attempts && message.attempts - 1 >= policy_.max_retries;
  if (failure.reject || spent) {
    coming.becomes = policy_.dead_letter ? Life::dead : Life::gone;
    coming.reason = failure.reject ? DeadReason::rejected : DeadReason::max_retries;
    check(settlement.action == (policy_.dead_letter ? Settlement::Action::dead_letter : Settlement::Action::drop),
          "D7: a failure too many is given up");
    check(settlement.reason == coming.reason, "D18: why it is given up");
  } else {
    std::int64_t delay = policy_.retry_delay.count();
    if (delay > 0 && policy_.backoff.multiplier > 1) {
      for (int i = 1; i < message.attempts && delay < policy_.backoff.max_delay.count(); ++i) delay *= 2;
      delay = std::min(delay, policy_.backoff.max_delay.count());
    }
    if (failure.delay) delay = failure.delay->count();
    coming.becomes = Life::delayed;
    coming.delay = Duration(delay);
    coming.counts = !failure.skip_attempts;
    check(settlement.action == Settlement::Action::retry, "D7: a failure is retried");
    check_equal(settlement.delay.count(), delay, "D8: the retry delay");
    check_equal(settlement.count_attempt, coming.counts, "D6: whether an attempt counts");
  }
  say([&] {
    return "m" + std::to_string(number) + " fails after " + std::to_string(message.attempts) + ", " +
           (settlement.action == Settlement::Action::retry
                ? "again in " + std::to_string(settlement.delay.count()) + " ms"
                : "given up");
  });
  if (message.life == Life::out) {
    count(Life::out, failure.reject ? LifeEvent::reject : LifeEvent::nack, Life::settling);
    message.life = Life::settling;
  }
  settlements_.push_back(coming);
  queue_->settle(settlement);
  if (!waits_for_retry_) sent();
  return true;
}

bool EngineMachine::break_line() {
  if (waits_for_retry_) return false;
  line_->broken = !line_->broken;
  if (!line_->broken && random_.chance(20)) line_->refuses = acks_.empty() && settlements_.empty();
  say([&] {
    return line_->broken    ? "the line breaks"
           : line_->refuses ? "the back end refuses what comes next"
                            : "the line is mended";
  });
  return true;
}

bool EngineMachine::retry_line() {
  if (!waits_for_retry_) {
    if (acks_.empty()) return false;
    queue_->flush_all();
    sent();
    return true;
  }
  line_->broken = random_.chance(30);
  waits_for_retry_ = false;
  queue_->retry();
  say([&] { return std::string("what could not be sent is tried again") + (line_->broken ? ", in vain" : ""); });
  sent();
  return true;
}

bool EngineMachine::pass_time() {
  const Duration by(random_.between(1, random_.chance(20) ? 1500 : 150));
  clock_->advance(by);
  say([&] { return "time passes: " + std::to_string(by.count()) + " ms"; });
  return true;
}

bool EngineMachine::look_at_dead() {
  const auto page = line_->dead_letters(100, "");
  check(page.has_value(), "dead letters");
  check_equal(page->items.size(), dead_.size(), "D18: how many dead letters");
  for (std::size_t i = 0; i < dead_.size(); ++i) {
    check(page->items[i].message->id() == "m" + std::to_string(dead_[i].first), "D18: which dead letters");
    check(page->items[i].reason == dead_[i].second, "D18: the reason of a dead letter");
  }
  return true;
}

void EngineMachine::finish() {
  line_->broken = line_->refuses = false;
  if (waits_for_retry_) {
    waits_for_retry_ = false;
    queue_->retry();
  } else {
    queue_->flush_all();
  }
  sent();
  check(queue_->pending().empty(), "D9: an outcome stays on its way");
  look_at_dead();
  // All that is left gets to its end: what a subscription has is acked, the rest comes again until it is.
  const auto left = [&] {
    return std::ranges::any_of(
        messages_, [](const auto& one) { return one.second.life != Life::dead && one.second.life != Life::gone; });
  };
  for (auto& [number, message] : messages_) {
    if (message.life == Life::out || message.life == Life::settling) user_.emplace_back(number, message.delivery);
  }
  for (int round = 0; round < 500 && left(); ++round) {
    while (ack()) {
    }
    queue_->flush_all();
    sent();
    clock_->advance(Duration(400));
    receive();
  }
  for (const auto& [number, message] : messages_) {
    check(message.life == Life::dead || message.life == Life::gone,
          [&, n = number] { return "D1: m" + std::to_string(n) + " gets to no end"; });
  }
  look_at_dead();
  const auto stats = line_->stats();
  check(stats && stats->ready + stats->in_flight + stats->delayed == 0, "something is left when all has ended");
  while (!due_.empty()) {
    wheel_now_ = std::max(wheel_now_, due_.begin()->first);
    turn_wheel();
  }
}

Kind engine_kind() {
  return {.name = "engine",
          .make = [](std::uint64_t seed, Journal& journal) -> std::unique_ptr<Machine> {
            return std::make_unique<EngineMachine>(seed, journal);
          },
          .coverage = {&life_coverage}};
}

}  // namespace lrpc::queue::simulation
