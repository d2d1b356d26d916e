// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/admin.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "kafka/errors.hpp"
#include "kafka/settings.hpp"

namespace lrpc::queue::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Between two looks at whether waiting still makes sense.
constexpr milliseconds kLook{50};
/// The first and the longest pause before another attempt.
constexpr milliseconds kFirstBackoff{100};
constexpr milliseconds kLongestBackoff{2'000};

/// The time left, at least 1 ms, as librdkafka takes it.
int left_ms(SteadyTime deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 1, 3'600'000));
}

milliseconds jittered(milliseconds backoff) {
  thread_local std::minstd_rand random(std::random_device{}());
  return milliseconds(std::uniform_int_distribution<std::int64_t>(backoff.count() / 2, backoff.count())(random));
}

}  // namespace

namespace {
thread_local EndWith* innermost_end = nullptr;
}

EndWith::EndWith(std::function<bool()> over) : over_(std::move(over)), outer_(std::exchange(innermost_end, this)) {}
EndWith::~EndWith() { innermost_end = outer_; }
bool EndWith::now() { return innermost_end != nullptr && innermost_end->over_(); }

Result<std::unique_ptr<Admin>> Admin::make(const KafkaConfig& config, Logger logger) {
  auto self = std::make_unique<Admin>(config, std::move(logger));
  const SteadyTime made = std::chrono::steady_clock::now();
  auto client = self->connected();
  if (!client) return std::unexpected(std::move(client.error()));
  self->client_ = std::move(*client);
  self->made_ = made;
  return self;
}

Result<Admin::Client> Admin::connected() {
  auto conf = admin_conf(config_, events_);
  if (!conf) return std::unexpected(std::move(conf.error()));
  // A consumer, for its settings are the ones that questions go by. It joins no group, but must have the name of one:
  // librdkafka (2.0.2 to at least 2.11) dereferences null when it asks for a group's offsets and hears that the
  // coordinator has moved.
  rd_kafka_conf_set(conf->get(), "group.id", "lrpc-queue-admin", nullptr, 0);
  auto made = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!made) return std::unexpected(std::move(made.error()));
  return Client(std::move(*made));
}

Result<Admin::Client> Admin::client(std::string_view what) const {
  const std::lock_guard lock(client_mutex_);
  if (!client_) return fail(ErrorCode::cancelled, std::string(what) + ": closed");
  return client_;
}

void Admin::close() {
  Client old;  // let go of without the lock
  const std::lock_guard lock(client_mutex_);
  old.swap(client_);
}

void Admin::replace(const Client& stale) {
  Client old;  // let go of without the lock
  const std::lock_guard lock(client_mutex_);
  if (client_ != stale) return;
  if (auto fresh = connected()) old = std::exchange(client_, std::move(*fresh));
}

Admin::~Admin() = default;

std::optional<Error> Admin::hopeless(std::string_view what, SteadyTime since) const {
  if (EndWith::now()) {
    return Error{.code = ErrorCode::cancelled, .message = std::string(what) + ": closed meanwhile", .source = "kafka"};
  }
  const auto client = this->client(what);
  if (!client) return client.error();
  rd_kafka_poll(client->get(), 0);  // brings the errors
  const auto trouble = events_.trouble(since - ClientEvents::kRepeated);
  if (!trouble) return std::nullopt;
  const bool alone = trouble->all_down_at && *trouble->all_down_at >= std::min(since, heard_since_.load());
  if (is_refusal(trouble->code) || alone) {
    return error_of(trouble->code, what, trouble->text);
  }
  return std::nullopt;
}

Error Admin::unanswered(rd_kafka_resp_err_t code, std::string_view what) const {
  // What happened last, and was not mended, says more than that time ran out.
  const auto trouble = events_.trouble({});
  return trouble ? error_of(trouble->code, what, trouble->text) : error_of(code, what);
}

Result<void> Admin::attempt(int attempts, SteadyTime deadline, const std::function<Result<void>()>& once) {
  milliseconds backoff = kFirstBackoff;
  for (int i = 1;; ++i) {
    auto result = once();
    if (result || i >= attempts || !is_transient(static_cast<rd_kafka_resp_err_t>(result.error().native_code))) {
      return result;
    }
    const SteadyTime next = steady_clock::now() + jittered(backoff);
    if (next >= deadline || EndWith::now()) return result;
    std::this_thread::sleep_until(next);
    backoff = std::min(backoff * 2, kLongestBackoff);
  }
}

Result<void> Admin::ask(rd_kafka_admin_op_t op, std::string_view what, SteadyTime deadline, const Start& start,
                        const Examine& examine) {
  return attempt(max_attempts_, deadline, [&] {
    const auto client = this->client(what);
    if (!client) return Result<void>(std::unexpected(client.error()));
    auto result = ask_once(*client, op, what, deadline, start, examine);
    // librdkafka remembers a group's coordinator as long as it is asked often, also one that denies it: one that came
    // back after another took over. A new client asks anew.
    if (!result && result.error().native_code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR) replace(*client);
    return result;
  });
}

Result<void> Admin::ask_once(const Client& client, rd_kafka_admin_op_t op, std::string_view what, SteadyTime deadline,
                             const Start& start, const Examine& examine) {
  const SteadyTime began = steady_clock::now();
  const AdminOptionsPtr options(rd_kafka_AdminOptions_new(client.get(), op));
  std::array<char, 128> why{};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), left_ms(deadline), why.data(), why.size());
  if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS || op == RD_KAFKA_ADMIN_OP_DELETETOPICS ||
      op == RD_KAFKA_ADMIN_OP_CREATEPARTITIONS || op == RD_KAFKA_ADMIN_OP_DELETERECORDS) {
    rd_kafka_AdminOptions_set_operation_timeout(options.get(), left_ms(deadline), why.data(), why.size());
  }
  const QueuePtr replies(rd_kafka_queue_new(client.get()));
  start(client.get(), options.get(), replies.get());
  for (;;) {
    const EventPtr reply(
        rd_kafka_queue_poll(replies.get(), std::min(left_ms(deadline), static_cast<int>(kLook.count()))));
    if (reply != nullptr) {
      const rd_kafka_resp_err_t code = rd_kafka_event_error(reply.get());
      if (code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT) {
        return std::unexpected(unanswered(code, what));
      }
      events_.forget_trouble();
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(code, what, rd_kafka_event_error_string(reply.get()));
      return examine(reply.get());
    }
    if (auto reason = hopeless(what, began)) return std::unexpected(std::move(*reason));
    // librdkafka's own time-out ends the request; should it fail to, so do we.
    if (steady_clock::now() >= deadline + kLook) return std::unexpected(unanswered(RD_KAFKA_RESP_ERR__TIMED_OUT, what));
  }
}

Result<MetadataPtr> Admin::metadata_once(rd_kafka_t* client, rd_kafka_topic_t* topic, bool all, std::string_view what,
                                         SteadyTime deadline) {
  const SteadyTime began = steady_clock::now();
  // The call cannot be ended, so it is made in pieces that grow: a slow cluster gets its time, too.
  for (milliseconds piece{200};; piece = std::min(piece * 2, milliseconds(4'000))) {
    const rd_kafka_metadata_t* raw = nullptr;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(client, all ? 1 : 0, topic, &raw,
                                                       std::min(left_ms(deadline), static_cast<int>(piece.count())));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      events_.forget_trouble();
      return MetadataPtr(raw);
    }
    if (auto reason = hopeless(what, began)) return std::unexpected(std::move(*reason));
    if (code != RD_KAFKA_RESP_ERR__TIMED_OUT && code != RD_KAFKA_RESP_ERR__TRANSPORT) return failed(code, what);
    if (steady_clock::now() >= deadline) return std::unexpected(unanswered(code, what));
  }
}

Result<MetadataPtr> Admin::metadata(const std::string* topic, bool all, std::string_view what, SteadyTime deadline,
                                    int attempts) {
  const auto client = this->client(what);
  if (!client) return std::unexpected(client.error());
  const TopicPtr handle(topic != nullptr ? rd_kafka_topic_new(client->get(), topic->c_str(), nullptr) : nullptr);
  if (topic != nullptr && handle == nullptr) return failed(rd_kafka_last_error(), what);
  MetadataPtr found;
  auto done = attempt(attempts, deadline, [&]() -> Result<void> {
    auto result = metadata_once(client->get(), handle.get(), all, what, deadline);
    if (!result) return std::unexpected(std::move(result.error()));
    found = std::move(*result);
    return {};
  });
  if (!done) return std::unexpected(std::move(done.error()));
  return found;
}

Result<void> Admin::connect(SteadyTime deadline) {
  // librdkafka connects when it is made, and says only once that nobody is there: that may have been before this call.
  heard_since_ = std::exchange(made_, SteadyTime::max());
  auto found = metadata(nullptr, false, "connect to Kafka", deadline, 1);
  heard_since_ = SteadyTime::max();
  if (found) return {};
  Error error = std::move(found.error());
  error.message += " (kafka_config.brokers is ";
  for (const std::string& broker : config_.brokers)
    error.message += (&broker == config_.brokers.data() ? "" : ",") + broker;
  error.message += ")";
  return std::unexpected(std::move(error));
}

Result<std::vector<std::string>> Admin::brokers(SteadyTime deadline) {
  auto found = metadata(nullptr, false, "ask Kafka for its brokers", deadline, max_attempts_);
  if (!found) return std::unexpected(std::move(found.error()));
  std::vector<std::string> result;
  for (const auto& broker : std::span((*found)->brokers, static_cast<std::size_t>((*found)->broker_cnt))) {
    result.push_back(address_of(broker));
  }
  return result;
}

std::string address_of(const rd_kafka_metadata_broker_t& broker) {
  return std::string(broker.host) + ":" + std::to_string(broker.port);
}

PartitionsPtr list_of(std::span<const TopicPartition> partitions) {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const TopicPartition& each : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), each.topic.c_str(), each.partition);
  }
  return list;
}

}  // namespace lrpc::queue::kafka
