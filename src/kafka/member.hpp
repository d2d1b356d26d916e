// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "kafka/channel_state.hpp"
#include "kafka/events.hpp"
#include "kafka/handle.hpp"

namespace lrpc::queue::kafka {

/// A channel's membership of its group: one thread that polls, takes records onto the shelf, answers rebalances and
/// commits. No handler runs on it, so that it never stops polling for long. The records of the topic and of the retry
/// topic come in queues of their own, apart from the group's events: when enough has been read they are left there, and
/// the client reads no further than they may hold.
///
/// An offset is committed when all before it are settled, with a note of what is settled beyond (commit_note.hpp). At a
/// revocation the last state is committed and the partition suspended on the shelf.
class Member {
 public:
  struct Parts {
    std::shared_ptr<Cluster> cluster;
    std::string channel_text;  ///< "channel x of topic y", for messages.
    std::string group;
    std::string topic;
    std::string retry_topic;
    std::int64_t most_ready = 1000;
    std::function<void()> on_moves;  ///< The shelf has something to move.
  };
  /// Of messages that are ready, read ahead.
  static constexpr std::int64_t kLeastReady = 5000;
  Member(Parts parts, ChannelState& state);
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  /// Ends what was not stopped. The client, which may take longer than `stop` was given, ends by itself then.
  ~Member();

  /// Joins the group, which goes on in the background.
  Result<void> start();
  /// What the broker calls it; empty before it has joined.
  [[nodiscard]] std::string id() const;
  /// Wakes the thread: there is room on the shelf, or a commit was asked for.
  void wake() noexcept;
  /// Asks for a commit of all that changed and waits for it, with `lock` on the state's mutex, which `over` is asked
  /// with: it ends the wait. What ends it must notify `state.changed`.
  Result<void> commit_now(std::unique_lock<std::mutex>& lock, SteadyTime deadline, const std::function<bool()>& over);
  /// Commits and leaves the group, until `deadline`; then that is given up. The shelf has what to commit. For good: who
  /// joins again is another Member.
  Result<void> stop(SteadyTime deadline);

 private:
  /// What the client's callbacks get.
  struct Events final : ClientEvents {
    Events(Logger logger, Member& owner) : ClientEvents(std::move(logger)), member(owner) {}
    Member& member;
  };
  /// The client with what must outlive it.
  struct Connected {
    std::shared_ptr<Events> events{};
    ClientPtr client{};
  };
  struct Arrived {
    Place place{};
    ReadRecord record{};
  };
  /// A commit under way.
  struct Under {
    std::vector<Shelf::Commit> commits{};
    std::uint64_t asked = 0;
  };

  void run();
  void leave_if_gone();
  void poll(Duration patience);
  bool take(Lane lane);
  /// `lane`: in whose queue it came, if in one.
  void take(const rd_kafka_message_t& message, std::optional<Lane> lane = std::nullopt);
  void put_on_shelf();
  void forward_unheard();
  void failed_read(const rd_kafka_message_t& message);
  void reached_end(const rd_kafka_message_t& message);
  [[nodiscard]] PartitionKey key_of(const rd_kafka_message_t& message) const;
  void relocate(const rd_kafka_message_t& message);
  void read_on(const rd_kafka_topic_partition_list_t* partitions);
  void tell(PartitionKey key, const Shelf::Start& start) const;
  void keep_room();
  [[nodiscard]] Duration until_commit() const;
  [[nodiscard]] static int left_ms(SteadyTime deadline);
  void set_trouble(std::optional<Error> error);

  // member_group.cpp
  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t* partitions,
                           void* self);
  void assigned(rd_kafka_topic_partition_list_t* partitions);
  void revoked();
  Result<void> find_places(rd_kafka_topic_partition_list_t* partitions);
  [[nodiscard]] rd_kafka_resp_err_t attempt(SteadyTime until, const std::function<rd_kafka_resp_err_t(int)>& ask) const;
  Result<std::vector<Shelf::Log>> logs_of(const rd_kafka_topic_partition_list_t* partitions, SteadyTime until) const;
  Result<bool> channel_is_gone(SteadyTime until) const;
  void commit_what_changed();
  void take_commit_results();
  void suspend_and_commit(SteadyTime deadline);
  void commit_ended(const Under& under, rd_kafka_event_t* event);
  void commit_failed(const Under& under, rd_kafka_resp_err_t code);
  [[nodiscard]] Duration until_next_commit() const;
  void leave(SteadyTime deadline);
  [[nodiscard]] PartitionKey key_of(const rd_kafka_topic_partition_t& partition) const;
  [[nodiscard]] const std::string& name_of(Lane lane) const;
  [[nodiscard]] PartitionsPtr to_list(const std::vector<Shelf::Commit>& commits) const;

  const Parts parts_;
  ChannelState& state_;
  std::shared_ptr<Events> events_;
  ClientPtr client_;
  QueuePtr queue_;                 // the consumer's, of the group's events
  std::array<QueuePtr, 2> lanes_;  // records, by Lane
  QueuePtr commit_queue_;          // results of commits
  std::jthread thread_;

  // The thread's own.
  std::vector<Arrived> arrived_;  // polled, not on the shelf yet
  std::optional<Under> under_;
  int failed_commits_ = 0;      // in a row
  std::string said_of_commit_;  // why they fail, as the log has it
  SteadyTime next_commit_{};
  SteadyTime rejoin_at_ = SteadyTime::max();
  std::vector<PartitionKey> assigned_;
  std::vector<PartitionKey> unheard_;  // assigned, and nothing has come yet: see forward_unheard
  std::vector<rd_kafka_message_t*> batch_;
  std::array<bool, 2> full_{};            // by Lane: no more is to be read
  bool more_ = false;                     // there may be some to take
  bool left_ = false;                     // the channel was deleted
  std::atomic<std::int64_t> stop_by_{0};  // steady clock, nanoseconds; 0 = goes on. Set with the state's mutex
};

}  // namespace lrpc::queue::kafka
