// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "bench/bench_shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

namespace lrpc::queue::cli {

namespace {

using SteadyClock = std::chrono::steady_clock;
using Body = std::string;

Body make_body(const BenchLoad& load) { return Body(static_cast<std::size_t>(load.size), 'x'); }

/// A queue with one topic and its channels.
struct Stage {
  Queue queue;
  Topic<Body> topic;
  std::vector<Channel<Body>> channels;
};

Result<Stage> open_stage(Config config, const BenchLoad& load, int channels) {
  // A measurement is no test of queue_full: all messages fit, however far the consumers lag.
  if (!config.max_msg_size) config.max_msg_size = std::max<std::int64_t>(load.messages, 1'000'000);
  Result<Queue> queue = Queue::open(std::move(config));
  if (!queue) return std::unexpected(std::move(queue.error()));
  auto topic = queue->topic<Body>(fmt::format("bench-{}", generate_message_id()));
  if (!topic) return std::unexpected(std::move(topic.error()));
  Stage stage{.queue = std::move(*queue), .topic = std::move(*topic), .channels = {}};
  for (int i = 0; i < channels; ++i) {
    auto channel = stage.topic.get_or_add_channel(fmt::format("c{}", i));
    if (!channel) return std::unexpected(std::move(channel.error()));
    stage.channels.push_back(std::move(*channel));
  }
  return stage;
}

BenchResult finished(const BenchLoad& load, std::int64_t deliveries, SteadyClock::time_point begin) {
  return {.messages = load.messages,
          .deliveries = deliveries,
          .seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count()};
}

/// Takes and acks one ready message.
Result<void> consume_one(Channel<Body>& channel) {
  const auto message = channel.try_next(Duration{0});
  if (!message) return std::unexpected(message.error());
  return channel.ack(*message);
}

Result<BenchResult> run_single(const Config& config, const BenchLoad& load) {
  auto stage = open_stage(config, load, 1);
  if (!stage) return std::unexpected(std::move(stage.error()));
  const Body body = make_body(load);
  const auto begin = SteadyClock::now();
  for (std::int64_t i = 0; i < load.messages; ++i) {
    if (auto id = stage->topic.pub(body); !id) return std::unexpected(std::move(id.error()));
    if (auto done = consume_one(stage->channels[0]); !done) return std::unexpected(std::move(done.error()));
  }
  return finished(load, load.messages, begin);
}

Result<BenchResult> run_batch(const Config& config, const BenchLoad& load) {
  auto stage = open_stage(config, load, 1);
  if (!stage) return std::unexpected(std::move(stage.error()));
  Channel<Body>& channel = stage->channels[0];
  const Body body = make_body(load);
  const auto begin = SteadyClock::now();
  for (std::int64_t left = load.messages; left > 0;) {
    const auto count = static_cast<std::size_t>(std::min(left, load.batch));
    auto ids = stage->topic.pub_batch(std::vector<Body>(count, body));
    if (!ids) return std::unexpected(std::move(ids.error()));
    for (std::size_t got = 0; got < count;) {
      const auto messages = channel.next_batch(count - got, Duration{0});
      if (!messages) return std::unexpected(messages.error());
      if (auto acked = channel.ack(*messages); !acked) return std::unexpected(std::move(acked.error()));
      got += messages->size();
    }
    left -= static_cast<std::int64_t>(count);
  }
  return finished(load, load.messages, begin);
}

Result<BenchResult> run_fan_out(const Config& config, const BenchLoad& load) {
  auto stage = open_stage(config, load, load.channels);
  if (!stage) return std::unexpected(std::move(stage.error()));
  const Body body = make_body(load);
  const auto begin = SteadyClock::now();
  for (std::int64_t i = 0; i < load.messages; ++i) {
    if (auto id = stage->topic.pub(body); !id) return std::unexpected(std::move(id.error()));
    for (Channel<Body>& channel : stage->channels) {
      if (auto done = consume_one(channel); !done) return std::unexpected(std::move(done.error()));
    }
  }
  return finished(load, load.messages * load.channels, begin);
}

/// What the threads of one measurement share: the first error, and when all is done.
class Crew {
 public:
  explicit Crew(std::int64_t deliveries) : left_(deliveries) {}

  [[nodiscard]] std::stop_token stop_token() const noexcept { return stop_.get_token(); }
  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stop_.request_stop();
  }
  /// One delivery is acked; the last one ends the measurement.
  void delivered() {
    if (left_.fetch_sub(1, std::memory_order_relaxed) == 1) stop_.request_stop();
  }
  [[nodiscard]] std::optional<Error> error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  std::atomic<std::int64_t> left_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::optional<Error> error_;
};

void produce(Topic<Body> topic, const Body& body, std::int64_t count, Crew& crew) {
  const std::stop_token stop = crew.stop_token();
  for (; count > 0 && !stop.stop_requested(); --count) {
    if (auto id = topic.pub(body); !id) return crew.fail(std::move(id.error()));
  }
}

void consume(Channel<Body> channel, Crew& crew) {
  while (true) {
    const auto message = channel.next(crew.stop_token());
    if (!message) {
      if (message.error().code != ErrorCode::cancelled) crew.fail(message.error());
      return;
    }
    if (auto acked = channel.ack(*message); !acked) return crew.fail(std::move(acked.error()));
    crew.delivered();
  }
}

/// Runs so many producers and consumers on one channel until every message is acked.
Result<BenchResult> run_crew(const Config& config, const BenchLoad& load, int producers, int consumers) {
  auto stage = open_stage(config, load, 1);
  if (!stage) return std::unexpected(std::move(stage.error()));
  const Body body = make_body(load);
  Crew crew(load.messages);
  const auto begin = SteadyClock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(static_cast<std::size_t>(consumers) + static_cast<std::size_t>(producers));
    for (int i = 0; i < consumers; ++i) threads.emplace_back(consume, stage->channels[0], std::ref(crew));
    for (int i = 0; i < producers; ++i) {
      const std::int64_t count = load.messages / producers + (i < load.messages % producers ? 1 : 0);
      threads.emplace_back(produce, stage->topic, std::cref(body), count, std::ref(crew));
    }
  }
  if (auto error = crew.error()) return std::unexpected(std::move(*error));
  return finished(load, load.messages, begin);
}

Result<BenchResult> run_subscribe(const Config& config, const BenchLoad& load) {
  auto stage = open_stage(config, load, 1);
  if (!stage) return std::unexpected(std::move(stage.error()));
  const Body body = make_body(load);
  std::atomic<std::int64_t> left = load.messages;
  const auto begin = SteadyClock::now();
  auto subscription = stage->channels[0].subscribe([&left](Message<Body>&) {
    if (left.fetch_sub(1) == 1) left.notify_all();
  });
  if (!subscription) return std::unexpected(std::move(subscription.error()));
  Result<BenchResult> result = BenchResult{};
  for (std::int64_t i = 0; i < load.messages && result; ++i) {
    if (auto id = stage->topic.pub(body); !id) result = std::unexpected(std::move(id.error()));
  }
  if (result) {
    for (auto now = left.load(); now > 0; now = left.load()) left.wait(now);
  }
  // Only then have all handlers, which use our variables, returned and all acks been stored.
  if (auto stopped = subscription->stop(); !stopped && result) result = std::unexpected(std::move(stopped.error()));
  if (!result) return result;
  return finished(load, load.messages, begin);
}

constexpr std::array<BenchShape, 6> kShapes{{
    {"single", [](const BenchLoad&) { return std::string("one thread: publish, next, ack"); }, &run_single},
    {"batch", [](const BenchLoad& l) { return fmt::format("one thread, batches of {}", l.batch); }, &run_batch},
    {"one-to-one", [](const BenchLoad&) { return std::string("1 producer, 1 consumer"); },
     [](const Config& c, const BenchLoad& l) { return run_crew(c, l, 1, 1); }},
    {"many-to-many",
     [](const BenchLoad& l) { return fmt::format("{} producers, {} consumers", l.producers, l.consumers); },
     [](const Config& c, const BenchLoad& l) { return run_crew(c, l, l.producers, l.consumers); }},
    {"fan-out", [](const BenchLoad& l) { return fmt::format("one thread, {} channels", l.channels); }, &run_fan_out},
    {"subscribe", [](const BenchLoad&) { return std::string("1 producer, empty handler"); }, &run_subscribe},
}};

}  // namespace

std::span<const BenchShape> bench_shapes() noexcept { return kShapes; }

}  // namespace lrpc::queue::cli
