// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lrpc/queue/error.hpp>
#include <lrpc/queue/hooks.hpp>
#include <lrpc/queue/types.hpp>

namespace lrpc::queue {

class Backend;
class Clock;
class Envelope;
class RedisClient;
struct BackendContext;

/// Where messages live.
enum class StorageType { memory, redis, kafka };
/// What a publish does when a channel is full (D16).
enum class Overflow {
  reject,      ///< Refuse the publish with `queue_full`.
  drop_oldest  ///< Drop the oldest ready messages, counted as `dropped`.
};
/// Kafka record compression.
enum class Compression { none, gzip, snappy, lz4, zstd };
/// How Kafka messages without a key choose their partition.
enum class Balancer {
  least_bytes,  ///< The partition that got the fewest bytes from here.
  hash,         ///< By the message id.
  round_robin   ///< One after the other.
};
/// Where a new Kafka channel starts reading (D4).
enum class StartOffset { earliest, latest };
/// Kafka transaction isolation of consumers.
enum class IsolationLevel { read_uncommitted, read_committed };

/// Exponential growth of the retry delay (D8): delay = retry_delay * multiplier^(failures - 1), at most max_delay.
struct Backoff {
  double multiplier = 1.0;                     ///< At least 1; 1 keeps the delay constant, as in the manual.
  Duration max_delay = std::chrono::hours(1);  ///< Upper bound of the grown delay.
  bool jitter = false;                         ///< Full jitter: uniformly random between 0 and the delay.

  friend bool operator==(const Backoff&, const Backoff&) = default;
};

/// Settings of a channel. Unset inherits from the topic, then the queue, then the default named here.
struct ChannelConfig {
  std::optional<int> max_retries{};       ///< Redeliveries after the first delivery; default 5, 0 none, -1 unlimited.
  std::optional<Duration> retry_delay{};  ///< Wait before a retry; default 1 s.
  std::optional<Duration> message_ttl{};  ///< Set here it caps the life in this channel (D12); 0 = no cap.
  std::optional<int> max_in_flight{};     ///< Handlers of a subscription that run at once; default 10, at least 1.
  std::optional<Duration> ack_timeout{};  ///< Lease of a delivery; default 30 s, more than 0.
  std::optional<Backoff> backoff{};       ///< Growth of the retry delay; default constant.
  std::optional<Duration> handler_timeout{};  ///< A handler that runs longer counts as failed; default 0 = off.
  std::optional<Duration> close_timeout{};    ///< How long close waits for running handlers; default 30 s.
  std::optional<bool> limit_next{};           ///< max_in_flight also bounds what next hands out; default false.
  std::optional<bool> dead_letter{};          ///< Keep given-up messages; default true. False drops them, counted.
  std::optional<bool> dead_letter_expired{};  ///< Expired messages become dead letters; default false.
  std::optional<std::int64_t> dead_letter_limit{};  ///< Dead letters kept per channel; default 10,000, oldest go first.
};

/// Settings of a topic; the last nine are defaults for its channels. Unset inherits from the queue.
struct TopicConfig {
  std::optional<int> max_retries{};
  std::optional<Duration> retry_delay{};
  std::optional<Duration> message_ttl{};  ///< Stamped at publish on messages without an expiry; default 24 h, 0 never.
  std::optional<std::int64_t> max_body_size{};          ///< Bytes; default 1 MiB (D15). 0 admits only empty bodies.
  std::optional<std::int64_t> max_msg_size{};           ///< Messages per channel; default 1,000,000 (D16).
  std::optional<Overflow> overflow{};                   ///< Default reject.
  std::optional<std::int64_t> max_pending_publishes{};  ///< pub_async calls waiting per topic; default 100,000.
  std::optional<int> max_in_flight{};
  std::optional<Duration> ack_timeout{};
  std::optional<Backoff> backoff{};
  std::optional<Duration> handler_timeout{};
  std::optional<Duration> close_timeout{};
  std::optional<bool> limit_next{};
  std::optional<bool> dead_letter{};
  std::optional<bool> dead_letter_expired{};
  std::optional<std::int64_t> dead_letter_limit{};
};

/// TLS of a Redis or Kafka connection.
struct TlsConfig {
  bool enabled = false;
  std::string ca_file{};      ///< PEM file of trusted authorities; empty = the system's.
  std::string cert_file{};    ///< Client certificate, PEM.
  std::string key_file{};     ///< Its private key, PEM.
  std::string server_name{};  ///< Expected name; empty = the host of the address.
  bool verify = true;         ///< False accepts any certificate.
};

/// Redis Sentinel: the addresses of the sentinels and the name of the master they watch.
struct SentinelConfig {
  std::string master{};
  std::vector<std::string> addrs{};  ///< "host:port".
  std::string password{};            ///< Of the sentinels themselves.
};

/// Connection to Redis. The first eleven are the manual's.
struct RedisConfig {
  std::string addr = "localhost:6379";  ///< "host:port" or the path of a Unix socket.
  std::string password{};
  int db = 0;
  std::string key_prefix = "lrpc:queue:";
  int pool_size = 10;      ///< Connections at most, at least 1.
  int min_idle_conns = 5;  ///< Idle connections kept open.
  int max_retries = 3;     ///< Tries again of one command, only where repeating is safe.
  Duration dial_timeout = std::chrono::seconds(5);
  Duration read_timeout = std::chrono::seconds(3);
  Duration write_timeout = std::chrono::seconds(3);
  Duration pool_timeout = std::chrono::seconds(4);  ///< Wait for a free connection.
  std::string url{};       ///< "redis://" or "rediss://"; wins over addr, username, password, db.
  std::string username{};  ///< ACL user.
  TlsConfig tls{};
  SentinelConfig sentinel{};
  bool cluster = false;  ///< Redis Cluster: tags the topic so that its keys share a slot.
};

/// SASL login of a Kafka connection.
struct SaslConfig {
  std::string mechanism{};  ///< "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"; empty = none.
  std::string username{};
  std::string password{};
};

/// The partition, from 0 to `partitions` - 1, of a message that is about to be published: the manual's balancer of
/// one's own. `message` has its id, times and headers, and its body encoded. Several publishing threads may call it at
/// once.
using BalancerFunction = std::function<int(const Envelope& message, int partitions)>;

/// Connection to Kafka. The first sixteen are the manual's.
struct KafkaConfig {
  std::vector<std::string> brokers = {"localhost:9092"};
  std::string topic_prefix = "lrpc-queue-";
  int partition = 1;                ///< Partitions of topics that we create, at least 1.
  int replication_factor = 1;       ///< At least 1.
  std::string consumer_group_id{};  ///< Empty = the manual's group `{topic_prefix}{topic}-{channel}`.
  bool auto_create_topics = true;
  Duration read_batch_timeout = std::chrono::seconds(10);
  Duration write_timeout = std::chrono::seconds(10);
  int required_acks = -1;  ///< 0 none (may lose), 1 leader, -1 all in-sync replicas.
  Compression compression_type = Compression::none;
  Duration session_timeout = std::chrono::seconds(30);
  Duration rebalance_timeout = std::chrono::seconds(60);
  Duration commit_interval = std::chrono::seconds(1);
  Duration heartbeat_interval = std::chrono::seconds(3);
  int max_attempts = 5;  ///< Tries of one commit, metadata or admin request, at least 1.
  Duration dial_timeout = std::chrono::seconds(10);
  Balancer balancer = Balancer::least_bytes;
  StartOffset start_offset = StartOffset::earliest;
  TlsConfig tls{};
  SaslConfig sasl{};
  std::string instance_id{};  ///< Static group membership; empty = dynamic.
  IsolationLevel isolation_level = IsolationLevel::read_committed;
  std::map<std::string, std::string> extra{};  ///< Further librdkafka properties.
  /// From code only: chooses for the messages without a key, where a topic has several partitions, in the place of
  /// `balancer`. When it throws or names a partition that is none, the publish fails with `invalid_argument` and
  /// nothing of its batch is sent.
  BalancerFunction custom_balancer{};
};

/// The in-process back end.
struct MemoryConfig {
  bool serialize = false;  ///< Encode and decode every body as a network back end would: for tests.
};

/// Makes a back end of the user's own (see backend.hpp). Called once by `Queue::open`.
using BackendFactory = std::function<Result<std::shared_ptr<Backend>>(const BackendContext&)>;

/// Everything `Queue::open` needs. The optional fields are defaults for all topics and channels.
struct Config {
  StorageType storage_type = StorageType::memory;
  std::optional<int> max_retries{};
  std::optional<Duration> retry_delay{};
  std::optional<Duration> message_ttl{};
  std::optional<std::int64_t> max_body_size{};
  std::optional<std::int64_t> max_msg_size{};
  std::optional<Overflow> overflow{};
  std::optional<std::int64_t> max_pending_publishes{};
  std::optional<int> max_in_flight{};
  std::optional<Duration> ack_timeout{};
  std::optional<Backoff> backoff{};
  std::optional<Duration> handler_timeout{};
  std::optional<Duration> close_timeout{};
  std::optional<bool> limit_next{};
  std::optional<bool> dead_letter{};
  std::optional<bool> dead_letter_expired{};
  std::optional<std::int64_t> dead_letter_limit{};
  RedisConfig redis_config{};
  std::shared_ptr<RedisClient> redis_client{};  ///< Used instead of redis_config; never closed by the queue.
  KafkaConfig kafka_config{};
  MemoryConfig memory_config{};

  // From code only: these have no key in files or environment.
  BackendFactory backend_factory{};                          ///< A back end of your own; wins over storage_type.
  std::vector<std::shared_ptr<Interceptor>> interceptors{};  ///< The first is the outermost.
  std::shared_ptr<Observer> observer{};                      ///< Receives what metrics need.
  Logger logger{};                                           ///< Unset: spdlog's default logger, from warning up.
  std::shared_ptr<Clock> clock{};                            ///< Unset: the machine's clock.

  /// Reads a `.json`, `.yaml`, `.yml` or `.toml` file. Durations are "30s", "1m30s", "24h", "250ms" or a number of
  /// seconds. A missing or unreadable file, an unknown key, a wrong type or a value out of range is `invalid_config`
  /// naming file, key and what is allowed. Does not read the environment.
  [[nodiscard]] static Result<Config> load(const std::string& path);
  /// Reads `LRPC_QUEUE_*`, for example LRPC_QUEUE_MAX_RETRIES or LRPC_QUEUE_REDIS_CONFIG_ADDR. Lists are separated by
  /// commas, maps are `k=v,k=v`.
  [[nodiscard]] static Result<Config> from_env();
  /// Lays the environment over `base`.
  [[nodiscard]] static Result<Config> from_env(Config base);
};

/// Checks every range, of all back ends' structs (`Queue::open` checks only the chosen one's).
[[nodiscard]] Result<void> validate(const Config& config);
/// Checks the common fields and the struct of `config.storage_type`.
[[nodiscard]] Result<void> validate_for_open(const Config& config);
/// Checks ranges of a topic's settings.
[[nodiscard]] Result<void> validate(const TopicConfig& config);
/// Checks ranges of a channel's settings.
[[nodiscard]] Result<void> validate(const ChannelConfig& config);

/// `{ErrorCode::invalid_argument}` unless `name` matches `[A-Za-z0-9_]([A-Za-z0-9._-]{0,198}[A-Za-z0-9_])?` (D23).
/// `what` is "topic" or "channel", for the message.
[[nodiscard]] Result<void> validate_name(std::string_view what, std::string_view name);

/// The key of an enumerator as written in files, for example "drop_oldest".
[[nodiscard]] std::string_view to_string(StorageType value) noexcept;
[[nodiscard]] std::string_view to_string(Overflow value) noexcept;
[[nodiscard]] std::string_view to_string(Compression value) noexcept;
[[nodiscard]] std::string_view to_string(Balancer value) noexcept;
[[nodiscard]] std::string_view to_string(StartOffset value) noexcept;
[[nodiscard]] std::string_view to_string(IsolationLevel value) noexcept;

}  // namespace lrpc::queue
