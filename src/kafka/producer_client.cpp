// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/producer_client.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "kafka/settings.hpp"

namespace lrpc::queue::kafka {
namespace {

/// From this size on a body is cheaper to keep than to copy.
constexpr std::size_t kKeepFrom = 1'024;
/// How long the poller sleeps at most.
constexpr int kPollMs = 10'000;
/// For the answer about a topic.
constexpr std::int64_t kLongestRefreshMs = 2'000;
/// For what a dying producer still has to report.
constexpr auto kLastReports = std::chrono::seconds(2);

}  // namespace

Result<std::shared_ptr<ProducerClient>> ProducerClient::make(const KafkaConfig& config, Logger logger) {
  auto self = std::make_shared<ProducerClient>(std::move(logger));
  auto conf = producer_conf(config, *self);
  if (!conf) return std::unexpected(std::move(conf.error()));
  rd_kafka_conf_set_dr_msg_cb(conf->get(), &on_report);
  rd_kafka_conf_interceptor_add_on_new(conf->get(), "lrpc-queue", &on_new, self.get());
  auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return std::unexpected(std::move(client.error()));
  self->start(std::move(*client));
  return self;
}

void ProducerClient::start(ClientPtr client) {
  client_ = std::move(client);
  reports_.reset(rd_kafka_queue_get_main(client_.get()));
  poller_ = std::thread([this] { poll(); });
}

ProducerClient::~ProducerClient() {
  if (client_ == nullptr) return;
  // Nobody waits any more; what is left must be reported all the same, for that frees it.
  rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  stopping_.store(true, std::memory_order_relaxed);
  rd_kafka_queue_yield(reports_.get());
  poller_.join();
  const SteadyTime end = std::chrono::steady_clock::now() + kLastReports;
  while (rd_kafka_outq_len(client_.get()) > 0 && std::chrono::steady_clock::now() < end) {
    rd_kafka_poll(client_.get(), 10);
  }
  topics_.clear();
  reports_.reset();
}

void ProducerClient::poll() {
  while (!stopping_.load(std::memory_order_relaxed)) rd_kafka_poll(client_.get(), kPollMs);
}

void ProducerClient::on_report(rd_kafka_t* /*client*/, const rd_kafka_message_t* message, void* opaque) noexcept {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) static_cast<ClientEvents*>(opaque)->forget_trouble();
  auto& slot = *static_cast<ProduceSlot*>(message->_private);
  slot.code = message->err;
  slot.status = rd_kafka_message_status(message);
  slot.offset = message->offset;
  ProduceCall::report(slot);
}

rd_kafka_resp_err_t ProducerClient::on_new(rd_kafka_t* client, const rd_kafka_conf_t* /*conf*/, void* self,
                                           char* /*why*/, std::size_t /*size*/) noexcept {
  return rd_kafka_interceptor_add_on_request_sent(client, "lrpc-queue", &on_request, self);
}

rd_kafka_resp_err_t ProducerClient::on_request(rd_kafka_t* /*client*/, int /*socket*/, const char* /*broker*/,
                                               std::int32_t /*id*/, std::int16_t api, std::int16_t /*version*/,
                                               std::int32_t /*number*/, std::size_t /*size*/, void* self) noexcept {
  constexpr std::int16_t kProduce = 0;
  if (api == kProduce) static_cast<ProducerClient*>(self)->watch_.request();
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void ProducerClient::withdraw() {
  if (watch_.nothing_sent()) rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

rd_kafka_topic_t* ProducerClient::topic(std::string_view name) {
  const std::lock_guard lock(topics_mutex_);
  if (const auto it = topics_.find(name); it != topics_.end()) return it->second.get();
  std::string key(name);
  TopicPtr made(rd_kafka_topic_new(client_.get(), key.c_str(), nullptr));
  if (made == nullptr) return nullptr;
  return topics_.emplace(std::move(key), std::move(made)).first->second.get();
}

void ProducerClient::refresh(std::string_view topic_name, SteadyTime deadline) {
  rd_kafka_topic_t* const which = topic(topic_name);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  if (which == nullptr || left <= 0) return;
  const rd_kafka_metadata_t* raw = nullptr;
  rd_kafka_metadata(client_.get(), 0, which, &raw, static_cast<int>(std::min<std::int64_t>(left, kLongestRefreshMs)));
  const MetadataPtr found(raw);
}

rd_kafka_resp_err_t ProducerClient::send(const Record& record, ProduceSlot& slot) {
  rd_kafka_topic_t* const to = topic(record.topic);
  if (to == nullptr) return rd_kafka_last_error();

  const bool keep = record.keep && record.value.size() >= kKeepFrom;
  // Without bytes a value would be null, which in Kafka is another thing than empty.
  const void* const value = record.value.empty() ? "" : static_cast<const void*>(record.value.data());

  std::array<rd_kafka_vu_t, 8> units{};
  std::size_t count = 0;
  const auto add = [&](rd_kafka_vtype_t type) -> auto& {
    units[count].vtype = type;
    return units[count++].u;
  };
  add(RD_KAFKA_VTYPE_RKT).rkt = to;
  add(RD_KAFKA_VTYPE_PARTITION).i32 = record.partition;
  {
    auto& unit = add(RD_KAFKA_VTYPE_VALUE).mem;
    unit.ptr = const_cast<void*>(value);  // librdkafka only reads it
    unit.size = record.value.size();
  }
  if (!record.key.empty()) {
    auto& unit = add(RD_KAFKA_VTYPE_KEY).mem;
    unit.ptr = const_cast<char*>(record.key.data());
    unit.size = record.key.size();
  }
  if (!keep) add(RD_KAFKA_VTYPE_MSGFLAGS).i = RD_KAFKA_MSG_F_COPY;
  if (record.timestamp_ms != 0) add(RD_KAFKA_VTYPE_TIMESTAMP).i64 = record.timestamp_ms;
  add(RD_KAFKA_VTYPE_OPAQUE).ptr = &slot;
  HeadersPtr headers;
  if (!record.headers.empty()) {
    headers.reset(rd_kafka_headers_new(record.headers.size()));
    for (const auto& [name, text] : record.headers) {  // a null value is another thing than an empty one here, too
      rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()),
                          text.data() != nullptr ? text.data() : "", static_cast<ssize_t>(text.size()));
    }
    add(RD_KAFKA_VTYPE_HEADERS).headers = headers.get();
  }

  slot.done.store(false, std::memory_order_relaxed);
  if (keep) slot.keep = record.keep;
  slot.call->expect();
  const ErrorPtr error(rd_kafka_produceva(client_.get(), units.data(), count));
  if (error == nullptr) {
    static_cast<void>(headers.release());  // the message's now
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  slot.call->unexpect();
  slot.keep = {};
  return rd_kafka_error_code(error.get());
}

bool ProducerClient::is_dead() const noexcept {
  return rd_kafka_fatal_error(client_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

std::string ProducerClient::cause_of_death() const {
  std::array<char, 512> text{};
  rd_kafka_fatal_error(client_.get(), text.data(), text.size());
  return text.data();
}

}  // namespace lrpc::queue::kafka
