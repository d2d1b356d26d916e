// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "redis/channel.hpp"

/// What becomes of deliveries, and what keeps them alive.

namespace lrpc::queue::redis {
namespace {

/// Settlements of one step on the server.
constexpr std::size_t kMostOutcomes = 1000;

}  // namespace

Result<void> RedisChannel::carry_out(std::vector<Outcome>& outcomes) {
  for (std::size_t from = 0; from < outcomes.size(); from += kMostOutcomes) {
    const std::span part = std::span(outcomes).subspan(from, std::min(kMostOutcomes, outcomes.size() - from));
    auto gone = store()->settle(part, deadline());
    if (!gone) return std::unexpected(std::move(gone.error()));
    dropped_ += *gone;
  }
  return {};
}

// Where nobody tries again (the server refused), it comes again when its lease is over.
void RedisChannel::not_settled(DeliveryTag tag, const Error& error) {
  const std::lock_guard lock(mutex_);
  held_.set_being_kept(tag, false);
  held_.set_going_back(tag, false);
  if (!passes(error)) held_.end_by(tag, now() + lease().count());
}

Result<void> RedisChannel::ack(std::span<const DeliveryTag> tags, std::span<bool> done) {
  return guarded([&]() -> Result<void> {
    std::ranges::fill(done, false);
    for (std::size_t from = 0; from < tags.size(); from += kMostOutcomes) {
      const std::size_t count = std::min(kMostOutcomes, tags.size() - from);
      if (auto ok = ack_some(tags.subspan(from, count), done.subspan(from, count)); !ok) return ok;
    }
    return {};
  });
}

// The deliveries of `tags` that are held here.
RedisChannel::Acking RedisChannel::begin_ack(std::span<const DeliveryTag> tags) const {
  Acking acking;
  acking.handles.reserve(tags.size());
  acking.places.reserve(tags.size());
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const Held* held = held_.find(tags[i]);
      if (held == nullptr) continue;
      acking.handles.push_back(held->handle);
      acking.places.push_back(i);
    }
  }
  acking.acked = std::make_unique<bool[]>(acking.handles.size());
  return acking;
}

Result<void> RedisChannel::end_ack(const Acking& acking, Result<void> result, std::span<const DeliveryTag> tags,
                                   std::span<bool> done) {
  if (!result) {
    for (const std::size_t place : acking.places) not_settled(tags[place], result.error());
    return result;
  }
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < acking.places.size(); ++i) {
      const std::size_t place = acking.places[i];
      done[place] = acking.acked[i];
      held_.remove(tags[place]);
    }
    ++wakes_;
  }
  changed_.notify_all();
  return result;
}

Result<void> RedisChannel::ack_some(std::span<const DeliveryTag> tags, std::span<bool> done) {
  const Acking acking = begin_ack(tags);
  if (acking.handles.empty()) return {};
  return end_ack(acking, store()->ack(acking.handles, acking.flags(), deadline()), tags, done);
}

// Reads beside whoever asks; where something has to be looked for first it only acks.
Result<void> RedisChannel::ack_and_receive(std::span<const DeliveryTag> tags, std::span<bool> done,
                                           std::span<Delivery> out, std::size_t& received) {
  received = 0;
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const Acking acking = begin_ack(tags);
  const bool plain = !acking.handles.empty() && tags.size() <= kMostOutcomes && receiving_ && !dead_;
  if (!plain || maybe_lost_ || look_is_due() || !begin_reading()) return ack(tags, done);
  const std::uint64_t rebuilt = rebuilt_;
  auto [acked, taken] = store()->ack_and_read(acking.handles, acking.flags(), out.size(), deadline());
  if (taken) {
    received = hand_out(std::move(*taken), out, /*renewed=*/true);
  } else {
    look_ = true;  // who asks next finds out
  }
  if (!acked && acked.error().code == ErrorCode::outcome_unknown) maybe_lost_ = true;
  end_reading();
  std::ranges::fill(done, false);
  if (acked || !is_gone(acked.error())) return end_ack(acking, std::move(acked), tags, done);
  if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
  return ack(tags, done);
}

Result<void> RedisChannel::touch_all(std::span<const DeliveryTag> tags, std::span<bool> done) {
  return guarded([&]() -> Result<void> {
    std::vector<Outcome> outcomes;
    std::vector<std::size_t> places;
    outcomes.reserve(tags.size());
    places.reserve(tags.size());
    {
      const std::lock_guard lock(mutex_);
      held_.wanted(tags, now());
      for (std::size_t i = 0; i < tags.size(); ++i) {
        done[i] = false;
        const Held* held = held_.find(tags[i]);
        if (held == nullptr) continue;
        outcomes.push_back({.handle = held->handle, .action = Outcome::Action::touch});
        places.push_back(i);
      }
    }
    if (outcomes.empty()) return {};
    if (auto ok = carry_out(outcomes); !ok) return ok;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        // A refusal can be older than what we know: the count changes when a delivery is kept or handed to us again.
        done[places[i]] = outcomes[i].deliveries_now > 0 || held_.survives_refusal(tags[places[i]], outcomes[i].handle);
      }
      ++wakes_;
    }
    changed_.notify_all();
    return {};
  });
}

Result<void> RedisChannel::touch(std::span<const DeliveryTag> tags, Duration time, std::span<bool> done) {
  auto result = touch_all(tags, done);
  if (!result) return result;
  time = std::min(time, kLongest);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (!done[i]) continue;
    held_.set_lease(tags[i], now() + time.count(), time > lease());
    if (time > lease() && !long_leases_.exchange(true)) parts_.listener->wake();
  }
  return result;
}

Result<void> RedisChannel::settle(std::span<Settlement> settlements) {
  return guarded([&]() -> Result<void> {
    std::vector<Outcome> outcomes;
    std::vector<std::size_t> places;
    bool given_back = false;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < settlements.size(); ++i) {
        Settlement& s = settlements[i];
        s.done = false;
        const Held* held = held_.find(s.tag);
        if (held == nullptr) continue;
        const std::int64_t counted = held->attempts - (s.count_attempt ? 0 : 1);
        Outcome outcome{.handle = held->handle, .counted = counted};
        switch (s.action) {
          case Settlement::Action::retry:
            outcome.action = Outcome::Action::retry;
            outcome.delay = std::min(s.delay, kLongest);
            break;
          case Settlement::Action::give_back:
          case Settlement::Action::keep:
            outcome.action = s.action == Settlement::Action::keep ? Outcome::Action::keep : Outcome::Action::give_back;
            outcome.counted = std::max<std::int64_t>(counted - held->base, 0);
            if (s.action == Settlement::Action::keep) held_.set_being_kept(s.tag, true);
            if (s.action == Settlement::Action::give_back) {
              held_.set_going_back(s.tag, true);
              given_back = true;
            }
            break;
          case Settlement::Action::dead_letter:
            outcome.action = Outcome::Action::dead;
            outcome.reason = to_string(s.reason);
            outcome.error = s.error;
            outcome.limit = dead_limit_.load();
            break;
          case Settlement::Action::drop:
            break;
        }
        outcomes.push_back(std::move(outcome));
        places.push_back(i);
      }
    }
    if (outcomes.empty()) return {};
    if (auto ok = carry_out(outcomes); !ok) {
      for (const std::size_t place : places) not_settled(settlements[place].tag, ok.error());
      return ok;
    }
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < outcomes.size(); ++i) {
        Settlement& s = settlements[places[i]];
        s.done = outcomes[i].deliveries_now > 0;
        if (s.done && s.action == Settlement::Action::keep) {
          s.tag = held_.renew(s.tag, outcomes[i].deliveries_now, s.tag.attempts + (s.count_attempt ? 1 : 0));
        } else {
          held_.remove(s.tag);
        }
        if (outcomes[i].action == Outcome::Action::retry && s.done) due_in(outcomes[i].delay);
      }
    }
    if (given_back) look_ = true;
    wake();
    return {};
  });
}

// Keeps alive what was touched for longer than the server knows, as others go by the lease of this consumer.
void RedisChannel::tick() {
  const auto pass = gate_.enter();
  if (!pass) return;
  std::vector<Outcome> outcomes;
  {
    const std::lock_guard lock(mutex_);
    if (now() - kept_alive_at_ < lease().count() / 4) return;
    kept_alive_at_ = now();
    for (const Handle& handle : held_.long_leases(now())) {
      outcomes.push_back({.handle = handle, .action = Outcome::Action::touch});
    }
    if (outcomes.empty()) long_leases_ = false;
  }
  // What fails here is tried again the next time, well before the lease ends.
  static_cast<void>(carry_out(outcomes));
}

}  // namespace lrpc::queue::redis
