// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "engine/async_publisher.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace lrpc::queue::detail {
namespace {

constexpr std::size_t kMaxPublishBatch = 1024;
constexpr std::size_t kMostUnderWay = 4;  // batches

}  // namespace

AsyncPublisher::~AsyncPublisher() {
  // The thread holds a reference while it runs, so it is at its end, or it is the one that lets go last.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else if (thread_.joinable()) {
    thread_.join();
  }
}

Result<void> AsyncPublisher::submit(Outgoing message, Duration timeout, PublishCallback callback) {
  std::string id = message.message->id();
  return submit(
      {.message = std::move(message), .id = std::move(id), .timeout = timeout, .callback = std::move(callback)});
}

Result<void> AsyncPublisher::submit(std::move_only_function<Result<std::string>()> alone, Duration timeout,
                                    PublishCallback callback) {
  return submit({.alone = std::move(alone), .timeout = timeout, .callback = std::move(callback)});
}

Result<void> AsyncPublisher::submit(Pending pending) {
  std::unique_lock lock(mutex_);
  const auto room = [this] { return closing_ || static_cast<std::int64_t>(queue_.size() + taken_) < limit_; };
  // A callback that publishes must not wait for itself.
  const bool mine = thread_.get_id() == std::this_thread::get_id();
  if (!room() && (mine || !progress_.wait_until(lock, deadline_after(pending.timeout), room))) {
    return fail(ErrorCode::queue_full,
                "topic " + topic_ + ": " + std::to_string(limit_) +
                    " pub_async calls wait already (max_pending_publishes); publish more slowly or raise it",
                true);
  }
  if (closing_) return fail(ErrorCode::topic_closed, "topic " + topic_ + " is closed");
  queue_.push_back(std::move(pending));
  ++submitted_;
  if (!thread_.joinable()) thread_ = std::thread([self = shared_from_this()] { self->run(); });
  work_.notify_one();
  return {};
}

Result<void> AsyncPublisher::flush(Duration timeout) {
  std::unique_lock lock(mutex_);
  const std::uint64_t upto = submitted_;
  const auto done = [&] { return answered_ >= upto; };
  const bool mine = thread_.get_id() == std::this_thread::get_id();
  if (done() || (!mine && progress_.wait_until(lock, deadline_after(timeout), done))) return {};
  return fail(ErrorCode::timeout,
              "topic " + topic_ + ": flush: " + std::to_string(upto - answered_) + " publishes are still on their way");
}

void AsyncPublisher::close(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  work_.notify_all();
  progress_.notify_all();
  if (thread_.get_id() == std::this_thread::get_id()) return;
  const auto done = [&] { return answered_ == submitted_; };
  if (!progress_.wait_until(lock, deadline, done)) {
    give_up_ = true;
    // What is being published now is bounded by its own time-out, the callbacks of the others are quick.
    progress_.wait(lock, done);
  }
}

void AsyncPublisher::run() {
  std::deque<Batch> under_way;  // the oldest first
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return closing_ || !queue_.empty() || !under_way.empty(); });
    if (queue_.empty() && under_way.empty()) return;
    const bool full = under_way.size() >= kMostUnderWay || (!under_way.empty() && !under_way.back().under_way);
    if (!queue_.empty() && !full) {
      under_way.push_back(take_batch());
      lock.unlock();
      begin(under_way.back());
      lock.lock();
      continue;
    }
    lock.unlock();
    const std::size_t n = under_way.front().pending.size();
    finish(under_way.front());
    under_way.pop_front();
    lock.lock();
    answered_ += n;
    progress_.notify_all();
  }
}

// With the lock.
AsyncPublisher::Batch AsyncPublisher::take_batch() {
  Batch batch{.too_late = give_up_};
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), kMaxPublishBatch));
  batch.pending.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
  queue_.erase(queue_.begin(), end);
  taken_ += batch.pending.size();
  return batch;
}

// Before the callbacks of these, which may publish.
void AsyncPublisher::make_room(std::size_t published) {
  const std::lock_guard lock(mutex_);
  taken_ -= published;
  progress_.notify_all();
}

void AsyncPublisher::begin(Batch& batch) {
  if (batch.too_late || batch.pending.front().alone) return;  // then all are: interceptors of a queue do not change
  batch.messages.reserve(batch.pending.size());
  batch.timeout = batch.pending.front().timeout;
  for (Pending& pending : batch.pending) {
    batch.messages.push_back(std::move(pending.message));
    batch.timeout = std::min(batch.timeout, pending.timeout);
  }
  batch.under_way = backend_->begin_publish(batch.messages, batch.timeout);
}

// One call for all; when that is refused whole, each alone, so that one message does not fail its neighbours.
void AsyncPublisher::finish(Batch& taken) {
  std::vector<Pending>& batch = taken.pending;
  std::vector<Outgoing>& messages = taken.messages;
  if (taken.too_late) {
    make_room(batch.size());
    const Result<void> closed = fail(ErrorCode::topic_closed, "topic " + topic_ + " was closed before the publish");
    for (Pending& pending : batch) answer(pending, closed);
    return;
  }
  if (messages.empty()) {
    for (Pending& pending : batch) {
      Result<std::string> result = pending.alone();
      make_room(1);
      call_back(pending, std::move(result));
    }
    return;
  }
  const Result<void> result = taken.under_way ? taken.under_way->wait() : backend_->publish(messages, taken.timeout);
  const ErrorCode code = result ? ErrorCode{} : result.error().code;
  const bool refused = batch.size() > 1 && (code == ErrorCode::queue_full || code == ErrorCode::body_too_large ||
                                            code == ErrorCode::invalid_argument);
  if (!refused) make_room(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const bool accepted =
        !result && std::ranges::find(result.error().accepted, batch[i].id) != result.error().accepted.end();
    if (refused) {
      const Result<void> alone = accepted ? Result<void>() : backend_->publish({&messages[i], 1}, batch[i].timeout);
      make_room(1);
      answer(batch[i], alone);
    } else {
      answer(batch[i], accepted ? Result<void>() : result);
    }
  }
}

void AsyncPublisher::answer(Pending& pending, const Result<void>& result) {
  Result<std::string> reply = std::move(pending.id);
  if (!result) {
    reply = std::unexpected(result.error());
    reply.error().accepted.clear();
  }
  context_->observe([&](Observer& o) { o.published(topic_, 1, result ? nullptr : &reply.error(), {}); });
  call_back(pending, std::move(reply));
}

void AsyncPublisher::call_back(Pending& pending, Result<std::string> reply) {
  in_user_code() = true;
  try {
    if (pending.callback) pending.callback(std::move(reply));
  } catch (...) {
    context_->log(LogLevel::error, "a pub_async callback of topic " + topic_ + " threw: " + current_exception_text());
  }
  in_user_code() = false;
  pending.callback = nullptr;
}

}  // namespace lrpc::queue::detail
