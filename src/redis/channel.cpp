// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/channel.hpp"

#include <algorithm>
#include <utility>

#include <lrpc/queue/message_id.hpp>

#include "engine/context.hpp"

namespace lrpc::queue::redis {
namespace {

/// Settlements of one step on the server.
constexpr std::size_t kMostOutcomes = 1000;
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

/// Of the line, not of the question: worth another try.
bool passes(const Error& error) {
  return error.code == ErrorCode::unavailable || error.code == ErrorCode::outcome_unknown ||
         error.code == ErrorCode::timeout;
}

}  // namespace

std::shared_ptr<RedisChannel> RedisChannel::open(Parts parts) {
  auto channel = std::make_shared<RedisChannel>(std::move(parts));
  channel->parts_.listener->add(channel->store()->stream(), channel);
  return channel;
}

RedisChannel::RedisChannel(Parts parts)
    : parts_(std::move(parts)),
      lease_(std::min(parts_.policy.ack_timeout, kLongest).count()),
      dead_limit_(parts_.policy.dead_letter_limit) {
  make_store();
  // Not only its own times may have come: the server's clock may jump a moment later.
  on_jump_ = parts_.clock->on_jump([this] { heard(); });
}

void RedisChannel::make_store() {
  // The name tells others how long this consumer may hold a delivery (D9).
  const std::string consumer = "consumer-" + generate_message_id() + "-" + std::to_string(lease().count());
  store_ = std::make_shared<ChannelStore>(parts_.route, parts_.topic->keys(), parts_.name, consumer);
}

SteadyTime RedisChannel::deadline() const { return after(parts_.route->usual_time()); }

std::unexpected<Error> RedisChannel::closed() const {
  return fail(ErrorCode::channel_closed, "channel " + parts_.name + " of topic " + parts_.topic_name + " was closed");
}

std::unexpected<Error> RedisChannel::deleted() const {
  return fail(ErrorCode::channel_not_found,
              "channel " + parts_.name + " of topic " + parts_.topic_name + " was deleted");
}

void RedisChannel::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
  }
  waker_.wake();
  changed_.notify_all();
}

// A message was delayed: nobody needs to look before it is due.
void RedisChannel::due_in(Duration delay) noexcept {
  const std::int64_t due = now() + delay.count();
  for (std::int64_t next = next_due_; due < next;) {
    if (next_due_.compare_exchange_weak(next, due)) break;
  }
}

void RedisChannel::heard() noexcept {
  look_ = true;
  wake();
}

void RedisChannel::set_receiving(bool on) noexcept {
  receiving_ = on;
  wake();
}

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
  std::int64_t tick = next_due_;
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
    ended.push_back(std::move(lost_.back()));
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
  for (Handle& handle : *pending) {
    const std::int64_t deliveries = handle.deliveries;
    // What we hold goes on under the server's count; what had ended here was handed out again, to nobody.
    if (held_.goes_on(handle, now())) continue;
    lost_.push_back({.handle = std::move(handle), .next = deliveries});
  }
  if (!lost_.empty()) look_ = true;
  return {};
}

// The keys went without the mark of a deletion: made anew, read from 0 (D22).
Result<void> RedisChannel::rebuild(std::uint64_t rebuilt) {
  const std::lock_guard one_at_a_time(rebuild_mutex_);
  if (rebuilt_ != rebuilt) return {};  // since the call that found them gone
  Incarnation known;
  {
    const std::lock_guard lock(mutex_);
    known = parts_.incarnation;
  }
  auto fresh = parts_.topic->rebuild_channel(parts_.name, known, deadline());
  if (!fresh) {
    if (fresh.error().code != ErrorCode::channel_not_found) return std::unexpected(std::move(fresh.error()));
    dead_ = true;
    wake();
    return deleted();
  }
  parts_.logger(LogLevel::warning, "channel " + parts_.name + " of topic " + parts_.topic_name +
                                       ": its keys were gone from Redis and were made anew");
  {
    const std::lock_guard lock(mutex_);
    held_.clear();
    ++rebuilt_;
    parts_.incarnation = std::move(*fresh);
  }
  look_ = true;
  return {};
}

// Gives an error its meaning for the channel: keys that are gone are looked after.
std::unexpected<Error> RedisChannel::explain(Error error, std::uint64_t rebuilt) {
  if (error.code == ErrorCode::outcome_unknown) maybe_lost_ = true;
  if (!is_gone(error)) return std::unexpected(std::move(error));
  if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
  return fail(ErrorCode::unavailable, "the keys of channel " + parts_.name + " were gone and were made anew", true);
}

// A call that may come after an operator's DEL; then it is made again.
template <class F>
auto RedisChannel::guarded(F&& call) -> decltype(call()) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (dead_) return deleted();
  const std::uint64_t rebuilt = rebuilt_;
  auto result = call();
  if (result || !is_gone(result.error())) return result;
  if (auto ok = rebuild(rebuilt); !ok) return std::unexpected(std::move(ok.error()));
  return call();
}

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

Result<void> RedisChannel::ack_some(std::span<const DeliveryTag> tags, std::span<bool> done) {
  std::vector<Handle> handles;
  std::vector<std::size_t> places;
  handles.reserve(tags.size());
  places.reserve(tags.size());
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < tags.size(); ++i) {
      const Held* held = held_.find(tags[i]);
      if (held == nullptr) continue;
      handles.push_back(held->handle);
      places.push_back(i);
    }
  }
  if (handles.empty()) return {};
  const auto acked = std::make_unique<bool[]>(handles.size());
  if (auto ok = store()->ack(handles, {acked.get(), handles.size()}, deadline()); !ok) {
    for (const std::size_t place : places) not_settled(tags[place], ok.error());
    return ok;
  }
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < places.size(); ++i) {
      done[places[i]] = acked[i];
      held_.remove(tags[places[i]]);
    }
    ++wakes_;
  }
  changed_.notify_all();
  return {};
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
            given_back = given_back || s.action == Settlement::Action::give_back;
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

std::optional<DeliveryTag> RedisChannel::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  return held_.find(id);
}

Result<BackendStats> RedisChannel::stats() {
  auto result = guarded([this] { return store()->stats(deadline()); });
  if (result) result->dropped = dropped_;
  return result;
}

Result<std::int64_t> RedisChannel::drop_all() {
  return guarded([this] { return store()->drop_all(deadline()); });
}

Result<DeadPage> RedisChannel::dead_letters(std::size_t limit, std::string_view cursor) {
  return guarded([&] { return store()->dead_letters(limit, cursor, deadline()); });
}

Result<std::int64_t> RedisChannel::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  return guarded([&] { return store()->requeue_dead(ids, all, std::min(fresh_ttl, kLongest), deadline()); });
}

Result<std::int64_t> RedisChannel::purge_dead() {
  return guarded([this] { return store()->purge_dead(deadline()); });
}

void RedisChannel::configure(const ChannelPolicy& policy) {
  std::unique_lock lock(mutex_);
  dead_limit_ = policy.dead_letter_limit;
  const std::int64_t lease = std::min(policy.ack_timeout, kLongest).count();
  if (lease_.exchange(lease) == lease) return;
  // The consumer's name tells its lease: another consumer, once nobody waits as the old one. One that has been handed
  // something keeps its name; it renews by the new lease.
  searching_ = true;
  ++wakes_;
  waker_.wake();
  changed_.notify_all();
  changed_.wait(lock, [this] { return !asking_ && reading_ == 0; });
  if (held_.empty()) make_store();
  searching_ = false;
  changed_.notify_all();
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
    for (Handle& handle : held_.long_leases(now())) {
      outcomes.push_back({.handle = std::move(handle), .action = Outcome::Action::touch});
    }
    if (outcomes.empty()) long_leases_ = false;
  }
  // What fails here is tried again the next time, well before the lease ends.
  static_cast<void>(carry_out(outcomes));
}

Result<void> RedisChannel::close() {
  const bool first = gate_.shut();
  wake();
  gate_.drain();
  if (!first) return {};
  on_jump_.reset();
  parts_.listener->remove(store()->stream(), this);
  reader_.disconnect();
  if (dead_) return {};
  return store()->leave(deadline());
}

}  // namespace lrpc::queue::redis
