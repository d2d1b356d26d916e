// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The memory back end's curves: throughput by batch size, channels and producers; the hand-over's distribution; cost by
// backlog. Beside the bare queue that one writes by hand.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "curves.hpp"
#include "references.hpp"
#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// Million a second, of the nanoseconds of one.
Reading rate_of(double ns) { return {{kValue, 1e3 / ns}}; }

Reading ours_by_batch(std::size_t messages, std::size_t batch) {
  Rig rig;
  const auto pass = [&](std::size_t batches) {
    for (std::size_t i = 0; i < batches; ++i) {
      check(rig.topic().pub_batch(std::vector<Body>(batch)));
      for (std::size_t taken = 0; taken < batch;) {
        const auto list = must(rig.channel().next_batch(batch, std::chrono::seconds(1)));
        for (const auto& message : list) benchmark::DoNotOptimize(message.body().sequence);
        check(rig.channel().ack(list));
        taken += list.size();
      }
    }
  };
  return rate_of(time_of_one(messages / batch, pass) / static_cast<double>(batch));
}

/// It has no batches: so many are pushed, then popped.
Reading bare_by_batch(std::size_t messages, std::size_t batch) {
  BareQueue queue;
  const auto pass = [&](std::size_t batches) {
    for (std::size_t i = 0; i < batches; ++i) {
      for (std::size_t k = 0; k < batch; ++k) queue.push(make_body(static_cast<std::uint32_t>(k)));
      for (std::size_t k = 0; k < batch; ++k) {
        const BodyPtr body = queue.pop();
        benchmark::DoNotOptimize(body->sequence);
      }
    }
  };
  return rate_of(time_of_one(messages / batch, pass) / static_cast<double>(batch));
}

Reading ours_by_channels(std::size_t deliveries, std::size_t channels) {
  return rate_of(fan_out_ns(deliveries, channels));
}

Reading bare_by_channels(std::size_t deliveries, std::size_t channels) {
  return rate_of(bare_fan_out_ns(deliveries, channels));
}

/// As many consumers as producers, at most four.
Crew crew_of(std::size_t messages, std::size_t producers) {
  return {.producers = producers, .consumers = std::min<std::size_t>(producers, 4), .messages = messages};
}

Reading ours_by_producers(std::size_t messages, std::size_t producers) {
  Rig rig;
  return {{kValue, throughput(
                       crew_of(messages, producers), [&](std::size_t count) { rig.publish(count); },
                       [&](std::size_t count) { rig.consume(count); })}};
}

Reading bare_by_producers(std::size_t messages, std::size_t producers) {
  BareQueue queue;
  return {{kValue, throughput(
                       crew_of(messages, producers),
                       [&](std::size_t count) {
                         for (std::size_t i = 0; i < count; ++i) queue.push(make_body(static_cast<std::uint32_t>(i)));
                       },
                       [&](std::size_t count) {
                         for (std::size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(queue.pop()->sequence);
                       })}};
}

/// Besides what waits there is up to a block that comes and goes.
class Waiting {
 public:
  static constexpr std::size_t kBlock = 100;
  explicit Waiting(std::size_t depth) : rig_(std::make_unique<Rig>(1, Config{.max_msg_size = 100'000'000})) {
    rig_->publish(depth);
  }
  void publish() { rig_->publish(kBlock); }
  void consume() { rig_->consume(kBlock); }

 private:
  std::unique_ptr<Rig> rig_;
};

Reading ours_by_depth(std::size_t deepest) {
  return costs_by_depth(deepest, 300, Waiting::kBlock, [](std::size_t depth) { return Waiting(depth); });
}

}  // namespace

Group memory_curves_group(const Scale& scale) {
  const std::size_t n = scale.of(500'000);
  const std::size_t deepest = scale.of(1'000'000);
  Group group{.name = "memory_curves", .most_rounds = 5};
  add_sweep(group,
            {.name = "memory_by_batch",
             .title = "memory: publish, take and settle in one thread",
             .x_title = "messages a call",
             .y_title = "thousand msg/s",
             .y_factor = 1e3},
            kBatchSizes,
            {{"ours", "lrpc-queue", [n](std::size_t x) { return ours_by_batch(n, x); }},
             {"bare", "mutex and deque", [n](std::size_t x) { return bare_by_batch(n, x); }}});
  add_sweep(group,
            {.name = "memory_by_channels",
             .title = "memory: one publish, each channel takes and settles",
             .x_title = "channels",
             .y_title = "thousand deliveries/s",
             .y_factor = 1e3},
            kChannelNumbers,
            {{"ours", "lrpc-queue", [n](std::size_t x) { return ours_by_channels(n, x); }},
             {"bare", "a mutex and deque each", [n](std::size_t x) { return bare_by_channels(n, x); }}});
  add_sweep(group,
            {.name = "memory_by_producers",
             .title = "memory: threads that publish, up to 4 that consume",
             .x_title = "producers",
             .y_title = "thousand msg/s",
             .y_factor = 1e3},
            kProducerNumbers,
            {{"ours", "lrpc-queue", [n](std::size_t x) { return ours_by_producers(n, x); }},
             {"bare", "mutex and deque", [n](std::size_t x) { return bare_by_producers(n, x); }}});
  group.cases.push_back({"memory_by_backlog/ours", [deepest] { return ours_by_depth(deepest); }});
  Plot backlog{.name = "memory_by_backlog",
               .title = "memory: cost by what waits",
               .x_title = "messages waiting",
               .y_title = "ns",
               .curves = {{.title = "publish"}, {.title = "next + ack"}}};
  add_depths(backlog, 0, "memory_by_backlog/ours", "publish", deepest);
  add_depths(backlog, 1, "memory_by_backlog/ours", "consume", deepest);
  group.plots.push_back(std::move(backlog));
  return group;
}

}  // namespace lrpc::queue::bench
