// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka_raw.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <string_view>
#include <utility>

#include "rig.hpp"

namespace lrpc::queue::bench {
namespace {

using Headers = std::array<std::pair<std::string_view, std::string_view>, 5>;
constexpr Headers kHeaders{{{"id", "0123456789abcdef0123456789"},
                            {"timestamp", "1760000000"},
                            {"expires_at", "0"},
                            {"attempts", "0"},
                            {"channel", ""}}};

RawRecord read(const rd_kafka_message_t& message) {
  RawRecord record{.body = std::string(static_cast<const char*>(message.payload), message.len)};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    const std::string_view text(static_cast<const char*>(value), size);
    if (std::string_view(name) == "id") record.id = text;
    if (std::string_view(name) == "attempts") std::from_chars(text.begin(), text.end(), record.attempts);
  }
  return record;
}

}  // namespace

RawKafka::Client RawKafka::make(rd_kafka_type_t type, const Properties& properties,
                                void (*on_report)(rd_kafka_t*, const rd_kafka_message_t*, void*)) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  std::array<char, 512> why{};
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      die(why.data());
    }
  }
  if (on_report != nullptr) rd_kafka_conf_set_dr_msg_cb(conf, on_report);
  Client client(rd_kafka_new(type, conf, why.data(), why.size()));
  if (client == nullptr) die(why.data());
  return client;
}

RawKafkaProducer::RawKafkaProducer(const std::string& brokers, const std::string& topic, const Properties& further) {
  Properties properties{{"bootstrap.servers", brokers},
                        {"enable.idempotence", "true"},
                        {"linger.ms", "0"},
                        {"socket.nagle.disable", "true"},
                        {"queue.buffering.max.messages", "1000000"}};
  for (const auto& [name, value] : further) properties[name] = value;
  client_ = make(RD_KAFKA_PRODUCER, properties, &on_report);
  topic_.reset(rd_kafka_topic_new(client_.get(), topic.c_str(), nullptr));
  poller_ = std::thread([this] {
    while (!stopping_) rd_kafka_poll(client_.get(), 100);
  });
}

RawKafkaProducer::~RawKafkaProducer() {
  stopping_ = true;
  poller_.join();
}

void RawKafkaProducer::on_report(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(message->err));
  auto& due = *static_cast<std::atomic<std::uint32_t>*>(message->_private);
  if (due.fetch_sub(1) == 1) due.notify_one();
}

void RawKafkaProducer::send(const std::string& body, std::atomic<std::uint32_t>& due) {
  for (;;) {
    rd_kafka_headers_t* const headers = rd_kafka_headers_new(kHeaders.size());
    for (const auto& [name, text] : kHeaders) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), text.data(),
                          static_cast<ssize_t>(text.size()));
    }
    const std::string_view key = kHeaders[0].second;
    const rd_kafka_resp_err_t error = rd_kafka_producev(
        client_.get(), RD_KAFKA_V_RKT(topic_.get()), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()),
        RD_KAFKA_V_KEY(const_cast<char*>(key.data()), key.size()), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(&due),
        RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    rd_kafka_headers_destroy(headers);
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(error));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void RawKafkaProducer::send_and_wait(const std::string& body, std::size_t count) {
  std::atomic<std::uint32_t> due = static_cast<std::uint32_t>(count);
  for (std::size_t i = 0; i < count; ++i) send(body, due);
  for (std::uint32_t left = due; left != 0; left = due) due.wait(left);
}

void RawKafkaProducer::flush() { rd_kafka_flush(client_.get(), 60'000); }

RawKafkaConsumer::RawKafkaConsumer(const std::string& brokers, const std::string& topic, const std::string& group,
                                   const Properties& further) {
  Properties properties{{"bootstrap.servers", brokers},        {"group.id", group},
                        {"enable.auto.commit", "false"},       {"auto.offset.reset", "earliest"},
                        {"isolation.level", "read_committed"}, {"partition.assignment.strategy", "range"},
                        {"fetch.wait.max.ms", "500"}};
  for (const auto& [name, value] : further) properties[name] = value;
  client_ = make(RD_KAFKA_CONSUMER, properties);
  rd_kafka_poll_set_consumer(client_.get());
  rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, topic.c_str(), RD_KAFKA_PARTITION_UA);
  if (rd_kafka_subscribe(client_.get(), list) != RD_KAFKA_RESP_ERR_NO_ERROR) die("a raw consumer cannot subscribe");
  rd_kafka_topic_partition_list_destroy(list);
}

RawKafkaConsumer::~RawKafkaConsumer() { rd_kafka_consumer_close(client_.get()); }

bool RawKafkaConsumer::next(RawRecord* into) {
  rd_kafka_message_t* const message = rd_kafka_consumer_poll(client_.get(), 1000);
  if (message == nullptr) return false;
  const bool good = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
  if (good && into != nullptr) *into = read(*message);
  rd_kafka_message_destroy(message);
  return good;
}

void RawKafkaConsumer::commit() { rd_kafka_commit(client_.get(), nullptr, 1); }

}  // namespace lrpc::queue::bench
