// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/channel_engine.hpp"

#include <algorithm>
#include <utility>

namespace lrpc::queue::detail {
namespace {

Result<void> check_nack(const NackOptions& options) {
  if (options.delay && options.delay->count() < 0) {
    return fail(ErrorCode::invalid_argument, "NackOptions.delay is negative");
  }
  return {};
}

constexpr auto kCloseSlack = std::chrono::milliseconds(500);  // for the closing thread to report first

Failure failure_of(const NackOptions& options) {
  return {.delay = options.delay, .skip_attempts = options.skip_attempts, .reject = options.dead_letter};
}

}  // namespace

Error ChannelImpl::not_found(std::string_view what) const {
  return {.code = ErrorCode::message_not_found,
          .message = std::string(what) + " is not in flight here on channel " + core_->name + " of topic " +
                     core_->topic + " (settled already, or handed out again after ack_timeout)"};
}

// -- taking messages ------------------------------------------------------------------------------------------------

Result<void> ChannelImpl::next(Delivery& out, const std::optional<Duration>& timeout, const std::stop_token& stop) {
  std::size_t taken = 0;
  return take({&out, 1}, taken, timeout, stop);
}

Result<void> ChannelImpl::next_batch(std::span<Delivery> out, std::size_t& taken, Duration timeout) {
  if (out.empty()) return fail(ErrorCode::invalid_argument, "next_batch: max is 0");
  return take(out, taken, timeout, {});
}

Result<void> ChannelImpl::take(std::span<Delivery> out, std::size_t& taken, const std::optional<Duration>& timeout,
                               const std::stop_token& stop) {
  if (timeout && timeout->count() < 0) return fail(ErrorCode::invalid_argument, "try_next: the timeout is negative");
  const auto no_message = [&] {
    return fail(ErrorCode::no_message, "no message on channel " + core_->name + " of topic " + core_->topic, true);
  };
  const bool patient = !timeout || timeout->count() > 0;
  const ChannelPolicy& policy = core_->policy();
  ReceiveOptions options{.stop = stop, .limit = policy.limit_next ? policy.max_in_flight : 0};
  std::optional<SteadyTime> deadline;  // read the clock only when there is something to wait for
  int failures = 0;
  for (;;) {
    if (stop.stop_requested()) return fail(ErrorCode::cancelled, "next was cancelled by its stop token");
    if (!is_open()) return closed();
    if (core_->paused.load(std::memory_order_acquire)) {
      if (!patient) return no_message();
      if (!deadline) deadline = options.deadline = deadline_after(timeout);
      if (!wait_for_resume(deadline, stop)) return no_message();
      continue;
    }
    options.now = core_->context->clock->coarse();
    options.glance = patient && !deadline;
    Result<std::size_t> n = core_->backend->receive(out, options);
    if (!n) {
      if (!is_open()) return closed();
      if (!deadline) deadline = options.deadline = deadline_after(timeout);
      if (patient && wait_out(n.error(), *deadline, stop, failures++)) continue;
      return explain(std::move(n.error()), "receiving");
    }
    failures = 0;
    if (*n > 0) {
      // Only a call that may have waited, or that has to do with a server, needs to look at the clock again.
      const bool took_time = deadline || core_->context->capabilities.serializes;
      taken = core_->admit(out.first(*n), took_time ? core_->context->clock->coarse() : options.now);
      if (taken == 0) continue;
      core_->count_delivered(out.first(taken));
      return {};
    }
    if (!patient) return no_message();
    if (!deadline) {
      deadline = options.deadline = deadline_after(timeout);
    } else if (std::chrono::steady_clock::now() >= *deadline) {
      return no_message();
    }
  }
}

// A consumer goes on by itself when the line breaks (D22): waits a little before the next try, jittered, doubling from
// 50 ms to about 2 s. False when the error is of another kind or the deadline comes first.
bool ChannelImpl::wait_out(Error& error, SteadyTime deadline, const std::stop_token& stop, int failures) {
  if (error.code != ErrorCode::unavailable && error.code != ErrorCode::outcome_unknown) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now >= deadline) return false;
  const double pause_ms = (50 << std::min(failures, 5)) * (0.5 + random_unit());
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, stop, std::min(deadline, now + Duration(static_cast<std::int64_t>(pause_ms))),
                      [this] { return !is_open(); });
  return true;
}

// False when the deadline came first. Also returns on close and stop, for the caller to look.
bool ChannelImpl::wait_for_resume(const std::optional<SteadyTime>& deadline, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return !core_->paused.load(std::memory_order_acquire) || !is_open(); };
  if (!deadline || *deadline == SteadyTime::max()) {
    changed_.wait(lock, stop, over);
    return true;
  }
  return changed_.wait_until(lock, stop, *deadline, over) || stop.stop_requested();
}

Result<void> ChannelImpl::pause() {
  const std::lock_guard receiving(receiving_mutex_);
  if (!is_open()) return closed();
  core_->paused.store(true, std::memory_order_release);
  core_->backend->set_receiving(false);
  return {};
}

Result<void> ChannelImpl::resume() {
  {
    const std::lock_guard receiving(receiving_mutex_);
    if (!is_open()) return closed();
    core_->backend->set_receiving(true);
    const std::lock_guard lock(mutex_);
    core_->paused.store(false, std::memory_order_release);
  }
  changed_.notify_all();
  for (const auto& runner : runners()) runner->pause_changed();
  return {};
}

// -- settling -------------------------------------------------------------------------------------------------------

Result<void> ChannelImpl::ack(const DeliveryTag& tag) {
  if (!settles()) return closed();
  bool done = false;
  if (auto result = core_->backend->ack({&tag, 1}, {&done, 1}); !result) {
    return explain(std::move(result.error()), "ack");
  }
  if (!done) return std::unexpected(not_found("this delivery"));
  core_->count_acked(1);
  return {};
}

// What a subscription has fetched ahead is in flight for the back end, but ready for everybody else.
bool ChannelImpl::unseen(std::string_view id) {
  if (!subscribed_.load(std::memory_order_acquire)) return false;
  const Envelope::IdQuery query(id);
  return std::ranges::any_of(runners(), [&](const auto& runner) { return runner->holds_unseen(query); });
}

Result<DeliveryTag> ChannelImpl::find(std::string_view id) {
  if (!settles()) return closed();
  const auto tag = unseen(id) ? std::nullopt : core_->backend->find(id);
  if (!tag) return std::unexpected(not_found("message " + std::string(id)));
  return *tag;
}

Result<void> ChannelImpl::ack_id(std::string_view id) {
  if (!settles()) return closed();
  Result<bool> done = unseen(id) ? false : core_->backend->ack_id(id);
  if (!done) return explain(std::move(done.error()), "ack");
  if (!*done) return std::unexpected(not_found("message " + std::string(id)));
  core_->count_acked(1);
  return {};
}

Result<void> ChannelImpl::report(std::span<const bool> done,
                                 const std::function<std::string(std::size_t)>& id_of) const {
  const auto missing = std::ranges::count(done, false);
  if (missing == 0) return {};
  Error error = not_found(std::to_string(missing) + " of " + std::to_string(done.size()) + " deliveries");
  for (std::size_t i = 0; i < done.size(); ++i) {
    if (done[i]) error.accepted.push_back(id_of(i));
  }
  return std::unexpected(std::move(error));
}

Result<void> ChannelImpl::ack_many(std::span<const DeliveryTag> tags,
                                   const std::function<std::string(std::size_t)>& id_of) {
  if (!settles()) return closed();
  const auto done = std::make_unique<bool[]>(tags.size());
  const std::span<bool> flags(done.get(), tags.size());
  if (auto result = core_->backend->ack(tags, flags); !result) return explain(std::move(result.error()), "ack");
  if (const auto n = std::ranges::count(flags, true); n > 0) core_->count_acked(static_cast<std::size_t>(n));
  return report(flags, id_of);
}

Result<void> ChannelImpl::nack(const DeliveryTag& tag, const NackOptions& options) {
  return nack_many({&tag, 1}, [](std::size_t) { return std::string(); }, options);
}

Result<void> ChannelImpl::nack_id(std::string_view id, const NackOptions& options) {
  const auto tag = find(id);
  return tag ? nack(*tag, options) : std::unexpected(tag.error());
}

Result<void> ChannelImpl::nack_many(std::span<const DeliveryTag> tags,
                                    const std::function<std::string(std::size_t)>& id_of, const NackOptions& options) {
  if (!settles()) return closed();
  if (auto ok = check_nack(options); !ok) return ok;
  const auto done = std::make_unique<bool[]>(tags.size());
  std::vector<Settlement> settlements;
  std::vector<std::size_t> places;
  settlements.reserve(tags.size());
  const auto all = runners();
  for (std::size_t i = 0; i < tags.size(); ++i) {
    Settlement settlement = core_->settlement_for(tags[i], failure_of(options), options.reason);
    // A handler that nacks its own keyed delivery keeps the order of the key, as by its answer.
    const bool holdable =
        settlement.action == Settlement::Action::retry && (!options.delay || *options.delay <= Runner::kLongestHold);
    done[i] =
        holdable && std::ranges::any_of(all, [&](const auto& runner) { return runner->hold(tags[i], settlement); });
    if (done[i]) continue;
    places.push_back(i);
    settlements.push_back(std::move(settlement));
  }
  if (!settlements.empty()) {
    if (auto result = core_->backend->settle(settlements); !result) return explain(std::move(result.error()), "nack");
  }
  for (std::size_t i = 0; i < settlements.size(); ++i) {
    done[places[i]] = settlements[i].done;
    if (settlements[i].done) core_->count_settled(settlements[i]);
  }
  return report({done.get(), tags.size()}, id_of);
}

Result<void> ChannelImpl::touch(const DeliveryTag& tag, const std::optional<Duration>& lease) {
  return touch_many({&tag, 1}, [](std::size_t) { return std::string(); }, lease);
}

Result<void> ChannelImpl::touch_id(std::string_view id, const std::optional<Duration>& lease) {
  const auto tag = find(id);
  return tag ? touch(*tag, lease) : std::unexpected(tag.error());
}

Result<void> ChannelImpl::touch_many(std::span<const DeliveryTag> tags,
                                     const std::function<std::string(std::size_t)>& id_of,
                                     const std::optional<Duration>& lease) {
  if (!settles()) return closed();
  if (lease && lease->count() <= 0) return fail(ErrorCode::invalid_argument, "touch: the lease must be more than 0");
  const auto done = std::make_unique<bool[]>(tags.size());
  const std::span<bool> flags(done.get(), tags.size());
  if (auto result = core_->backend->touch(tags, std::min(lease.value_or(core_->policy().ack_timeout), kLongest), flags);
      !result) {
    return explain(std::move(result.error()), "touch");
  }
  return report(flags, id_of);
}

// -- figures and dead letters ---------------------------------------------------------------------------------------

Result<std::int64_t> ChannelImpl::depth() {
  if (!is_open()) return closed();
  auto stats = core_->backend->stats();
  if (!stats) return explain(std::move(stats.error()), "depth");
  return stats->ready + stats->in_flight + stats->delayed;
}

Result<ChannelStats> ChannelImpl::stats() {
  if (!is_open()) return closed();
  std::int64_t unseen = 0;
  for (const auto& runner : runners()) unseen += runner->prefetched();
  auto stats = core_->backend->stats();
  if (!stats) return explain(std::move(stats.error()), "stats");
  // Fetched ahead but seen by no handler: ready. The two figures are not read at one instant.
  unseen = std::min(unseen, stats->in_flight);
  const Counters& c = core_->counters;
  return ChannelStats{.ready = stats->ready + unseen,
                      .in_flight = stats->in_flight - unseen,
                      .delayed = stats->delayed,
                      .dead = stats->dead,
                      .depth = stats->ready + stats->in_flight + stats->delayed,
                      .delivered = c.get(Counters::delivered),
                      .acked = c.get(Counters::acked),
                      .nacked = c.get(Counters::nacked),
                      .expired = c.get(Counters::expired),
                      .redelivered = c.get(Counters::redelivered),
                      .dropped = c.get(Counters::dropped) + stats->dropped};
}

Result<DeadPage> ChannelImpl::dead_letters(std::size_t limit, std::string_view cursor) {
  if (!is_open()) return closed();
  if (limit == 0) return fail(ErrorCode::invalid_argument, "dead_letters: limit is 0");
  auto page = core_->backend->dead_letters(limit, cursor);
  if (!page) return explain(std::move(page.error()), "dead_letters");
  return page;
}

Result<std::int64_t> ChannelImpl::requeue_dead(std::span<const std::string> ids, bool all) {
  if (!is_open()) return closed();
  auto count = core_->backend->requeue_dead(ids, all, core_->policy().message_ttl);
  if (!count) return explain(std::move(count.error()), "requeue_dead");
  return count;
}

Result<std::int64_t> ChannelImpl::purge_dead() {
  if (!is_open()) return closed();
  auto count = core_->backend->purge_dead();
  if (!count) return explain(std::move(count.error()), "purge_dead");
  return count;
}

Result<std::int64_t> ChannelImpl::drop_all() {
  if (!is_open()) return closed();
  auto count = core_->backend->drop_all();
  if (!count) return explain(std::move(count.error()), "drop_all");
  return count;
}

// -- subscriptions and the end --------------------------------------------------------------------------------------

std::vector<std::shared_ptr<Runner>> ChannelImpl::runners() {
  const std::lock_guard lock(mutex_);
  return runners_;
}

Result<std::shared_ptr<SubscriptionEngine>> ChannelImpl::subscribe(AnyHandler handler) {
  auto runner = std::make_shared<Runner>(core_, shared_from_this(), std::move(handler));
  {
    const std::lock_guard lock(mutex_);
    if (!is_open()) return closed();
    std::erase_if(runners_, [](const auto& r) { return r->ended(); });
    runners_.push_back(runner);
    subscribed_.store(true, std::memory_order_release);
  }
  if (!runner->start()) {
    return fail(
        ErrorCode::backend,
        "channel " + core_->name + " of topic " + core_->topic + ": the system gives no thread for the subscription",
        true);
  }
  return runner;
}

bool ChannelImpl::begin_close() {
  {
    const std::lock_guard lock(mutex_);
    ChannelLife expected = ChannelLife::open;
    if (!core_->life.compare_exchange_strong(expected, ChannelLife::closing)) return false;
    close_deadline_ = deadline_after(core_->policy().close_timeout);
  }
  for (const auto& runner : runners()) runner->begin_stop();
  {
    const std::lock_guard receiving(receiving_mutex_);
    core_->backend->set_receiving(false);  // ends blocked next calls
  }
  changed_.notify_all();
  return true;
}

Result<void> ChannelImpl::finish_close(std::shared_ptr<void> parent) {
  bool all = true;
  std::shared_ptr<Runner> mine;
  for (const auto& runner : runners()) {
    all = runner->await_stop(close_deadline_) && all;
    if (runner->in_handler()) mine = runner;
  }
  Result<void> ended;
  if (mine) {
    // This handler's ack must still count (D20): the channel ends when it has.
    mine->after_handler([self = shared_from_this(), parent = std::move(parent)] { static_cast<void>(self->end()); });
  } else {
    ended = end();
    parent.reset();
  }
  if (all) return ended;
  return fail(ErrorCode::timeout, "channel " + core_->name + " of topic " + core_->topic +
                                      " was closed while a handler still runs (close_timeout): its message was given "
                                      "back and its result will be ignored");
}

// What a dead line kept from being given back comes back by its lease; the caller is told.
Result<void> ChannelImpl::end() {
  Result<void> closed = core_->backend->close();
  ChannelLife expected = ChannelLife::closing;
  core_->life.compare_exchange_strong(expected, ChannelLife::closed);
  forget_(this);
  std::vector<std::shared_ptr<Runner>> runners;  // released without the lock
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    runners.swap(runners_);
  }
  changed_.notify_all();
  if (!closed) return explain(std::move(closed.error()), "giving back what was not settled");
  return {};
}

Result<void> ChannelImpl::await_end() {
  // The close that we would wait for may be waiting for this very handler or callback.
  if (in_user_code()) return {};
  const auto all = runners();
  if (core_->life.load() == ChannelLife::deleted) {
    // Nobody closes a deleted channel, but its last handlers are waited for.
    const SteadyTime deadline = deadline_after(core_->policy().close_timeout);
    for (const auto& runner : all) runner->await_stop(deadline);
    return {};
  }
  std::unique_lock lock(mutex_);
  const auto over = [this] { return ended_; };
  if (close_deadline_ == SteadyTime::max()) {
    changed_.wait(lock, over);
  } else if (!changed_.wait_until(lock, close_deadline_ + kCloseSlack, over)) {
    return fail(ErrorCode::timeout, "channel " + core_->name + " of topic " + core_->topic +
                                        " is still closing: a handler runs longer than close_timeout");
  }
  return {};
}

Result<void> ChannelImpl::close() {
  if (begin_close()) return finish_close(nullptr);
  return await_end();
}

void ChannelImpl::look_for_deletion() {
  if (!is_open()) return;
  const auto stats = core_->backend->stats();
  if (!stats && stats.error().code == ErrorCode::channel_not_found) mark_deleted();
}

void ChannelImpl::mark_deleted() {
  {
    const std::lock_guard lock(mutex_);
    core_->life.store(ChannelLife::deleted, std::memory_order_release);
  }
  for (const auto& runner : runners()) runner->begin_stop();
  {
    const std::lock_guard receiving(receiving_mutex_);
    core_->backend->set_receiving(false);
  }
  changed_.notify_all();
}

}  // namespace lrpc::queue::detail
