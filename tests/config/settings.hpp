// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace lrpc::queue::config_test {

/// One setting with a value that is not its default.
struct Setting {
  std::string path;
  std::string json;         ///< As written in JSON; also valid YAML and, tables apart, TOML.
  std::string environment;  ///< As written in an environment variable.
  std::string expected;     ///< As in `dump`, JSON.
};

/// Every setting there is.
inline const std::vector<Setting>& settings() {
  static const std::vector<Setting> all{
      {"storage_type", R"("redis")", "redis", R"("redis")"},
      {"max_retries", "-1", "-1", "-1"},
      {"retry_delay", R"("1m30s")", "1m30s", "90000"},
      {"message_ttl", "0", "0", "0"},
      {"max_in_flight", "1", "1", "1"},
      {"ack_timeout", "0.25", "0.25", "250"},
      {"backoff.multiplier", "1.5", "1.5", "1.5"},
      {"backoff.max_delay", R"("2h")", "2h", "7200000"},
      {"backoff.jitter", "true", "1", "true"},
      {"handler_timeout", R"("1.5s")", "1.5s", "1500"},
      {"close_timeout", "10", "10", "10000"},
      {"limit_next", "true", "true", "true"},
      {"dead_letter", "false", "false", "false"},
      {"dead_letter_expired", "true", "1", "true"},
      {"dead_letter_limit", "0", "0", "0"},
      {"max_body_size", "2048", "2048", "2048"},
      {"max_msg_size", "9000000000", "9000000000", "9000000000"},
      {"overflow", R"("drop_oldest")", "drop_oldest", R"("drop_oldest")"},
      {"max_pending_publishes", "7", "7", "7"},
      {"redis_config.addr", R"("cache:6380")", "cache:6380", R"("cache:6380")"},
      {"redis_config.password", R"("p,a=s s")", "p,a=s s", R"("p,a=s s")"},
      {"redis_config.db", "3", "3", "3"},
      {"redis_config.key_prefix", R"("")", "", R"("")"},
      {"redis_config.pool_size", "1", "1", "1"},
      {"redis_config.min_idle_conns", "0", "0", "0"},
      {"redis_config.max_retries", "-1", "-1", "-1"},
      {"redis_config.dial_timeout", R"("6s")", "6s", "6000"},
      {"redis_config.read_timeout", R"("7s")", "7s", "7000"},
      {"redis_config.write_timeout", R"("8s")", "8s", "8000"},
      {"redis_config.pool_timeout", R"("9s")", "9s", "9000"},
      {"redis_config.url", R"("rediss://u:p@h:1/2")", "rediss://u:p@h:1/2", R"("rediss://u:p@h:1/2")"},
      {"redis_config.username", R"("me")", "me", R"("me")"},
      {"redis_config.tls.enabled", "true", "true", "true"},
      {"redis_config.tls.ca_file", R"("a.pem")", "a.pem", R"("a.pem")"},
      {"redis_config.tls.cert_file", R"("b.pem")", "b.pem", R"("b.pem")"},
      {"redis_config.tls.key_file", R"("c.pem")", "c.pem", R"("c.pem")"},
      {"redis_config.tls.server_name", R"("d")", "d", R"("d")"},
      {"redis_config.tls.verify", "false", "0", "false"},
      {"redis_config.sentinel.master", R"("m")", "m", R"("m")"},
      {"redis_config.sentinel.addrs", R"(["a:1", "b:2"])", "a:1, b:2", R"(["a:1", "b:2"])"},
      {"redis_config.sentinel.password", R"("s")", "s", R"("s")"},
      {"redis_config.cluster", "true", "true", "true"},
      {"kafka_config.brokers", R"(["k:9093"])", "k:9093", R"(["k:9093"])"},
      {"kafka_config.topic_prefix", R"("p-")", "p-", R"("p-")"},
      {"kafka_config.partition", "12", "12", "12"},
      {"kafka_config.replication_factor", "3", "3", "3"},
      {"kafka_config.consumer_group_id", R"("g")", "g", R"("g")"},
      {"kafka_config.auto_create_topics", "false", "false", "false"},
      {"kafka_config.read_batch_timeout", R"("11s")", "11s", "11000"},
      {"kafka_config.write_timeout", R"("12s")", "12s", "12000"},
      {"kafka_config.required_acks", "1", "1", "1"},
      {"kafka_config.compression_type", R"("zstd")", "zstd", R"("zstd")"},
      {"kafka_config.session_timeout", R"("40s")", "40s", "40000"},
      {"kafka_config.rebalance_timeout", R"("50s")", "50s", "50000"},
      {"kafka_config.commit_interval", R"("250ms")", "250ms", "250"},
      {"kafka_config.heartbeat_interval", R"("5s")", "5s", "5000"},
      {"kafka_config.max_attempts", "9", "9", "9"},
      {"kafka_config.dial_timeout", R"("13s")", "13s", "13000"},
      {"kafka_config.balancer", R"("round_robin")", "round_robin", R"("round_robin")"},
      {"kafka_config.start_offset", R"("latest")", "latest", R"("latest")"},
      {"kafka_config.tls.enabled", "true", "true", "true"},
      {"kafka_config.tls.ca_file", R"("e.pem")", "e.pem", R"("e.pem")"},
      {"kafka_config.tls.cert_file", R"("f.pem")", "f.pem", R"("f.pem")"},
      {"kafka_config.tls.key_file", R"("g.pem")", "g.pem", R"("g.pem")"},
      {"kafka_config.tls.server_name", R"("h")", "h", R"("h")"},
      {"kafka_config.tls.verify", "false", "0", "false"},
      {"kafka_config.sasl.mechanism", R"("SCRAM-SHA-256")", "SCRAM-SHA-256", R"("SCRAM-SHA-256")"},
      {"kafka_config.sasl.username", R"("u")", "u", R"("u")"},
      {"kafka_config.sasl.password", R"("q")", "q", R"("q")"},
      {"kafka_config.instance_id", R"("i")", "i", R"("i")"},
      {"kafka_config.isolation_level", R"("read_uncommitted")", "read_uncommitted", R"("read_uncommitted")"},
      {"kafka_config.extra", R"({"linger.ms": "5", "a": "b=c"})", "linger.ms=5, a=b=c",
       R"({"linger.ms": "5", "a": "b=c"})"},
      {"memory_config.serialize", "true", "true", "true"},
  };
  return all;
}

}  // namespace lrpc::queue::config_test
