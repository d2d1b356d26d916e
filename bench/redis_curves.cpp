// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Redis' curves: throughput by batch size, channels and producers; cost by backlog. Beside plain hiredis.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "curves.hpp"
#include "redis_raw.hpp"
#include "redis_rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

constexpr std::size_t kSamples = 200;
/// What is published at once to fill.
constexpr std::size_t kFill = 1000;

/// A topic with so many messages waiting, one of several on a server.
class Waiting {
 public:
  Waiting(RedisRig& rig, std::size_t depth)
      : body_(&rig.body),
        topic_(must(rig.queue->topic<Bytes>(fmt::format("deep-{}", depth)))),
        channel_(must(topic_.get_or_add_channel("worker"))) {
    for (std::size_t left = depth; left > 0;) {
      const std::size_t batch = std::min(left, kFill);
      must(topic_.pub_batch(std::vector<Bytes>(batch, *body_)));
      left -= batch;
    }
  }
  void publish() { must(topic_.pub(*body_)); }
  void consume() { must(channel_.ack(must(channel_.next_batch(1, std::chrono::seconds(5))))); }

 private:
  const Bytes* body_;
  Topic<Bytes> topic_;
  Channel<Bytes> channel_;
};

class RawWaiting {
 public:
  RawWaiting(RawRedis& raw, std::size_t depth) : raw_(&raw), stream_(fmt::format("deep-{}", depth)) {
    raw_->append_create_group(stream_);
    raw_->get();
    for (std::size_t left = depth; left > 0;) {
      const std::size_t batch = std::min(left, kFill);
      for (std::size_t i = 0; i < batch; ++i) raw_->append_publish(stream_, redis_text());
      raw_->drain(batch);
      left -= batch;
    }
  }
  void publish() {
    raw_->append_publish(stream_, redis_text());
    raw_->get();
  }
  void consume() {
    raw_->append_read(stream_, 1, 0);
    const auto page = raw_->get();
    raw_->append_settle(stream_, *page);
    raw_->drain(2);
  }

 private:
  RawRedis* raw_;
  std::string stream_;
};

/// In microseconds.
Reading in_us(Reading reading) {
  for (auto& [name, ns] : reading) ns /= 1e3;
  return reading;
}

Reading ours_by_depth(std::size_t deepest) {
  RedisRig rig;
  return in_us(costs_by_depth(deepest, kSamples, 1, [&](std::size_t depth) { return Waiting(rig, depth); }));
}

Reading raw_by_depth(std::size_t deepest) {
  const redis::RedisServer server;
  RawRedis raw(server.port());
  return in_us(costs_by_depth(deepest, kSamples, 1, [&](std::size_t depth) { return RawWaiting(raw, depth); }));
}

}  // namespace

Group redis_curves_group(const Scale& scale) {
  const std::size_t n = scale.of(30'000);
  const std::size_t deepest = scale.of(1'000'000);
  Group group{.name = "redis_curves", .most_rounds = 3};
  // Small batches cost a round trip each.
  const auto of_batch = [n](std::size_t batch) { return std::max(batch * 2, std::min(n, batch * n / 10)); };
  add_sweep(group,
            {.name = "redis_by_batch",
             .title = "Redis: publish in batches to one channel",
             .x_title = "messages a call",
             .y_title = "thousand msg/s",
             .y_factor = 1e3},
            kBatchSizes,
            {{"ours", "lrpc-queue", [=](std::size_t x) { return redis_publish(of_batch(x), x, 1); }},
             {"raw", "hiredis, XADD pipelined", [=](std::size_t x) { return raw_redis_publish(of_batch(x), x, 1); }}});
  const auto of_channels = [n](std::size_t channels) { return std::max(kBatch, n / channels / kBatch * kBatch); };
  add_sweep(group,
            {.name = "redis_by_channels",
             .title = "Redis: publish in batches of 64 to all channels",
             .x_title = "channels",
             .y_title = "thousand entries/s",
             .y_factor = 1e3},
            kChannelNumbers,
            {{"ours", "lrpc-queue", [=](std::size_t x) { return redis_publish(of_channels(x), kBatch, x); }},
             {"raw", "hiredis, XADD pipelined",
              [=](std::size_t x) { return raw_redis_publish(of_channels(x), kBatch, x); }}});
  add_sweep(
      group,
      {.name = "redis_by_producers",
       .title = "Redis: threads that publish one at a time",
       .x_title = "producers",
       .y_title = "thousand msg/s",
       .y_factor = 1e3},
      kProducerNumbers,
      {{"ours", "lrpc-queue", [n](std::size_t x) { return redis_callers(n / 2 / x * x, x); }},
       {"raw", "hiredis, a connection each", [n](std::size_t x) { return raw_redis_callers(n / 2 / x * x, x); }}});
  group.cases.push_back({"redis_by_backlog/ours", [deepest] { return ours_by_depth(deepest); }});
  group.cases.push_back({"redis_by_backlog/raw", [deepest] { return raw_by_depth(deepest); }});
  Plot backlog{.name = "redis_by_backlog",
               .title = "Redis: cost by what waits",
               .x_title = "messages waiting",
               .y_title = "µs",
               .curves = {{.title = "publish"},
                          {.title = "next_batch(1) + ack"},
                          {.title = "hiredis: XADD"},
                          {.title = "hiredis: XREADGROUP, XACK + XDEL"}}};
  add_depths(backlog, 0, "redis_by_backlog/ours", "publish", deepest);
  add_depths(backlog, 1, "redis_by_backlog/ours", "consume", deepest);
  add_depths(backlog, 2, "redis_by_backlog/raw", "publish", deepest);
  add_depths(backlog, 3, "redis_by_backlog/raw", "consume", deepest);
  group.plots.push_back(std::move(backlog));
  return group;
}

}  // namespace lrpc::queue::bench
