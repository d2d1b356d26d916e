// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/context.hpp"
#include "redis/channel.hpp"

/// How a channel gets its deliveries.

namespace lrpc::queue::redis {
namespace {

constexpr Duration kFirstPause{5};
constexpr Duration kLastPause{1000};

Duration jittered(Duration time) {
  return Duration(static_cast<std::int64_t>(static_cast<double>(time.count()) * (0.75 + 0.25 * detail::random_unit())));
}

/// How often a consumer looks for what others left behind: not in step with others, and so that one with nothing to do
/// makes no more than two calls a second.
Duration upkeep_every(Duration lease) {
  return Duration(1000) + jittered(std::clamp(lease / 4, Duration(1250), Duration(5000)) - Duration(1000));
}

}  // namespace

std::size_t RedisChannel::room(const ReceiveOptions& options, std::size_t wanted) const {
  if (options.limit <= 0 || options.renewed) return wanted;
  const auto taken = static_cast<std::int64_t>(held_.leased(now())) + promised_;
  return std::min(wanted, static_cast<std::size_t>(std::max<std::int64_t>(options.limit - taken, 0)));
}

Result<std::size_t> RedisChannel::receive(std::span<Delivery> out, const ReceiveOptions& options) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (out.empty()) return 0;
  const std::stop_callback on_stop(options.stop, [this] { wake(); });
  const bool waits = options.deadline > std::chrono::steady_clock::now();
  Result<std::size_t> last = 0;
  Duration pause = kFirstPause;
  std::unique_lock lock(mutex_);
  for (bool first = true;; first = false) {
    if (gate_.is_shut()) return closed();
    if (dead_) return deleted();
    if (!receiving_) return 0;
    if (!first && (options.stop.stop_requested() || std::chrono::steady_clock::now() >= options.deadline)) {
      // Who only looked whether something is there gets nothing; who waited for it learns why nothing came.
      if (!last && waits) return last;
      return 0;
    }
    const std::uint64_t seen = wakes_;
    const std::size_t wanted = room(options, out.size());
    const std::int64_t promise = options.limit > 0 && !options.renewed ? static_cast<std::int64_t>(wanted) : 0;
    SteadyTime until = options.deadline;
    bool for_turn = false;
    if (wanted == 0) {
      if (!waits) return 0;
      until = std::min(until, parts_.clock->real(held_.next_end()));
    } else if (asking_ || searching_) {
      for_turn = true;
      if (!waits && !searching_) {
        // Who asks may wait for long.
        ++reading_;
        promised_ += promise;
        lock.unlock();
        last = read_at_once(out.first(wanted), options.renewed);
        lock.lock();
        promised_ -= promise;
        --reading_;
        changed_.notify_all();
        if (last) return last;
        if (!passes(last.error())) return last;
        continue;
      }
    } else {
      asking_ = true;
      promised_ += promise;
      lock.unlock();
      last = ask(out.first(wanted), options);
      lock.lock();
      promised_ -= promise;
      asking_ = false;
      changed_.notify_all();
      if (last ? *last > 0 : !passes(last.error())) return last;
      if (last) continue;
      until = std::min(until, after(jittered(pause)));
      pause = std::min(pause * 2, kLastPause);
      if (!waits) continue;
    }
    changed_.wait_until(lock, until, [&] {
      return wakes_ != seen || (for_turn && !asking_ && !searching_) ||
             (!for_turn && wanted == 0 && room(options, out.size()) > 0);
    });
  }
}

bool RedisChannel::look_is_due() {
  if (look_) return true;
  const std::int64_t present = now();
  if (present >= next_due_ || present >= next_upkeep_) return true;
  const std::lock_guard lock(mutex_);
  return present >= held_.next_end();
}

SteadyTime RedisChannel::next_look() {
  std::int64_t tick = std::min(next_due_.load(), next_upkeep_.load());
  {
    const std::lock_guard lock(mutex_);
    tick = std::min(tick, held_.next_end());
  }
  return parts_.clock->real(tick);
}

// Asks until there is something, the time is over, or somebody wants to know something else.
Result<std::size_t> RedisChannel::ask(std::span<Delivery> out, const ReceiveOptions& options) {
  for (;;) {
    waker_.clear();
    {
      const std::lock_guard lock(mutex_);
      if (searching_) return 0;
    }
    if (!receiving_ || dead_ || gate_.is_shut() || options.stop.stop_requested()) return 0;
    if (maybe_lost_) {
      const std::uint64_t rebuilt = rebuilt_;
      if (auto ok = find_lost(); !ok) return explain(std::move(ok.error()), rebuilt);
    }
    if (look_is_due()) {
      auto found = look(out, options.renewed);
      if (!found || *found > 0) return found;
      if (look_) continue;
    }
    const bool waits = options.deadline > std::chrono::steady_clock::now();
    if (!waits) return read_at_once(out, options.renewed);
    const std::uint64_t rebuilt = rebuilt_;
    auto taken = reader_.wait(*store(), out.size(), std::min(options.deadline, next_look()), waker_,
                              parts_.clock->real(next_upkeep_));
    if (!taken) return explain(std::move(taken.error()), rebuilt);
    if (!receiving_ || gate_.is_shut()) {
      // They came when nobody wanted any more.
      send_back(*taken);
      return 0;
    }
    const std::size_t count = hand_out(std::move(*taken), out, options.renewed);
    if (count > 0 || std::chrono::steady_clock::now() >= options.deadline) return count;
  }
}

Result<std::size_t> RedisChannel::read_at_once(std::span<Delivery> out, bool renewed) {
  const std::uint64_t rebuilt = rebuilt_;
  auto taken = store()->read(out.size(), deadline());
  if (!taken) return explain(std::move(taken.error()), rebuilt);
  return hand_out(std::move(*taken), out, renewed);
}

// One more that reads beside who asks; false while nobody may.
bool RedisChannel::begin_reading() {
  const std::lock_guard lock(mutex_);
  if (searching_) return false;
  ++reading_;
  return true;
}

void RedisChannel::end_reading() {
  {
    const std::lock_guard lock(mutex_);
    --reading_;
  }
  changed_.notify_all();
}

Result<std::size_t> RedisChannel::look(std::span<Delivery> out, bool renewed) {
  look_ = false;
  const std::uint64_t rebuilt = rebuilt_;
  // Before the call: what is due is never seen too late, however long the answer takes.
  const std::int64_t begin = now();
  const bool upkeep = begin >= next_upkeep_;
  Incarnation known;
  std::vector<Ended> ended;
  {
    const std::lock_guard lock(mutex_);
    known = parts_.incarnation;
    ended = held_.ended(begin, out.size());
  }
  const std::size_t held = ended.size();
  while (!lost_.empty() && ended.size() < out.size()) {
    ended.push_back(lost_.back());
    lost_.pop_back();
  }
  auto found = store()->look(known, out.size(), lease(), cursor_, upkeep, ended, deadline());
  if (!found) {
    look_ = true;
    if (ended.size() > held) maybe_lost_ = true;  // looked for again
    return explain(std::move(found.error()), rebuilt);
  }
  if (found->state == Look::State::deleted) {
    dead_ = true;
    return deleted();
  }
  if (found->state == Look::State::gone) {
    if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
    return 0;
  }
  next_due_ = found->next_due == Duration::max() ? Held::kForever : begin + found->next_due.count();
  if (upkeep) next_upkeep_ = begin + (cursor_ == "0-0" ? upkeep_every(lease()) : Duration(50)).count();
  // There may be more.
  if (found->taken.size() >= out.size() || !lost_.empty()) look_ = true;
  const std::size_t count = hand_out(std::move(found->taken), out, renewed);
  const std::lock_guard lock(mutex_);
  held_.forget_ended(ended, begin);
  return count;
}

std::size_t RedisChannel::hand_out(std::vector<Taken>&& taken, std::span<Delivery> out, bool renewed) {
  const std::int64_t present = now();
  const std::int64_t until = renewed ? Held::kForever : present + lease().count();
  std::size_t count = 0;
  const std::lock_guard lock(mutex_);
  for (Taken& one : taken) {
    const HeldTable::Put put = held_.put(one, present, until, lease().count());
    if (!put.tag) continue;
    Delivery& delivery = out[count++];
    delivery = Delivery{.message = std::move(one.entry.message),
                        .tag = *put.tag,
                        .attempts = put.attempts,
                        .lease_expired = put.lease_expired};
    if (!one.entry.malformed.empty()) {
      delivery.malformed = std::make_shared<const std::string>(std::move(one.entry.malformed));
    }
  }
  return count;
}

// As if they had never been handed out.
void RedisChannel::send_back(const std::vector<Taken>& taken) {
  std::vector<Outcome> outcomes;
  outcomes.reserve(taken.size());
  for (const Taken& one : taken) {
    outcomes.push_back({.handle = one.handle,
                        .action = Outcome::Action::give_back,
                        .counted = std::max<std::int64_t>(one.handle.deliveries - 1, 0)});
  }
  if (outcomes.empty()) return;
  look_ = true;
  if (!carry_out(outcomes)) maybe_lost_ = true;
}

// What the server believes that we hold, but we do not: the answer that told us was lost.
Result<void> RedisChannel::find_lost() {
  {
    std::unique_lock lock(mutex_);
    searching_ = true;
    changed_.wait(lock, [this] { return reading_ == 0; });
  }
  maybe_lost_ = false;
  constexpr std::size_t kMost = 10'000;
  auto pending = store()->pending(kMost, deadline());
  const std::lock_guard lock(mutex_);
  searching_ = false;
  changed_.notify_all();
  if (!pending) {
    maybe_lost_ = true;
    return std::unexpected(std::move(pending.error()));
  }
  lost_.clear();
  for (const Handle& handle : *pending) {
    // What we hold goes on under the server's count; what had ended here was handed out again, to nobody.
    if (held_.goes_on(handle, now())) continue;
    lost_.push_back({.handle = handle, .next = handle.deliveries});
  }
  if (!lost_.empty()) look_ = true;
  return {};
}

}  // namespace lrpc::queue::redis
