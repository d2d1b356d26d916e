// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// The member's part in its group: assignments, commits, leaving.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kafka/errors.hpp"
#include "kafka/member.hpp"

namespace lrpc::queue::kafka {
namespace {

int milliseconds_until(SteadyTime deadline) {
  const auto left = std::chrono::ceil<Duration>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

std::string_view metadata_of(const rd_kafka_topic_partition_t& partition) {
  return {static_cast<const char*>(partition.metadata), partition.metadata_size};
}

/// librdkafka frees it with the list.
void set_metadata(rd_kafka_topic_partition_t& partition, const std::string& text) {
  partition.metadata = std::malloc(text.size());
  if (partition.metadata == nullptr) throw std::bad_alloc();
  std::memcpy(partition.metadata, text.data(), text.size());
  partition.metadata_size = text.size();
}

std::span<rd_kafka_topic_partition_t> entries(rd_kafka_topic_partition_list_t* list) {
  return {list->elems, static_cast<std::size_t>(list->cnt)};
}

}  // namespace

PartitionKey Member::key_of(const rd_kafka_topic_partition_t& partition) const {
  return {.lane = partition.topic == parts_.retry_topic ? Lane::retry : Lane::topic, .number = partition.partition};
}

void Member::on_rebalance(rd_kafka_t* /*client*/, rd_kafka_resp_err_t event,
                          rd_kafka_topic_partition_list_t* partitions, void* self) {
  auto& member = static_cast<Member&>(*static_cast<ClientEvents*>(self));
  if (event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    member.assigned(partitions);
  } else {
    member.revoked();
  }
}

void Member::assigned(rd_kafka_topic_partition_list_t* partitions) {
  assigned_.clear();
  paused_ = {};
  if (auto found = find_places(partitions); !found) {
    // Nothing is read from a place that is not known; the group assigns anew. (An empty list: without one librdkafka
    // waits for the assignment still.)
    const PartitionsPtr none(rd_kafka_topic_partition_list_new(0));
    rd_kafka_assign(client_.get(), none.get());
    {
      const std::lock_guard lock(state_.mutex);
      for (const auto& partition : entries(partitions)) state_.shelf.suspend(key_of(partition));
      leaves_ = state_.gone;
    }
    rejoin_at_ = leaves_ ? SteadyTime::max() : std::chrono::steady_clock::now() + std::chrono::seconds(1);
    set_trouble(std::move(found.error()));
    return;
  }
  const auto code = rd_kafka_assign(client_.get(), partitions);
  rd_kafka_resume_partitions(client_.get(), partitions);  // a pause may outlast an assignment
  for (const auto& partition : entries(partitions)) assigned_.push_back(key_of(partition));
  {
    const std::lock_guard lock(state_.mutex);
    state_.shelf.forget_suspended();  // others have these now
    state_.assigned = true;
    state_.trouble.reset();
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) state_.trouble = error_of(code, parts_.channel_text + ": assignment");
  }
  state_.changed.notify_all();
}

// A broker may not know yet that it leads a partition that was just made.
rd_kafka_resp_err_t Member::attempt(const std::function<rd_kafka_resp_err_t()>& ask) const {
  constexpr Duration kPauseBeforeAnother{20};
  auto code = ask();
  for (int tries = 1; tries < parts_.config.max_attempts && is_transient(code) && stop_by_ == 0; ++tries) {
    std::this_thread::sleep_for(kPauseBeforeAnother * (1 << std::min(tries, 5)));
    code = ask();
  }
  return code;
}

// Puts every partition on the shelf and sets where to read on.
Result<void> Member::find_places(rd_kafka_topic_partition_list_t* partitions) {
  const std::string what = parts_.channel_text + ": asking where its group stands";
  const auto timeout = static_cast<int>(parts_.config.dial_timeout.count());
  PartitionsPtr committed(rd_kafka_topic_partition_list_copy(partitions));
  auto code = attempt([&] { return rd_kafka_committed(client_.get(), committed.get(), timeout); });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(code, what);
  bool any_missing = false;
  for (const auto& entry : entries(committed.get())) {
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(entry.err, what);
    any_missing = any_missing || entry.offset < 0;
  }
  if (any_missing) {
    auto gone = group_is_gone();
    if (!gone) return std::unexpected(std::move(gone.error()));
    if (*gone) {
      const std::lock_guard lock(state_.mutex);
      state_.gone = true;
      return fail(ErrorCode::channel_not_found, parts_.channel_text + " was deleted");
    }
  }
  for (std::size_t i = 0; i < entries(partitions).size(); ++i) {
    auto& target = entries(partitions)[i];
    const auto& stored = entries(committed.get())[i];
    std::int64_t low = 0;
    std::int64_t high = 0;
    code = attempt([&] {
      return rd_kafka_query_watermark_offsets(client_.get(), target.topic, target.partition, &low, &high, timeout);
    });
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(code, what);
    Shelf::Committed from{.offset = stored.offset < 0 ? low : stored.offset};  // new since the channel: from its start
    if (stored.offset >= 0) from.note = read_note(metadata_of(stored), stored.offset);
    std::int64_t lost = 0;
    if (from.offset < low || from.offset > high) {
      // Retention took what was to come, or the topic was made anew.
      lost = std::max<std::int64_t>(low - from.offset, 0);
      if (from.offset > high) from.note.reset();
      from.offset = low;
    }
    const std::lock_guard lock(state_.mutex);
    target.offset = std::max(state_.shelf.assign(key_of(target), from, high), low);
    state_.lost += lost;
    if (lost > 0) {
      parts_.logger(LogLevel::warning, parts_.channel_text + ": up to " + std::to_string(lost) +
                                           " messages of partition " + std::to_string(target.partition) +
                                           " were taken by the topic's retention before they were read");
    }
  }
  return {};
}

// A channel exists where its group has an offset (D4).
Result<bool> Member::group_is_gone() {
  const std::string what = parts_.channel_text + ": looking for its group";
  const auto timeout = static_cast<int>(parts_.config.dial_timeout.count());
  const TopicPtr topic(rd_kafka_topic_new(client_.get(), parts_.topic.c_str(), nullptr));
  const rd_kafka_metadata_t* raw = nullptr;
  if (const auto code = attempt([&] { return rd_kafka_metadata(client_.get(), 0, topic.get(), &raw, timeout); });
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(code, what);
  }
  const MetadataPtr metadata(raw);
  const int count = metadata->topic_cnt > 0 ? metadata->topics[0].partition_cnt : 0;
  // A broker that knows no partitions says nothing about the group.
  if (count == 0) return failed(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, what);
  PartitionsPtr all(rd_kafka_topic_partition_list_new(count));
  for (int i = 0; i < count; ++i) rd_kafka_topic_partition_list_add(all.get(), parts_.topic.c_str(), i);
  if (const auto code = attempt([&] { return rd_kafka_committed(client_.get(), all.get(), timeout); });
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(code, what);
  }
  for (const auto& entry : entries(all.get())) {
    if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) return failed(entry.err, what);
  }
  return std::ranges::none_of(entries(all.get()), [](const auto& entry) { return entry.offset >= 0; });
}

void Member::revoked() {
  suspend_and_commit(std::chrono::steady_clock::now() +
                     std::min(parts_.config.write_timeout, parts_.config.rebalance_timeout / 2));
  assigned_.clear();
  paused_ = {};
  rd_kafka_assign(client_.get(), nullptr);
}

PartitionsPtr Member::to_list(const std::vector<Shelf::Commit>& commits) const {
  PartitionsPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(commits.size())));
  for (const Shelf::Commit& commit : commits) {
    auto* const entry =
        rd_kafka_topic_partition_list_add(list.get(), name_of(commit.key.lane).c_str(), commit.key.number);
    entry->offset = commit.offset;
    set_metadata(*entry, commit.note.text);
  }
  return list;
}

Duration Member::until_next_commit() const {
  const auto left = std::chrono::ceil<Duration>(next_commit_ - std::chrono::steady_clock::now());
  return std::max(left, Duration(0));
}

// At the interval, or when asked. One at a time, so that none overtakes another.
void Member::commit_what_changed() {
  if (under_) return;
  Under next;
  {
    const std::lock_guard lock(state_.mutex);
    const bool asked = state_.commits_asked > state_.commits_ended;
    if (!asked && until_next_commit() > Duration(0)) return;
    next.asked = state_.commits_asked;
    next.commits = state_.shelf.to_commit(false);
  }
  next_commit_ = std::chrono::steady_clock::now() + parts_.config.commit_interval;
  if (next.commits.empty()) {
    commit_ended(next, nullptr);
    return;
  }
  const PartitionsPtr list = to_list(next.commits);
  const auto code = rd_kafka_commit_queue(client_.get(), list.get(), commit_queue_.get(), nullptr, nullptr);
  under_ = std::move(next);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    const Under failed_one = *std::exchange(under_, std::nullopt);
    commit_failed(failed_one, error_of(code, parts_.channel_text + ": commit"));
  }
}

void Member::take_commit_results() {
  while (const EventPtr event{rd_kafka_queue_poll(commit_queue_.get(), 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_OFFSET_COMMIT || !under_) continue;
    commit_ended(*std::exchange(under_, std::nullopt), event.get());
  }
}

// `event`: the result; null when there was nothing to commit.
void Member::commit_ended(const Under& under, rd_kafka_event_t* event) {
  auto code = event == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_event_error(event);
  if (event != nullptr && code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    for (const auto& entry : entries(rd_kafka_event_topic_partition_list(event))) {
      if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR) code = entry.err;
    }
  }
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    commit_failed(under, error_of(code, parts_.channel_text + ": commit"));
    return;
  }
  bool moves = false;
  {
    const std::lock_guard lock(state_.mutex);
    for (const Shelf::Commit& commit : under.commits) state_.shelf.committed(commit, true);
    state_.commits_ended = std::max(state_.commits_ended, under.asked);
    state_.commit_error.reset();
    moves = state_.shelf.has_moves();
  }
  state_.changed.notify_all();
  if (moves) parts_.on_moves();
}

void Member::commit_failed(const Under& under, Error error) {
  parts_.logger(LogLevel::debug, error.message);  // said again and again while a broker is away; it goes with the next
  {
    const std::lock_guard lock(state_.mutex);
    for (const Shelf::Commit& commit : under.commits) state_.shelf.committed(commit, false);
    state_.commits_ended = std::max(state_.commits_ended, under.asked);
    state_.commit_error = std::move(error);
  }
  state_.changed.notify_all();
}

// The last state of all that is ours. What is settled after it is known here only, until the partition comes back.
void Member::suspend_and_commit(SteadyTime deadline) {
  if (stop_by_ != 0) deadline = std::min(deadline, SteadyTime(std::chrono::nanoseconds(stop_by_.load())));
  Under last;
  {
    const std::lock_guard lock(state_.mutex);
    last.asked = state_.commits_asked;
    last.commits = state_.shelf.to_commit(true);
    state_.assigned = false;
    for (const PartitionKey key : assigned_) state_.shelf.suspend(key);
  }
  // One that was lost is others' already: our commit would be refused.
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    commit_failed(last, error_of(RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, parts_.channel_text + ": commit"));
    return;
  }
  if (last.commits.empty()) return commit_ended(last, nullptr);
  const PartitionsPtr list = to_list(last.commits);
  const QueuePtr queue(rd_kafka_queue_new(client_.get()));
  auto code = rd_kafka_commit_queue(client_.get(), list.get(), queue.get(), nullptr, nullptr);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const EventPtr event(rd_kafka_queue_poll(queue.get(), milliseconds_until(deadline)));
    if (event) return commit_ended(last, event.get());
    code = RD_KAFKA_RESP_ERR__TIMED_OUT;
  }
  commit_failed(last, error_of(code, parts_.channel_text + ": commit"));
}

// The group hears of it and assigns anew at once; what does not come to an end in time is left to session_timeout.
void Member::leave(SteadyTime deadline) {
  const ErrorPtr error(rd_kafka_consumer_close_queue(client_.get(), queue_.get()));
  while (!error && rd_kafka_consumer_closed(client_.get()) == 0 && std::chrono::steady_clock::now() < deadline) {
    // Polling serves the revocation, which commits.
    const MessagePtr message(rd_kafka_consumer_poll(client_.get(), std::min(milliseconds_until(deadline), 100)));
  }
}

}  // namespace lrpc::queue::kafka
