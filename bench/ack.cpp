// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Settling by id against settling by message, with many deliveries in flight.

#include <cstddef>
#include <string>
#include <vector>

#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

constexpr std::size_t kInFlight = 1'000;

/// Nanoseconds of an `ack_one(channel, message, published id)`, median over the windows.
template <class AckOne>
Reading ack_time(std::size_t windows, AckOne ack_one) {
  Rig rig;
  std::vector<double> samples;
  for (std::size_t w = 0; w < windows; ++w) {
    std::vector<std::string> ids;
    std::vector<Message<Body>> messages;
    ids.reserve(kInFlight);
    messages.reserve(kInFlight);
    for (std::size_t i = 0; i < kInFlight; ++i) ids.push_back(must(rig.topic().pub(Body{})));
    for (std::size_t i = 0; i < kInFlight; ++i) messages.push_back(must(rig.channel().next()));
    const double ns = timed([&] {
      for (std::size_t i = 0; i < kInFlight; ++i) ack_one(rig.channel(), messages[i], ids[i]);
    });
    samples.push_back(ns / static_cast<double>(kInFlight));
  }
  return {{kValue, median(std::move(samples))}};
}

}  // namespace

Group ack_group(const Scale& scale) {
  const std::size_t windows = scale.of(300);
  const auto by_message = [](Channel<Body>& channel, const Message<Body>& message, const std::string&) {
    must(channel.ack(message));
  };
  const auto by_id = [](Channel<Body>& channel, const Message<Body>&, const std::string& id) { must(channel.ack(id)); };
  const auto by_own_id = [](Channel<Body>& channel, const Message<Body>& message, const std::string&) {
    must(channel.ack(message.id()));
  };
  return Group{
      .name = "ack",
      .cases = {{"ack/by_message", [=] { return ack_time(windows, by_message); }},
                {"ack/by_id", [=] { return ack_time(windows, by_id); }},
                {"ack/by_own_id", [=] { return ack_time(windows, by_own_id); }}},
      .lines = {{.title = "ack(id) by string, 1,000 in flight, vs by message",
                 .measured = {"ack/by_id"},
                 .reference = Figure{"ack/by_message"},
                 .target = at_most(1.0, 60)},
                {.title = "for information: ack(message.id()), which makes the string first, vs by message",
                 .measured = {"ack/by_own_id"},
                 .reference = Figure{"ack/by_message"}}},
  };
}

}  // namespace lrpc::queue::bench
