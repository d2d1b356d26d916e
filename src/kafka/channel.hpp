// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>

#include "base/gate.hpp"
#include "kafka/channel_state.hpp"
#include "kafka/cluster.hpp"
#include "kafka/dead_letters.hpp"
#include "kafka/member.hpp"
#include "kafka/mover.hpp"

namespace lrpc::queue::kafka {

/// A channel: a consumer group over the topic and the channel's retry topic. It joins the group at the first receive.
///
/// Locks, outer first: `join_mutex_`, then the state's mutex; neither is held while a broker is asked, but the first
/// while the group is joined and left.
class KafkaChannel final : public BackendChannel {
 public:
  struct Parts {
    std::shared_ptr<Cluster> cluster;
    std::string topic_name;
    std::string name;
    ChannelPolicy policy;
  };
  explicit KafkaChannel(Parts parts);
  ~KafkaChannel() override;

  Result<std::size_t> receive(std::span<Delivery> out, const ReceiveOptions& options) override;
  void set_receiving(bool on) noexcept override;
  Result<void> ack(std::span<const DeliveryTag> tags, std::span<bool> done) override;
  Result<void> settle(std::span<Settlement> settlements) override;
  Result<void> touch(std::span<const DeliveryTag> tags, Duration lease, std::span<bool> done) override;
  [[nodiscard]] std::optional<DeliveryTag> find(std::string_view id) override;
  [[nodiscard]] Result<BackendStats> stats() override;
  Result<std::int64_t> drop_all() override;
  Result<DeadPage> dead_letters(std::size_t limit, std::string_view cursor) override;
  Result<std::int64_t> requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl) override;
  Result<std::int64_t> purge_dead() override;
  void configure(const ChannelPolicy& policy) override;
  Result<void> close() override;

  [[nodiscard]] const std::string& name() const noexcept { return parts_.name; }
  /// `unsupported` when others than this process consume the channel.
  Result<void> refuse_with_others(std::string_view what);
  /// Before its deletion: leaves the group, and joins no more until one of the next two.
  void retire();
  /// It was deleted: every call fails from now on.
  void die();
  /// It was not: receives join again.
  void revive();

 private:
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::unexpected<Error> closed() const;
  [[nodiscard]] std::unexpected<Error> deleted() const;
  Result<void> join(std::unique_lock<std::mutex>& lock);
  Result<void> leave(SteadyTime until);
  [[nodiscard]] std::function<bool()> ends() const {
    return [this] { return gate_.is_shut(); };
  }
  [[nodiscard]] SteadyTime next_event();
  void requeued(std::span<const Draft> drafts, std::span<const Produced> produced);
  void catch_up(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  void mature(std::unique_lock<std::mutex>& lock);
  /// Hands out what is ready, and lets the first deliveries after an assignment be committed before (D6).
  Result<std::size_t> hand_out(std::unique_lock<std::mutex>& lock, std::span<Delivery> out,
                               const ReceiveOptions& options);
  Result<void> write_moves(std::span<Settlement> settlements);
  Result<std::vector<std::string>> other_members();
  /// What the group has not finished: of the topic, and of the retry topic.
  struct Unfinished {
    std::int64_t topic = 0;
    std::int64_t retry = 0;
  };
  Result<Unfinished> unfinished(SteadyTime until);
  /// A partition, as it was seen last.
  struct View {
    PartitionKey key{};
    TopicPartition partition{};
    std::int64_t end = 0;         ///< Of its log.
    std::int64_t unfinished = 0;  ///< By what we know if it is ours, else by what the group has committed.
  };
  Result<std::vector<View>> look(SteadyTime until);
  Result<std::vector<TopicPartition>> partitions(Lane lane, SteadyTime until);
  Result<std::int64_t> drop_everything(SteadyTime until);
  Result<std::int64_t> drop_as_nobody(const std::vector<View>& views, SteadyTime until);
  /// Waits until no move is under way, with `lock` on the state's mutex. Returns the shelf's count of moves.
  std::uint64_t await_moves(std::unique_lock<std::mutex>& lock, SteadyTime until);
  /// Of a channel that somebody else has deleted, a missing topic is told as that.
  template <class T>
  Result<T> told(Result<T> result) {
    if (!result && gate_.is_shut()) return closed();
    if (!result) result = std::unexpected(explain(std::move(result.error())));
    return result;
  }
  Error explain(Error error);

  const Parts parts_;
  const std::string topic_;        // on the broker
  const std::string group_;        //
  const std::string retry_topic_;  //
  const std::string dead_topic_;   //
  ChannelState state_;
  Mover mover_;
  DeadLetters dead_letters_;
  std::shared_ptr<void> on_jump_;
  detail::Gate gate_;

  // With the state's mutex.
  ChannelPolicy policy_;
  bool receiving_ = true;
  bool retired_ = false;
  std::int64_t dropped_ = 0;
  std::shared_ptr<Member> member_;  // while in the group; changed with join_mutex_, too

  std::mutex join_mutex_;
};

}  // namespace lrpc::queue::kafka
