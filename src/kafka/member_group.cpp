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

/// Of a call, or of a partition in its answer.
rd_kafka_resp_err_t first_error(rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* answer) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  const auto bad =
      std::ranges::find_if(entries(answer), [](const auto& entry) { return entry.err != RD_KAFKA_RESP_ERR_NO_ERROR; });
  return bad == entries(answer).end() ? code : bad->err;
}

}  // namespace

PartitionKey Member::key_of(const rd_kafka_topic_partition_t& partition) const {
  return {.lane = partition.topic == parts_.retry_topic ? Lane::retry : Lane::topic, .number = partition.partition};
}

void Member::on_rebalance(rd_kafka_t* /*client*/, rd_kafka_resp_err_t event,
                          rd_kafka_topic_partition_list_t* partitions, void* self) {
  Member& member = static_cast<Events*>(static_cast<ClientEvents*>(self))->member;
  member.put_on_shelf();  // what was polled belongs to the assignment that ends here
  if (event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    member.assigned(partitions);
  } else {
    member.revoked();
  }
}

void Member::assigned(rd_kafka_topic_partition_list_t* partitions) {
  assigned_.clear();
  if (auto found = find_places(partitions); !found) {
    // Nothing is read from a place that is not known; the group assigns anew. (An empty list: without one librdkafka
    // waits for the assignment still.)
    const PartitionsPtr none(rd_kafka_topic_partition_list_new(0));
    rd_kafka_assign(client_.get(), none.get());
    {
      const std::lock_guard lock(state_.mutex);
      for (const auto& partition : entries(partitions)) state_.shelf.suspend(key_of(partition));
    }
    rejoin_at_ = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    set_trouble(std::move(found.error()));
    return;
  }
  for (const auto& partition : entries(partitions)) assigned_.push_back(key_of(partition));
  bool narrow = false;
  for (const PartitionKey key : assigned_) {
    narrow = narrow ||
             (key.lane == Lane::topic &&
              std::ranges::find(assigned_, PartitionKey{.lane = Lane::retry, .number = key.number}) == assigned_.end());
  }
  {
    const std::lock_guard lock(state_.mutex);
    state_.narrow = narrow;
    state_.shelf.forget_suspended();  // others have these now
    state_.assigned = true;
    state_.trouble.reset();
  }
  read_on(partitions);
  state_.changed.notify_all();
  if (narrow) parts_.on_moves();
}

// A broker may not know yet that it leads a partition that was just made. `ask` is given the time it may take: it
// cannot be ended, so it is tried in pieces that grow, and stop() ends it after the present one.
rd_kafka_resp_err_t Member::attempt(SteadyTime until, const std::function<rd_kafka_resp_err_t(int)>& ask) const {
  constexpr int kFirstPiece = 250;
  constexpr int kLongestPiece = 2000;
  constexpr Duration kPauseBeforeAnother{20};
  int piece = kFirstPiece;
  for (int tries = 1;;) {
    const auto code = ask(std::clamp(left_ms(until), 1, piece));
    const auto over = [&] { return stop_by_ != 0 || std::chrono::steady_clock::now() >= until; };
    if (!is_transient(code) || over()) return code;
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT) {
      piece = std::min(piece * 2, kLongestPiece);
      continue;
    }
    if (++tries > parts_.cluster->config.max_attempts) return code;
    std::unique_lock lock(state_.mutex);
    state_.changed.wait_for(lock, kPauseBeforeAnother * (1 << std::min(tries, 6)), [this] { return stop_by_ != 0; });
  }
}

// All in two questions. The low ends first: what is deleted in between makes a log too long, never one that is
// reversed.
Result<std::vector<Shelf::Log>> Member::logs_of(const rd_kafka_topic_partition_list_t* partitions,
                                                SteadyTime until) const {
  std::vector<Shelf::Log> logs(static_cast<std::size_t>(partitions->cnt));
  for (const std::int64_t which : {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END}) {
    PartitionsPtr list;
    const auto code = attempt(until, [&](int timeout) {
      list.reset(rd_kafka_topic_partition_list_copy(partitions));
      for (auto& entry : entries(list.get())) entry.offset = which;
      return first_error(rd_kafka_offsets_for_times(client_.get(), list.get(), timeout), list.get());
    });
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return failed(code, parts_.channel_text + ": asking where its partitions begin and end");
    }
    for (std::size_t i = 0; i < logs.size(); ++i) {
      const std::int64_t offset = entries(list.get())[i].offset;
      (which == RD_KAFKA_OFFSET_BEGINNING ? logs[i].low : logs[i].high) = offset;
    }
  }
  return logs;
}

// Puts every partition on the shelf and sets where to read on.
Result<void> Member::find_places(rd_kafka_topic_partition_list_t* partitions) {
  const SteadyTime until = parts_.cluster->deadline();
  PartitionsPtr stored;
  const auto code = attempt(until, [&](int timeout) {
    stored.reset(rd_kafka_topic_partition_list_copy(partitions));
    return first_error(rd_kafka_committed(client_.get(), stored.get(), timeout), stored.get());
  });
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(code, parts_.channel_text + ": asking where its group stands");
  }
  if (std::ranges::any_of(entries(stored.get()), [](const auto& entry) { return entry.offset < 0; })) {
    auto gone = channel_is_gone(until);
    if (!gone) return std::unexpected(std::move(gone.error()));
    if (*gone) {
      const std::lock_guard lock(state_.mutex);
      state_.gone = true;
      return fail(ErrorCode::channel_not_found, parts_.channel_text + " was deleted");
    }
  }
  auto logs = logs_of(partitions, until);
  if (!logs) return std::unexpected(std::move(logs.error()));
  std::vector<Shelf::Start> starts;
  {
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < logs->size(); ++i) {
      const auto& entry = entries(stored.get())[i];
      std::optional<Shelf::Committed> committed;
      if (entry.offset >= 0) {
        committed = {.offset = entry.offset, .note = read_note(metadata_of(entry), entry.offset)};
      }
      starts.push_back(state_.shelf.assign(key_of(entry), committed, (*logs)[i]));
      state_.lost += starts.back().lost;
    }
  }
  for (std::size_t i = 0; i < starts.size(); ++i) {
    auto& entry = entries(partitions)[i];
    entry.offset = starts[i].offset;
    tell(key_of(entry), starts[i]);
    // What librdkafka has started first it asks for first; an empty one alone would be an idle fetch, before whose end
    // nothing else is asked for. From the group's own offset, which is the same, it starts a round trip later.
    const bool empty = starts[i].offset == (*logs)[i].high;
    if (empty && entries(stored.get())[i].offset == starts[i].offset) entry.offset = RD_KAFKA_OFFSET_STORED;
  }
  return {};
}

// A channel exists where its group has an offset (D4). When its topic was deleted, the brokers have forgotten those of
// the topic, but not those of its retries: then it goes on when the topic is there again.
Result<bool> Member::channel_is_gone(SteadyTime until) const {
  auto committed = parts_.cluster->admin->committed(parts_.group, until);
  if (!committed) return std::unexpected(std::move(committed.error()));
  return std::ranges::none_of(*committed, [this](const auto& entry) {
    const auto& [partition, stored] = entry;
    return stored.offset >= 0 && (partition.topic == parts_.topic || partition.topic == parts_.retry_topic);
  });
}

void Member::revoked() {
  suspend_and_commit(std::chrono::steady_clock::now() +
                     std::min(parts_.cluster->config.write_timeout, parts_.cluster->config.rebalance_timeout / 2));
  assigned_.clear();
  unheard_.clear();
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
    if (!state_.gone) next.commits = state_.shelf.to_commit(false);
  }
  next_commit_ = std::chrono::steady_clock::now() + parts_.cluster->config.commit_interval;
  if (next.commits.empty()) {
    commit_ended(next, nullptr);
    return;
  }
  const PartitionsPtr list = to_list(next.commits);
  const auto code = rd_kafka_commit_queue(client_.get(), list.get(), commit_queue_.get(), nullptr, nullptr);
  under_ = std::move(next);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    commit_failed(*std::exchange(under_, std::nullopt), code);
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
  if (event != nullptr) {
    auto code = rd_kafka_event_error(event);
    if (auto* const list = rd_kafka_event_topic_partition_list(event)) code = first_error(code, list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return commit_failed(under, code);
    failed_commits_ = 0;
    if (!std::exchange(said_of_commit_, {}).empty()) {
      parts_.cluster->logger(LogLevel::info, parts_.channel_text + ": commits go through again");
    }
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

// One may fail, in a rebalance or while a broker changes: it goes with the next. That they go on failing is said once.
void Member::commit_failed(const Under& under, rd_kafka_resp_err_t code) {
  Error error = error_of(code, parts_.channel_text + ": commit");
  bool shorter = false;
  {
    const std::lock_guard lock(state_.mutex);
    for (const Shelf::Commit& commit : under.commits) state_.shelf.committed(commit, false);
    shorter = code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE && state_.shelf.shorten_notes();
    state_.commits_ended = std::max(state_.commits_ended, under.asked);
    state_.commit_error = error;
  }
  state_.changed.notify_all();
  const bool news = !shorter && ++failed_commits_ > 1 && said_of_commit_ != error.message;
  if (news) said_of_commit_ = error.message;
  parts_.cluster->logger(news ? LogLevel::warning : LogLevel::debug,
                         error.message + "; until one goes through, what is settled is known here alone");
}

// The last state of all that is ours. What is settled after it is known here only, until the partition comes back.
void Member::suspend_and_commit(SteadyTime deadline) {
  if (stop_by_ != 0) deadline = std::min(deadline, SteadyTime(std::chrono::nanoseconds(stop_by_.load())));
  Under last;
  {
    const std::lock_guard lock(state_.mutex);
    last.asked = state_.commits_asked;
    if (!state_.gone) last.commits = state_.shelf.to_commit(true);
    state_.assigned = false;
    for (const PartitionKey key : assigned_) state_.shelf.suspend(key);
  }
  // One that was lost is others' already: our commit would be refused.
  if (rd_kafka_assignment_lost(client_.get()) != 0) {
    return commit_failed(last, RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST);
  }
  if (last.commits.empty()) return commit_ended(last, nullptr);
  const PartitionsPtr list = to_list(last.commits);
  const QueuePtr queue(rd_kafka_queue_new(client_.get()));
  auto code = rd_kafka_commit_queue(client_.get(), list.get(), queue.get(), nullptr, nullptr);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const EventPtr event(rd_kafka_queue_poll(queue.get(), left_ms(deadline)));
    if (event) return commit_ended(last, event.get());
    code = RD_KAFKA_RESP_ERR__TIMED_OUT;
  }
  commit_failed(last, code);
}

// The group hears of it and assigns anew at once; what does not come to an end in time is left to session_timeout.
void Member::leave(SteadyTime deadline) {
  const ErrorPtr error(rd_kafka_consumer_close_queue(client_.get(), queue_.get()));
  while (!error && rd_kafka_consumer_closed(client_.get()) == 0 && std::chrono::steady_clock::now() < deadline) {
    // Polling serves the revocation, which commits.
    const MessagePtr message(rd_kafka_consumer_poll(client_.get(), std::min(left_ms(deadline), 100)));
  }
}

}  // namespace lrpc::queue::kafka
