// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "raw.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <thread>

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

int ms(milliseconds time) { return static_cast<int>(time.count()); }

std::optional<std::string> text(const void* data, std::size_t size) {
  if (data == nullptr) return std::nullopt;
  return std::string(static_cast<const char*>(data), size);
}

RawRecord record_of(const rd_kafka_message_t& message) {
  RawRecord record{.key = text(message.key, message.key_len),
                   .value = text(message.payload, message.len),
                   .timestamp_ms = rd_kafka_message_timestamp(&message, nullptr),
                   .partition = message.partition,
                   .offset = message.offset};
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    record.headers.emplace_back(name, text(value, size).value_or(""));
  }
  return record;
}

struct Delivery {
  RawRecord* record;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR__IN_PROGRESS;
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  auto& delivery = *static_cast<Delivery*>(message->_private);
  delivery.error = message->err;
  delivery.record->partition = message->partition;
  delivery.record->offset = message->offset;
}

void on_error(rd_kafka_t*, int error, const char*, void* refused) {
  if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) *static_cast<bool*>(refused) = true;
}

using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, decltype(&rd_kafka_topic_partition_list_destroy)>;
Partitions partition_list() { return {rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy}; }

using Message = std::unique_ptr<rd_kafka_message_t, decltype(&rd_kafka_message_destroy)>;

Settings with_defaults(const Settings& settings, const Settings& defaults) {
  Settings result = settings;
  result.insert(defaults.begin(), defaults.end());
  return result;
}

}  // namespace

RawError::RawError(rd_kafka_resp_err_t error, const std::string& text)
    : std::runtime_error(text + ": " + rd_kafka_err2str(error)), code(error) {}

RawClient::RawClient(rd_kafka_type_t type, const Settings& settings) : refused_(std::make_unique<bool>(false)) {
  // Brokers come and go in tests: look for them often. And a topic that is not there will not come.
  const Settings all = with_defaults(settings, {{"reconnect.backoff.ms", "20"},
                                                {"reconnect.backoff.max.ms", "200"},
                                                {"topic.metadata.propagation.max.ms", "2000"}});
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 512> why{};
  for (const auto& [name, value] : all) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      throw RawError(RD_KAFKA_RESP_ERR__INVALID_ARG, why.data());
    }
  }
  rd_kafka_conf_set_opaque(conf, refused_.get());
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, nullptr);  // lost connections are what tests are about
  if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  client_.reset(rd_kafka_new(type, conf, why.data(), why.size()));
  if (!client_) {
    rd_kafka_conf_destroy(conf);
    throw RawError(rd_kafka_last_error(), why.data());
  }
}

bool RawClient::refused() const {
  rd_kafka_poll(get(), 0);
  return *refused_;
}

void RawClient::fail(rd_kafka_resp_err_t error, const std::string& what) const {
  throw RawError(refused() ? RD_KAFKA_RESP_ERR__AUTHENTICATION : error, what);
}

std::optional<std::string> RawRecord::header(const std::string& name) const {
  const auto found = std::ranges::find(headers, name, [](const auto& header) { return header.first; });
  if (found == headers.end()) return std::nullopt;
  return found->second;
}

RawRecord RawProducer::produce(const std::string& topic, RawRecord record) {
  return produce(topic, std::vector{std::move(record)}).front();
}

std::vector<RawRecord> RawProducer::produce(const std::string& topic, std::vector<RawRecord> records) {
  std::vector<Delivery> deliveries;
  for (RawRecord& record : records) deliveries.push_back({.record = &record});
  for (Delivery& delivery : deliveries) {
    const RawRecord& record = *delivery.record;
    rd_kafka_headers_t* headers = rd_kafka_headers_new(record.headers.size());
    for (const auto& [name, value] : record.headers) {
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                          static_cast<ssize_t>(value.size()));
    }
    void* value = record.value ? const_cast<char*>(record.value->data()) : nullptr;
    const std::size_t value_size = record.value ? record.value->size() : 0;
    const void* key = record.key ? record.key->data() : nullptr;
    const std::size_t key_size = record.key ? record.key->size() : 0;
    const auto error = rd_kafka_producev(get(), RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(record.partition),
                                         RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(value, value_size),
                                         RD_KAFKA_V_KEY(key, key_size), RD_KAFKA_V_TIMESTAMP(record.timestamp_ms),
                                         RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(&delivery), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_headers_destroy(headers);
      delivery.error = error;
    }
  }
  if (rd_kafka_flush(get(), ms(kPatience)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_purge(get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(get(), ms(kPatience));  // the reports point into this frame
    fail(RD_KAFKA_RESP_ERR__TIMED_OUT, "producing to " + topic);
  }
  for (const Delivery& delivery : deliveries) check(delivery.error, "producing to " + topic);
  return records;
}

RawConsumer::RawConsumer(const Settings& settings)
    : RawClient(RD_KAFKA_CONSUMER,
                with_defaults(settings, {{"group.id", "raw-reader"},  // librdkafka wants one even of who only reads
                                         {"enable.auto.commit", "false"},
                                         {"enable.partition.eof", "true"},
                                         {"auto.offset.reset", "earliest"},
                                         {"session.timeout.ms", "6000"},
                                         {"fetch.wait.max.ms", "50"}})) {
  rd_kafka_poll_set_consumer(get());
}

RawConsumer::~RawConsumer() { rd_kafka_consumer_close(get()); }

std::vector<RawRecord> RawConsumer::read(const std::string& topic, std::int32_t partition, std::int64_t from) {
  const std::string what = "reading " + topic;
  const auto assigned = partition_list();
  rd_kafka_topic_partition_list_add(assigned.get(), topic.c_str(), partition)->offset = from;
  check(rd_kafka_assign(get(), assigned.get()), what);
  std::vector<RawRecord> records;
  const auto end = steady_clock::now() + kPatience;
  for (bool at_end = false; !at_end;) {
    if (steady_clock::now() > end) fail(RD_KAFKA_RESP_ERR__TIMED_OUT, what);
    const Message message(rd_kafka_consumer_poll(get(), 100), rd_kafka_message_destroy);
    if (!message) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) records.push_back(record_of(*message));
    at_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
      fail(message->err, what);
    }
  }
  check(rd_kafka_assign(get(), nullptr), what);
  return records;
}

std::vector<RawRecord> RawConsumer::read_all(const std::string& topic) {
  const rd_kafka_metadata_t* metadata = nullptr;
  rd_kafka_topic_t* handle = rd_kafka_topic_new(get(), topic.c_str(), nullptr);
  const auto error = rd_kafka_metadata(get(), 0, handle, &metadata, ms(kPatience));
  rd_kafka_topic_destroy(handle);
  check(error, "reading " + topic);
  const int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  std::vector<RawRecord> records;
  for (int partition = 0; partition < count; ++partition)
    std::ranges::move(read(topic, partition), std::back_inserter(records));
  return records;
}

void RawConsumer::subscribe(const std::vector<std::string>& topics) {
  const auto list = partition_list();
  for (const std::string& topic : topics) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  check(rd_kafka_subscribe(get(), list.get()), "subscribing");
}

std::optional<RawRecord> RawConsumer::next(milliseconds time) {
  for (const auto end = steady_clock::now() + time;;) {
    const auto left = std::max(std::chrono::ceil<milliseconds>(end - steady_clock::now()), milliseconds(0));
    const Message message(rd_kafka_consumer_poll(get(), ms(left)), rd_kafka_message_destroy);
    if (message && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return record_of(*message);
    if (left == milliseconds(0)) return std::nullopt;
  }
}

std::vector<std::pair<std::string, std::int32_t>> RawConsumer::assignment() const {
  rd_kafka_topic_partition_list_t* list = nullptr;
  check(rd_kafka_assignment(get(), &list), "assignment");
  std::vector<std::pair<std::string, std::int32_t>> result;
  for (int i = 0; i < list->cnt; ++i) result.emplace_back(list->elems[i].topic, list->elems[i].partition);
  rd_kafka_topic_partition_list_destroy(list);
  return result;
}

void RawConsumer::commit() { check(rd_kafka_commit(get(), nullptr, 0), "committing"); }

bool eventually(const std::function<bool()>& condition) {
  for (const auto end = steady_clock::now() + kPatience; !condition();) {
    if (steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return true;
}

std::string unique_name(const std::string& prefix) {
  static std::atomic<int> number = 0;
  return prefix + "-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
}

}  // namespace lrpc::queue::kafka::test
