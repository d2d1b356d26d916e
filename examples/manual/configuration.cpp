// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0

// The manual's configuration (配置): every field with its default, from code, files and the environment. What stands
// between begin and end is shown in docs/manual.zh.md, word for word (tests/documents).
//
//     example_manual_configuration examples/config/complete.yaml

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include <lrpc/queue.hpp>
#include <lrpc/queue/policy.hpp>

#include "../must.hpp"

namespace queue = lrpc::queue;
using namespace std::chrono_literals;

namespace {

void defaults_of_the_queue() {
  // [begin config]
  queue::Config config{
      .storage_type = queue::StorageType::memory,  // memory、redis 或 kafka（默认 memory）
      .max_retries = 5,                            // 最大重试次数（默认 5）
      .retry_delay = 1s,                           // 重试延迟（默认 1s）
      .message_ttl = 24h,                          // 消息过期时间（默认 24h）
      .max_body_size = 1024 * 1024,                // 最大消息体大小（默认 1MB）
      .max_msg_size = 1'000'000,                   // 最大消息数量（默认 1000000）

      // Redis 专用
      .redis_config = {},       // Redis 配置
      .redis_client = nullptr,  // 外部 Redis 客户端

      // Kafka 专用
      .kafka_config = {},  // Kafka 配置
  };
  // [end config]
  const queue::TopicPolicy topic;
  const queue::ChannelPolicy channel;
  must(config.storage_type == queue::Config{}.storage_type, "the default of storage_type");
  must(config.max_retries == channel.max_retries && config.retry_delay == channel.retry_delay &&
           config.message_ttl == topic.message_ttl && config.max_body_size == topic.max_body_size &&
           config.max_msg_size == topic.max_msg_size,
       "these are the defaults of the queue");
  must(queue::validate(config));
}

void defaults_of_redis() {
  // [begin redis_config]
  queue::RedisConfig redis_config{
      .addr = "localhost:6379",     // 服务器地址（默认 localhost:6379）
      .password = "",               // 密码
      .db = 0,                      // 数据库编号（默认 0）
      .key_prefix = "lrpc:queue:",  // 键名前缀（默认 lrpc:queue:）
      .pool_size = 10,              // 连接池大小（默认 10）
      .min_idle_conns = 5,          // 最小空闲连接（默认 5）
      .max_retries = 3,             // 最大重试次数（默认 3）
      .dial_timeout = 5s,           // 连接超时（默认 5s）
      .read_timeout = 3s,           // 读取超时（默认 3s）
      .write_timeout = 3s,          // 写入超时（默认 3s）
      .pool_timeout = 4s,           // 连接池超时（默认 4s）
  };
  // [end redis_config]
  const queue::RedisConfig unset;
  const auto values = [](const queue::RedisConfig& c) {
    return std::tie(c.addr, c.password, c.db, c.key_prefix, c.pool_size, c.min_idle_conns, c.max_retries,
                    c.dial_timeout, c.read_timeout, c.write_timeout, c.pool_timeout);
  };
  must(values(redis_config) == values(unset), "these are the defaults of Redis");
}

void defaults_of_kafka() {
  // [begin kafka_config]
  queue::KafkaConfig kafka_config{
      .brokers = {"localhost:9092"},                 // Kafka 服务器地址列表（默认 localhost:9092）
      .topic_prefix = "lrpc-queue-",                 // Topic 名称前缀（默认 lrpc-queue-）
      .partition = 1,                                // 分区数（默认 1）
      .replication_factor = 1,                       // 副本因子（默认 1）
      .consumer_group_id = "",                       // 消费者组 ID
      .auto_create_topics = true,                    // 是否自动创建 Topic（默认 true）
      .read_batch_timeout = 10s,                     // 批量读取超时（默认 10s）
      .write_timeout = 10s,                          // 写入超时（默认 10s）
      .required_acks = -1,                           // 确认级别（0=无需确认，1=leader，-1=all；默认 -1）
      .compression_type = queue::Compression::none,  // 压缩类型（none, gzip, snappy, lz4, zstd；默认 none）
      .session_timeout = 30s,                        // 会话超时（默认 30s）
      .rebalance_timeout = 60s,                      // 重平衡超时（默认 60s）
      .commit_interval = 1s,                         // 提交间隔（默认 1s）
      .heartbeat_interval = 3s,                      // 心跳间隔（默认 3s）
      .max_attempts = 5,                             // 最大尝试次数（默认 5）
      .dial_timeout = 10s,                           // 连接超时（默认 10s）
  };
  // [end kafka_config]
  const queue::KafkaConfig unset;
  const auto values = [](const queue::KafkaConfig& c) {
    return std::tie(c.brokers, c.topic_prefix, c.partition, c.replication_factor, c.consumer_group_id,
                    c.auto_create_topics, c.read_batch_timeout, c.write_timeout, c.required_acks, c.compression_type,
                    c.session_timeout, c.rebalance_timeout, c.commit_interval, c.heartbeat_interval, c.max_attempts,
                    c.dial_timeout);
  };
  must(values(kafka_config) == values(unset), "these are the defaults of Kafka");
}

void defaults_of_a_topic() {
  // [begin topic_config]
  queue::TopicConfig topic_config{
      .max_retries = 5,              // 最大重试次数（默认 5）
      .retry_delay = 1s,             // 重试延迟（默认 1s）
      .message_ttl = 24h,            // 消息过期时间（默认 24h）
      .max_body_size = 1024 * 1024,  // 最大消息体大小（默认 1MB）
      .max_msg_size = 1'000'000,     // 最大消息数量（默认 1000000）
  };
  // [end topic_config]
  const queue::TopicPolicy topic;
  const queue::ChannelPolicy channel;
  must(topic_config.max_retries == channel.max_retries && topic_config.retry_delay == channel.retry_delay &&
           topic_config.message_ttl == topic.message_ttl && topic_config.max_body_size == topic.max_body_size &&
           topic_config.max_msg_size == topic.max_msg_size,
       "these are the defaults of a topic");
}

void defaults_of_a_channel() {
  // [begin channel_config]
  queue::ChannelConfig channel_config{
      .max_retries = 5,     // 最大重试次数（默认 5）
      .retry_delay = 1s,    // 重试延迟（默认 1s）
      .message_ttl = 24h,   // 消息过期时间（默认 24h）
      .max_in_flight = 10,  // 最大并发数（默认 10）
      .ack_timeout = 30s,   // 确认超时（默认 30s）
  };
  // [end channel_config]
  const queue::ChannelPolicy channel;
  must(channel_config.max_retries == channel.max_retries && channel_config.retry_delay == channel.retry_delay &&
           channel_config.message_ttl == channel.message_ttl && channel_config.max_in_flight == channel.max_in_flight &&
           channel_config.ack_timeout == channel.ack_timeout,
       "these are the defaults of a channel");
}

void file_and_environment(const std::string& path) {
  // [begin load]
  // 文件（.json、.yaml、.yml、.toml），再由环境变量 LRPC_QUEUE_* 覆盖
  queue::Config file = queue::Config::load(path).value();
  queue::Config config = queue::Config::from_env(file).value();
  // [end load]
  must(file.max_retries == 5 && config.max_retries == 3, "the environment wins over the file");
  must(config.kafka_config.brokers == std::vector<std::string>{"kafka-1:9092", "kafka-2:9092"}, "a list");
}

}  // namespace

int main(int argc, char** argv) try {
  defaults_of_the_queue();
  defaults_of_redis();
  defaults_of_kafka();
  defaults_of_a_topic();
  defaults_of_a_channel();
  setenv("LRPC_QUEUE_MAX_RETRIES", "3", 1);
  setenv("LRPC_QUEUE_KAFKA_CONFIG_BROKERS", "kafka-1:9092,kafka-2:9092", 1);
  file_and_environment(argc > 1 ? argv[1] : "examples/config/complete.yaml");
  std::cout << "every default of the manual\n";
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
