// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

/// Kafka seen from outside: plain librdkafka, as any other program uses it. All calls wait for their outcome, for
/// kPatience at most, and throw RawError when it is not the wanted one.
namespace lrpc::queue::kafka::test {

inline constexpr auto kPatience = std::chrono::seconds(20);

/// Settings of librdkafka. `bootstrap.servers` is the one that every client needs.
using Settings = std::map<std::string, std::string>;

struct RawError : std::runtime_error {
  RawError(rd_kafka_resp_err_t error, const std::string& text);
  rd_kafka_resp_err_t code;
};

/// What the classes below have in common.
class RawClient {
 public:
  [[nodiscard]] rd_kafka_t* get() const noexcept { return client_.get(); }

 protected:
  RawClient(rd_kafka_type_t type, const Settings& settings);
  /// Whether a login was refused.
  [[nodiscard]] bool refused() const;
  /// Throws; as a refused login if there was one, since the calls themselves then just take too long.
  [[noreturn]] void fail(rd_kafka_resp_err_t error, const std::string& what) const;
  void check(rd_kafka_resp_err_t error, const std::string& what) const {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail(error, what);
  }

 private:
  struct Destroy {
    void operator()(rd_kafka_t* client) const noexcept { rd_kafka_destroy(client); }
  };
  std::unique_ptr<bool> refused_;  // outlives the client, which sets it
  std::unique_ptr<rd_kafka_t, Destroy> client_;
};

struct RawRecord {
  std::optional<std::string> key{};
  std::optional<std::string> value{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::int64_t timestamp_ms = 0;  ///< 0: now
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  std::int64_t offset = RD_KAFKA_OFFSET_INVALID;  ///< read, or after produce

  /// The first header of a name.
  [[nodiscard]] std::optional<std::string> header(const std::string& name) const;
};

class RawProducer : public RawClient {
 public:
  explicit RawProducer(const Settings& settings) : RawClient(RD_KAFKA_PRODUCER, settings) {}
  /// Returns it with partition and offset.
  RawRecord produce(const std::string& topic, RawRecord record);
  std::vector<RawRecord> produce(const std::string& topic, std::vector<RawRecord> records);
};

class RawConsumer : public RawClient {
 public:
  /// Without a `group.id` it can read, but not subscribe.
  explicit RawConsumer(const Settings& settings);
  ~RawConsumer();
  RawConsumer(const RawConsumer&) = delete;
  RawConsumer& operator=(const RawConsumer&) = delete;

  /// What a partition contains now, from an offset on; belongs to no group.
  std::vector<RawRecord> read(const std::string& topic, std::int32_t partition, std::int64_t from = 0);
  /// All partitions, one after the other.
  std::vector<RawRecord> read_all(const std::string& topic);

  /// As a member of its group; `next` also serves rebalances.
  void subscribe(const std::vector<std::string>& topics);
  std::optional<RawRecord> next(std::chrono::milliseconds time = kPatience);
  /// Topics and partitions that it has now.
  [[nodiscard]] std::vector<std::pair<std::string, std::int32_t>> assignment() const;
  /// The positions of all that it has.
  void commit();
};

struct RawPartition {
  std::int32_t leader = -1;  ///< the broker's id; -1 none
  std::vector<std::int32_t> replicas{};
  std::vector<std::int32_t> in_sync{};
};

struct RawOffset {
  std::int64_t offset = RD_KAFKA_OFFSET_INVALID;
  std::string metadata{};
  bool operator==(const RawOffset&) const = default;
};

struct RawMember {
  std::string member_id{};
  std::string client_id{};
  std::string instance_id{};
  std::vector<std::pair<std::string, std::int32_t>> assignment{};
};

class RawAdmin : public RawClient {
 public:
  explicit RawAdmin(const Settings& settings);

  /// The ids of the brokers that are there.
  [[nodiscard]] std::vector<std::int32_t> brokers(std::chrono::milliseconds time = kPatience) const;
  /// All topics, and for each its partitions.
  [[nodiscard]] std::map<std::string, std::vector<RawPartition>> topics() const;
  /// Empty when there is no such topic.
  [[nodiscard]] std::vector<RawPartition> partitions(const std::string& topic) const;
  /// `replication`: -1 is the broker's default. Waits until every partition has a leader.
  void create_topic(const std::string& name, int partitions = 1, const Settings& config = {}, int replication = -1);
  /// Until it has so many; waits until every partition has a leader.
  void add_partitions(const std::string& name, int partitions);
  /// Waits until it is gone.
  void delete_topic(const std::string& name);
  [[nodiscard]] Settings config(const std::string& topic) const;
  /// The first and the next offset.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> watermarks(const std::string& topic,
                                                                 std::int32_t partition) const;
  /// Records below an offset go.
  void delete_records(const std::string& topic, std::int32_t partition, std::int64_t before);

  [[nodiscard]] std::vector<std::string> groups() const;
  [[nodiscard]] std::vector<RawMember> members(const std::string& group) const;
  [[nodiscard]] std::optional<RawOffset> committed(const std::string& group, const std::string& topic,
                                                   std::int32_t partition) const;
  /// Commits for a group without members.
  void commit(const std::string& group, const std::string& topic, std::int32_t partition, const RawOffset& offset);
  void delete_group(const std::string& group);

 private:
  /// Waits until a topic has so many partitions, each with a leader.
  void await_leaders(const std::string& name, int partitions, const std::string& what) const;

  Settings settings_;
};

/// Waits until a condition holds; false when it does not within kPatience.
bool eventually(const std::function<bool()>& condition);

/// A name that no other test uses, on any broker: "<prefix>-<process>-<number>".
[[nodiscard]] std::string unique_name(const std::string& prefix);

}  // namespace lrpc::queue::kafka::test
