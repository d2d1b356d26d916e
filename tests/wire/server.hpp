// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/types.hpp>

#include "channel_store.hpp"
#include "protocol.hpp"

namespace lrpc::queue::wire {

/// Told that a channel's content changed. Called without a lock of the server held.
class NewsListener {
 public:
  NewsListener() = default;
  NewsListener(const NewsListener&) = delete;
  NewsListener& operator=(const NewsListener&) = delete;
  virtual ~NewsListener() = default;
  /// Channel `number` may have something to receive, or was deleted.
  virtual void on_news(std::uint64_t number) = 0;
  /// The server is back.
  virtual void on_up() = 0;
};

/// A message server that lives in this process and knows its clients only by the bytes they send. Durable: what it
/// stored outlives every client. Thread-safe.
class WireServer {
 public:
  /// Every channel has so many partitions (see ChannelStore).
  explicit WireServer(std::shared_ptr<Clock> clock, unsigned partitions = 1, std::uint32_t seed = 0)
      : clock_(std::move(clock)), partitions_(partitions), seed_(seed) {}

  /// Answers one request at once; a receive never waits here.
  [[nodiscard]] Bytes handle(std::span<const std::byte> request);
  /// From now on `listener` hears news. It is forgotten when it is gone.
  void attach(std::weak_ptr<NewsListener> listener);

  /// While down no request reaches the server (the links see to it).
  void set_up(bool up);
  [[nodiscard]] bool up() const noexcept { return up_.load(); }

  /// Puts raw bytes into a channel as a ready entry, as a damaged disk or a foreign program would.
  void inject(const std::string& topic, const std::string& channel, Bytes raw);

 private:
  struct Channel {
    std::uint64_t number = 0;
    ChannelStore store;
  };
  struct TopicState {
    std::map<std::string, Channel> channels{};
    ChannelStore backlog;
  };
  /// One request in the course of being answered.
  struct Call {
    Reader in;
    Instant now{};
    SessionId session = 0;
    std::set<std::uint64_t> news{};  // channels whose content changed
  };

  Result<Writer> dispatch(Op op, Call& call);
  Result<Writer> dispatch_channel(Op op, Call& call);
  Result<Writer> publish(Call& call);
  Result<Writer> open_channel(Call& call);
  Result<Writer> delete_channel(Call& call);
  Result<Writer> disconnect(Call& call);
  [[nodiscard]] ChannelStore empty_store() const { return ChannelStore(partitions_, seed_); }
  Result<TopicState*> topic(const std::string& name);
  void announce(const std::set<std::uint64_t>& news);
  std::vector<std::shared_ptr<NewsListener>> listeners();

  const std::shared_ptr<Clock> clock_;
  const unsigned partitions_;
  const std::uint32_t seed_;
  std::atomic<bool> up_{true};
  std::mutex mutex_;  // guards all below
  std::map<std::string, TopicState> topics_;
  std::vector<std::weak_ptr<NewsListener>> listeners_;
  std::uint64_t next_session_ = 1;
  std::uint64_t next_channel_ = 1;
};

}  // namespace lrpc::queue::wire
