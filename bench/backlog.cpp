// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// What a publish costs while much is waiting: the depth must not matter.

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "rig.hpp"
#include "suite.hpp"
#include "timing.hpp"

namespace lrpc::queue::bench {
namespace {

/// Messages published between two readings of the clock; as many are consumed after them, so that the depth stays.
constexpr std::size_t kBlock = 500;
constexpr std::size_t kBaseDepth = 1'000;

/// What waits besides the messages that come and go.
struct Waiting {
  std::size_t ready = kBaseDepth;
  std::size_t leases = 0;
  std::size_t delayed = 0;
};

/// A channel with its backlog, made at the first use and kept for all rounds.
class Backlog {
 public:
  Backlog(const Waiting& waiting, std::size_t blocks) : waiting_(waiting), blocks_(blocks) {}

  Reading run() {
    if (rig_ == nullptr) fill();
    std::vector<double> publish;
    std::vector<double> consume;
    for (std::size_t i = 0; i < blocks_; ++i) {
      publish.push_back(timed([&] { rig_->publish(kBlock); }) / static_cast<double>(kBlock));
      consume.push_back(timed([&] { rig_->consume(kBlock); }) / static_cast<double>(kBlock));
    }
    return {{kValue, median(std::move(publish))}, {"consume", median(std::move(consume))}};
  }

 private:
  void fill() {
    // Leases and delays must outlast the measurement; the rest are the defaults.
    rig_ = std::make_unique<Rig>(1, Config{.max_msg_size = 100'000'000},
                                 ChannelConfig{.ack_timeout = std::chrono::hours(1)});
    const PubOptions later{.delay = std::chrono::hours(1)};
    for (std::size_t i = 0; i < waiting_.delayed; ++i) must(rig_->topic().pub(Body{}, later));
    rig_->publish(waiting_.leases);
    for (std::size_t i = 0; i < waiting_.leases; ++i) static_cast<void>(must(rig_->channel().next()));
    rig_->publish(waiting_.ready);
  }

  Waiting waiting_;
  std::size_t blocks_;
  std::unique_ptr<Rig> rig_;
};

Case backlog_case(const char* name, const Waiting& waiting, std::size_t blocks) {
  return {name, [backlog = std::make_shared<Backlog>(waiting, blocks)] { return backlog->run(); }};
}

}  // namespace

Group backlog_group(const Scale& scale) {
  const std::size_t blocks = scale.of(400);
  Group group{
      .name = "backlog",
      .cases = {backlog_case("backlog/thousand", {}, blocks),
                backlog_case("backlog/ready", {.ready = scale.of(10'000'000)}, blocks),
                backlog_case("backlog/leases", {.leases = scale.of(1'000'000)}, blocks),
                backlog_case("backlog/delayed", {.delayed = scale.of(1'000'000)}, blocks)},
      .lines = {},
  };
  const auto line = [&](const char* title, const char* measured, const char* field, std::optional<Target> target) {
    group.lines.push_back({.title = title,
                           .measured = {measured, field},
                           .reference = Figure{"backlog/thousand", field},
                           .target = target});
  };
  line("publish, 10 million ready, vs 1,000 ready", "backlog/ready", kValue, at_most(1.3));
  line("publish, a million leases, vs none", "backlog/leases", kValue, at_most(1.3));
  line("publish, a million delayed, vs none", "backlog/delayed", kValue, at_most(1.3));
  line("for information: next + ack, 10 million ready, vs 1,000 ready", "backlog/ready", "consume", std::nullopt);
  line("for information: next + ack, a million leases, vs none", "backlog/leases", "consume", std::nullopt);
  line("for information: next + ack, a million delayed, vs none", "backlog/delayed", "consume", std::nullopt);
  return group;
}

}  // namespace lrpc::queue::bench
