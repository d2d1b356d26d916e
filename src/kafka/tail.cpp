// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <utility>

#include "kafka/message.hpp"
#include "kafka/topic.hpp"

namespace lrpc::queue::kafka {
namespace {

/// The next offset of each partition as "12,7,90".
std::string to_cursor(std::span<const std::int64_t> offsets) {
  std::string text;
  for (const std::int64_t offset : offsets) text += (text.empty() ? "" : ",") + std::to_string(offset);
  return text;
}

std::optional<std::vector<std::int64_t>> from_cursor(std::string_view text) {
  std::vector<std::int64_t> offsets;
  while (true) {
    const std::string_view part = text.substr(0, text.find(','));
    const auto offset = parse_number(part);
    if (!offset) return std::nullopt;
    offsets.push_back(*offset);
    if (part.size() == text.size()) return offsets;
    text.remove_prefix(part.size() + 1);
  }
}

constexpr Duration kBetweenLooks{50};

}  // namespace

// The topic is the same for all channels: what one of them retries lies elsewhere.
Result<TailPage> KafkaTopic::tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                                  SteadyTime deadline) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  const auto until = [this] {
    return cluster_->deadline();
  };  // of each question; the wait for messages is the caller's
  auto list = partitions(until());
  if (!list) return std::unexpected(std::move(list.error()));
  if (!channel.empty()) {
    auto there = exists(channel, *list, until());
    if (!there) return std::unexpected(std::move(there.error()));
    if (!*there) return fail(ErrorCode::channel_not_found, text(channel) + " does not exist");
  }
  auto bounds = cluster_->admin->watermarks(*list, until());
  if (!bounds) return std::unexpected(std::move(bounds.error()));
  std::vector<std::int64_t> next;
  if (cursor.empty() || cursor == "0") {
    for (const auto& [low, high] : *bounds) next.push_back(cursor.empty() ? high : low);
  } else {
    auto offsets = from_cursor(cursor);
    if (!offsets || offsets->size() > list->size()) {
      return fail(ErrorCode::invalid_argument,
                  "topic " + name_ + ": \"" + std::string(cursor) + "\" is no cursor of ours");
    }
    next = std::move(*offsets);
    next.resize(list->size(), 0);  // partitions that were added
  }
  auto reader = cluster_->reader(ReadFor::tail);
  if (!reader) return std::unexpected(std::move(reader.error()));
  TailPage page;
  while (limit > 0) {
    for (std::size_t i = 0; i < list->size() && page.items.size() < limit; ++i) {
      const auto [low, high] = (*bounds)[i];
      next[i] = std::max(next[i], low);
      auto ok = (*reader)->read(
          topic_, static_cast<std::int32_t>(i), next[i], high, until(),
          [&](const rd_kafka_message_t& message) {
            ReadRecord read = read_message(message);
            Delivery delivery{.message = std::move(read.message), .attempts = static_cast<int>(read.attempts)};
            if (!read.malformed.empty()) {
              delivery.malformed = std::make_shared<const std::string>(read.malformed);
            }
            page.items.push_back(std::move(delivery));
            next[i] = message.offset + 1;
            return page.items.size() < limit;
          },
          [this] { return gate_.is_shut(); });
      if (gate_.is_shut()) return closed();
      if (!ok && page.items.empty()) return std::unexpected(std::move(ok.error()));
      if (!ok) break;  // the rest with the next page
    }
    if (!page.items.empty()) break;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) break;
    if (gate_.await_shut(std::min(deadline, now + kBetweenLooks))) return closed();
    bounds = cluster_->admin->watermarks(*list, until());
    if (!bounds) return std::unexpected(std::move(bounds.error()));
  }
  page.cursor = to_cursor(next);
  return page;
}

}  // namespace lrpc::queue::kafka
