// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>

#include <lrpc/queue/backend.hpp>

/// What the journal back end stores.
namespace journal {

namespace queue = lrpc::queue;

struct Entry {
  queue::EnvelopePtr message{};
  int attempts = 0;  ///< Deliveries so far.
};

/// A delivery that is not settled.
struct Held {
  Entry entry{};
  std::uint64_t place = 0;     ///< Where it stood in line, to be given back to.
  bool renewed = false;        ///< A subscription's. It needs no lease: it lives and dies with this process.
  std::int64_t lease_end = 0;  ///< From this tick on it may be handed out again; until that happens an ack counts.

  [[nodiscard]] bool lease_over(std::int64_t tick) const { return !renewed && lease_end <= tick; }
};

struct ChannelState {
  std::map<std::uint64_t, Entry> ready{};             ///< By place in line.
  std::multimap<std::int64_t, Entry> delayed{};       ///< By due tick.
  std::map<std::uint64_t, Held> held{};               ///< By number of the delivery, which is the slot of its tag.
  std::map<std::uint64_t, queue::DeadRecord> dead{};  ///< By number: oldest first.
  std::int64_t dropped = 0;
  bool deleted = false;
  std::uint64_t changes = 0;  ///< Lets a waiting receive see that it should look again.
  std::condition_variable_any changed{};

  [[nodiscard]] std::int64_t depth() const {
    return static_cast<std::int64_t>(ready.size() + delayed.size() + held.size());
  }
  void wake() {
    ++changes;
    changed.notify_all();
  }
};

struct TopicState {
  std::map<std::string, std::shared_ptr<ChannelState>> channels{};
  std::shared_ptr<ChannelState> backlog = std::make_shared<ChannelState>();  ///< Used while there is no channel.
};

/// One mutex guards everything beneath: simple, not fast.
struct Store {
  std::mutex mutex{};
  std::shared_ptr<queue::Clock> clock{};
  std::ostream* out = nullptr;
  std::uint64_t last_number = 0;  ///< Of places, deliveries and dead letters: no tag fits two channels.
  std::map<std::string, std::shared_ptr<TopicState>> topics{};
  bool closed = false;

  /// Lines up what has become due in `channel`; returns the time.
  std::int64_t line_up_due(ChannelState& channel) {
    const std::int64_t tick = clock->now().tick_ms;
    while (!channel.delayed.empty() && channel.delayed.begin()->first <= tick) {
      channel.ready.emplace(++last_number, std::move(channel.delayed.begin()->second));
      channel.delayed.erase(channel.delayed.begin());
    }
    return tick;
  }
};

/// The consuming side of one channel.
[[nodiscard]] std::shared_ptr<queue::BackendChannel> open_channel(std::shared_ptr<Store> store,
                                                                  std::shared_ptr<ChannelState> state,
                                                                  const queue::ChannelPolicy& policy);

}  // namespace journal
