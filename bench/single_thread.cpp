// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Publish, take and settle in one thread: the cost of the code path without contention.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "references.hpp"
#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

Reading ours_single(std::size_t messages) {
  Rig rig;
  const auto pass = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      check(rig.topic().pub(Body{.sequence = static_cast<std::uint32_t>(i)}));
      take_and_ack(rig.channel());
    }
  };
  return {{kValue, time_of_one(messages, pass)}};
}

Reading ours_batch(std::size_t messages) {
  Rig rig;
  std::uint32_t sequence = 0;
  const auto pass = [&](std::size_t batches) {
    for (std::size_t i = 0; i < batches; ++i) {
      std::vector<Body> bodies(kBatch);
      for (Body& body : bodies) body.sequence = sequence++;
      check(rig.topic().pub_batch(std::move(bodies)));
      for (std::size_t taken = 0; taken < kBatch;) {
        const auto list = must(rig.channel().next_batch(kBatch, std::chrono::seconds(1)));
        for (const auto& message : list) benchmark::DoNotOptimize(message.body().sequence);
        check(rig.channel().ack(list));
        taken += list.size();
      }
    }
  };
  return {{kValue, time_of_one(messages / kBatch, pass) / static_cast<double>(kBatch)}};
}

template <class Reference>
Reading reference_single(std::size_t messages) {
  Reference queue;
  const auto pass = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      queue.push(make_body(static_cast<std::uint32_t>(i)));
      const BodyPtr body = queue.pop();
      benchmark::DoNotOptimize(body->sequence);
    }
  };
  return {{kValue, time_of_one(messages, pass)}};
}

}  // namespace

Group single_thread_group(const Scale& scale) {
  const std::size_t n = scale.of(1'000'000);
  return Group{
      .name = "single",
      .cases = {{"single/ours", [n] { return ours_single(n); }},
                {"single/bare", [n] { return reference_single<BareQueue>(n); }},
                {"single/ours_batch", [n] { return ours_batch(n); }},
                {"single/moody", [n] { return reference_single<MoodyQueue>(n); }}},
      .lines = {{.title = "publish + next + ack, one thread, vs (a)",
                 .measured = {"single/ours"},
                 .reference = Figure{"single/bare"},
                 .target = at_most(2.0)},
                {.title = "batches of 64, one thread, per message, vs (a)",
                 .measured = {"single/ours_batch"},
                 .reference = Figure{"single/bare"},
                 .target = at_most(1.0)},
                {.title = "check of reference (a): push + pop, one thread, known as 40 ns",
                 .measured = {"single/bare"},
                 .target = at_most(0, 60)},
                {.title = "for information: (c) moodycamel, one thread, vs (a)",
                 .measured = {"single/moody"},
                 .reference = Figure{"single/bare"}}},
  };
}

}  // namespace lrpc::queue::bench
