// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// From the publish until a consumer that slept has the message.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include "curves.hpp"
#include "references.hpp"
#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// Time enough for the consumer to fall asleep, also after a spin.
constexpr auto kUntilAsleep = std::chrono::microseconds(200);

/// `send(n)` hands number n over, `receive(n)` returns when it is there, `settle()` runs after the clock has stopped.
template <class Send, class Receive, class Settle>
Reading latency(std::size_t messages, Send send, Receive receive, Settle settle) {
  std::vector<BenchClock::time_point> received(messages);
  std::vector<double> samples;
  samples.reserve(messages);
  std::atomic<std::uint32_t> done{0};
  const std::jthread consumer([&] {
    for (std::uint32_t i = 0; i < messages; ++i) {
      receive(i + 1);
      received[i] = BenchClock::now();
      settle();
      done.store(i + 1);
      done.notify_one();
    }
  });
  for (std::uint32_t i = 0; i < messages; ++i) {
    std::this_thread::sleep_for(kUntilAsleep);
    const auto start = BenchClock::now();
    send(i + 1);
    done.wait(i);
    samples.push_back(std::chrono::duration<double, std::nano>(received[i] - start).count());
  }
  Reading reading{{kValue, median(samples) / 1e3}, {"p99", quantile(samples, 0.99) / 1e3}};
  add_distribution(reading, samples);
  return reading;
}

Reading ours(std::size_t messages) {
  Rig rig;
  std::optional<Message<Body>> held;
  return latency(
      messages, [&](std::uint32_t number) { must(rig.topic().pub(Body{.sequence = number})); },
      [&](std::uint32_t) { held = must(rig.channel().next()); }, [&] { must(rig.channel().ack(*held)); });
}

Reading bare(std::size_t messages) {
  BareHandOver slot;
  return latency(
      messages, [&](std::uint32_t number) { slot.post(number); }, [&](std::uint32_t number) { slot.wait_for(number); },
      [] {});
}

Reading bare_queue(std::size_t messages) {
  BareQueue queue;
  BodyPtr held;
  return latency(
      messages, [&](std::uint32_t number) { queue.push(make_body(number)); },
      [&](std::uint32_t) { held = queue.pop(); }, [&] { held.reset(); });
}

Reading subscribed(std::size_t messages) {
  Rig rig;
  std::atomic<std::uint32_t> newest{0};
  const auto subscription = must(rig.channel().subscribe([&](const Message<Body>& message) {
    newest.store(message.body().sequence);
    newest.notify_one();
  }));
  // The handler wakes a second thread here, which the figure includes.
  const Reading reading = latency(
      messages, [&](std::uint32_t number) { must(rig.topic().pub(Body{.sequence = number})); },
      [&](std::uint32_t number) { newest.wait(number - 1); }, [] {});
  must(rig.channel().close());
  return reading;
}

}  // namespace

Group wake_up_group(const Scale& scale) {
  const std::size_t n = scale.of(1'500);
  return Group{
      .name = "wakeup",
      .cases = {{"wakeup/ours", [n] { return ours(n); }},
                {"wakeup/bare", [n] { return bare(n); }},
                {"wakeup/bare_queue", [n] { return bare_queue(n); }},
                {"wakeup/subscribed", [n] { return subscribed(n); }}},
      .lines = {{.title = "publish to a sleeping consumer, p50, vs a bare condition variable",
                 .unit = Unit::microseconds,
                 .measured = {"wakeup/ours"},
                 .reference = Figure{"wakeup/bare"},
                 .target = at_most(1.2)},
                {.title = "for information: the same, p99",
                 .unit = Unit::microseconds,
                 .measured = {"wakeup/ours", "p99"},
                 .reference = Figure{"wakeup/bare", "p99"}},
                {.title = "for information: publish to a sleeping consumer, p50, vs (a)",
                 .unit = Unit::microseconds,
                 .measured = {"wakeup/ours"},
                 .reference = Figure{"wakeup/bare_queue"}},
                {.title = "for information: publish to an idle subscription, p50 (with one more hand-over), vs bare",
                 .unit = Unit::microseconds,
                 .measured = {"wakeup/subscribed"},
                 .reference = Figure{"wakeup/bare"}}},
      .plots = {distribution_plot("memory_latency", "memory: publish to a consumer that sleeps", "wakeup/ours",
                                  "wakeup/bare", "condition variable")},
  };
}

}  // namespace lrpc::queue::bench
