// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/producer.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

using std::chrono::steady_clock;

/// A record of this size goes alone (librdkafka's batch.size).
constexpr std::size_t kBatchSize = 1'000'000;
/// Before the deadline what was not sent yet is taken back, so that its report is there in time.
constexpr auto kLeastSlack = std::chrono::milliseconds(1);
constexpr auto kMostSlack = std::chrono::milliseconds(100);
/// With less time left nothing is sent again.
constexpr auto kLeastRound = std::chrono::seconds(2);
/// Until what failed for the moment is tried again.
constexpr auto kPause = std::chrono::milliseconds(50);
/// Until room is looked for in a full local buffer again.
constexpr auto kRoomPause = std::chrono::milliseconds(2);

/// Records that are there.
class Made final : public RecordSource {
 public:
  explicit Made(std::span<const Record> records) : records_(records) {}
  [[nodiscard]] std::size_t size() const override { return records_.size(); }
  [[nodiscard]] const Record& at(std::size_t i) override { return records_[i]; }

 private:
  const std::span<const Record> records_;
};

}  // namespace

/// One call of `begin`: rounds of sending what was certainly not stored, until all is told or time is up.
class Sending {
 public:
  Sending(RecordSource& records, std::shared_ptr<ProducerClient> over_client, SteadyTime deadline)
      : client(std::move(over_client)),
        records_(records),
        deadline_(deadline),
        call_(ProduceCall::make(records.size())),
        todo_(records.size()) {
    for (std::uint32_t i = 0; i < todo_.size(); ++i) todo_[i] = i;
  }

  std::shared_ptr<ProducerClient> client;  ///< Over which it goes; null when the producer is closed.

  [[nodiscard]] std::size_t size() const { return records_.size(); }
  [[nodiscard]] bool over() const {
    return !client || (todo_.empty() && too_large_.empty() && sent_.empty()) || steady_clock::now() >= deadline_;
  }

  /// Sends what is still to do over `client`; `end_round` waits, and leaves to do what may be sent again.
  void begin_round() {
    pause_ = false;
    sent_ = std::exchange(todo_, {});
    attendance_.emplace(client->watch());
    hand_over(*client, sent_);
  }
  [[nodiscard]] bool has_begun() const { return attendance_.has_value(); }
  void end_round() {
    await(*client, std::exchange(sent_, {}));
    attendance_.reset();
  }

  /// A broker looks at the size of the batch in which librdkafka sent a record, beside those of other callers: what was
  /// too large with them is to be sent alone.
  [[nodiscard]] bool wants_alone() const { return !too_large_.empty(); }
  /// Sends these one by one, over a client that nobody else uses meanwhile: now the size is their own.
  void round_alone(ProducerClient& lone) {
    alone_ = true;
    for (const std::uint32_t i : std::exchange(too_large_, {})) {
      const Attendance attendance(lone.watch());
      hand_over(lone, {&i, 1});
      await(lone, {&i, 1});
    }
    alone_ = false;
  }
  [[nodiscard]] SteadyTime deadline() const noexcept { return deadline_; }

  /// Before another round: what failed now may go well in a moment, but not at once.
  void prepare() {
    for (const std::string& topic : missing_) client->refresh(topic, deadline_ - slack_);
    asked_ = asked_ || !missing_.empty();
    missing_.clear();
    if (pause_) std::this_thread::sleep_until(std::min(deadline_, steady_clock::now() + kPause));
  }

  /// What became of record i, and what the client knows about the reasons.
  [[nodiscard]] std::optional<Error> error_of_record(std::size_t i) {
    const ProduceSlot& slot = call_->slots()[i];
    const bool done = slot.done.load(std::memory_order_acquire);
    if (done && slot.code == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
    const std::string what = "publish to Kafka topic \"" + std::string(records_.at(i).topic) + '"';
    if (!client) return Error{.code = ErrorCode::cancelled, .message = what + ": closed", .source = "kafka"};
    if (!done) {
      Error error = error_of(RD_KAFKA_RESP_ERR__TIMED_OUT, what, "no broker said in time whether it was stored");
      error.code = ErrorCode::outcome_unknown;
      error.retryable = false;
      return error;
    }
    if (slot.status == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED) {
      Error error = error_of(slot.code, what, std::string("it may have been stored: ") + rd_kafka_err2str(slot.code));
      error.code = ErrorCode::outcome_unknown;
      error.retryable = false;
      return error;
    }
    if (std::ranges::find(too_large_, i) != too_large_.end()) {
      return Error{.code = ErrorCode::unavailable,
                   .message = what + ": it was too large together with others, and no time was left to send it alone",
                   .retryable = true,
                   .native_code = slot.code,
                   .source = "kafka"};
    }
    if (!is_waiting_over(slot.code)) return error_of(slot.code, what);
    // It never left; why the brokers could not be reached is more than that time ran out.
    const auto trouble = client->trouble(began_ - ClientEvents::kRepeated);
    Error error = trouble ? error_of(trouble->code, what, trouble->text)
                          : error_of(slot.code, what, "no broker could take it in time");
    if (error.code != ErrorCode::permission) error.code = ErrorCode::unavailable;
    error.retryable = error.code == ErrorCode::unavailable;
    return error;
  }

  [[nodiscard]] std::int32_t partition_of_record(std::size_t i) const noexcept { return call_->slots()[i].partition; }
  /// Of one without an error.
  [[nodiscard]] std::int64_t offset_of_record(std::size_t i) const noexcept { return call_->slots()[i].offset; }

 private:
  static bool is_waiting_over(rd_kafka_resp_err_t code) noexcept {
    return code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
           code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__TRANSPORT;
  }

  void hand_over(ProducerClient& to, std::span<const std::uint32_t> indices) {
    call_->hold();
    for (const std::uint32_t i : indices) {
      ProduceSlot& slot = call_->slots()[i];
      const Record& record = records_.at(i);
      slot.partition = record.partition;
      rd_kafka_resp_err_t code = to.send(record, slot);
      while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && steady_clock::now() < deadline_ - slack_) {
        std::this_thread::sleep_until(std::min(deadline_ - slack_, steady_clock::now() + kRoomPause));
        code = to.send(record, slot);
      }
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        slot.code = to.is_dead() ? RD_KAFKA_RESP_ERR__FATAL : code;
        slot.status = RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
        slot.done.store(true, std::memory_order_relaxed);
      }
    }
    call_->release();
  }

  void await(ProducerClient& from, std::span<const std::uint32_t> indices) {
    if (!call_->wait(deadline_ - slack_)) {
      from.withdraw();
      call_->wait(deadline_);
    }
    for (const std::uint32_t i : indices) look_at(i);
  }

  void look_at(std::uint32_t i) {
    const ProduceSlot& slot = call_->slots()[i];
    if (!slot.done.load(std::memory_order_acquire)) return;
    if (slot.code == RD_KAFKA_RESP_ERR_NO_ERROR || slot.status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED) return;
    if (slot.code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
      if (!alone_ && records_.at(i).value.size() <= kBatchSize) too_large_.push_back(i);
      return;
    }
    if (is_missing_topic(slot.code)) {
      // What librdkafka remembers of a topic may be older than the topic: once more, after asking.
      if (asked_) return;
      const std::string_view topic = records_.at(i).topic;
      if (std::ranges::find(missing_, topic) == missing_.end()) missing_.emplace_back(topic);
      todo_.push_back(i);
      return;
    }
    if (!is_transient(slot.code)) return;
    // Not again at the last moment: what is certain now might be uncertain then.
    if (steady_clock::now() + least_round_ > deadline_) return;
    pause_ = pause_ || slot.code != RD_KAFKA_RESP_ERR__FATAL;
    todo_.push_back(i);
  }

  RecordSource& records_;
  const SteadyTime deadline_;
  const SteadyTime began_ = steady_clock::now();
  const SteadyTime::duration slack_ =
      std::clamp<SteadyTime::duration>((deadline_ - began_) / 5, kLeastSlack, kMostSlack);
  const SteadyTime::duration least_round_ = std::min<SteadyTime::duration>((deadline_ - began_) / 5, kLeastRound);
  ProduceCall::Ptr call_;
  std::vector<std::uint32_t> todo_;
  std::vector<std::uint32_t> sent_;  // of the round under way
  std::optional<Attendance> attendance_;
  std::vector<std::uint32_t> too_large_;  // together with others
  bool alone_ = false;
  std::vector<std::string> missing_;  // topics to ask for
  bool asked_ = false;
  bool pause_ = false;
};

void EndSending::operator()(Sending* sending) const noexcept { delete sending; }

Result<std::unique_ptr<Producer>> Producer::make(const KafkaConfig& config, Logger logger) {
  auto client = ProducerClient::make(config, logger);
  if (!client) return std::unexpected(std::move(client.error()));
  return std::make_unique<Producer>(config, std::move(logger), std::move(*client));
}

std::shared_ptr<ProducerClient> Producer::client() {
  const std::lock_guard lock(mutex_);
  return client_;
}

void Producer::close() {
  std::vector<std::shared_ptr<ProducerClient>> all;  // they end without the locks
  const std::scoped_lock lock(alone_mutex_, mutex_);
  all.swap(retired_);
  all.push_back(std::exchange(client_, nullptr));
  all.push_back(std::exchange(lone_, nullptr));
}

Result<std::shared_ptr<ProducerClient>> Producer::replace(const std::shared_ptr<ProducerClient>& dead) {
  const std::lock_guard lock(mutex_);
  if (client_ != dead) return client_;
  auto fresh = ProducerClient::make(config_, logger_);
  if (!fresh) return fresh;
  dead->log(LogLevel::warning,
            "kafka: the producer ended by a fatal error and is made anew: " + dead->cause_of_death());
  // Others may still wait for its reports.
  std::erase_if(retired_, [](const auto& client) { return client.use_count() == 1; });
  retired_.push_back(std::exchange(client_, *fresh));
  return fresh;
}

Result<std::shared_ptr<ProducerClient>> Producer::lone_client() {
  if (lone_ && !lone_->is_dead()) return lone_;
  auto fresh = ProducerClient::make(config_, logger_);
  if (fresh) lone_ = *fresh;
  return fresh;
}

std::size_t Producer::produce(std::span<const Record> records, SteadyTime deadline, std::span<Produced> out) {
  Made source(records);
  return produce(source, deadline, out);
}

std::size_t Producer::produce(RecordSource& records, SteadyTime deadline, std::span<Produced> out) {
  return finish(begin(records, deadline), out);
}

SendingPtr Producer::begin(RecordSource& records, SteadyTime deadline) {
  SendingPtr sending(new Sending(records, client(), deadline));
  if (!sending->over()) sending->begin_round();
  return sending;
}

std::size_t Producer::finish(SendingPtr sending, std::span<Produced> out) {
  if (sending->has_begun()) sending->end_round();
  while (!sending->over()) {
    if (sending->wants_alone()) {
      const std::unique_lock turn(alone_mutex_, sending->deadline());
      if (!turn) break;
      const auto lone = lone_client();
      if (!lone) break;
      sending->round_alone(**lone);
      continue;
    }
    if (sending->client->is_dead()) {
      auto next = replace(sending->client);
      if (!next) break;
      sending->client = std::move(*next);
    } else {
      sending->prepare();
    }
    if (sending->over()) break;
    sending->begin_round();
    sending->end_round();
  }
  std::size_t failed = 0;
  for (std::size_t i = 0; i < sending->size(); ++i) {
    out[i] = {.error = sending->error_of_record(i), .partition = sending->partition_of_record(i)};
    // The report of one that failed may arrive at this moment.
    if (!out[i].error) out[i].offset = sending->offset_of_record(i);
    failed += out[i].error ? 1 : 0;
  }
  return failed;
}

}  // namespace lrpc::queue::kafka
