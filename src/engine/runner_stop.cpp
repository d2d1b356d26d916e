// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "engine/runner.hpp"

namespace lrpc::queue::detail {
namespace {

// A thread cannot join itself, which happens when it held the last reference to its runner.
void join_or_detach(std::thread& thread) {
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else if (thread.joinable()) {
    thread.join();
  }
}

}  // namespace

// Nobody but threads at their very end is left when the last reference goes.
Runner::~Runner() {
  if (timekeeper_.joinable()) join_or_detach(timekeeper_);
  for (std::thread& thread : finished_) join_or_detach(thread);
}

Result<void> Runner::stop(const std::optional<Duration>& timeout) {
  if (timeout && timeout->count() < 0) return fail(ErrorCode::invalid_argument, "Subscription::stop: negative timeout");
  begin_stop();
  if (await_stop(deadline_after(timeout.value_or(core_->policy().close_timeout)))) return {};
  return fail(ErrorCode::timeout, "a handler of channel " + core_->name + " of topic " + core_->topic +
                                      " still runs; its message was given back and its result will be "
                                      "ignored (close_timeout)");
}

Result<void> Runner::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (ended_cv_.wait(lock, stop, [this] { return stopping_ && live_ == 0; })) return {};
  return fail(ErrorCode::cancelled, "waiting for the subscription was cancelled");
}

void Runner::begin_stop() {
  Unseen unseen;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    unseen = take_unseen();
    idle_.notify_all();
    ended_cv_.notify_all();
  }
  fetch_stop_.request_stop();
  settle_.settle(std::move(unseen.back));
}

bool Runner::await_stop(SteadyTime deadline) {
  const int mine = in_handler() ? 1 : 0;
  std::unique_lock lock(mutex_);
  const auto drained = [&] { return active_ <= mine && !fetching_; };
  bool all = true;
  if (deadline == SteadyTime::max()) {
    ended_cv_.wait(lock, drained);
  } else {
    all = ended_cv_.wait_until(lock, deadline, drained);
  }
  if (!all) {
    std::vector<Settlement> back;
    for (Worker& worker : workers_) {
      if (!worker.busy || worker.given_up || worker.thread.get_id() == std::this_thread::get_id()) continue;
      worker.given_up = true;
      back.push_back({.tag = worker.tag, .action = Settlement::Action::give_back});
    }
    // One whose time ran out before has been settled, but its handler still runs.
    lock.unlock();
    settle_.settle(std::move(back));
    lock.lock();
  }
  lock.unlock();
  settle_.flush_all();
  lock.lock();
  // Outcomes that the back end could not take yet get the rest of the time.
  for (SteadyTime at = settle_.retry_at(); at < deadline; at = settle_.retry_at()) {
    ended_cv_.wait_until(lock, at, [] { return false; });
    lock.unlock();
    settle_.retry();
    lock.lock();
  }
  if (mine == 0) join_threads(lock);
  return all;
}

// Ends the timekeeper and joins the workers that have no handler to finish.
void Runner::join_threads(std::unique_lock<std::mutex>& lock) {
  ended_cv_.wait(lock, [this] { return live_ <= active_; });
  quit_ = true;
  time_.notify_all();
  std::list<std::thread> threads = std::exchange(finished_, {});
  if (timekeeper_.joinable()) threads.push_back(std::move(timekeeper_));
  lock.unlock();
  for (std::thread& thread : threads) join_or_detach(thread);
  lock.lock();
}

}  // namespace lrpc::queue::detail
