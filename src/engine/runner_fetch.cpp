// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "engine/runner.hpp"

namespace lrpc::queue::detail {
namespace {

constexpr std::size_t kMaxHeld = 1000;  // messages held for their key before fetching pauses (D8)
constexpr std::size_t kMaxFetch = 128;  // deliveries of one receive

}  // namespace

// How many deliveries may be fetched: as many as handlers can start; where handlers are quick, as many again ahead.
std::size_t Runner::capacity() const {
  const int ahead = speed_ == Speed::fast ? max_in_flight_ : 0;
  const auto taken = static_cast<std::int64_t>(ready_.size()) + active_;
  return static_cast<std::size_t>(std::max<std::int64_t>(std::int64_t{max_in_flight_} + ahead - taken, 0));
}

bool Runner::can_fetch() const {
  return !fetching_ && !stopping_ && !core_->paused.load(std::memory_order_acquire) &&
         held_.size() + key_waiting_ < kMaxHeld && capacity() > 0;
}

// Without the lock. Their leases go on by themselves: what the back end could not sort out is tried until it can.
std::size_t Runner::admit(std::span<Delivery> deliveries, Instant now) {
  std::vector<Settlement> undone;
  const std::size_t kept = core_->admit(deliveries, now, &undone);
  if (!undone.empty()) settle_.settle(std::move(undone));
  return kept;
}

void Runner::fetch(std::unique_lock<std::mutex>& lock) {
  fetching_ = true;
  buffer_.resize(std::min(capacity(), kMaxFetch));
  lock.unlock();
  Result<std::size_t> got = 0;
  if (settle_.deferred()) {
    // What was noted goes to the back end before anybody waits; what is ready there comes back with it.
    got = settle_.flush(buffer_);
  } else {
    got = core_->backend->receive(buffer_, {.now = core_->context->clock->coarse(),
                                            .deadline = SteadyTime::max(),
                                            .stop = fetch_stop_.get_token(),
                                            .renewed = true});
  }
  const Instant now = core_->context->clock->coarse();
  const std::size_t kept = got ? admit(std::span(buffer_).first(*got), now) : 0;
  lock.lock();
  if (settle_.retries()) wake_timekeeper();
  if (!got) {
    fetching_ = false;
    fetch_failed(lock, std::move(got.error()));
    return;
  }
  fetch_failures_ = 0;
  if (stopping_) {
    // Released without the lock. Nobody else uses the buffer while we were fetching.
    std::vector<Delivery> unseen = std::exchange(buffer_, {});
    lock.unlock();
    std::vector<Settlement> back;
    for (const Delivery& d : std::span(unseen).first(kept)) {
      back.push_back({.tag = d.tag, .action = Settlement::Action::give_back, .count_attempt = false});
    }
    settle_.settle(std::move(back));
    unseen.clear();
    lock.lock();
    // Only now: who stops waits for it.
    fetching_ = false;
    ended_cv_.notify_all();
    return;
  }
  fetching_ = false;
  for (std::size_t i = 0; i < kept; ++i) enqueue(std::move(buffer_[i]), now);
  if (kept > 0 && core_->context->capabilities.renew_leases && renew_at_tick_ == 0) wake_timekeeper();
}

void Runner::enqueue(Delivery&& delivery, Instant now) {
  Item item{.delivery = std::move(delivery), .admitted_s = now.wall_s()};
  const std::string& key = item.key();
  if (key.empty()) {
    ready_.push_back(std::move(item));
    return;
  }
  const auto [line, first] = keys_.try_emplace(key);
  if (first) {
    ready_.push_back(std::move(item));
  } else {
    line->second.waiting.push_back(std::move(item));
    ++key_waiting_;
  }
}

void Runner::fetch_failed(std::unique_lock<std::mutex>& lock, Error error) {
  const Error explained = core_->explain(std::move(error), "receiving");
  const bool over = explained.code == ErrorCode::channel_closed || explained.code == ErrorCode::channel_not_found;
  if (over) {
    // Closed or deleted: what was fetched is not ours any more.
    stopping_ = true;
    Unseen unseen = take_unseen();
    idle_.notify_all();
    ended_cv_.notify_all();
    lock.unlock();
    unseen = Unseen{};
    lock.lock();
    return;
  }
  if (fetch_failures_++ % 10 == 0) core_->context->log(LogLevel::warning, explained.message + "; trying again");
  // Jittered, doubling from 50 ms to about 2 s (D22). Nobody else fetches meanwhile.
  fetching_ = true;
  if (!ready_.empty()) ensure_helper();
  const double wait_ms = (50 << std::min(fetch_failures_ - 1, 5)) * (0.5 + random_unit());
  ended_cv_.wait_for(lock, Duration(static_cast<std::int64_t>(wait_ms)), [this] { return stopping_; });
  fetching_ = false;
}

// Takes everything that no handler has seen, and the held retries.
Runner::Unseen Runner::take_unseen() {
  Unseen unseen;
  const auto add = [&](const Item& item) {
    unseen.back.push_back(give_back(item));
    unseen.messages.push_back(item.delivery.message);
  };
  for (const Item& item : ready_) add(item);
  for (const auto& [due, item] : held_) add(item);
  for (const auto& [key, line] : keys_) std::ranges::for_each(line.waiting, add);
  for (Worker& worker : workers_) {
    if (worker.retry) add(worker.retry->item);
    worker.retry.reset();
  }
  ready_.clear();
  held_.clear();
  keys_.clear();
  key_waiting_ = 0;
  return unseen;
}

}  // namespace lrpc::queue::detail
