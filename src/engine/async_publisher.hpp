// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <lrpc/queue/detail/engine.hpp>

#include "engine/context.hpp"

namespace lrpc::queue::detail {

/// The background publishing of one topic: takes prepared messages over, publishes what has gathered as one batch (and
/// begins further ones meanwhile, where the back end can) and runs the callbacks, in order, on a thread of its own that
/// starts with the first call. Thread-safe.
class AsyncPublisher : public std::enable_shared_from_this<AsyncPublisher> {
 public:
  AsyncPublisher(std::shared_ptr<const Context> context, std::shared_ptr<BackendTopic> backend, std::string topic,
                 std::int64_t limit)
      : context_(std::move(context)), backend_(std::move(backend)), topic_(std::move(topic)), limit_(limit) {}
  AsyncPublisher(const AsyncPublisher&) = delete;
  AsyncPublisher& operator=(const AsyncPublisher&) = delete;
  ~AsyncPublisher();

  /// Waits up to `timeout` while `limit` messages are not published yet, then queue_full. topic_closed once closed.
  Result<void> submit(Outgoing message, Duration timeout, PublishCallback callback);
  /// The same for a publish that interceptors look at: `alone` does all of it, on the publisher's thread.
  Result<void> submit(std::move_only_function<Result<std::string>()> alone, Duration timeout, PublishCallback callback);
  /// Waits until the callback of every message submitted before has returned.
  Result<void> flush(Duration timeout);
  /// Takes no more, publishes what is pending and ends the thread; what is not published by `deadline` gets
  /// topic_closed. Does not wait when called by a callback.
  void close(SteadyTime deadline);

 private:
  struct Pending {
    Outgoing message{};
    std::string id{};
    std::move_only_function<Result<std::string>()> alone{};
    Duration timeout{};
    PublishCallback callback{};
  };

  /// Taken from the queue, its messages perhaps on their way.
  struct Batch {
    std::vector<Pending> pending{};
    std::vector<Outgoing> messages{};
    Duration timeout{};
    bool too_late = false;  // close gave it up
    std::unique_ptr<Publishing> under_way{};
  };

  Result<void> submit(Pending pending);
  void run();
  Batch take_batch();
  void begin(Batch& batch);
  void finish(Batch& taken);
  /// So many of those taken from the queue wait no more.
  void make_room(std::size_t published);
  void answer(Pending& pending, const Result<void>& result);
  void call_back(Pending& pending, Result<std::string> reply);

  const std::shared_ptr<const Context> context_;
  const std::shared_ptr<BackendTopic> backend_;
  const std::string topic_;
  const std::int64_t limit_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable progress_;
  std::deque<Pending> queue_;
  std::size_t taken_ = 0;  // from the queue, not published yet
  std::uint64_t submitted_ = 0;
  std::uint64_t answered_ = 0;  // callbacks that have returned
  bool closing_ = false;
  bool give_up_ = false;  // the time of close is over
  std::thread thread_;
};

}  // namespace lrpc::queue::detail
