// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/reader.hpp"

#include <algorithm>
#include <utility>

#include "kafka/errors.hpp"
#include "kafka/settings.hpp"

namespace lrpc::queue::kafka {
namespace {

/// Between two looks at whether somebody still wants the records.
constexpr Duration kReaderLook{100};

/// How long to wait before the next look.
Duration next_look(SteadyTime deadline) {
  const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
  return std::clamp(left, Duration(0), kReaderLook);
}

}  // namespace

Result<std::unique_ptr<Reader>> Reader::make(const KafkaConfig& config, Logger logger) {
  auto events = std::make_unique<ClientEvents>(std::move(logger));
  // Never joined, but librdkafka assigns nothing to a consumer without one.
  auto conf = consumer_conf(config, "lrpc-queue-reader", *events);
  if (!conf) return std::unexpected(std::move(conf.error()));
  // A partition that is added waits for the end of the fetch that is under way.
  rd_kafka_conf_set(conf->get(), "fetch.wait.max.ms", "5", nullptr, 0);
  // The end of a partition may lie before its high watermark, where marks of transactions follow.
  rd_kafka_conf_set(conf->get(), "enable.partition.eof", "true", nullptr, 0);
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return std::unexpected(std::move(client.error()));
  rd_kafka_poll_set_consumer(client->get());
  return std::make_unique<Reader>(std::move(events), std::move(*client));
}

Result<void> Reader::read(const std::string& topic, std::int32_t partition, std::int64_t from, std::int64_t end,
                          SteadyTime deadline, const std::function<bool(const rd_kafka_message_t&)>& each,
                          const std::function<bool()>& over) {
  if (from >= end) return {};
  const std::string what = "reading " + topic;
  const auto late = [&] { return std::chrono::steady_clock::now() >= deadline; };
  const auto cancelled = [&] { return fail(ErrorCode::cancelled, what + ": closed meanwhile"); };
  std::unique_lock lock(mutex_, std::defer_lock);
  while (!lock.try_lock_for(next_look(deadline))) {
    if (over()) return cancelled();
    if (late()) return failed(RD_KAFKA_RESP_ERR__TIMED_OUT, what);
  }
  PartitionsPtr list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = from;
  if (const auto code = rd_kafka_assign(client_.get(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(code, what);
  }
  Result<void> result;
  for (std::int64_t next = from; next < end;) {
    if (over()) {
      result = cancelled();
      break;
    }
    const MessagePtr message(rd_kafka_consumer_poll(client_.get(), static_cast<int>(next_look(deadline).count())));
    if (!message) {
      if (!late()) continue;
      result = failed(RD_KAFKA_RESP_ERR__TIMED_OUT, what);
      break;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) break;  // the rest up to `end` are marks of transactions
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      result = failed(message->err, what, rd_kafka_message_errstr(message.get()));
      break;
    }
    next = message->offset + 1;
    if (message->offset >= end || !each(*message)) break;
  }
  rd_kafka_assign(client_.get(), nullptr);
  return result;
}

}  // namespace lrpc::queue::kafka
