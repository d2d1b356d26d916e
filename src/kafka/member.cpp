// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/member.hpp"

#include <algorithm>
#include <utility>

#include "kafka/dismiss.hpp"
#include "kafka/errors.hpp"
#include "kafka/message.hpp"
#include "kafka/settings.hpp"

namespace lrpc::queue::kafka {
namespace {

constexpr std::size_t kMostPolled = 1000;           // records taken before they are put on the shelf
constexpr std::size_t kMostReadyBytes = 16U << 20;  // of bodies that are ready
constexpr Duration kLongestPoll{1000};
constexpr Duration kUnheardPoll{10};
constexpr Duration kRejoinPause{1000};
constexpr Duration kFarewell{200};  // at least, for the client to end

std::int64_t nanoseconds(SteadyTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

Member::Member(Parts parts, ChannelState& state)
    : parts_(std::move(parts)), state_(state), events_(std::make_shared<Events>(parts_.cluster->logger, *this)) {}

Member::~Member() {
  if (thread_.joinable()) static_cast<void>(stop(SteadyTime{}));
  if (!client_) return;
  for (QueuePtr* const queue : {&commit_queue_, &lanes_[0], &lanes_[1]}) {
    rd_kafka_queue_cb_event_enable(queue->get(), nullptr, nullptr);  // what comes late must not wake who has gone
    queue->reset();
  }
  queue_.reset();
  events_->silence();
  const SteadyTime by(std::chrono::nanoseconds(stop_by_.load()));
  dismiss(std::make_unique<Connected>(std::move(events_), std::move(client_)),
          std::max(by, std::chrono::steady_clock::now() + kFarewell));
}

Result<void> Member::start() {
  auto conf = consumer_conf(parts_.cluster->config, parts_.group, *events_);
  if (!conf) return std::unexpected(std::move(conf.error()));
  rd_kafka_conf_set(conf->get(), "enable.partition.eof", "true", nullptr, 0);
  rd_kafka_conf_set_rebalance_cb(conf->get(), on_rebalance);
  auto client = make_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return std::unexpected(std::move(client.error()));
  client_ = std::move(*client);
  rd_kafka_poll_set_consumer(client_.get());
  queue_ = QueuePtr(rd_kafka_queue_get_consumer(client_.get()));
  // The thread waits at the group's queue: what comes in the others ends the wait.
  for (QueuePtr* const queue : {&commit_queue_, &lanes_[0], &lanes_[1]}) {
    queue->reset(rd_kafka_queue_new(client_.get()));
    rd_kafka_queue_cb_event_enable(
        queue->get(), [](rd_kafka_t*, void* group) { rd_kafka_queue_yield(static_cast<rd_kafka_queue_t*>(group)); },
        queue_.get());
  }
  next_commit_ = std::chrono::steady_clock::now() + parts_.cluster->config.commit_interval;
  rejoin_at_ = SteadyTime{};
  thread_ = std::jthread([this] { run(); });
  return {};
}

std::string Member::id() const {
  if (!client_) return {};
  char* const raw = rd_kafka_memberid(client_.get());
  if (raw == nullptr) return {};
  std::string text = raw;
  rd_kafka_mem_free(client_.get(), raw);
  return text;
}

void Member::wake() noexcept {
  if (queue_) rd_kafka_queue_yield(queue_.get());
}

Result<void> Member::commit_now(std::unique_lock<std::mutex>& lock, SteadyTime deadline,
                                const std::function<bool()>& over) {
  const std::uint64_t mine = ++state_.commits_asked;
  wake();
  state_.changed.notify_all();
  const auto ended = [&] { return state_.commits_ended >= mine; };
  state_.changed.wait_until(lock, deadline, [&] { return ended() || stop_by_ != 0 || over(); });
  if (!ended()) {
    return fail(ErrorCode::timeout, parts_.channel_text + ": the broker did not confirm a commit in time", true);
  }
  if (state_.commit_error) return std::unexpected(*state_.commit_error);
  return {};
}

Result<void> Member::stop(SteadyTime deadline) {
  if (!thread_.joinable()) return {};
  {
    const std::lock_guard lock(state_.mutex);
    stop_by_ = std::max<std::int64_t>(nanoseconds(deadline), 1);
  }
  state_.changed.notify_all();
  wake();
  thread_.join();
  const std::lock_guard lock(state_.mutex);
  if (state_.commit_error) return std::unexpected(*state_.commit_error);
  return {};
}

// The thread is nobody's, for nobody is there any more to wait for it.
void Member::run() {
  while (stop_by_ == 0) {
    leave_if_gone();
    {
      const std::lock_guard lock(state_.mutex);
      if (std::exchange(state_.widened, false)) rejoin_at_ = SteadyTime{};
    }
    if (std::chrono::steady_clock::now() >= rejoin_at_) {
      rejoin_at_ = SteadyTime::max();
      PartitionsPtr topics(rd_kafka_topic_partition_list_new(2));
      for (const std::string& name : {parts_.topic, parts_.retry_topic}) {
        rd_kafka_topic_partition_list_add(topics.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
      }
      rd_kafka_unsubscribe(client_.get());
      if (const auto code = rd_kafka_subscribe(client_.get(), topics.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        set_trouble(error_of(code, parts_.channel_text + ": subscribe"));
        rejoin_at_ = std::chrono::steady_clock::now() + kRejoinPause;
      }
    }
    poll(until_commit());
    take_commit_results();
    keep_room();
    commit_what_changed();
  }
  leave(SteadyTime(std::chrono::nanoseconds(stop_by_.load())));
}

// Whoever is no channel's any more must not keep its group alive, or make it anew by a commit.
void Member::leave_if_gone() {
  if (left_) return;
  {
    const std::lock_guard lock(state_.mutex);
    left_ = state_.gone;
  }
  if (!left_) return;
  rejoin_at_ = SteadyTime::max();
  rd_kafka_unsubscribe(client_.get());
}

Duration Member::until_commit() const {
  {
    const std::lock_guard lock(state_.mutex);
    if (!under_ && state_.commits_asked > state_.commits_ended) return Duration(0);
  }
  // While a commit is under way its result ends the wait.
  const SteadyTime next = under_ ? rejoin_at_ : std::min(next_commit_, rejoin_at_);
  const auto left = std::chrono::ceil<Duration>(next - std::chrono::steady_clock::now());
  return std::clamp(left, Duration(0), kLongestPoll);
}

int Member::left_ms(SteadyTime deadline) {
  const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

// Waits for what comes first, and takes what there is beside it.
void Member::poll(Duration patience) {
  forward_unheard();
  if (more_) patience = Duration(0);
  if (!unheard_.empty()) patience = std::min(patience, kUnheardPoll);
  for (MessagePtr event;; patience = Duration(0)) {
    event.reset(rd_kafka_consumer_poll(client_.get(), static_cast<int>(patience.count())));  // answers rebalances
    if (!event) break;
    take(*event);
  }
  more_ = false;
  for (const Lane lane : {Lane::retry, Lane::topic}) more_ = take(lane) || more_;
}

// What the lane has, as far as there is room. True: it may have more.
bool Member::take(Lane lane) {
  if (full_[static_cast<std::size_t>(lane)]) return false;
  batch_.resize(kMostPolled);
  const auto count =
      rd_kafka_consume_batch_queue(lanes_[static_cast<std::size_t>(lane)].get(), 0, batch_.data(), batch_.size());
  for (ssize_t i = 0; i < count; ++i) take(*MessagePtr(batch_[static_cast<std::size_t>(i)]), lane);
  put_on_shelf();
  return count == static_cast<ssize_t>(kMostPolled);
}

void Member::take(const rd_kafka_message_t& message, std::optional<Lane> lane) {
  if (!unheard_.empty() && message.rkt != nullptr) std::erase(unheard_, key_of(message));
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const PartitionKey key = lane ? PartitionKey{.lane = *lane, .number = message.partition} : key_of(message);
    arrived_.push_back({.place = {.key = key, .offset = message.offset}, .record = read_message(message)});
  } else {
    put_on_shelf();  // what came before it comes first: the end of a partition settles what was not read
    failed_read(message);
  }
}

// Lets records come in the lane's queue. librdkafka takes the forwarding of a partition back when it stops reading it,
// a moment after the call that says so: so it is done until something has come from there, its end at least.
void Member::forward_unheard() {
  for (const PartitionKey key : unheard_) {
    const QueuePtr own(rd_kafka_queue_get_partition(client_.get(), name_of(key.lane).c_str(), key.number));
    if (own) rd_kafka_queue_forward(own.get(), lanes_[static_cast<std::size_t>(key.lane)].get());
  }
}

PartitionKey Member::key_of(const rd_kafka_message_t& message) const {
  const bool retry = rd_kafka_topic_name(message.rkt) == parts_.retry_topic;
  return {.lane = retry ? Lane::retry : Lane::topic, .number = message.partition};
}

void Member::put_on_shelf() {
  if (arrived_.empty()) return;
  const std::int64_t now_ms = parts_.cluster->clock->now().wall_ms;
  bool moves = false;
  {
    const std::lock_guard lock(state_.mutex);
    for (Arrived& one : arrived_) state_.shelf.ingest(one.place, std::move(one.record), now_ms);
    state_.trouble.reset();
    moves = state_.shelf.has_moves();
  }
  arrived_.clear();
  state_.changed.notify_all();
  if (moves) parts_.on_moves();
}

void Member::failed_read(const rd_kafka_message_t& message) {
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      reached_end(message);
      return;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      if (message.rkt != nullptr) relocate(message);
      return;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      if (!left_) rejoin_at_ = SteadyTime{};
      break;
    default:
      break;
  }
  set_trouble(error_of(message.err, parts_.channel_text + ": reading", rd_kafka_message_errstr(&message)));
}

// What lies before the end and was not read are marks of transactions.
void Member::reached_end(const rd_kafka_message_t& message) {
  const PartitionKey key = key_of(message);
  {
    const std::lock_guard lock(state_.mutex);
    if (state_.shelf.owns(key)) state_.shelf.skip_to(key, message.offset);
    state_.trouble.reset();
  }
  state_.changed.notify_all();
}

// What was to be read next is not in the log: the topic's retention was faster (D1), or the log ends before.
void Member::relocate(const rd_kafka_message_t& message) {
  const PartitionKey key = key_of(message);
  PartitionsPtr one(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(one.get(), name_of(key.lane).c_str(), key.number);
  auto logs = logs_of(one.get(), parts_.cluster->deadline());
  if (!logs) {
    set_trouble(std::move(logs.error()));
    rejoin_at_ = std::chrono::steady_clock::now() + kRejoinPause;
    return;
  }
  // librdkafka seeks in no partition that it does not read: all are assigned anew, each at its place.
  PartitionsPtr all(rd_kafka_topic_partition_list_new(static_cast<int>(assigned_.size())));
  Shelf::Start start;
  {
    const std::lock_guard lock(state_.mutex);
    if (!state_.shelf.owns(key)) return;
    start = state_.shelf.relocate(key, logs->front());
    state_.lost += start.lost;
    for (const PartitionKey mine : assigned_) {
      rd_kafka_topic_partition_list_add(all.get(), name_of(mine.lane).c_str(), mine.number)->offset =
          state_.shelf.read_to(mine);
    }
  }
  tell(key, start);
  read_on(all.get());
  state_.changed.notify_all();
}

// Reads the partitions that are assigned from the offsets of the list on.
void Member::read_on(const rd_kafka_topic_partition_list_t* partitions) {
  unheard_ = assigned_;
  forward_unheard();
  const auto code = rd_kafka_assign(client_.get(), partitions);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  set_trouble(error_of(code, parts_.channel_text + ": assignment"));
  rejoin_at_ = std::chrono::steady_clock::now() + kRejoinPause;
}

void Member::tell(PartitionKey key, const Shelf::Start& start) const {
  const std::string where = "partition " + std::to_string(key.number) + " of " + name_of(key.lane);
  if (start.anew) {
    parts_.cluster->logger(
        LogLevel::warning,
        parts_.channel_text + ": " + where +
            " ends before what was read of it already: it was made anew or cut off, and is read from "
            "its start at offset " +
            std::to_string(start.offset));
  }
  if (start.lost > 0) {
    parts_.cluster->logger(LogLevel::warning, parts_.channel_text + ": up to " + std::to_string(start.lost) +
                                                  " messages of " + where + " before offset " +
                                                  std::to_string(start.offset) +
                                                  " were taken by the topic's retention before they were read");
  }
}

// Reads no further while enough is ready.
void Member::keep_room() {
  const std::lock_guard lock(state_.mutex);
  const std::int64_t ready = state_.shelf.ready();
  if (ready <= state_.read_below) state_.read_below = -1;
  if (state_.read_below < 0 && (ready >= parts_.most_ready || state_.shelf.ready_bytes() >= kMostReadyBytes)) {
    state_.read_below = ready / 2;
  }
  const bool full = state_.read_below >= 0;
  const std::array now{full, full || state_.shelf.index_is_full()};  // by Lane
  for (std::size_t lane = 0; lane < now.size(); ++lane) more_ = more_ || (full_.at(lane) && !now.at(lane));
  full_ = now;
  state_.shelf.set_unread(!full && state_.shelf.index_is_full());
}

const std::string& Member::name_of(Lane lane) const { return lane == Lane::topic ? parts_.topic : parts_.retry_topic; }

void Member::set_trouble(std::optional<Error> error) {
  bool news = false;
  {
    const std::lock_guard lock(state_.mutex);
    news = error && (!state_.trouble || state_.trouble->message != error->message);
    state_.trouble = error;
  }
  if (news) parts_.cluster->logger(LogLevel::warning, error->message);
  state_.changed.notify_all();
}

}  // namespace lrpc::queue::kafka
