// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>

#include "redis/channel_scripts.hpp"
#include "redis/channel_store.hpp"

/// What operators ask of a channel: figures and dead letters.

namespace lrpc::queue::redis {
namespace {

/// The first error reply, if there is one.
Result<void> all_fine(const std::vector<Reply>& replies, std::string_view doing, const std::string& where) {
  for (const Reply& reply : replies) {
    if (reply.is_error()) return std::unexpected(error_of(reply.text(), doing, where));
  }
  return {};
}

DeadRecord dead_record(const Reply& entry) {
  DeadRecord record;
  std::vector<Field> fields;
  const Reply flat = entry[1];
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) {
    const std::string_view name = flat[i].text();
    if (name == "reason") {
      record.reason = parse_dead_reason(flat[i + 1].text()).value_or(DeadReason::rejected);
    } else if (name == "error") {
      record.error = flat[i + 1].text();
    } else if (name == "dead_at_ms") {
      record.last_at_ms = flat[i + 1].number().value_or(0);
    } else {
      fields.emplace_back(name, flat[i + 1].text());
    }
  }
  Entry read = read_entry(entry[0].text(), fields);
  record.first_at_ms = read.message->enqueued_at_ms();
  record.attempts = static_cast<int>(std::min<std::int64_t>(read.attempts, std::numeric_limits<int>::max()));
  record.message = std::move(read.message);
  return record;
}

/// "<number>-<number>"
bool is_entry_id(std::string_view text) {
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() <= 20 && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
  };
  const std::size_t dash = text.find('-');
  return dash != std::string_view::npos && digits(text.substr(0, dash)) && digits(text.substr(dash + 1));
}

}  // namespace

Result<BackendStats> ChannelStore::stats(SteadyTime deadline) {
  Pipeline commands;
  commands.add({"XLEN", stream_}).add({"ZCARD", delayed_}).add({"XLEN", dead_}).add({"XPENDING", stream_, group_});
  auto replies = route_->call(commands, deadline, Repeat::safe);
  if (!replies) return std::unexpected(std::move(replies.error()));
  if (auto ok = all_fine(*replies, "figures", route_->where()); !ok) return std::unexpected(std::move(ok.error()));
  const Reply& pending = (*replies)[3];
  if (pending.size() != 4) return unexpected_reply("XPENDING");
  BackendStats stats;
  stats.delayed = (*replies)[1].number().value_or(0);
  stats.dead = (*replies)[2].number().value_or(0);
  stats.in_flight = pending[0].number().value_or(0);
  for (std::size_t i = 0; i < pending[3].size(); ++i) {
    const Reply consumer = pending[3][i];
    // Given back: pending for nobody.
    if (consumer.size() == 2 && consumer[0].text() == "given-back") stats.in_flight -= consumer[1].number().value_or(0);
  }
  stats.ready = std::max<std::int64_t>((*replies)[0].number().value_or(0) - stats.in_flight, 0);
  return stats;
}

Result<std::int64_t> ChannelStore::drop_all(SteadyTime deadline) {
  const std::array keys{stream_, delayed_};
  Arguments arguments;
  arguments.add(group_);
  for (std::int64_t dropped = 0;;) {
    auto reply = drop_all_script().run(*route_, keys, arguments, deadline, Repeat::no);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->size() != 2) return unexpected_reply("dropping messages");
    dropped += (*reply)[0].number().value_or(0);
    if ((*reply)[1].number() == 0) return dropped;
  }
}

Result<DeadPage> ChannelStore::dead_letters(std::size_t limit, std::string_view cursor, SteadyTime deadline) {
  if (!cursor.empty() && !is_entry_id(cursor)) {
    return fail(ErrorCode::invalid_argument, "the cursor \"" + std::string(cursor) + "\" is none of dead_letters");
  }
  DeadPage page;
  if (limit == 0) return page;
  // One more than asked for tells whether there are more.
  const std::size_t most = std::min<std::size_t>(limit, 1'000'000);
  Pipeline command;
  command.begin(6).arg("XRANGE").arg(dead_).arg(cursor.empty() ? std::string("-") : "(" + std::string(cursor));
  command.arg("+").arg("COUNT").arg(static_cast<std::int64_t>(most + 1));
  auto reply = route_->command("XRANGE", command, deadline, Repeat::safe);
  if (!reply) return std::unexpected(std::move(reply.error()));
  for (std::size_t i = 0; i < std::min(reply->size(), most); ++i) {
    if ((*reply)[i].size() == 2) page.items.push_back(dead_record((*reply)[i]));
  }
  if (reply->size() > most) page.cursor = (*reply)[most - 1][0].text();
  return page;
}

Result<std::int64_t> ChannelStore::requeue_dead(std::span<const std::string> ids, bool all, Duration fresh_ttl,
                                                SteadyTime deadline) {
  const std::array keys{stream_, dead_};
  std::string from = "-";
  for (std::int64_t moved = 0;;) {
    Arguments arguments;
    arguments.add(from).add(all ? "1" : "0").add(fresh_ttl.count());
    for (const std::string& id : ids) arguments.add(id);
    auto reply = requeue_dead_script().run(*route_, keys, arguments, deadline, Repeat::no);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->size() != 2) return unexpected_reply("requeueing dead letters");
    moved += (*reply)[0].number().value_or(0);
    from = (*reply)[1].text();
    if (from.empty()) return moved;
  }
}

Result<std::int64_t> ChannelStore::purge_dead(SteadyTime deadline) {
  Pipeline commands;
  commands.add({"MULTI"}).add({"XLEN", dead_}).add({"UNLINK", dead_}).add({"EXEC"});
  auto replies = route_->call(commands, deadline, Repeat::no);
  if (!replies) return std::unexpected(std::move(replies.error()));
  if (auto ok = all_fine(*replies, "purging dead letters", route_->where()); !ok) {
    return std::unexpected(std::move(ok.error()));
  }
  if (replies->back().size() != 2) return unexpected_reply("purging dead letters");
  return replies->back()[0].number().value_or(0);
}

}  // namespace lrpc::queue::redis
