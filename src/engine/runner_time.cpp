// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "engine/runner.hpp"

namespace lrpc::queue::detail {

void Runner::wake_timekeeper() {
  time_requested_ = true;
  if (timekeeper_on_) {
    time_.notify_one();
  } else if (!quit_) {
    try {
      timekeeper_ = std::thread([self = shared_from_this()] { self->keep_time(); });
      timekeeper_on_ = true;
    } catch (const std::exception&) {  // asked for again with the next message
    }
  }
}

// A handler starts. The timekeeper needs to hear of it only if it does not look in time anyway: it looks when the first
// of those that ran before runs out of time, and when the leases are to be renewed.
void Runner::time_handler() {
  const bool timed = core_->policy().handler_timeout.count() > 0 && !timing_;
  const bool renewed = core_->context->capabilities.renew_leases && renew_at_tick_ == 0;
  if (timed || renewed) wake_timekeeper();
}

void Runner::keep_time() {
  std::unique_lock lock(mutex_);
  const auto requested = [this] { return quit_ || time_requested_; };
  while (!quit_) {
    time_requested_ = false;
    time_step(lock);
    const SteadyTime at = next_step(core_->context->clock->now());
    if (at == SteadyTime::max()) {
      time_.wait(lock, requested);
    } else {
      time_.wait_until(lock, at, requested);
    }
  }
}

void Runner::time_step(std::unique_lock<std::mutex>& lock) {
  const Instant now = core_->context->clock->now();
  release_held(now.tick_ms);
  const bool noted = watching_ && runs_ == runs_seen_ && settle_.deferred();
  if (watching_) {
    if (stranded()) {
      ensure_helper();
    } else if (runs_ == runs_seen_) {
      watching_ = false;  // whatever starts next asks again
    }
    runs_seen_ = runs_;
  }
  std::vector<Settlement> expired = expire_handlers(now.tick_ms);
  const bool repeat = settle_.retry_at() <= std::chrono::steady_clock::now();
  if (!expired.empty() || repeat || noted) {
    lock.unlock();
    if (noted) settle_.flush();
    settle_.settle(std::move(expired));
    if (repeat) settle_.retry();
    lock.lock();
  }
  if (core_->context->capabilities.renew_leases) renew_leases(lock, now);
}

// Work that nobody takes because every thread that is awake sits in a handler: the handlers were expected to be quick.
bool Runner::stranded() const {
  if (stopping_ || runs_ != runs_seen_ || active_ == 0 || active_ >= max_in_flight_) return false;
  return !ready_.empty() || can_fetch();
}

void Runner::release_held(std::int64_t now_tick) {
  while (!held_.empty() && held_.begin()->first <= now_tick) {
    ready_.push_back(std::move(held_.begin()->second));
    held_.erase(held_.begin());
    ensure_helper();
  }
}

// The start was read from the coarse clock, which lags.
std::int64_t Runner::handler_ends(const Worker& worker) const {
  return worker.started_tick + core_->policy().handler_timeout.count() + core_->context->clock->coarse_lag_ms();
}

std::vector<Settlement> Runner::expire_handlers(std::int64_t now_tick) {
  std::vector<Settlement> expired;
  const Duration limit = core_->policy().handler_timeout;
  if (limit.count() <= 0) return expired;
  for (Worker& worker : workers_) {
    if (!worker.busy || worker.given_up || now_tick < handler_ends(worker)) continue;
    worker.given_up = true;
    if (worker.retry) {
      held_.emplace(worker.retry->due, std::move(worker.retry->item));
      worker.retry.reset();
    }
    expired.push_back(core_->settlement_for(
        worker.tag, {}, "the handler ran longer than handler_timeout (" + std::to_string(limit.count()) + " ms)"));
    if (!worker.key.empty()) {
      release_key(worker.key);
      worker.key.clear();
      ensure_helper();
    }
  }
  return expired;
}

// Renews, every third of a lease, whatever is held here: running, waiting, held, or settled but not yet stored.
void Runner::renew_leases(std::unique_lock<std::mutex>& lock, Instant now) {
  std::vector<DeliveryTag> tags = settle_.pending();
  for (const Worker& worker : workers_) {
    if (worker.busy && !worker.given_up) tags.push_back(worker.retry ? worker.retry->item.delivery.tag : worker.tag);
  }
  for (const Item& item : ready_) tags.push_back(item.delivery.tag);
  for (const auto& [due, item] : held_) tags.push_back(item.delivery.tag);
  for (const auto& [key, line] : keys_) {
    for (const Item& item : line.waiting) tags.push_back(item.delivery.tag);
  }
  if (tags.empty()) {
    // Looked at once more when the time has come, so that a message now and then does not wake this thread each time.
    if (now.tick_ms >= renew_at_tick_) renew_at_tick_ = 0;
    return;
  }
  const Duration lease = core_->policy().ack_timeout;
  const std::int64_t third = std::max<std::int64_t>(lease.count() / 3, 1);
  if (renew_at_tick_ == 0) renew_at_tick_ = now.tick_ms + third;
  if (now.tick_ms < renew_at_tick_) return;
  renew_at_tick_ = now.tick_ms + third;
  lock.unlock();
  const auto done = std::make_unique<bool[]>(tags.size());
  auto result = core_->backend->touch(tags, lease, {done.get(), tags.size()});
  std::vector<DeliveryTag> lost;
  for (std::size_t i = 0; result && i < tags.size(); ++i) {
    if (!done[i]) lost.push_back(tags[i]);
  }
  if (!result) {
    core_->context->log(LogLevel::warning, core_->explain(std::move(result.error()), "renewing leases").message);
  }
  lock.lock();
  if (!result) renew_at_tick_ = now.tick_ms + std::max<std::int64_t>(lease.count() / 10, 1);
  if (lost.empty()) return;
  std::vector<EnvelopePtr> forgotten = forget_lost(lost);
  lock.unlock();
  forgotten.clear();
  lock.lock();
}

// What no handler has seen and is not ours any more must not be handled here. (What is not found was settled or started
// meanwhile.)
std::vector<EnvelopePtr> Runner::forget_lost(std::span<const DeliveryTag> lost) {
  std::vector<EnvelopePtr> forgotten;  // the caller releases them without the lock
  const auto drop = [&](const Item& item) {
    if (std::ranges::find(lost, item.delivery.tag) == lost.end()) return false;
    forgotten.push_back(item.delivery.message);
    return true;
  };
  for (auto& [key, line] : keys_) {
    key_waiting_ -= std::erase_if(line.waiting, drop);
  }
  const std::size_t waiting = forgotten.size();
  for (Worker& worker : workers_) {
    if (worker.retry && drop(worker.retry->item)) worker.retry.reset();
  }
  std::erase_if(ready_, drop);
  std::erase_if(held_, [&](const auto& entry) { return drop(entry.second); });
  // The next of their keys may run.
  for (std::size_t i = waiting; i < forgotten.size(); ++i) {
    if (!forgotten[i]->key().empty()) release_key(forgotten[i]->key());
  }
  ensure_helper();
  return forgotten;
}

SteadyTime Runner::next_step(Instant now) {
  const Clock& clock = *core_->context->clock;
  SteadyTime at = settle_.retry_at();
  if (watching_) at = std::min(at, std::chrono::steady_clock::now() + Duration(1));
  if (!held_.empty()) at = std::min(at, clock.real(held_.begin()->first));
  if (renew_at_tick_ != 0) at = std::min(at, clock.real(std::max(renew_at_tick_, now.tick_ms + 1)));
  const Duration limit = core_->policy().handler_timeout;
  timing_ = false;
  if (limit.count() > 0) {
    for (const Worker& worker : workers_) {
      if (!worker.busy || worker.given_up) continue;
      timing_ = true;
      at = std::min(at, clock.real(handler_ends(worker)));
    }
  }
  return at;
}

}  // namespace lrpc::queue::detail
