// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis_machine.hpp"

#include <algorithm>
#include <array>

namespace lrpc::queue::simulation {
Coverage held_coverage("an entry in a client's table", {"none", "held", "being kept", "going back"},
                       {"put", "put_again", "put_after_end", "ack", "keep", "kept", "not_kept", "give_back",
                        "given_back", "not_given_back", "touch", "refused", "end_by", "forget_ended", "goes_on",
                        "not_ours"},
                       {{"none", "put", "held"},
                        {"held", "put_again", "held"},
                        {"held", "put_after_end", "held"},
                        {"held", "ack", "none"},
                        {"held", "keep", "being kept"},
                        {"held", "give_back", "going back"},
                        {"held", "touch", "held"},
                        {"held", "refused", "none"},
                        {"held", "end_by", "held"},
                        {"held", "forget_ended", "none"},
                        {"held", "goes_on", "held"},
                        {"held", "not_ours", "none"},
                        {"being kept", "put_again", "being kept"},
                        {"being kept", "put_after_end", "held"},
                        {"being kept", "kept", "held"},
                        {"being kept", "not_kept", "held"},
                        {"being kept", "touch", "being kept"},
                        {"being kept", "refused", "none"},
                        {"being kept", "forget_ended", "none"},
                        {"being kept", "goes_on", "being kept"},
                        {"being kept", "not_ours", "none"},
                        {"going back", "put_after_end", "held"},
                        {"going back", "given_back", "none"},
                        {"going back", "not_given_back", "held"},
                        {"going back", "touch", "going back"},
                        {"going back", "refused", "none"},
                        {"going back", "forget_ended", "none"},
                        {"going back", "goes_on", "going back"},
                        {"going back", "not_ours", "none", true}});

RedisMachine::RedisMachine(std::uint64_t seed, Journal& journal)
    : random_(seed),
      journal_(journal),
      lease_(random_.between(50, 300)),
      clients_(static_cast<std::size_t>(random_.between(1, 3))) {
  say([&] { return std::to_string(clients_.size()) + " clients, lease of " + std::to_string(lease_) + " ms"; });
}

void RedisMachine::step() {
  static const Choice<Step> steps{
      {&RedisMachine::publish, 10},    {&RedisMachine::pass_time, 10},  {&RedisMachine::begin_ask, 14},
      {&RedisMachine::serve_ask, 14},  {&RedisMachine::end_ask, 14},    {&RedisMachine::find_lost, 4},
      {&RedisMachine::begin_call, 16}, {&RedisMachine::serve_call, 16}, {&RedisMachine::end_call, 16},
      {&RedisMachine::want, 3},        {&RedisMachine::keep_alive, 2},  {&RedisMachine::end_by, 2},
      {&RedisMachine::crash, 1}};
  steps.take_one(random_, [&](Step one) {
    Client& client = random_.any_of(clients_);
    if (!(this->*one)(client)) return false;
    compare(client);
    return true;
  });
}

bool RedisMachine::publish(Client& /*c*/) {
  const auto count = random_.between(1, 4);
  for (std::int64_t i = 0; i < count; ++i) entries_[++last_entry_] = {.message = messages_++};
  say([&] { return "publish up to entry " + std::to_string(last_entry_); });
  return true;
}

bool RedisMachine::pass_time(Client& /*c*/) {
  const auto by = random_.between(1, random_.chance(20) ? 400 : 60);
  tick_ += by;
  say([&] { return "time passes: " + std::to_string(by) + " ms"; });
  return true;
}

// The server.

redis::Taken RedisMachine::take(std::uint64_t number, int client, std::int64_t deliveries) {
  Entry& entry = entries_.at(number);
  entry.owner = client;
  entry.deliveries = deliveries;
  entry.idle_since = tick_;
  redis::Taken taken{.handle = {.entry_id = entry_id(number), .deliveries = deliveries}};
  taken.entry.message = Envelope::make_encoded({});
  taken.entry.message->set_id("m" + std::to_string(entry.message));
  taken.entry.attempts = entry.base;
  return taken;
}

std::int64_t RedisMachine::at_server(int client, const Call& call) {
  const auto it = entries_.find(call.handle.entry_id.ms);
  if (it == entries_.end() || it->second.owner != client || it->second.deliveries != call.handle.deliveries) return 0;
  Entry& entry = it->second;
  switch (call.what) {
    case What::touch:
      entry.idle_since = tick_;
      return entry.deliveries;
    case What::keep:
      entry.deliveries = call.counted + 1;
      entry.idle_since = tick_;
      return entry.deliveries;
    case What::give_back:
      entry.owner = kGivenBack;
      entry.deliveries = call.counted;
      return 1;
    case What::retry:
      entries_[++last_entry_] = {.message = entry.message, .base = call.counted};
      break;
    case What::ack:
      break;
  }
  entries_.erase(it);
  return 1;
}

// Asking for messages.

bool RedisMachine::begin_ask(Client& c) {
  if (c.ask) return false;
  Ask ask{.renewed = random_.chance(50), .begin = tick_, .look = random_.chance(60)};
  const std::size_t most = 3;
  if (ask.look) {
    ask.ended = c.table.ended(tick_, most);
    std::vector<std::pair<std::int64_t, std::uint64_t>> expected;
    for (const auto& [number, held] : c.model) {
      if (held.until <= tick_) expected.emplace_back(held.until, number);
    }
    check_equal(ask.ended.size(), std::min(most, expected.size()), "D9: how many leases have ended");
    for (const redis::Ended& one : ask.ended) {
      const auto it = c.model.find(one.handle.entry_id.ms);
      check(it != c.model.end() && it->second.until <= tick_, "D9: a lease that has not ended");
      check_equal(one.handle.deliveries, it->second.deliveries, "the count of a delivery that ended");
      check_equal(one.next, it->second.attempts - it->second.base + 1, "D6: the next count of a delivery that ended");
    }
    ask.own = ask.ended.size();
    while (!c.lost.empty() && ask.ended.size() < most) {
      ask.ended.push_back(c.lost.back());
      c.lost.pop_back();
    }
  }
  say([&] {
    return "client " + std::to_string(number_of(c)) + (ask.look ? " looks, " : " reads, ") +
           std::to_string(ask.ended.size()) + " ended";
  });
  c.ask = std::move(ask);
  return true;
}

bool RedisMachine::serve_ask(Client& c) {
  if (!c.ask || c.ask->answer) return false;
  const int me = number_of(c);
  std::vector<redis::Taken> taken;
  std::size_t most = 3;
  if (c.ask->look) {
    for (const redis::Ended& one : c.ask->ended) {
      const auto it = entries_.find(one.handle.entry_id.ms);
      if (it == entries_.end() || it->second.owner != me || it->second.deliveries != one.handle.deliveries) continue;
      taken.push_back(take(it->first, me, one.next));
    }
    for (auto& [number, entry] : entries_) {
      const bool given = entry.owner == kGivenBack;
      const bool idle = entry.owner >= 0 && tick_ - entry.idle_since >= lease_;
      if (taken.size() >= most || (!given && !idle)) continue;
      taken.push_back(take(number, me, entry.deliveries + 1));
    }
  } else {
    for (auto& [number, entry] : entries_) {
      if (entry.owner == kNobody && entry.deliveries == 0 && taken.size() < most) taken.push_back(take(number, me, 1));
    }
  }
  say([&] { return "the server hands " + std::to_string(taken.size()) + " to client " + std::to_string(me); });
  c.ask->answer = std::move(taken);
  return true;
}

bool RedisMachine::end_ask(Client& c) {
  if (!c.ask || (faults_ && !c.ask->answer && !random_.chance(20))) return false;
  Ask ask = std::move(*c.ask);
  c.ask.reset();
  if (!ask.answer || fails(10)) {  // nothing came: who knows what the server did
    say([&] { return "client " + std::to_string(number_of(c)) + " gets no answer"; });
    c.maybe_lost = true;
    return true;
  }
  for (const redis::Taken& one : *ask.answer) put(c, one, ask.renewed);
  c.table.forget_ended(ask.ended, ask.begin);
  for (const redis::Ended& one : ask.ended) {
    const auto it = c.model.find(one.handle.entry_id.ms);
    if (it == c.model.end()) continue;
    if (it->second.deliveries == one.handle.deliveries && it->second.until <= ask.begin)
      forget(c, it->first, HoldEvent::forget_ended);
  }
  return true;
}

void RedisMachine::put(Client& c, const redis::Taken& taken, bool renewed) {
  const std::uint64_t number = taken.handle.entry_id.ms;
  const std::int64_t until = renewed ? redis::Held::kForever : tick_ + lease_;
  const redis::HeldTable::Put is = c.table.put(taken, tick_, until, lease_);
  const auto before = c.model.find(number);
  bool expired = false;
  Hold stood = Hold::none;
  if (before != c.model.end()) {
    Held& old = before->second;
    stood = old.stands();
    const bool lasts = old.renewed() ? tick_ - old.renewed_at <= lease_ : old.until > tick_;
    if (lasts && !old.going_back) {
      check(!is.tag, "D1: handed out twice, and its delivery goes on");
      old.deliveries = taken.handle.deliveries;
      held_coverage.count(stood, HoldEvent::put_again, stood);
      return;
    }
    expired = !lasts;
    c.model.erase(before);
  }
  check(is.tag.has_value(), "D1: an entry that arrives is handed to nobody");
  check_equal(is.lease_expired, expired, "D7: whether its lease had run out");
  check_equal(is.attempts, taken.attempts(), "D6: attempts");
  held_coverage.count(stood, stood == Hold::none ? HoldEvent::put : HoldEvent::put_after_end, Hold::held);
  for (const auto& [other, held] : c.model) check(held.tag != *is.tag, "D10: two deliveries with one tag");
  c.model[number] = {.tag = *is.tag,
                     .deliveries = taken.handle.deliveries,
                     .attempts = is.attempts,
                     .base = taken.entry.attempts,
                     .until = until,
                     .renewed_at = tick_,
                     .message = entries_.contains(number) ? entries_.at(number).message
                                                          : std::stoi(taken.entry.message->id().substr(1))};
  c.user.push_back(*is.tag);
  say([&] {
    return "client " + std::to_string(number_of(c)) + " hands out entry " + std::to_string(number) + ", attempt " +
           std::to_string(is.attempts);
  });
}

// What the server believes that a client holds, and it does not.
bool RedisMachine::find_lost(Client& c) {
  if (!c.maybe_lost || c.ask) return false;
  c.maybe_lost = false;
  c.lost.clear();
  for (const auto& [number, entry] : entries_) {
    if (entry.owner != number_of(c)) continue;
    const redis::Handle handle{.entry_id = entry_id(number), .deliveries = entry.deliveries};
    const bool is = c.table.goes_on(handle, tick_);
    const auto it = c.model.find(number);
    bool expected = false;
    if (it != c.model.end()) {
      expected = it->second.deliveries == entry.deliveries || it->second.until > tick_;
      const Hold stood = it->second.stands();
      if (expected) {
        it->second.deliveries = entry.deliveries;
        held_coverage.count(stood, HoldEvent::goes_on, stood);
      } else {
        forget(c, number, HoldEvent::not_ours);
      }
    }
    check_equal(is, expected, "D1: whether a delivery goes on");
    if (!is) c.lost.push_back({.handle = handle, .next = handle.deliveries});
  }
  say([&] { return "client " + std::to_string(number_of(c)) + " has lost " + std::to_string(c.lost.size()); });
  return true;
}

void RedisMachine::compare(Client& c) {
  std::int64_t next = redis::Held::kForever;
  std::size_t leased = 0;
  for (const auto& [number, held] : c.model) {
    next = std::min(next, held.until);
    if (!held.renewed() && held.until > tick_) ++leased;
    check(c.table.find(held.tag) != nullptr, "D10: a delivery is not found");
  }
  check_equal(c.table.next_end(), next, "D9: when the next lease ends");
  check_equal(c.table.leased(tick_), leased, "D11: how many have a lease");
  check_equal(c.table.empty(), c.model.empty(), "whether nothing is held");
  if (messages_ == 0) return;
  const int message = random_.below(messages_);
  const Held* newest = nullptr;
  for (const auto& [number, held] : c.model) {
    if (held.message == message && (newest == nullptr || held.tag.generation > newest->tag.generation)) newest = &held;
  }
  const auto found = c.table.find("m" + std::to_string(message));
  check_equal(found.has_value(), newest != nullptr, "D10: whether an id is found");
  if (found) check(*found == newest->tag, "the newest delivery of an id");
}

void RedisMachine::finish() {
  faults_ = false;
  for (int round = 0; round < 400 && !entries_.empty(); ++round) {
    if (round % 10 == 9) tick_ += lease_ + 1;
    for (Client& c : clients_) {
      serve_ask(c);
      end_ask(c);
      while (serve_call(c)) {
      }
      while (end_call(c)) {
      }
      find_lost(c);
      if (begin_ask(c)) {
        serve_ask(c);
        end_ask(c);
      }
      while (begin_call(c)) {
      }
      compare(c);
    }
  }
  check(entries_.empty(),
        [&] { return "D1: entry " + std::to_string(entries_.begin()->first) + " is handed to nobody"; });
}

Kind redis_kind() {
  return {.name = "redis",
          .make = [](std::uint64_t seed, Journal& journal) -> std::unique_ptr<Machine> {
            return std::make_unique<RedisMachine>(seed, journal);
          },
          .coverage = {&held_coverage}};
}

}  // namespace lrpc::queue::simulation
