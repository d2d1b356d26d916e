// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Throughput between threads, with next and with subscribe.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include "references.hpp"
#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// Opens, warms up: the steady state is measured.
constexpr std::size_t kWarmUp = 10'000;

void take_and_ack_batches(Channel<Body>& channel, std::size_t count) {
  while (count > 0) {
    const auto list = must(channel.next_batch(std::min(count, kBatch), std::chrono::seconds(10)));
    for (const auto& message : list) benchmark::DoNotOptimize(message.body().sequence);
    check(channel.ack(list));
    count -= list.size();
  }
}

Reading ours(const Crew& crew) {
  Rig rig;
  rig.publish(kWarmUp);
  rig.consume(kWarmUp);
  return {{kValue,
           throughput(
               crew, [&](std::size_t count) { rig.publish(count); }, [&](std::size_t count) { rig.consume(count); })}};
}

Reading ours_batch(const Crew& crew) {
  Rig rig;
  rig.publish(kWarmUp);
  rig.consume(kWarmUp);
  const auto produce = [&](std::size_t count) {
    for (std::size_t sent = 0; sent < count;) {
      std::vector<Body> bodies(std::min(count - sent, kBatch));
      for (Body& body : bodies) body.sequence = static_cast<std::uint32_t>(sent++);
      check(rig.topic().pub_batch(std::move(bodies)));
    }
  };
  return {{kValue, throughput(crew, produce, [&](std::size_t count) { take_and_ack_batches(rig.channel(), count); })}};
}

template <class Reference>
Reading reference(const Crew& crew) {
  Reference queue;
  const auto produce = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) queue.push(make_body(static_cast<std::uint32_t>(i)));
  };
  const auto consume = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const BodyPtr body = queue.pop();
      benchmark::DoNotOptimize(body->sequence);
    }
  };
  produce(kWarmUp);
  consume(kWarmUp);
  return {{kValue, throughput(crew, produce, consume)}};
}

Reading moody_batch(const Crew& crew) {
  MoodyQueue queue;
  const auto produce = [&](std::size_t count) {
    std::array<BodyPtr, kBatch> bodies;
    for (std::size_t sent = 0; sent < count;) {
      const std::size_t n = std::min(count - sent, kBatch);
      for (std::size_t i = 0; i < n; ++i) bodies[i] = make_body(static_cast<std::uint32_t>(sent++));
      queue.push_bulk(bodies.data(), n);
    }
  };
  const auto consume = [&](std::size_t count) {
    std::array<BodyPtr, kBatch> bodies;
    while (count > 0) {
      const std::size_t n = queue.pop_bulk(bodies.data(), std::min(count, kBatch));
      for (std::size_t i = 0; i < n; ++i) {
        benchmark::DoNotOptimize(bodies[i]->sequence);
        bodies[i].reset();
      }
      count -= n;
    }
  };
  return {{kValue, throughput(crew, produce, consume)}};
}

/// A subscription with a handler that does nothing, fed by one publisher. Ends when every message is acked.
Reading ours_subscribe(std::size_t messages, int max_in_flight) {
  constexpr std::uint32_t kLast = 0xffff'ffff;
  Rig rig(1, {}, ChannelConfig{.max_in_flight = max_in_flight});
  std::latch last_seen(1);
  const auto subscription = must(rig.channel().subscribe([&](const Message<Body>& message) {
    if (message.body().sequence == kLast) last_seen.count_down();
  }));
  rig.publish(kWarmUp);
  while (must(rig.channel().depth()) > 0) std::this_thread::yield();
  const double ns = timed([&] {
    rig.publish(messages - 1);
    must(rig.topic().pub(Body{.sequence = kLast}));
    last_seen.wait();
    // Only what was in flight beside the last one is left: a matter of microseconds.
    while (must(rig.channel().depth()) > 0) std::this_thread::yield();
  });
  must(rig.channel().close());
  return {{kValue, static_cast<double>(messages) * 1e3 / ns}};
}

}  // namespace

Group threads_group(const Scale& scale) {
  // The default max_msg_size bounds the backlog that a fast producer may build up.
  const std::size_t n = scale.of(1'000'000);
  const Crew one{.producers = 1, .consumers = 1, .messages = n};
  const Crew four{.producers = 4, .consumers = 4, .messages = n};
  Group group{
      .name = "threads",
      .cases = {{"threads/ours_1p1c", [=] { return ours(one); }},
                {"threads/bare_1p1c", [=] { return reference<BareQueue>(one); }},
                {"threads/ours_batch_1p1c", [=] { return ours_batch(one); }},
                {"threads/ours_4p4c", [=] { return ours(four); }},
                {"threads/bare_4p4c", [=] { return reference<BareQueue>(four); }},
                {"threads/moody_1p1c", [=] { return reference<MoodyQueue>(one); }},
                {"threads/moody_4p4c", [=] { return reference<MoodyQueue>(four); }},
                {"threads/moody_batch_1p1c", [=] { return moody_batch(one); }},
                {"threads/subscribe_1", [=] { return ours_subscribe(n, 1); }},
                {"threads/subscribe_10", [=] { return ours_subscribe(n, 10); }},
                {"threads/subscribe_100", [=] { return ours_subscribe(n, 100); }}},
      .lines = {},
  };
  const auto line = [&](const char* title, const char* measured, const char* reference, std::optional<Target> target) {
    group.lines.push_back({.title = title,
                           .unit = Unit::million_per_second,
                           .measured = {measured},
                           .reference = Figure{reference},
                           .target = target});
  };
  line("1 producer, 1 consumer, ack each, vs (a)", "threads/ours_1p1c", "threads/bare_1p1c", at_least(1.0));
  line("1 producer, 1 consumer, batches of 64, vs (a)", "threads/ours_batch_1p1c", "threads/bare_1p1c", at_least(2.0));
  line("4 producers, 4 consumers, ack each, vs (a) 4P4C", "threads/ours_4p4c", "threads/bare_4p4c", at_least(1.5));
  line("4 producers, 4 consumers, vs our 1P1C", "threads/ours_4p4c", "threads/ours_1p1c", at_least(0.5));
  line("subscribe, empty handler, max_in_flight 1, vs (a) 1P1C", "threads/subscribe_1", "threads/bare_1p1c",
       at_least(0.8));
  line("subscribe, empty handler, max_in_flight 10, vs (a) 1P1C", "threads/subscribe_10", "threads/bare_1p1c",
       at_least(0.8));
  line("subscribe, empty handler, max_in_flight 100, vs (a) 1P1C", "threads/subscribe_100", "threads/bare_1p1c",
       at_least(0.8));
  group.lines.push_back({.title = "check of reference (a): 1P1C, known as 5 M msg/s",
                         .unit = Unit::million_per_second,
                         .measured = {"threads/bare_1p1c"},
                         .target = at_least(0, 5.0 / 1.5)});
  line("for information: 1P1C vs (c) moodycamel", "threads/ours_1p1c", "threads/moody_1p1c", std::nullopt);
  line("for information: 1P1C batches vs (c) in bulk", "threads/ours_batch_1p1c", "threads/moody_batch_1p1c",
       std::nullopt);
  line("for information: 4P4C vs (c) moodycamel", "threads/ours_4p4c", "threads/moody_4p4c", std::nullopt);
  return group;
}

}  // namespace lrpc::queue::bench
