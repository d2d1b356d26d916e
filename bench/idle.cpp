// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// CPU that waiting costs.

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

constexpr std::size_t kChannels = 1'000;
/// After the start of the consumers, before the clock starts.
constexpr auto kSettle = std::chrono::milliseconds(500);

double cpu_seconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) die("getrusage failed");
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Percent of one core that this process uses while the caller sleeps.
Reading idle_cpu(std::chrono::milliseconds span) {
  std::this_thread::sleep_for(kSettle);
  const double before = cpu_seconds();
  const double ns = timed([&] { std::this_thread::sleep_for(span); });
  return {{kValue, (cpu_seconds() - before) * 1e9 / ns * 100}};
}

Reading subscriptions(std::chrono::milliseconds span) {
  Rig rig(kChannels);
  for (auto& channel : rig.channels()) {
    static_cast<void>(must(channel.subscribe([](const Message<Body>&) {})));
  }
  const Reading reading = idle_cpu(span);
  must(rig.queue().close());
  return reading;
}

Reading blocked_next(std::chrono::milliseconds span) {
  Rig rig(kChannels);
  std::vector<std::jthread> threads;
  threads.reserve(kChannels);
  for (auto& channel : rig.channels()) {
    threads.emplace_back([&channel] {
      if (channel.next()) die("a message on an empty channel");
    });
  }
  const Reading reading = idle_cpu(span);
  must(rig.queue().close());
  return reading;
}

}  // namespace

Group idle_group(const Scale& scale) {
  const auto span = std::chrono::milliseconds(scale.quick ? 1'000 : 5'000);
  return Group{
      .name = "idle",
      .cases = {{"idle/subscribed", [span] { return subscriptions(span); }},
                {"idle/blocked_next", [span] { return blocked_next(span); }}},
      .lines = {{.title = "CPU of 1,000 idle channels with a subscription each, of one core",
                 .unit = Unit::percent,
                 .measured = {"idle/subscribed"},
                 .target = at_most(0, 0.1)},
                {.title = "CPU of 1,000 idle channels with a thread blocked in next each, of one core",
                 .unit = Unit::percent,
                 .measured = {"idle/blocked_next"},
                 .target = at_most(0, 0.1)}},
      .isolated = true,
  };
}

}  // namespace lrpc::queue::bench
