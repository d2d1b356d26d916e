// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <mutex>
#include <set>

#include "of_channel.hpp"

namespace lrpc::queue::mutants {
namespace {

using Action = Settlement::Action;

/// Changes the figures on their way out.
class ChangedStats : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<BackendStats> stats() override {
    auto stats = PassChannel::stats();
    if (stats) change(*stats);
    return stats;
  }

 protected:
  virtual void change(BackendStats& stats) = 0;
};

class DepthCountedTwice final : public ChangedStats {
  using ChangedStats::ChangedStats;
  void change(BackendStats& s) override { s.ready *= 2; }
};

class InFlightNotCounted final : public ChangedStats {
  using ChangedStats::ChangedStats;
  void change(BackendStats& s) override { s.in_flight = 0; }
};

class DelayedNotCounted final : public ChangedStats {
  using ChangedStats::ChangedStats;
  void change(BackendStats& s) override { s.delayed = 0; }
};

class DeadCountedInDepth final : public ChangedStats {
  using ChangedStats::ChangedStats;
  void change(BackendStats& s) override { s.ready += s.dead; }
};

class DroppedNotCounted final : public ChangedStats {
  using ChangedStats::ChangedStats;
  void change(BackendStats& s) override { s.dropped = 0; }
};

/// Knows what is in flight.
class Tracking : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override {
    auto count = PassChannel::receive(out, options);
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < count.value_or(0); ++i) held_.insert(out[i].tag);
    return count;
  }

 protected:
  /// Settles what is still in flight; tags that were settled since change nothing.
  void settle_held(const Settlement& how) {
    std::vector<Settlement> list;
    {
      const std::lock_guard lock(mutex_);
      for (const DeliveryTag tag : held_) {
        list.push_back(how);
        list.back().tag = tag;
      }
      held_.clear();
    }
    static_cast<void>(PassChannel::settle(list));
  }

 private:
  std::mutex mutex_;
  std::set<DeliveryTag> held_;
};

class CloseLosesUnsettled final : public Tracking {
 public:
  using Tracking::Tracking;
  Result<void> close() override {
    settle_held({.action = Action::drop});
    return Tracking::close();
  }
};

class CloseDoesNotCount final : public Tracking {
 public:
  using Tracking::Tracking;
  Result<void> close() override {
    settle_held({.action = Action::give_back, .count_attempt = false});
    return Tracking::close();
  }
};

class CloseKeepsUnsettled final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<void> close() override { return {}; }
};

class DropAllTakesInFlight final : public Tracking {
 public:
  using Tracking::Tracking;
  Result<std::int64_t> drop_all() override {
    settle_held({.action = Action::drop});
    return Tracking::drop_all();
  }
};

class DropAllMiscounts final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> drop_all() override {
    return detail::map_result(PassChannel::drop_all(), [](std::int64_t&& count) { return count + 1; });
  }
};

class DropAllLeavesDelayed final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  Result<std::int64_t> drop_all() override {
    const std::vector<Delivery> ready = take_ready(1000);
    settle_all(ready, {.action = Action::drop});
    return static_cast<std::int64_t>(ready.size());
  }
};

class NewSettingsIgnored final : public PassChannel {
 public:
  using PassChannel::PassChannel;
  void configure(const ChannelPolicy& /*policy*/) override {}
};

class TopicsNotListed final : public PassBackend {
 public:
  using PassBackend::PassBackend;
  Result<std::vector<std::string>> topics() override { return std::vector<std::string>{}; }
};

}  // namespace

std::vector<Variant> lifecycle_variants() {
  return {
      of_channel<DepthCountedTwice>("depth_counted_twice", "ready messages count twice", {"D19"}),
      of_channel<InFlightNotCounted>("in_flight_not_counted", "depth leaves out what is in flight", {"D19"}),
      of_channel<DelayedNotCounted>("delayed_not_counted", "depth leaves out what is delayed", {"D19"}),
      of_channel<DeadCountedInDepth>("dead_counted_in_depth", "depth counts dead letters", {"D19"}),
      of_channel<DroppedNotCounted>("dropped_not_counted", "dropped stays 0", {"D16", "D18"}),
      of_channel<CloseLosesUnsettled>("close_loses_unsettled", "close drops what next handed out", {"D20"}),
      of_channel<CloseDoesNotCount>("close_does_not_count", "close gives back without counting the attempt", {"D20"}),
      of_channel<CloseKeepsUnsettled>("close_keeps_unsettled", "close gives nothing back", {"D20"}),
      of_channel<DropAllTakesInFlight>("drop_all_takes_in_flight", "drop_all drops what consumers hold", {"API_drop"}),
      of_channel<DropAllMiscounts>("drop_all_miscounts", "drop_all reports one too many", {"API_drop"}),
      of_channel<DropAllLeavesDelayed>("drop_all_leaves_delayed", "drop_all forgets delayed messages", {"API_drop"}),
      of_channel<NewSettingsIgnored>("new_settings_ignored", "an explicit configuration replaces nothing",
                                     {"API_explicit"}),
      {.name = "topics_not_listed",
       .defect = "topics() is empty",
       .tests = {"API_topics"},
       .spoil = [](std::shared_ptr<Backend> inner) -> std::shared_ptr<Backend> {
         return std::make_shared<TopicsNotListed>(std::move(inner));
       }},
  };
}

}  // namespace lrpc::queue::mutants
