// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/error.hpp>

#include "kafka/events.hpp"
#include "kafka/handle.hpp"

namespace lrpc::queue::kafka {

/// A partition of a topic.
struct TopicPartition {
  std::string topic{};
  std::int32_t partition = 0;

  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

/// A topic to create.
struct TopicSpec {
  std::string name{};
  int partitions = 1;
  int replication_factor = 1;
  std::map<std::string, std::string> config{};  ///< "retention.ms" and the like.
};

/// The offsets that a partition holds: from `low` to before `high`. With read_committed, `high` is the last stable one.
struct Watermarks {
  std::int64_t low = 0;
  std::int64_t high = 0;
};

/// What a group has committed.
struct Committed {
  std::int64_t offset = -1;  ///< -1 = nothing.
  std::string metadata{};
};

/// What to commit.
struct OffsetCommit {
  TopicPartition partition{};
  std::int64_t offset = 0;
  std::string metadata{};  ///< Text without zeros, of at most the broker's offset.metadata.max.bytes.
};

/// A broker, as the others of its cluster name it.
struct BrokerNode {
  std::int32_t id = -1;
  std::string address{};  ///< "host:port"
};

/// A topic and the copies of its partitions.
struct TopicCopies {
  std::string name{};
  int partitions = 0;
  int fewest_replicas = 0;  ///< Of the partition that has the fewest.
  int fewest_in_sync = 0;
  int without_leader = 0;  ///< Partitions that nobody leads now.
};

/// What a cluster consists of.
struct ClusterLayout {
  std::vector<BrokerNode> brokers{};
  std::vector<TopicCopies> topics{};  ///< Kafka's own, too; sorted by name.
};

/// A member of a consumer group.
struct GroupMember {
  std::string id{};
  std::string client_id{};
  std::string host{};
  std::string instance_id{};
  std::vector<TopicPartition> partitions{};
};

/// While it lives, the questions of this thread end soon after `over` says so, with `cancelled`. Inner ones go before.
class EndWith {
 public:
  explicit EndWith(std::function<bool()> over);
  EndWith(const EndWith&) = delete;
  EndWith& operator=(const EndWith&) = delete;
  ~EndWith();
  /// Whether this thread's questions are to end.
  [[nodiscard]] static bool now();

 private:
  std::function<bool()> over_;
  EndWith* outer_;
};

/// Questions to the cluster and administration, over connections of their own, so that nothing here waits behind a
/// publish. Every call ends by its deadline; what may go better in a moment is tried kafka_config.max_attempts times.
/// Thread-safe.
class Admin {
 public:
  /// Does not wait for a connection: `connect` does.
  [[nodiscard]] static Result<std::unique_ptr<Admin>> make(const KafkaConfig& config, Logger logger);
  explicit Admin(KafkaConfig config, Logger logger)
      : config_(std::move(config)), events_(std::move(logger)), max_attempts_(config_.max_attempts) {}
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  ~Admin();

  /// Waits until a broker answers. Does not wait on when all refuse the connection or the login.
  Result<void> connect(SteadyTime deadline);
  /// The addresses of the brokers, "host:port".
  Result<std::vector<std::string>> brokers(SteadyTime deadline);

  /// Creates topics; one that exists already is as good, whatever its partitions and settings.
  Result<void> create_topics(std::span<const TopicSpec> topics, SteadyTime deadline);
  /// Deletes topics; a missing one is as good.
  Result<void> delete_topics(std::span<const std::string> topics, SteadyTime deadline);
  /// Gives a topic so many partitions; one that has as many, or more, is as good.
  Result<void> create_partitions(const std::string& topic, std::int32_t partitions, SteadyTime deadline);
  /// The names of all topics but Kafka's own, sorted.
  Result<std::vector<std::string>> topics(SteadyTime deadline);
  /// How many partitions a topic has: `is_missing_topic(error)` when there is none. Remembered for some time.
  Result<std::int32_t> partition_count(const std::string& topic, SteadyTime deadline);
  /// Makes the next partition_count ask.
  void forget(const std::string& topic);
  /// The settings of a topic, its defaults included.
  Result<std::map<std::string, std::string>> topic_config(const std::string& topic, SteadyTime deadline);
  /// The settings of a broker, which answers itself.
  Result<std::map<std::string, std::string>> broker_config(std::int32_t id, SteadyTime deadline);
  Result<ClusterLayout> layout(SteadyTime deadline);

  /// The offsets that each of the partitions holds, in their order.
  Result<std::vector<Watermarks>> watermarks(std::span<const TopicPartition> partitions, SteadyTime deadline);
  /// Deletes the records before an offset of each (`OffsetCommit::offset`).
  Result<void> delete_records(std::span<const OffsetCommit> before, SteadyTime deadline);

  /// What the group has committed for each of the partitions, in their order.
  Result<std::vector<Committed>> committed(const std::string& group, std::span<const TopicPartition> partitions,
                                           SteadyTime deadline);
  /// All that the group has committed.
  Result<std::map<TopicPartition, Committed>> committed(const std::string& group, SteadyTime deadline);
  /// Commits for a group without members.
  Result<void> commit(const std::string& group, std::span<const OffsetCommit> offsets, SteadyTime deadline);
  /// Forgets a group without members; a missing one is as good.
  Result<void> delete_group(const std::string& group, SteadyTime deadline);
  /// Forgets where a group stands in partitions that no member of it has subscribed to.
  Result<void> delete_offsets(const std::string& group, std::span<const TopicPartition> partitions,
                              SteadyTime deadline);
  /// The group's members; none when there is no such group.
  Result<std::vector<GroupMember>> group_members(const std::string& group, SteadyTime deadline);
  /// The names of all groups, sorted.
  Result<std::vector<std::string>> list_groups(SteadyTime deadline);

  /// Ends the connections and threads, once no call is under way. Later calls fail with `cancelled`.
  void close();

  [[nodiscard]] ClientEvents& events() noexcept { return events_; }

 private:
  using Start =
      std::function<void(rd_kafka_t* client, const rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* replies)>;
  using Client = std::shared_ptr<rd_kafka_t>;
  using Examine = std::function<Result<void>(rd_kafka_event_t* reply)>;

  struct Known {
    std::int32_t partitions = 0;
    SteadyTime until{};
  };

  [[nodiscard]] Result<Client> connected();
  /// `cancelled` after close.
  [[nodiscard]] Result<Client> client(std::string_view what) const;
  /// Another client in place of this one, unless somebody has made it already.
  void replace(const Client& stale);

  /// Runs `once` up to `attempts` times, while it fails with what may pass.
  Result<void> attempt(int attempts, SteadyTime deadline, const std::function<Result<void>()>& once);
  /// One request of the admin interface: `start` sends it, `examine` looks at the reply.
  Result<void> ask(rd_kafka_admin_op_t op, std::string_view what, SteadyTime deadline, const Start& start,
                   const Examine& examine);
  Result<void> ask_once(const Client& client, rd_kafka_admin_op_t op, std::string_view what, SteadyTime deadline,
                        const Start& start, const Examine& examine);
  /// Metadata of one topic, of all, or of none.
  Result<MetadataPtr> metadata(const std::string* topic, bool all, std::string_view what, SteadyTime deadline,
                               int attempts);
  Result<MetadataPtr> metadata_once(rd_kafka_t* client, rd_kafka_topic_t* topic, bool all, std::string_view what,
                                    SteadyTime deadline);
  Result<std::map<std::string, std::string>> describe(rd_kafka_ResourceType_t type, const std::string& name,
                                                      SteadyTime deadline);
  Result<std::vector<std::int64_t>> list_offsets(std::span<const TopicPartition> partitions, std::int64_t which,
                                                 SteadyTime deadline);
  Result<PartitionsPtr> committed_list(const std::string& group, const rd_kafka_topic_partition_list_t* partitions,
                                       SteadyTime deadline);
  /// What makes waiting on useless, if anything happened since `since`.
  [[nodiscard]] std::optional<Error> hopeless(std::string_view what, SteadyTime since) const;
  /// The error of a request that was not answered.
  [[nodiscard]] Error unanswered(rd_kafka_resp_err_t code, std::string_view what) const;

  const KafkaConfig config_;
  ClientEvents events_;
  const int max_attempts_;
  mutable std::mutex client_mutex_;
  Client client_;                        // with client_mutex_; whoever uses it holds a share; null after close
  SteadyTime made_ = SteadyTime::max();  // until the first connect, which no other call comes before
  std::atomic<SteadyTime> heard_since_ = SteadyTime::max();

  std::mutex mutex_;
  std::map<std::string, Known, std::less<>> known_;
};

/// "host:port".
[[nodiscard]] std::string address_of(const rd_kafka_metadata_broker_t& broker);

/// A list for librdkafka.
[[nodiscard]] PartitionsPtr list_of(std::span<const TopicPartition> partitions);

}  // namespace lrpc::queue::kafka
