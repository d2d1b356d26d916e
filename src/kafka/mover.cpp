// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/mover.hpp"

#include <algorithm>
#include <utility>

#include "kafka/message.hpp"

namespace lrpc::queue::kafka {
namespace {

constexpr std::size_t kMostMoved = 500;  // written at once
constexpr Duration kPauseAfterFailure{1000};
constexpr Duration kBetweenTrims{1000};
constexpr Duration kBetweenFailedTrims{60'000};

}  // namespace

void Mover::wake() {
  const std::lock_guard lock(mutex_);
  work_ = true;
  if (stopped_) return;
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  wanted_.notify_all();
}

void Mover::read_again(std::vector<Place> places) {
  {
    const std::lock_guard lock(mutex_);
    places_.insert(places_.end(), places.begin(), places.end());
  }
  wake();
}

void Mover::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Mover::run(const std::stop_token& stop) {
  while (true) {
    std::vector<Place> places;
    {
      std::unique_lock lock(mutex_);
      if (!wanted_.wait(lock, stop, [this] { return work_; })) return;
      work_ = false;
      places = std::exchange(places_, {});
    }
    {
      const std::lock_guard lock(state_.mutex);
      if (state_.gone) return;  // nothing is to be moved any more, and there is nowhere to
    }
    Result<void> ok = move_early(stop);
    if (ok) ok = rewrite(stop);
    if (ok) ok = refill(places, stop);
    if (stop.stop_requested()) return;
    widen();
    trim();
    if (ok) continue;
    parts_.cluster->logger(LogLevel::warning, parts_.text + ": " + ok.error().message + "; trying again");
    std::unique_lock lock(mutex_);
    places_.insert(places_.end(), places.begin(), places.end());
    work_ = true;
    wanted_.wait_for(lock, stop, kPauseAfterFailure, [] { return false; });
    if (stop.stop_requested()) return;
  }
}

// Partition p of the topic belongs with partition p of the retry topic, as long as both have as many.
Result<Draft> Mover::retry_draft(const Envelope& message, EnvelopePtr body, std::int32_t partition,
                                 const Stamp& stamp) const {
  auto count = parts_.cluster->admin->partition_count(parts_.retry_topic, parts_.cluster->deadline());
  if (!count) return std::unexpected(std::move(count.error()));
  return Draft{.topic = parts_.retry_topic,
               .partition = partition % *count,
               .key = key_of(message),
               .message = std::move(body),
               .headers = headers_of(message, stamp),
               .retry = stamp};
}

Result<void> Mover::move_early(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<Shelf::Moving> moves;
    {
      const std::lock_guard lock(state_.mutex);
      moves = state_.shelf.begin_early(kMostMoved);
    }
    if (moves.empty()) return {};
    Result<void> result;
    std::vector<Draft> drafts;
    for (const Shelf::Moving& move : moves) {
      auto draft = retry_draft(*move.message, move.message, move.from.key.number,
                               {.attempts = move.attempts, .channel = parts_.channel, .due_ms = move.due_ms});
      if (!draft) {
        result = std::unexpected(std::move(draft.error()));
        break;
      }
      drafts.push_back(std::move(*draft));
    }
    std::vector<Produced> produced(moves.size());
    if (result) produced = parts_.cluster->write(drafts, parts_.cluster->write_deadline());
    for (const Produced& one : produced) {
      if (one.error && result) result = std::unexpected(*one.error);
    }
    {
      const std::lock_guard lock(state_.mutex);
      for (std::size_t i = 0; i < moves.size(); ++i) {
        const bool written = drafts.size() == moves.size() && !produced[i].error;
        state_.shelf.end_move(moves[i].tag, written);
        if (written) foresee(state_.shelf, *parts_.cluster, drafts[i], produced[i]);
      }
    }
    state_.changed.notify_all();
    if (!result) return result;
  }
  return {};
}

Result<void> Mover::rewrite(const std::stop_token& stop) {
  std::vector<RetryIndex::Waiting> taken;
  {
    const std::lock_guard lock(state_.mutex);
    taken = state_.shelf.begin_rewrite(kMostMoved);
  }
  if (taken.empty()) return {};
  std::vector<RetryIndex::Waiting> written;
  std::vector<RetryIndex::Waiting> left;
  std::vector<RetryIndex::Waiting> candidates;
  std::vector<Draft> drafts;
  Result<void> result;
  for (RetryIndex::Waiting& waiting : taken) {
    if (result && !waiting.record) {
      auto record = read_one(waiting.place, stop);
      if (!record) {
        result = std::unexpected(std::move(record.error()));
      } else if (!*record) {
        written.push_back(std::move(waiting));  // retention took it
        continue;
      } else {
        waiting.record = std::make_unique<ReadRecord>(std::move(**record));
      }
    }
    if (result) {
      auto draft = retry_draft(*waiting.record->message, waiting.record->message, waiting.place.key.number,
                               {.attempts = waiting.record->attempts + waiting.deliveries,
                                .channel = parts_.channel,
                                .due_ms = waiting.record->due_ms});
      if (draft) {
        drafts.push_back(std::move(*draft));
        candidates.push_back(std::move(waiting));
        continue;
      }
      result = std::unexpected(std::move(draft.error()));
    }
    left.push_back(std::move(waiting));
  }
  const std::vector<Produced> produced = parts_.cluster->write(drafts, parts_.cluster->write_deadline());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (produced[i].error && result) result = std::unexpected(*produced[i].error);
    (produced[i].error ? left : written).push_back(std::move(candidates[i]));
  }
  {
    const std::lock_guard lock(state_.mutex);
    for (std::size_t i = 0; i < drafts.size(); ++i) {
      if (!produced[i].error) state_.shelf.rewritten(drafts[i].partition, produced[i].offset);
    }
    state_.shelf.end_rewrite(std::move(written), true);
    state_.shelf.end_rewrite(std::move(left), false);
  }
  state_.changed.notify_all();
  return result;
}

// Leaves in `places` what could not be read.
Result<void> Mover::refill(std::vector<Place>& places, const std::stop_token& stop) {
  std::ranges::sort(places, std::greater{});
  while (!places.empty() && !stop.stop_requested()) {
    {
      const std::lock_guard lock(state_.mutex);
      if (!state_.shelf.is_away(places.back())) {  // dropped, or others have it now
        places.pop_back();
        continue;
      }
    }
    auto record = read_one(places.back(), stop);
    if (!record) return std::unexpected(std::move(record.error()));
    {
      const std::lock_guard lock(state_.mutex);
      if (*record) {
        state_.shelf.refill(places.back(), std::move(**record));
      } else {
        state_.shelf.gone(places.back());
      }
    }
    places.pop_back();
    state_.changed.notify_all();
  }
  return {};
}

// Empty: the record is not there any more.
Result<std::optional<ReadRecord>> Mover::read_one(Place place, const std::stop_token& stop) {
  auto reader = parts_.cluster->reader(ReadFor::upkeep);
  if (!reader) return std::unexpected(std::move(reader.error()));
  std::optional<ReadRecord> record;
  const std::string& topic = place.key.lane == Lane::topic ? parts_.topic : parts_.retry_topic;
  auto ok = (*reader)->read(
      topic, place.key.number, place.offset, place.offset + 1, parts_.cluster->deadline(),
      [&](const rd_kafka_message_t& message) {
        record = read_message(message);
        return false;
      },
      [&] { return stop.stop_requested(); });
  if (!ok) {
    // Retention took it, with all before it.
    const int code = ok.error().native_code;
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) return record;
    return std::unexpected(std::move(ok.error()));
  }
  return record;
}

// What the group has committed nobody reads again. That it stays harms nothing but the disk, so failures do not either.
void Mover::trim() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!trims_ || now < next_trim_) return;
  std::vector<Shelf::Finished> finished;
  {
    const std::lock_guard lock(state_.mutex);
    finished = state_.shelf.finished();
  }
  if (finished.empty()) return;
  std::vector<OffsetCommit> before;
  before.reserve(finished.size());
  for (const Shelf::Finished& one : finished) {
    before.push_back({.partition = {.topic = parts_.retry_topic, .partition = one.partition}, .offset = one.offset});
  }
  if (const auto ok = parts_.cluster->admin->delete_records(before, parts_.cluster->deadline()); !ok) {
    trims_ = ok.error().retryable;
    next_trim_ = now + kBetweenFailedTrims;
    parts_.cluster->logger(trims_ ? LogLevel::debug : LogLevel::warning,
                           parts_.text + ": the retry topic keeps what is finished: " + ok.error().message);
    return;
  }
  next_trim_ = now + kBetweenTrims;
  const std::lock_guard lock(state_.mutex);
  for (const Shelf::Finished& one : finished) state_.shelf.trimmed(one);
}

// The topic has got partitions: their retries get theirs, as soon as the group knows of them.
void Mover::widen() {
  {
    const std::lock_guard lock(state_.mutex);
    if (!std::exchange(state_.narrow, false)) return;
  }
  Admin& admin = *parts_.cluster->admin;
  const SteadyTime until = parts_.cluster->deadline();
  admin.forget(parts_.topic);
  auto count = admin.partition_count(parts_.topic, until);
  Result<bool> done =
      count ? parts_.cluster->widen(parts_.retry_topic, *count, until) : std::unexpected(std::move(count.error()));
  if (!done) {
    parts_.cluster->logger(
        LogLevel::warning,
        parts_.text + ": the retries of new partitions share those of the others: " + done.error().message);
    return;
  }
  if (!*done) return;  // as many as the topic has, if differently dealt out: retries are written to what there is
  const std::lock_guard lock(state_.mutex);
  state_.widened = true;
}

}  // namespace lrpc::queue::kafka
