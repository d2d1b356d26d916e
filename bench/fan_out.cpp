// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// One publish, many channels: the time of one delivery.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "references.hpp"
#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
double fan_out_ns(std::size_t deliveries, std::size_t channels) {
  Rig rig(channels);
  const auto pass = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      check(rig.topic().pub(Body{.sequence = static_cast<std::uint32_t>(i)}));
      for (auto& channel : rig.channels()) take_and_ack(channel);
    }
  };
  return time_of_one(deliveries / channels, pass) / static_cast<double>(channels);
}

double bare_fan_out_ns(std::size_t deliveries, std::size_t channels) {
  std::vector<BareQueue> queues(channels);
  const auto pass = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const BodyPtr made = make_body(static_cast<std::uint32_t>(i));
      for (BareQueue& queue : queues) queue.push(made);
      for (BareQueue& queue : queues) {
        const BodyPtr body = queue.pop();
        benchmark::DoNotOptimize(body->sequence);
      }
    }
  };
  return time_of_one(deliveries / channels, pass) / static_cast<double>(channels);
}

Group fan_out_group(const Scale& scale) {
  const std::size_t n = scale.of(1'600'000);
  return Group{
      .name = "fanout",
      .cases = {{"fanout/ours_16", [n] { return Reading{{kValue, fan_out_ns(n, 16)}}; }},
                {"fanout/bare_16", [n] { return Reading{{kValue, bare_fan_out_ns(n, 16)}}; }},
                {"fanout/ours_256", [n] { return Reading{{kValue, fan_out_ns(n, 256)}}; }},
                {"fanout/bare_256", [n] { return Reading{{kValue, bare_fan_out_ns(n, 256)}}; }},
                {"fanout/ours_10", [n] { return Reading{{kValue, fan_out_ns(n, 10)}}; }},
                {"fanout/bare_10", [n] { return Reading{{kValue, bare_fan_out_ns(n, 10)}}; }}},
      .lines = {{.title = "fan-out to 16 channels, per delivery, vs (b)",
                 .measured = {"fanout/ours_16"},
                 .reference = Figure{"fanout/bare_16"},
                 .target = at_most(1.2)},
                {.title = "fan-out to 256 channels, per delivery, vs our 16",
                 .measured = {"fanout/ours_256"},
                 .reference = Figure{"fanout/ours_16"},
                 .target = at_most(1.2)},
                {.title = "for information: 10 channels, per delivery, vs (b)",
                 .measured = {"fanout/ours_10"},
                 .reference = Figure{"fanout/bare_10"}},
                {.title = "for information: 256 channels, per delivery, vs (b)",
                 .measured = {"fanout/ours_256"},
                 .reference = Figure{"fanout/bare_256"}}},
  };
}

}  // namespace lrpc::queue::bench
