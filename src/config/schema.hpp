// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <lrpc/queue/config.hpp>

/// \file
/// The one table of the configuration: every field's key, where it is stored and which values it takes. Files of all
/// formats, the environment and the checks of values set in code are all driven by it.

namespace lrpc::queue::config_impl {

/// What a field accepts beyond its type.
struct Rule {
  std::int64_t min = std::numeric_limits<std::int64_t>::min();  ///< Of numbers; of durations in milliseconds.
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::span<const std::string_view> choices{};   ///< Of strings, when not empty: the texts allowed besides "".
  std::span<const std::string_view> prefixes{};  ///< Of strings, when not empty: how a non-empty one must begin.
  bool required = false;                         ///< Of lists: must not be empty.
  bool secret = false;                           ///< The value is never shown.
};

/// One field of a configuration struct.
template <class S, class T>
struct Field {
  using value_type = T;
  std::string_view name;
  T S::* member;
  Rule rule;
};

/// The fields of a struct: specialised for each below.
template <class S>
struct Schema;
/// The names of an enumeration in the order of its enumerators, which count from 0.
template <class E>
struct EnumNames;

/// A struct with fields of its own.
template <class S>
concept Section = requires { Schema<S>::fields; };
template <class E>
concept NamedEnum = requires { EnumNames<E>::names; };

constexpr Rule at_least(std::int64_t min) { return {.min = min}; }
constexpr Rule between(std::int64_t min, std::int64_t max) { return {.min = min, .max = max}; }
constexpr Rule duration() { return at_least(0); }
constexpr Rule positive_duration() { return at_least(1); }
constexpr Rule secret() { return {.secret = true}; }

template <class S, class T>
constexpr Field<S, T> field(std::string_view name, T S::* member, Rule rule = {}) {
  return {name, member, rule};
}

template <>
struct EnumNames<StorageType> {
  static constexpr std::array<std::string_view, 3> names{"memory", "redis", "kafka"};
};
template <>
struct EnumNames<Overflow> {
  static constexpr std::array<std::string_view, 2> names{"reject", "drop_oldest"};
};
template <>
struct EnumNames<Compression> {
  static constexpr std::array<std::string_view, 5> names{"none", "gzip", "snappy", "lz4", "zstd"};
};
template <>
struct EnumNames<Balancer> {
  static constexpr std::array<std::string_view, 3> names{"least_bytes", "hash", "round_robin"};
};
template <>
struct EnumNames<StartOffset> {
  static constexpr std::array<std::string_view, 2> names{"earliest", "latest"};
};
template <>
struct EnumNames<IsolationLevel> {
  static constexpr std::array<std::string_view, 2> names{"read_uncommitted", "read_committed"};
};

inline constexpr std::array<std::string_view, 3> kSaslMechanisms{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
inline constexpr std::array<std::string_view, 2> kRedisSchemes{"redis://", "rediss://"};

/// The fields that queue, topic and channel share.
template <class S>
constexpr auto channel_fields() {
  return std::tuple{field("max_retries", &S::max_retries, at_least(-1)),
                    field("retry_delay", &S::retry_delay, duration()),
                    field("message_ttl", &S::message_ttl, duration()),
                    field("max_in_flight", &S::max_in_flight, at_least(1)),
                    field("ack_timeout", &S::ack_timeout, positive_duration()),
                    field("backoff", &S::backoff),
                    field("handler_timeout", &S::handler_timeout, duration()),
                    field("close_timeout", &S::close_timeout, duration()),
                    field("limit_next", &S::limit_next),
                    field("dead_letter", &S::dead_letter),
                    field("dead_letter_expired", &S::dead_letter_expired),
                    field("dead_letter_limit", &S::dead_letter_limit, at_least(0))};
}

/// The fields that queue and topic share besides.
template <class S>
constexpr auto topic_fields() {
  return std::tuple_cat(
      channel_fields<S>(),
      std::tuple{field("max_body_size", &S::max_body_size, at_least(0)),
                 field("max_msg_size", &S::max_msg_size, at_least(0)), field("overflow", &S::overflow),
                 field("max_pending_publishes", &S::max_pending_publishes, at_least(0))});
}

template <>
struct Schema<Backoff> {
  static constexpr std::tuple fields{field("multiplier", &Backoff::multiplier, at_least(1)),
                                     field("max_delay", &Backoff::max_delay, duration()),
                                     field("jitter", &Backoff::jitter)};
};

template <>
struct Schema<ChannelConfig> {
  static constexpr auto fields = channel_fields<ChannelConfig>();
};

template <>
struct Schema<TopicConfig> {
  static constexpr auto fields = topic_fields<TopicConfig>();
};

template <>
struct Schema<TlsConfig> {
  static constexpr std::tuple fields{
      field("enabled", &TlsConfig::enabled),         field("ca_file", &TlsConfig::ca_file),
      field("cert_file", &TlsConfig::cert_file),     field("key_file", &TlsConfig::key_file),
      field("server_name", &TlsConfig::server_name), field("verify", &TlsConfig::verify)};
};

template <>
struct Schema<SentinelConfig> {
  static constexpr std::tuple fields{field("master", &SentinelConfig::master), field("addrs", &SentinelConfig::addrs),
                                     field("password", &SentinelConfig::password, secret())};
};

template <>
struct Schema<RedisConfig> {
  static constexpr std::tuple fields{field("addr", &RedisConfig::addr),
                                     field("password", &RedisConfig::password, secret()),
                                     field("db", &RedisConfig::db, at_least(0)),
                                     field("key_prefix", &RedisConfig::key_prefix),
                                     field("pool_size", &RedisConfig::pool_size, at_least(1)),
                                     field("min_idle_conns", &RedisConfig::min_idle_conns, at_least(0)),
                                     field("max_retries", &RedisConfig::max_retries, at_least(-1)),
                                     field("dial_timeout", &RedisConfig::dial_timeout, duration()),
                                     field("read_timeout", &RedisConfig::read_timeout, duration()),
                                     field("write_timeout", &RedisConfig::write_timeout, duration()),
                                     field("pool_timeout", &RedisConfig::pool_timeout, duration()),
                                     field("url", &RedisConfig::url, {.prefixes = kRedisSchemes, .secret = true}),
                                     field("username", &RedisConfig::username),
                                     field("tls", &RedisConfig::tls),
                                     field("sentinel", &RedisConfig::sentinel),
                                     field("cluster", &RedisConfig::cluster)};
};

template <>
struct Schema<SaslConfig> {
  static constexpr std::tuple fields{field("mechanism", &SaslConfig::mechanism, {.choices = kSaslMechanisms}),
                                     field("username", &SaslConfig::username),
                                     field("password", &SaslConfig::password, secret())};
};

template <>
struct Schema<KafkaConfig> {
  static constexpr std::tuple fields{
      field("brokers", &KafkaConfig::brokers, {.required = true}), field("topic_prefix", &KafkaConfig::topic_prefix),
      field("partition", &KafkaConfig::partition, at_least(1)),
      field("replication_factor", &KafkaConfig::replication_factor, at_least(1)),
      field("consumer_group_id", &KafkaConfig::consumer_group_id),
      field("auto_create_topics", &KafkaConfig::auto_create_topics),
      field("read_batch_timeout", &KafkaConfig::read_batch_timeout, duration()),
      field("write_timeout", &KafkaConfig::write_timeout, duration()),
      field("required_acks", &KafkaConfig::required_acks, between(-1, 1)),
      field("compression_type", &KafkaConfig::compression_type),
      field("session_timeout", &KafkaConfig::session_timeout, duration()),
      field("rebalance_timeout", &KafkaConfig::rebalance_timeout, duration()),
      field("commit_interval", &KafkaConfig::commit_interval, duration()),
      field("heartbeat_interval", &KafkaConfig::heartbeat_interval, duration()),
      field("max_attempts", &KafkaConfig::max_attempts, at_least(1)),
      field("dial_timeout", &KafkaConfig::dial_timeout, duration()), field("balancer", &KafkaConfig::balancer),
      field("start_offset", &KafkaConfig::start_offset), field("tls", &KafkaConfig::tls),
      field("sasl", &KafkaConfig::sasl), field("instance_id", &KafkaConfig::instance_id),
      field("isolation_level", &KafkaConfig::isolation_level),
      // librdkafka properties include passwords.
      field("extra", &KafkaConfig::extra, secret())};
};

template <>
struct Schema<MemoryConfig> {
  static constexpr std::tuple fields{field("serialize", &MemoryConfig::serialize)};
};

template <>
struct Schema<Config> {
  static constexpr auto fields = std::tuple_cat(
      std::tuple{field("storage_type", &Config::storage_type)}, topic_fields<Config>(),
      std::tuple{field("redis_config", &Config::redis_config), field("kafka_config", &Config::kafka_config),
                 field("memory_config", &Config::memory_config)});
};

template <class T>
struct OptionalOf {
  static constexpr bool is_optional = false;
  using type = T;
};
template <class T>
struct OptionalOf<std::optional<T>> {
  static constexpr bool is_optional = true;
  using type = T;
};
template <class T>
concept Optional = OptionalOf<T>::is_optional;

/// Calls `visit(field)` for each field of S until one gives an error; returns that.
template <Section S, class F>
Result<void> for_each_field(F&& visit) {
  Result<void> result;
  std::apply([&](const auto&... each) { static_cast<void>(((result = visit(each)).has_value() && ...)); },
             Schema<S>::fields);
  return result;
}

/// "section.name", or "name" at the top.
inline std::string join_path(std::string_view section, std::string_view name) {
  std::string result(section);
  if (!result.empty()) result += '.';
  result += name;
  return result;
}

/// Adds the dotted path of every value below S to `paths`.
template <Section S>
void append_paths(std::string_view section, std::vector<std::string>& paths) {
  static_cast<void>(for_each_field<S>([&](const auto& each) -> Result<void> {
    using T = typename OptionalOf<typename std::remove_cvref_t<decltype(each)>::value_type>::type;
    if constexpr (Section<T>) {
      append_paths<T>(join_path(section, each.name), paths);
    } else {
      paths.push_back(join_path(section, each.name));
    }
    return {};
  }));
}

}  // namespace lrpc::queue::config_impl
