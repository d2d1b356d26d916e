// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/dead_letters.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "kafka/message.hpp"

namespace lrpc::queue::kafka {
namespace {

constexpr std::string_view kReason = "dlq_reason";
constexpr std::string_view kError = "dlq_error";
constexpr std::string_view kTopic = "dlq_topic";
constexpr std::string_view kPartition = "dlq_partition";
constexpr std::string_view kOffset = "dlq_offset";
constexpr std::string_view kLetterAttempts = "dlq_attempts";
constexpr std::string_view kFailedAt = "dlq_failed_at";
constexpr std::string_view kRemoved = "dlq_removed";
constexpr std::size_t kLongestError = 8192;  // the record has to fit
constexpr std::size_t kMostRequeued = 500;   // written at once

std::string_view header(const RecordHeaders& headers, std::string_view name) {
  const auto found = std::ranges::find(headers, name, &RecordHeaders::value_type::first);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::string to_text(std::span<const std::int64_t> offsets) {
  std::string text;
  for (std::size_t i = 0; i < offsets.size();) {
    std::size_t run = 1;
    while (i + run < offsets.size() && offsets[i + run] == offsets[i] + static_cast<std::int64_t>(run)) ++run;
    if (!text.empty()) text += ',';
    text += std::to_string(offsets[i]) + '-' + std::to_string(offsets[i] + static_cast<std::int64_t>(run));
    i += run;
  }
  return text;
}

/// Takes the offsets of "3-5,9-10" out; what is no such text changes nothing.
void take_out(std::deque<std::int64_t>& left, std::string_view text) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t dash = part.find('-');
    if (dash == std::string_view::npos) continue;
    const auto first = parse_number(part.substr(0, dash));
    const auto end = parse_number(part.substr(dash + 1));
    if (!first || !end || *first >= *end) continue;
    left.erase(std::ranges::lower_bound(left, *first), std::ranges::lower_bound(left, *end));
  }
}

DeadRecord to_dead_record(const rd_kafka_message_t& message) {
  const RecordHeaders headers = headers_of(message);
  ReadRecord read = read_message(message);
  DeadRecord letter{.message = std::move(read.message),
                    .reason = parse_dead_reason(header(headers, kReason)).value_or(DeadReason::rejected),
                    .error = std::string(header(headers, kError))};
  letter.attempts = static_cast<int>(std::min<std::int64_t>(parse_number(header(headers, kLetterAttempts)).value_or(0),
                                                            std::numeric_limits<int>::max()));
  letter.first_at_ms = letter.message->enqueued_at_ms();
  const std::int64_t written_ms = rd_kafka_message_timestamp(&message, nullptr);
  const std::int64_t failed_s = parse_number(header(headers, kFailedAt)).value_or(written_ms / 1000);
  // The record's own time is finer, where the clocks agree.
  letter.last_at_ms = failed_s == written_ms / 1000 ? written_ms : failed_s * 1000;
  return letter;
}

}  // namespace

Draft DeadLetters::draft(const Letter& letter) const {
  RecordHeaders headers =
      headers_of(*letter.message, {.attempts = letter.attempts, .channel = parts_.channel, .other_time = true});
  headers.emplace_back(kReason, to_string(letter.reason));
  headers.emplace_back(kError, letter.error.substr(0, kLongestError));
  headers.emplace_back(kTopic, letter.from.key.lane == Lane::topic ? parts_.topic : parts_.retry_topic);
  headers.emplace_back(kPartition, std::to_string(letter.from.key.number));
  headers.emplace_back(kOffset, std::to_string(letter.from.offset));
  headers.emplace_back(kLetterAttempts, std::to_string(letter.attempts));
  const Instant now = parts_.cluster->clock->now();
  headers.emplace_back(kFailedAt, std::to_string(now.wall_s()));
  return {.topic = parts_.dead_topic,
          .partition = 0,
          .key = key_of(*letter.message),
          .message = letter.message,
          .headers = std::move(headers),
          .wall_ms = now.wall_ms};
}

Result<void> DeadLetters::refresh(SteadyTime until) {
  const TopicPartition where{.topic = parts_.dead_topic, .partition = 0};
  auto bounds = parts_.cluster->admin->watermarks({&where, 1}, until);
  if (!bounds) return std::unexpected(std::move(bounds.error()));
  const auto [low, high] = bounds->front();
  if (high < next_) {  // the topic was made anew
    left_.clear();
    next_ = low;
  }
  next_ = std::max(next_, low);
  left_.erase(left_.begin(), std::ranges::lower_bound(left_, low));
  if (next_ < high) {
    auto reader = parts_.cluster->reader(ReadFor::upkeep);
    if (!reader) return std::unexpected(std::move(reader.error()));
    auto ok = (*reader)->read(
        where.topic, 0, next_, high, until,
        [&](const rd_kafka_message_t& message) {
          const RecordHeaders headers = headers_of(message);
          const bool mark = std::ranges::any_of(headers, [](const auto& one) { return one.first == kRemoved; });
          if (mark) {
            take_out(left_, header(headers, kRemoved));
          } else {
            left_.push_back(message.offset);
          }
          next_ = message.offset + 1;
          return true;
        },
        parts_.over);
    if (!ok) return ok;
    next_ = high;
  }
  unread_ = 0;
  return {};
}

Result<DeadLetters::Lock> DeadLetters::enter(SteadyTime until) {
  constexpr Duration kBetweenLooks{100};
  Lock lock(mutex_, std::defer_lock);
  while (!lock.try_lock_for(kBetweenLooks)) {
    if (parts_.over()) return fail(ErrorCode::cancelled, parts_.text + ": closed meanwhile");
    if (std::chrono::steady_clock::now() >= until) {
      return fail(ErrorCode::timeout, parts_.text + ": other calls for its dead letters did not end in time", true);
    }
  }
  return lock;
}

Result<std::int64_t> DeadLetters::trim(std::int64_t added, std::int64_t limit) {
  const SteadyTime until = parts_.cluster->deadline();
  const auto lock = enter(until);
  if (!lock) return std::unexpected(lock.error());
  unread_ += added;
  if (static_cast<std::int64_t>(left_.size()) + unread_ <= limit) return 0;
  if (auto ok = refresh(until); !ok) return std::unexpected(std::move(ok.error()));
  const std::int64_t over = static_cast<std::int64_t>(left_.size()) - limit;
  if (over <= 0) return 0;
  const std::vector<std::int64_t> oldest(left_.begin(), left_.begin() + over);
  if (auto ok = remove(oldest, until); !ok) return std::unexpected(std::move(ok.error()));
  return over;
}

Result<std::int64_t> DeadLetters::count() {
  const SteadyTime until = parts_.cluster->deadline();
  const auto lock = enter(until);
  if (!lock) return std::unexpected(lock.error());
  if (auto ok = refresh(until); !ok) return std::unexpected(std::move(ok.error()));
  return static_cast<std::int64_t>(left_.size());
}

// The letters from `first` on.
Result<void> DeadLetters::read_left(std::int64_t first, SteadyTime until,
                                    const std::function<bool(const rd_kafka_message_t&)>& each) {
  const auto from = std::ranges::lower_bound(left_, first);
  if (from == left_.end()) return {};
  auto reader = parts_.cluster->reader(ReadFor::upkeep);
  if (!reader) return std::unexpected(std::move(reader.error()));
  return (*reader)->read(
      parts_.dead_topic, 0, *from, left_.back() + 1, until,
      [&](const rd_kafka_message_t& message) {
        return !std::ranges::binary_search(left_, message.offset) || each(message);
      },
      parts_.over);
}

Result<DeadPage> DeadLetters::list(std::size_t limit, std::string_view cursor) {
  std::optional<std::int64_t> first = 0;
  if (!cursor.empty()) first = parse_number(cursor);
  if (!first) {
    return fail(ErrorCode::invalid_argument, parts_.text + ": \"" + std::string(cursor) + "\" is no cursor of ours");
  }
  const SteadyTime until = parts_.cluster->deadline();
  const auto lock = enter(until);
  if (!lock) return std::unexpected(lock.error());
  if (auto ok = refresh(until); !ok) return std::unexpected(std::move(ok.error()));
  DeadPage page;
  if (limit == 0) return page;
  std::int64_t last = 0;
  auto ok = read_left(*first, until, [&](const rd_kafka_message_t& message) {
    page.items.push_back(to_dead_record(message));
    last = message.offset;
    return page.items.size() < limit;
  });
  if (!ok) return std::unexpected(std::move(ok.error()));
  if (!page.items.empty() && last < left_.back()) page.cursor = std::to_string(last + 1);
  return page;
}

Result<std::int64_t> DeadLetters::requeue(std::span<const std::string> ids, bool all, Duration fresh_ttl) {
  const SteadyTime until = parts_.cluster->deadline();
  const auto lock = enter(until);
  if (!lock) return std::unexpected(lock.error());
  if (auto ok = refresh(until); !ok) return std::unexpected(std::move(ok.error()));
  auto count = parts_.cluster->admin->partition_count(parts_.retry_topic, until);
  if (!count) return std::unexpected(std::move(count.error()));
  const Instant now = parts_.cluster->clock->now();
  std::int64_t requeued = 0;
  std::vector<Draft> drafts;
  std::vector<std::int64_t> offsets;
  Result<void> result;
  // Written first and removed then: what a crash leaves in both is requeued twice, and not lost.
  const auto flush = [&] {
    const std::vector<Produced> produced = parts_.cluster->write(drafts, parts_.cluster->write_deadline());
    parts_.on_requeued(drafts, produced);
    std::vector<std::int64_t> done;
    for (std::size_t i = 0; i < produced.size(); ++i) {
      if (!produced[i].error) {
        done.push_back(offsets[i]);
      } else if (result) {
        result = std::unexpected(*produced[i].error);
      }
    }
    drafts.clear();
    offsets.clear();
    requeued += static_cast<std::int64_t>(done.size());
    if (auto ok = remove(done, parts_.cluster->deadline()); !ok && result) result = ok;
    return result.has_value();
  };
  auto ok = read_left(0, until, [&](const rd_kafka_message_t& message) {
    const auto from = parse_number(header(headers_of(message), kPartition)).value_or(0);
    ReadRecord read = read_message(message);
    if (!all && std::ranges::find(ids, read.message->id()) == ids.end()) return true;
    Envelope& again = *read.message;
    again.set_enqueued_at_ms(now.wall_ms);
    if (again.expires_at() != 0 && again.expires_at() <= now.wall_s()) {
      again.set_expires_at(fresh_ttl.count() > 0 ? (now.wall_ms + fresh_ttl.count() + 999) / 1000 : 0);
    }
    const Stamp stamp{.channel = parts_.channel, .due_ms = now.wall_ms};
    RecordHeaders headers = headers_of(again, stamp);
    drafts.push_back({.topic = parts_.retry_topic,
                      .partition = static_cast<std::int32_t>(from % *count),
                      .key = key_of(again),
                      .message = std::move(read.message),
                      .headers = std::move(headers),
                      .retry = stamp});
    offsets.push_back(message.offset);
    return true;
  });
  if (!ok) return std::unexpected(std::move(ok.error()));
  while (!drafts.empty()) {
    std::vector<Draft> later_drafts;
    std::vector<std::int64_t> later_offsets;
    if (drafts.size() > kMostRequeued) {
      later_drafts.assign(std::make_move_iterator(drafts.begin() + kMostRequeued),
                          std::make_move_iterator(drafts.end()));
      later_offsets.assign(offsets.begin() + kMostRequeued, offsets.end());
      drafts.resize(kMostRequeued);
      offsets.resize(kMostRequeued);
    }
    if (!flush()) break;
    drafts = std::move(later_drafts);
    offsets = std::move(later_offsets);
  }
  if (!result) return std::unexpected(std::move(result.error()));
  return requeued;
}

Result<std::int64_t> DeadLetters::purge() {
  const SteadyTime until = parts_.cluster->deadline();
  const auto lock = enter(until);
  if (!lock) return std::unexpected(lock.error());
  if (auto ok = refresh(until); !ok) return std::unexpected(std::move(ok.error()));
  const std::vector<std::int64_t> all(left_.begin(), left_.end());
  if (auto ok = remove(all, until); !ok) return std::unexpected(std::move(ok.error()));
  return static_cast<std::int64_t>(all.size());
}

// Tells of it by a record, and has the broker delete what lies before the oldest letter that is left.
Result<void> DeadLetters::remove(std::span<const std::int64_t> offsets, SteadyTime until) {
  if (offsets.empty()) return {};
  const Draft mark{.topic = parts_.dead_topic, .partition = 0, .headers = {{std::string(kRemoved), to_text(offsets)}}};
  if (const auto written = parts_.cluster->write({&mark, 1}, until); written.front().error) {
    return std::unexpected(*written.front().error);
  }
  for (const std::int64_t offset : offsets) {
    const auto at = std::ranges::lower_bound(left_, offset);
    if (at != left_.end() && *at == offset) left_.erase(at);
  }
  delete_before(left_.empty() ? offsets.back() + 1 : left_.front(), until);
  return {};
}

// The mark says already that they are no more: who may not delete them is not told that the call failed.
void DeadLetters::delete_before(std::int64_t offset, SteadyTime until) {
  const OffsetCommit before{.partition = {.topic = parts_.dead_topic, .partition = 0}, .offset = offset};
  const auto ok = parts_.cluster->admin->delete_records({&before, 1}, until);
  if (ok || std::exchange(told_refusal_, !ok.error().retryable)) return;
  parts_.cluster->logger(LogLevel::warning,
                         parts_.text + ": records of removed dead letters stay: " + ok.error().message);
}

}  // namespace lrpc::queue::kafka
