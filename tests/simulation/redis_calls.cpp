// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Settlements of a client, on their way to the server and back.
#include <algorithm>
#include <array>

#include "redis_machine.hpp"

namespace lrpc::queue::simulation {

RedisMachine::Held* RedisMachine::find(Client& c, DeliveryTag tag, std::uint64_t* number) {
  for (auto& [entry, held] : c.model) {
    if (held.tag != tag) continue;
    if (number != nullptr) *number = entry;
    return &held;
  }
  return nullptr;
}

void RedisMachine::forget(Client& c, std::uint64_t number, HoldEvent why) {
  held_coverage.count(c.model.at(number).stands(), why, Hold::none);
  c.model.erase(number);
}

bool RedisMachine::begin_call(Client& c) {
  if (c.user.empty()) return false;
  const std::size_t at = random_.below(c.user.size());
  Call call{.tag = c.user[at], .counts = random_.chance(70), .lease = Duration(random_.between(20, 900))};
  constexpr std::array kWhats{What::ack, What::ack, What::retry, What::give_back, What::keep, What::touch};
  call.what = faults_ ? kWhats[random_.below(kWhats.size())] : What::ack;
  Held* const held = find(c, call.tag);
  const redis::Held* const is = c.table.find(call.tag);
  check_equal(is != nullptr, held != nullptr, "D10: whether a delivery is found");
  if (call.what != What::touch) c.user.erase(c.user.begin() + static_cast<std::ptrdiff_t>(at));
  if (held == nullptr) return true;
  check_equal(is->handle.deliveries, held->deliveries, "the server's count of a delivery");
  check_equal(is->attempts, held->attempts, "D6: attempts of a delivery");
  check_equal(is->until, held->until, "D9: the end of a lease");
  call.handle = is->handle;
  call.number = call.tag.attempts;
  call.counted = held->attempts - (call.counts ? 0 : 1);
  const Hold stood = held->stands();
  if (call.what == What::keep || call.what == What::give_back)
    call.counted = std::max<std::int64_t>(call.counted - held->base, 0);
  if (call.what == What::keep) {
    c.table.set_being_kept(call.tag, true);
    held->being_kept = true;
    held_coverage.count(stood, HoldEvent::keep, held->stands());
  } else if (call.what == What::give_back) {
    c.table.set_going_back(call.tag, true);
    held->going_back = true;
    held_coverage.count(stood, HoldEvent::give_back, held->stands());
  } else if (call.what == What::touch) {
    c.table.wanted({&call.tag, 1}, tick_);
    held->renewed_at = tick_;
  }
  say([&] {
    return "client " + std::to_string(number_of(c)) + " asks for " + std::to_string(static_cast<int>(call.what)) +
           " of entry " + std::to_string(call.handle.entry_id.ms);
  });
  c.calls.push_back(call);
  return true;
}

bool RedisMachine::serve_call(Client& c) {
  const auto it = std::ranges::find_if(c.calls, [](const Call& call) { return !call.answer; });
  if (it == c.calls.end()) return false;
  it->answer = at_server(number_of(c), *it);
  say([&] {
    return "the server answers " + std::to_string(*it->answer) + " for entry " + std::to_string(it->handle.entry_id.ms);
  });
  return true;
}

bool RedisMachine::end_call(Client& c) {
  if (c.calls.empty()) return false;
  const std::size_t at = random_.below(c.calls.size());
  const Call call = c.calls[at];
  if (!call.answer && (!faults_ || !random_.chance(10))) return false;
  c.calls.erase(c.calls.begin() + static_cast<std::ptrdiff_t>(at));
  std::uint64_t number = 0;
  Held* const held = find(c, call.tag, &number);
  const Hold stood = held != nullptr ? held->stands() : Hold::none;
  if (!call.answer || fails(10)) {  // never heard of; the caller tries again, or the lease ends
    say([&] { return "no answer for entry " + std::to_string(call.handle.entry_id.ms); });
    if (call.what == What::touch) return true;
    c.table.set_being_kept(call.tag, false);
    c.table.set_going_back(call.tag, false);
    if (held != nullptr) {
      held->being_kept = held->going_back = false;
      if (stood == Hold::keeping) held_coverage.count(stood, HoldEvent::not_kept, Hold::held);
      if (stood == Hold::going) held_coverage.count(stood, HoldEvent::not_given_back, Hold::held);
    }
    if (random_.chance(50)) {
      c.user.push_back(call.tag);
    } else {
      c.table.end_by(call.tag, tick_ + lease_);
      if (held != nullptr && held->renewed()) {
        held->until = tick_ + lease_;
        held_coverage.count(held->stands(), HoldEvent::end_by, held->stands());
      }
    }
    return true;
  }
  say([&] {
    return "client " + std::to_string(number_of(c)) + " hears " + std::to_string(*call.answer) + " for entry " +
           std::to_string(call.handle.entry_id.ms);
  });
  if (call.what == What::touch) {
    bool survives = *call.answer > 0;
    if (!survives) {
      survives = c.table.survives_refusal(call.tag, call.handle);
      const bool expected = held != nullptr && (held->being_kept || held->deliveries != call.handle.deliveries);
      check_equal(survives, expected, "D8, D9: whether a delivery outlives a refusal");
      if (held != nullptr && !expected) {
        forget(c, number, HoldEvent::refused);
        return true;
      }
    }
    if (!survives) return true;
    const bool longer = call.lease.count() > lease_;
    c.table.set_lease(call.tag, tick_ + call.lease.count(), longer);
    if (held != nullptr && !held->renewed()) {
      held->until = tick_ + call.lease.count();
      held->long_lease = longer;
    }
    if (held != nullptr) held_coverage.count(stood, HoldEvent::touch, stood);
    return true;
  }
  if (call.what == What::keep && *call.answer > 0) {
    const DeliveryTag tag = c.table.renew(call.tag, *call.answer, call.tag.attempts + (call.counts ? 1 : 0));
    if (held == nullptr) {
      check(tag == call.tag, "D8: what is not held was renewed");
      return true;
    }
    check(tag.generation != call.tag.generation, "D8: a kept delivery is another");
    check(c.table.find(call.tag) == nullptr, "D10: the delivery before is found");
    held->tag = tag;
    held->deliveries = *call.answer;
    held->attempts = call.tag.attempts + (call.counts ? 1 : 0);
    held->being_kept = false;
    held_coverage.count(stood, HoldEvent::kept, held->stands());
    c.user.push_back(tag);
    return true;
  }
  c.table.remove(call.tag);
  if (held != nullptr)
    forget(c, number,
           call.what == What::give_back ? HoldEvent::given_back
           : *call.answer > 0           ? HoldEvent::ack
                                        : HoldEvent::refused);
  return true;
}

// A subscription's renewal that does not get through.
bool RedisMachine::want(Client& c) {
  if (c.user.empty()) return false;
  const DeliveryTag tag = random_.any_of(c.user);
  c.table.wanted({&tag, 1}, tick_);
  if (Held* const held = find(c, tag)) held->renewed_at = tick_;
  return true;
}

bool RedisMachine::keep_alive(Client& c) {
  std::vector<redis::Handle> handles = c.table.long_leases(tick_);
  std::vector<redis::Handle> expected;
  for (const auto& [number, held] : c.model) {
    if (!held.renewed() && held.long_lease && held.until > tick_)
      expected.push_back({.entry_id = entry_id(number), .deliveries = held.deliveries});
  }
  std::ranges::sort(handles, {}, &redis::Handle::entry_id);
  check(handles == expected, "D9: which long leases are kept alive");
  for (const redis::Handle& handle : handles) {
    static_cast<void>(at_server(number_of(c), {.what = What::touch, .handle = handle}));
  }
  return !handles.empty();
}

bool RedisMachine::end_by(Client& c) {
  if (c.user.empty()) return false;
  const std::size_t at = random_.below(c.user.size());
  const DeliveryTag tag = c.user[at];
  c.user.erase(c.user.begin() + static_cast<std::ptrdiff_t>(at));
  c.table.end_by(tag, tick_ + lease_);
  Held* const held = find(c, tag);
  say([&] { return "client " + std::to_string(number_of(c)) + " forgets a delivery"; });
  if (held == nullptr || !held->renewed()) return true;
  held->until = tick_ + lease_;
  held_coverage.count(held->stands(), HoldEvent::end_by, held->stands());
  return true;
}

// Another takes its name; the server believes the old one still.
bool RedisMachine::crash(Client& c) {
  if (!random_.chance(40)) return false;
  say([&] { return "client " + std::to_string(number_of(c)) + " crashes"; });
  c.table.clear();
  check(c.table.empty(), "an emptied table has something");
  c = Client{};
  c.maybe_lost = true;
  return true;
}

}  // namespace lrpc::queue::simulation
