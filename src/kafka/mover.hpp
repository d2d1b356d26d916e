// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kafka/channel_state.hpp"
#include "kafka/cluster.hpp"

namespace lrpc::queue::kafka {

/// The work of a channel that waits for brokers and is nobody's call: copies early messages of the topic to the retry
/// topic, writes old ones of the retry topic anew that hold up the watermark, reads bodies again that were not
/// kept, and now and then empties the retry topic below what the group has committed, or gives it the partitions that
/// its topic got. A thread, started when there is something to do for the first time.
class Mover {
 public:
  struct Parts {
    std::shared_ptr<Cluster> cluster;
    std::string text;  ///< "channel x of topic y", for messages.
    std::string channel;
    std::string topic;
    std::string retry_topic;
  };
  Mover(Parts parts, ChannelState& state) : parts_(std::move(parts)), state_(state) {}
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;
  ~Mover() { stop(); }

  /// The shelf has something to move. Not with the state's mutex held.
  void wake();
  /// These are due, and are to be read again.
  void read_again(std::vector<Place> places);
  /// Nothing is moved any more.
  void stop();

 private:
  void run(const std::stop_token& stop);
  Result<void> move_early(const std::stop_token& stop);
  Result<void> rewrite(const std::stop_token& stop);
  Result<void> refill(std::vector<Place>& places, const std::stop_token& stop);
  Result<std::optional<ReadRecord>> read_one(Place place, const std::stop_token& stop);
  void trim();
  void widen();
  [[nodiscard]] Result<Draft> retry_draft(const Envelope& message, EnvelopePtr body, std::int32_t partition,
                                          const Stamp& stamp) const;

  const Parts parts_;
  ChannelState& state_;
  std::mutex mutex_;
  std::condition_variable_any wanted_;
  bool work_ = false;
  bool stopped_ = false;
  std::vector<Place> places_;
  // The thread's own.
  bool trims_ = true;  // the broker lets us
  SteadyTime next_trim_{};

  std::jthread thread_;
};

}  // namespace lrpc::queue::kafka
