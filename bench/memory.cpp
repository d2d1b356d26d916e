// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Memory of a full queue and after it was drained.

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <thread>

#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

constexpr double kMebi = 1024.0 * 1024.0;

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  if (!(file >> total >> resident)) die("cannot read /proc/self/statm");
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void drain(Channel<Body>& channel, std::size_t count) {
  while (count > 0) {
    const auto list = must(channel.next_batch(kBatch, std::chrono::seconds(1)));
    must(channel.ack(list));
    count -= list.size();
  }
}

/// Fills and drains; with `threads`, by threads that end afterwards, as a burst in a service would.
Reading burst(std::size_t messages, std::size_t channels, bool threads) {
  const auto run = [&](auto work) {
    if (threads) {
      std::jthread(std::move(work)).join();
    } else {
      work();
    }
  };
  Rig rig(channels);
  const auto publish = [&](std::size_t count) { run([&rig, count] { rig.publish(count); }); };
  const auto drain_all = [&](std::size_t count) {
    run([&rig, count] {
      for (auto& channel : rig.channels()) drain(channel, count);
    });
  };
  publish(1'000);
  drain_all(1'000);
  const double start = resident_bytes();
  publish(messages);
  const double copies = static_cast<double>(messages * channels);
  const double bodies = static_cast<double>(messages * sizeof(Body));
  const double full = (resident_bytes() - start - bodies) / copies;
  drain_all(messages);
  return {{kValue, full}, {"start_mib", start / kMebi}, {"drained_mib", resident_bytes() / kMebi}};
}

}  // namespace

Group memory_group(const Scale& scale) {
  // A smoke run fills less too: page rounding then counts more.
  const std::size_t n = scale.of(1'000'000);
  return Group{
      .name = "memory",
      .cases = {{"memory/one_channel", [n] { return burst(n, 1, false); }},
                {"memory/four_channels", [n] { return burst(n, 4, false); }},
                {"memory/one_channel_threads", [n] { return burst(n, 1, true); }}},
      .lines = {{.title = "memory per queued message beyond the body, a million queued, one channel (RSS)",
                 .unit = Unit::bytes,
                 .measured = {"memory/one_channel"},
                 .target = at_most(0, 160)},
                {.title = "memory per queued message and channel beyond the body, four channels (RSS)",
                 .unit = Unit::bytes,
                 .measured = {"memory/four_channels"},
                 .target = at_most(0, 160)},
                {.title = "RSS after draining a million, one thread, vs the start",
                 .unit = Unit::mebibytes,
                 .measured = {"memory/one_channel", "drained_mib"},
                 .reference = Figure{"memory/one_channel", "start_mib"},
                 .target = at_most(1.2, 16)},
                {.title = "RSS after draining a million, four channels, vs the start",
                 .unit = Unit::mebibytes,
                 .measured = {"memory/four_channels", "drained_mib"},
                 .reference = Figure{"memory/four_channels", "start_mib"},
                 .target = at_most(1.2, 16)},
                {.title = "RSS after draining a million, filled and drained by other threads, vs the start",
                 .unit = Unit::mebibytes,
                 .measured = {"memory/one_channel_threads", "drained_mib"},
                 .reference = Figure{"memory/one_channel_threads", "start_mib"},
                 .target = at_most(1.2, 16)}},
      .isolated = true,
  };
}

}  // namespace lrpc::queue::bench
