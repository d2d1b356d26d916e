// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "redis/topic.hpp"
#include "redis/wire.hpp"

/// Reading a channel's stream without taking part.

namespace lrpc::queue::redis {
namespace {

Delivery delivery_of(const Reply& entry) {
  std::vector<Field> fields;
  const Reply flat = entry[1];
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) fields.emplace_back(flat[i].text(), flat[i + 1].text());
  Entry read = read_entry(entry[0].text(), fields);
  Delivery delivery{.message = std::move(read.message)};
  delivery.attempts = static_cast<int>(std::min<std::int64_t>(read.attempts, std::numeric_limits<int>::max() / 2));
  if (!read.malformed.empty()) delivery.malformed = std::make_shared<const std::string>(std::move(read.malformed));
  return delivery;
}

}  // namespace

Result<TailPage> RedisTopic::tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                                  SteadyTime until) {
  const auto pass = gate_.enter();
  if (!pass) return closed();
  if (channel.empty()) return fail(ErrorCode::invalid_argument, "on Redis tail needs a channel: each has its stream");
  const Keys& keys = store_->keys();
  const std::string stream = keys.stream(channel);
  Pipeline about;
  about.add({"HGET", keys.registry(), channel}).add({"XINFO", "STREAM", stream});
  auto facts = route_->call(about, deadline(), Repeat::safe);
  if (!facts) return std::unexpected(std::move(facts.error()));
  const Reply& info = (*facts)[1];
  if ((*facts)[0].number().value_or(0) < 0 || (info.is_error() && info.text().starts_with("ERR no such key"))) {
    return fail(ErrorCode::channel_not_found, "topic " + name_ + " has no channel " + channel);
  }
  if (info.is_error()) return std::unexpected(error_of(info.text(), "XINFO STREAM", route_->where()));
  TailPage page{.cursor = std::string(cursor)};
  if (cursor == "0") page.cursor = "0-0";
  if (cursor.empty()) {
    for (std::size_t i = 0; i + 1 < info.size(); i += 2) {
      if (info[i].text() == "last-generated-id") page.cursor = info[i + 1].text();
    }
  } else if (page.cursor.find_first_not_of("0123456789-") != std::string::npos) {
    return fail(ErrorCode::invalid_argument, "the cursor \"" + page.cursor + "\" is none of tail");
  }
  auto reply = read_on(stream, page.cursor, std::max<std::size_t>(limit, 1), until);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->size() != 1 || (*reply)[0].size() != 2) return page;
  const Reply entries = (*reply)[0][1];
  std::map<std::string, std::size_t, std::less<>> places;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].size() != 2) continue;
    places.emplace(entries[i][0].text(), page.items.size());
    page.items.push_back(delivery_of(entries[i]));
    page.cursor = entries[i][0].text();
  }
  if (places.empty()) return page;
  // How often the group has delivered them; no group, no deliveries.
  Pipeline pending;
  pending.begin(6).arg("XPENDING").arg(stream).arg(keys.group(channel));
  pending.arg(entries[0][0].text()).arg(page.cursor).arg(static_cast<std::int64_t>(10 * entries.size()));
  const auto counts = route_->command("XPENDING", pending, deadline(), Repeat::safe);
  for (std::size_t i = 0; counts && i < counts->size(); ++i) {
    const Reply row = (*counts)[i];
    if (row.size() != 4) continue;
    const auto place = places.find(row[0].text());
    if (place != places.end()) page.items[place->second].attempts += static_cast<int>(row[3].number().value_or(0));
  }
  return page;
}

// XREAD from `cursor`; waits on a connection of its own, which a close ends.
Result<Reply> RedisTopic::read_on(const std::string& stream, const std::string& cursor, std::size_t limit,
                                  SteadyTime until) {
  const std::string count = std::to_string(std::min<std::size_t>(limit, 10'000));
  Pipeline now;
  now.add({"XREAD", "COUNT", count, "STREAMS", stream, cursor});
  auto reply = route_->command("XREAD", now, deadline(), Repeat::safe);
  if (!reply || !reply->is_nil() || std::chrono::steady_clock::now() >= until) return reply;
  auto line = route_->own_connection(deadline());
  if (!line) return std::unexpected(std::move(line.error()));
  Pipeline wait;
  wait.add({"XREAD", "COUNT", count, "BLOCK", "0", "STREAMS", stream, cursor});
  Connection::Call call;
  (*line)->post(call, wait);
  if (!(*line)->await(call, until, tails_end_.fd())) {
    // Nothing is taken by it, so nothing is lost with it. The call must not outlive this function.
    (*line)->abort();
    (*line)->await(call, SteadyTime::max(), -1);
    if (gate_.is_shut()) return closed();
    return reply;
  }
  if (call.error) return std::unexpected(std::move(*call.error));
  if (call.replies[0].is_error()) return std::unexpected(error_of(call.replies[0].text(), "XREAD", route_->where()));
  return std::move(call.replies[0]);
}

}  // namespace lrpc::queue::redis
