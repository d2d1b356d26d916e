// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "memory_machine.hpp"

#include <algorithm>
#include <array>

#include "memory/backend.hpp"

namespace lrpc::queue::simulation {
Coverage memory_coverage("a message in a channel of the memory back end",
                         {"none", "fifo", "line", "in flight", "lapsed", "delayed", "dead", "gone"},
                         {"publish",     "publish_later", "hand_out",     "ack",         "retry",
                          "retry_later", "give_back",     "keep",         "bury",        "drop",
                          "expire",      "due",           "touch",        "drop_oldest", "drop_all",
                          "requeue",     "purge",         "beyond_limit", "close",       "delete_channel"},
                         {{"none", "publish", "fifo"},
                          {"none", "publish_later", "delayed"},
                          {"fifo", "hand_out", "in flight"},
                          {"fifo", "drop_oldest", "gone"},
                          {"fifo", "drop_all", "gone"},
                          {"fifo", "delete_channel", "gone"},
                          {"line", "hand_out", "in flight"},
                          {"line", "drop_oldest", "gone"},
                          {"line", "drop_all", "gone"},
                          {"line", "delete_channel", "gone"},
                          {"in flight", "ack", "gone"},
                          {"in flight", "retry", "line"},
                          {"in flight", "retry_later", "delayed"},
                          {"in flight", "give_back", "line"},
                          {"in flight", "keep", "in flight"},
                          {"in flight", "bury", "dead"},
                          {"in flight", "drop", "gone"},
                          {"in flight", "expire", "lapsed"},
                          {"in flight", "touch", "in flight"},
                          {"in flight", "close", "line"},
                          {"in flight", "delete_channel", "gone"},
                          {"lapsed", "hand_out", "in flight"},
                          {"lapsed", "ack", "gone"},
                          {"lapsed", "retry", "line"},
                          {"lapsed", "retry_later", "delayed"},
                          {"lapsed", "give_back", "line"},
                          {"lapsed", "keep", "in flight"},
                          {"lapsed", "bury", "dead"},
                          {"lapsed", "drop", "gone"},
                          {"lapsed", "touch", "in flight"},
                          {"lapsed", "drop_oldest", "gone"},
                          {"lapsed", "drop_all", "gone"},
                          {"lapsed", "delete_channel", "gone"},
                          {"delayed", "due", "line"},
                          {"delayed", "drop_all", "gone"},
                          {"delayed", "delete_channel", "gone"},
                          {"dead", "requeue", "line"},
                          {"dead", "purge", "gone"},
                          {"dead", "beyond_limit", "gone"}});

MemoryMachine::MemoryMachine(std::uint64_t seed, Journal& journal)
    : random_(seed),
      journal_(journal),
      clock_(std::make_shared<ManualClock>(TimePoint(std::chrono::milliseconds(1'700'000'000'000)))) {
  Config config;
  backend_ =
      must(memory::make_backend({.config = config, .clock = clock_, .logger = [](LogLevel, std::string_view) {}}),
           "a back end");
  topic_policy_.max_msg_size = random_.chance(50) ? 1'000'000 : random_.between(3, 20);
  topic_policy_.overflow = random_.chance(50) ? Overflow::reject : Overflow::drop_oldest;
  policy_.ack_timeout = Duration(random_.between(50, 500));
  policy_.dead_letter_limit = random_.chance(50) ? 10'000 : random_.below(4);
  topic_ = must(backend_->open_topic("t", topic_policy_), "a topic");
  say([&] {
    return "at most " + std::to_string(topic_policy_.max_msg_size) +
           (topic_policy_.overflow == Overflow::reject ? ", reject" : ", drop the oldest") + ", lease of " +
           std::to_string(policy_.ack_timeout.count()) + " ms, dead letters " +
           std::to_string(policy_.dead_letter_limit);
  });
  open_.push_back(std::make_unique<Open>(Open{.name = "a"}));
}

void MemoryMachine::step() {
  static const Choice<Step> steps{
      {&MemoryMachine::publish, 20},       {&MemoryMachine::receive, 22},         {&MemoryMachine::ack, 8},
      {&MemoryMachine::ack_id, 3},         {&MemoryMachine::settle, 16},          {&MemoryMachine::touch, 4},
      {&MemoryMachine::find, 2},           {&MemoryMachine::pass_time, 12},       {&MemoryMachine::stats, 3},
      {&MemoryMachine::drop_all, 1},       {&MemoryMachine::dead_letters, 2},     {&MemoryMachine::requeue, 3},
      {&MemoryMachine::purge, 1},          {&MemoryMachine::switch_receiving, 1}, {&MemoryMachine::reopen, 3},
      {&MemoryMachine::delete_channel, 1}, {&MemoryMachine::open_another, 1}};
  steps.take_one(random_, [&](Step one) {
    Open& o = *random_.any_of(open_);
    // A channel is opened by its first use; what is published before lies in the backlog (D4).
    const bool needs_channel =
        one != &MemoryMachine::publish && one != &MemoryMachine::pass_time && one != &MemoryMachine::open_another;
    if (needs_channel && !o.channel) open(o);
    if (!(this->*one)(o)) return false;
    check_bodies();
    return true;
  });
}

void MemoryMachine::open(Open& o) {
  const bool there = models_.contains(o.name);
  const auto refused = topic_->open_channel(o.name, policy_, false);
  check_equal(refused.has_value(), there, "whether a channel is there");
  o.channel = must(topic_->open_channel(o.name, policy_, true), "a channel");
  if (!there) {
    ChannelModel fresh;
    // The first channel gets the backlog.
    models_.emplace(o.name, models_.empty() ? std::exchange(backlog_, fresh) : fresh);
  }
  o.dropped_before = model(o).dropped;
  o.receiving = true;
  say([&] { return "open channel " + o.name; });
}

std::vector<ChannelModel*> MemoryMachine::targets() {
  std::vector<ChannelModel*> all;
  for (auto& [name, one] : models_) all.push_back(&one);
  if (all.empty()) all.push_back(&backlog_);
  return all;
}

// All or nothing (D16).
bool MemoryMachine::make_room(std::int64_t count) {
  const auto all = targets();
  const auto excess = [&](const ChannelModel* one) { return one->depth() + count - topic_policy_.max_msg_size; };
  if (std::ranges::none_of(all, [&](const ChannelModel* one) { return excess(one) > 0; })) return true;
  if (topic_policy_.overflow == Overflow::reject) return false;
  if (std::ranges::any_of(all, [&](const ChannelModel* one) { return excess(one) > one->ready(); })) return false;
  for (ChannelModel* one : all) {
    one->dropped += one->drop_ready(std::max<std::int64_t>(excess(one), 0), MemoryEvent::drop_oldest);
  }
  return true;
}

bool MemoryMachine::publish(Open& /*o*/) {
  // Which of several that have the same place in line is the oldest is nobody's promise.
  const bool drops = topic_policy_.overflow == Overflow::drop_oldest && topic_policy_.max_msg_size < 1000;
  if (drops && std::ranges::any_of(targets(), [](const ChannelModel* one) { return one->has_ties(); })) return false;
  const Instant now = clock_->now();
  std::vector<Outgoing> batch;
  std::vector<ChannelModel::Entry> entries;
  const auto count = random_.chance(60) ? 1 : random_.between(0, 5);
  for (std::int64_t i = 0; i < count; ++i) {
    const int number = messages_++;
    Outgoing out{.message = Envelope::make<Counted>(number)};
    out.message->set_id(name_of(number));
    if (random_.chance(25)) out.delay = Duration(random_.between(1, random_.chance(30) ? 5000 : 200));
    if (random_.chance(25)) out.message->set_expires_at(now.wall_s() + random_.between(0, 3));
    out.message->set_enqueued_at_ms(now.wall_ms + out.delay.count());
    entries.push_back({.number = number,
                       .due = out.delay.count(),
                       .expires_at = out.message->expires_at(),
                       .enqueued_at_ms = out.message->enqueued_at_ms()});
    batch.push_back(std::move(out));
  }
  const bool fits = make_room(count);
  const auto published = topic_->publish(batch, Duration(0));
  say([&] {
    return "publish " + std::to_string(count) + " up to " + name_of(messages_ - 1) + (published ? "" : ": refused");
  });
  check_equal(published.has_value(), fits, "D16: whether there is room");
  if (!fits) {
    check(published.error().code == ErrorCode::queue_full, "D16: a refusal that is not queue_full");
    check(std::ranges::all_of(batch, [](const Outgoing& out) { return static_cast<bool>(out.message); }),
          "D2: a message of a refused batch is gone");
    return true;
  }
  for (ChannelModel* one : targets()) {
    for (const auto& entry : entries) {
      if (entry.due == 0) one->publish(entry);
    }
    for (const auto& entry : entries) {
      if (entry.due > 0) one->publish_later(entry, now.tick_ms + entry.due);
    }
  }
  return true;
}

bool MemoryMachine::receive(Open& o) {
  const Instant now = clock_->now();
  std::vector<Delivery> out(static_cast<std::size_t>(random_.between(1, 5)));
  ReceiveOptions options{.now = now, .renewed = random_.chance(30)};
  if (random_.chance(30)) options.limit = random_.between(1, 4);
  const auto count = must(o.channel->receive(out, options), "receive");
  ChannelModel& m = model(o);
  std::size_t most = out.size();
  if (o.receiving) m.run_timers(now.tick_ms);
  if (options.limit > 0 && !options.renewed) {
    most = std::min(most, static_cast<std::size_t>(std::max<std::int64_t>(options.limit - m.unrenewed(), 0)));
  }
  if (!o.receiving) most = 0;
  say([&] {
    return o.name + " receives " + std::to_string(count) + " of " + std::to_string(out.size()) +
           (options.renewed ? ", renewed" : "");
  });
  for (std::size_t i = 0; i < count; ++i) {
    check(i < most, "D11: more than the limit, or while receiving is off");
    const int number = out[i].message->body_as<Counted>()->number;
    const bool expired_before = out[i].lease_expired;
    ChannelModel::Entry* const entry = m.take(number, options.renewed, now.tick_ms + policy_.ack_timeout.count());
    check(entry != nullptr, [&] { return "D1: handed out is " + name_of(number) + ", and nothing is ready"; });
    check(entry->number == number,
          [&] { return "D5: handed out is " + name_of(number) + ", the next is " + name_of(entry->number); });
    check_equal(expired_before, std::exchange(entry->lease_expired, false), "D7: whether its lease had run out");
    check_equal(out[i].attempts, entry->attempts, "D6: attempts");
    check_equal(out[i].tag.attempts, entry->attempts, "D6: attempts of the tag");
    check(out[i].message->id() == name_of(number), "the id of a message");
    check_equal(out[i].message->expires_at(), entry->expires_at, "D12: its expiry");
    check_equal(out[i].message->enqueued_at_ms(), entry->enqueued_at_ms, "D12: when it became ready");
    o.held.push_back({.tag = out[i].tag, .id = m.id_of(*entry), .hand_over = entry->hand_over});
  }
  check(count == most || !m.has_ready(), "D1: ready, and not handed out");
  if (o.held.size() > 40) o.held.erase(o.held.begin(), o.held.begin() + 10);
  return true;
}

bool MemoryMachine::ack(Open& o) {
  if (o.held.empty()) return false;
  std::vector<Held> chosen;
  const auto count = random_.between(1, 4);
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(random_.any_of(o.held));
  std::vector<DeliveryTag> tags;
  std::vector<bool> expected;
  ChannelModel& m = model(o);
  for (const Held& held : chosen) {
    tags.push_back(held.tag);
    const bool there = m.held(held.id, held.hand_over) != nullptr;
    expected.push_back(there);
    if (there) m.remove(held.id, MemoryEvent::ack);
  }
  // A delivery of another channel is unknown here (D10).
  if (!foreign_.empty() && random_.chance(30)) {
    tags.push_back(random_.any_of(foreign_));
    expected.push_back(false);
  }
  const auto done = std::make_unique<bool[]>(tags.size());
  must(o.channel->ack(tags, {done.get(), tags.size()}), "ack");
  for (std::size_t i = 0; i < tags.size(); ++i) check_equal(done[i], expected[i], "D10: whether an ack is taken");
  say([&] { return o.name + " acks " + std::to_string(tags.size()); });
  return true;
}

bool MemoryMachine::find(Open& o) {
  if (messages_ == 0) return false;
  const int number = random_.below(messages_);
  const auto found = o.channel->find(name_of(number));
  const ChannelModel::Entry* newest = nullptr;
  for (const auto& [id, entry] : model(o).entries) {
    if (entry.number == number && entry.hand_over != 0 && (newest == nullptr || entry.hand_over > newest->hand_over))
      newest = &entry;
  }
  check_equal(found.has_value(), newest != nullptr, "D10: whether an id is found");
  if (found) check_equal(found->attempts, newest->attempts, "D6: attempts of an id");
  return true;
}

bool MemoryMachine::ack_id(Open& o) {
  if (messages_ == 0) return false;
  const int number = random_.below(messages_);
  ChannelModel& m = model(o);
  std::uint64_t newest = 0;
  std::uint64_t hand_over = 0;
  for (const auto& [id, entry] : m.entries) {
    if (entry.number == number && entry.hand_over > hand_over) {
      newest = id;
      hand_over = entry.hand_over;
    }
  }
  say([&] { return o.name + " acks " + name_of(number) + " by its id"; });
  check_equal(must(o.channel->ack_id(name_of(number)), "ack by id"), newest != 0, "D10: whether an id is acked");
  if (newest != 0) m.remove(newest, MemoryEvent::ack);
  return true;
}

bool MemoryMachine::settle(Open& o) {
  if (o.held.empty()) return false;
  using Action = Settlement::Action;
  const Instant now = clock_->now();
  ChannelModel& m = model(o);
  std::vector<Settlement> settlements;
  std::vector<std::size_t> places;
  const auto count = random_.between(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    places.push_back(random_.below(o.held.size()));
    constexpr std::array kActions{Action::retry, Action::give_back, Action::keep, Action::dead_letter, Action::drop};
    settlements.push_back({.tag = o.held[places.back()].tag,
                           .action = kActions[random_.below(kActions.size())],
                           .count_attempt = random_.chance(70),
                           .delay = Duration(random_.chance(40) ? 0 : random_.between(1, 300)),
                           .reason = random_.chance(50) ? DeadReason::rejected : DeadReason::max_retries,
                           .error = "e" + std::to_string(i)});
  }
  const std::vector<Settlement> asked = settlements;
  must(o.channel->settle(settlements), "settle");
  for (std::size_t i = 0; i < asked.size(); ++i) {
    Held& held = o.held[places[i]];
    const Settlement& s = asked[i];
    // One that was kept by an earlier one of these has another tag by now.
    ChannelModel::Entry* const entry = s.tag == held.tag ? m.held(held.id, held.hand_over) : nullptr;
    say([&] {
      return o.name + " settles " + (entry ? name_of(entry->number) : "something") + " by action " +
             std::to_string(static_cast<int>(s.action)) + (entry ? "" : ", in vain");
    });
    check_equal(settlements[i].done, entry != nullptr, "D10: whether a settlement is taken");
    if (entry == nullptr) continue;
    switch (s.action) {
      case Action::retry:
        m.retry(held.id, s.count_attempt, now.tick_ms + s.delay.count(), now.tick_ms);
        break;
      case Action::give_back:
        m.give_back(held.id, s.count_attempt);
        break;
      case Action::keep:
        m.keep(held.id, s.count_attempt, now.tick_ms + policy_.ack_timeout.count());
        check_equal(settlements[i].tag.attempts, entry->attempts, "D6: attempts of one that is kept");
        held = {.tag = settlements[i].tag, .id = held.id, .hand_over = entry->hand_over};
        break;
      case Action::dead_letter:
        m.bury(held.id, s, now.wall_ms, policy_.dead_letter_limit);
        break;
      case Action::drop:
        m.remove(held.id, MemoryEvent::drop);
        break;
    }
  }
  return true;
}

bool MemoryMachine::touch(Open& o) {
  if (o.held.empty()) return false;
  const Held held = random_.any_of(o.held);
  const Duration lease(random_.between(1, 1000));
  bool done = false;
  must(o.channel->touch({&held.tag, 1}, lease, {&done, 1}), "touch");
  ChannelModel& m = model(o);
  const bool there = m.held(held.id, held.hand_over) != nullptr;
  say([&] { return o.name + " touches for " + std::to_string(lease.count()) + (there ? "" : ", in vain"); });
  check_equal(done, there, "D9: whether a touch is taken");
  if (there) m.renew(held.id, clock_->now().tick_ms + lease.count());
  return true;
}

bool MemoryMachine::pass_time(Open& /*o*/) {
  const Duration by(random_.between(1, random_.chance(10) ? 10'000 : 200));
  if (random_.chance(10)) {
    const Duration shift(random_.between(-5000, 5000));
    clock_->shift_wall(shift);
    say([&] { return "the wall clock is set by " + std::to_string(shift.count()); });
  }
  clock_->advance(by);
  say([&] { return "time passes: " + std::to_string(by.count()) + " ms"; });
  return true;
}

// A body for each message that is somewhere, and no more.
void MemoryMachine::check_bodies() const {
  std::vector<bool> there(static_cast<std::size_t>(messages_));
  const auto mark = [&](const ChannelModel& m) {
    for (const auto& [id, entry] : m.entries) there[static_cast<std::size_t>(entry.number)] = true;
    for (const auto& one : m.dead) there[static_cast<std::size_t>(one.entry.number)] = true;
  };
  for (const auto& [name, m] : models_) mark(m);
  mark(backlog_);
  check_equal(Counted::live, static_cast<int>(std::ranges::count(there, true)), "bodies that live");
}

void MemoryMachine::finish() {
  clock_->advance(std::chrono::hours(1));
  for (const auto& one : open_) {
    Open& o = *one;
    if (!o.channel) open(o);
    if (!o.receiving) switch_receiving(o);
    ChannelModel& m = model(o);
    reopen(o);
    while (m.has_ready() || m.count(Stand::delayed) + m.count(Stand::in_flight) > 0) {
      const std::int64_t before = m.depth();
      clock_->advance(std::chrono::hours(1));
      receive(o);
      while (!o.held.empty()) {
        const Held held = o.held.back();
        o.held.pop_back();
        bool done = false;
        must(o.channel->ack({&held.tag, 1}, {&done, 1}), "ack");
        const bool there = m.held(held.id, held.hand_over) != nullptr;
        check_equal(done, there, "D10: whether an ack is taken");
        if (there) m.remove(held.id, MemoryEvent::ack);
      }
      // What a subscription has is given back by a close.
      if (m.depth() == before && !reopen(o)) continue;
    }
    stats(o);
    dead_letters(o);
    purge(o);
  }
  must(backend_->close(), "close");
  check_equal(Counted::live, backlog_.depth(), "bodies that live when all is over");
}

Kind memory_kind() {
  return {.name = "memory",
          .make = [](std::uint64_t seed, Journal& journal) -> std::unique_ptr<Machine> {
            return std::make_unique<MemoryMachine>(seed, journal);
          },
          .coverage = {&memory_coverage}};
}

}  // namespace lrpc::queue::simulation
