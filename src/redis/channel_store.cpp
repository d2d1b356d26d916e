// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/channel_store.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "redis/channel_scripts.hpp"

namespace lrpc::queue::redis {
namespace {

std::string_view name_of(Outcome::Action action) {
  constexpr std::array<std::string_view, 6> kNames{"ack", "retry", "give_back", "keep", "touch", "dead"};
  return kNames.at(static_cast<std::size_t>(action));
}

/// Reads deliveries off replies; what one entry needs is used again for the next.
class TakenReader {
 public:
  /// Empty where the server gave no entry id.
  std::optional<Taken> read(const Reply& entry_id, std::int64_t deliveries, const Reply& flat) {
    const auto id = EntryId::parse(entry_id.text());
    if (!id) return std::nullopt;
    fields_.clear();
    for (std::size_t i = 0; i + 1 < flat.size(); i += 2) fields_.emplace_back(flat[i].text(), flat[i + 1].text());
    return Taken{.handle = {.entry_id = *id, .deliveries = deliveries}, .entry = read_entry(entry_id.text(), fields_)};
  }

 private:
  std::vector<Field> fields_;
};

/// What `done` is after an ack: the reply holds the places of those that were not ours, mostly none.
Result<void> read_refusals(const Reply& reply, std::span<bool> done) {
  std::ranges::fill(done, true);
  for (std::size_t i = 0; i < reply.size(); ++i) {
    const auto place = reply[i].number().value_or(0);
    if (place < 1 || static_cast<std::size_t>(place) > done.size()) return unexpected_reply("acking");
    done[static_cast<std::size_t>(place) - 1] = false;
  }
  return {};
}

/// The three further arguments of an outcome.
std::array<std::string, 3> arguments_of(const Outcome& outcome) {
  const std::string counted = std::to_string(outcome.counted);
  switch (outcome.action) {
    case Outcome::Action::retry:
      return {std::to_string(outcome.delay.count()), counted, {}};
    case Outcome::Action::give_back:
    case Outcome::Action::keep:
      return {counted, {}, {}};
    case Outcome::Action::dead: {
      // Texts of any bytes: what is not UTF-8 in them is replaced.
      const nlohmann::json why{{"reason", outcome.reason}, {"error", outcome.error}};
      return {counted, std::to_string(outcome.limit),
              why.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
    }
    case Outcome::Action::ack:
    case Outcome::Action::touch:
      break;
  }
  return {};
}

}  // namespace

bool is_gone(const Error& error) noexcept {
  return error.code == ErrorCode::backend && error.message.find("NOGROUP") != std::string::npos;
}

Pipeline ChannelStore::read_command(std::size_t most, Duration wait) const {
  Pipeline command;
  command.begin(wait.count() > 0 ? 11 : 9).arg("XREADGROUP").arg("GROUP").arg(group_).arg(consumer_);
  command.arg("COUNT").arg(static_cast<std::int64_t>(most));
  if (wait.count() > 0) command.arg("BLOCK").arg(wait.count());
  command.arg("STREAMS").arg(stream_).arg(">");
  return command;
}

Result<std::vector<Taken>> ChannelStore::read_result(const Reply& reply) const {
  if (reply.is_error()) return std::unexpected(error_of(reply.text(), "XREADGROUP", route_->where()));
  std::vector<Taken> result;
  if (reply.is_nil()) return result;
  if (reply.size() != 1 || reply[0].size() != 2) return unexpected_reply("XREADGROUP");
  const Reply entries = reply[0][1];
  result.reserve(entries.size());
  TakenReader reader;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Reply entry = entries[i];
    if (entry.size() != 2) continue;
    if (auto taken = reader.read(entry[0], 1, entry[1])) result.push_back(std::move(*taken));
  }
  return result;
}

Result<std::vector<Taken>> ChannelStore::read(std::size_t most, SteadyTime deadline) {
  auto replies = route_->call(read_command(most, Duration(0)), deadline, Repeat::no);
  if (!replies) return std::unexpected(std::move(replies.error()));
  return read_result(replies->front());
}

Result<Look> ChannelStore::look(const Incarnation& known, std::size_t most, Duration lease, std::string& cursor,
                                bool maintain, std::span<const Ended> ended, SteadyTime deadline) {
  const std::array keys{registry_, stream_, delayed_};
  Arguments arguments;
  arguments.add(channel_).add(group_).add(consumer_).add(known.born).add(known.number);
  arguments.add(static_cast<std::int64_t>(most)).add(lease.count()).add(cursor).add(maintain ? "1" : "0");
  for (const Ended& end : ended) arguments.add(end.handle.entry_id.text()).add(end.handle.deliveries).add(end.next);
  auto reply = look_script().run(*route_, keys, arguments, deadline, Repeat::no);
  if (!reply) return std::unexpected(std::move(reply.error()));
  Look look;
  const auto verdict = reply->size() > 0 ? (*reply)[0].number() : std::nullopt;
  if (verdict == -1) {
    look.state = Look::State::deleted;
    return look;
  }
  if (verdict == 0) {
    look.state = Look::State::gone;
    return look;
  }
  const auto wait = reply->size() >= 3 ? (*reply)[1].number() : std::nullopt;
  if (!wait) return unexpected_reply("looking for due messages");
  if (*wait >= 0) look.next_due = Duration(*wait);
  cursor = (*reply)[2].text();
  TakenReader reader;
  for (std::size_t i = 3; i < reply->size(); ++i) {
    const Reply one = (*reply)[i];
    if (one.size() != 3) continue;
    if (auto taken = reader.read(one[0], one[1].number().value_or(1), one[2])) look.taken.push_back(std::move(*taken));
  }
  return look;
}

Arguments ChannelStore::ack_arguments(std::span<const Handle> handles) const {
  const auto [first, last] = std::ranges::minmax(handles, {}, &Handle::entry_id);
  Arguments arguments;
  arguments.reserve(group_.size() + consumer_.size() + 32 * (handles.size() + 6));
  arguments.add(group_).add(consumer_).add(first.entry_id.text()).add(last.entry_id.text());
  arguments.add(last.entry_id.next().text()).add(static_cast<std::int64_t>(handles.size()));
  for (const Handle& handle : handles) arguments.add(handle.entry_id.text());
  if (!std::ranges::all_of(handles, [](const Handle& handle) { return handle.deliveries == 1; })) {
    for (const Handle& handle : handles) arguments.add(handle.deliveries);
  }
  return arguments;
}

Result<void> ChannelStore::ack(std::span<const Handle> handles, std::span<bool> done, SteadyTime deadline) {
  const std::array keys{stream_};
  auto reply = ack_script().run(*route_, keys, ack_arguments(handles), deadline, Repeat::no);
  if (!reply) return std::unexpected(std::move(reply.error()));
  return read_refusals(*reply, done);
}

ChannelStore::AckedAndRead ChannelStore::ack_and_read(std::span<const Handle> handles, std::span<bool> done,
                                                      std::size_t most, SteadyTime deadline) {
  const std::array keys{stream_};
  Pipeline commands = ack_script().command(keys, ack_arguments(handles));
  commands.append(read_command(most, Duration(0)));
  auto replies = route_->call(commands, deadline, Repeat::no);
  if (!replies) return {.acked = std::unexpected(std::move(replies.error()))};
  AckedAndRead result{.taken = read_result(replies->back())};
  const Reply& acked = replies->front();
  if (acked.is_error() && acked.text().starts_with("NOSCRIPT")) {
    result.acked = ack(handles, done, deadline);
  } else if (acked.is_error()) {
    result.acked = std::unexpected(error_of(acked.text(), "ack", route_->where()));
  } else {
    result.acked = read_refusals(acked, done);
  }
  return result;
}

Result<std::int64_t> ChannelStore::settle(std::span<Outcome> outcomes, SteadyTime deadline) {
  const std::array keys{stream_, delayed_, dead_};
  Arguments arguments;
  arguments.add(group_).add(consumer_).add(static_cast<std::int64_t>(outcomes.size()));
  for (const Outcome& outcome : outcomes) {
    arguments.add(outcome.handle.entry_id.text()).add(outcome.handle.deliveries).add(name_of(outcome.action));
    for (const std::string& further : arguments_of(outcome)) arguments.add(further);
  }
  auto reply = settle_script().run(*route_, keys, arguments, deadline, Repeat::no);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->size() != outcomes.size() + 1) return unexpected_reply("settling");
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    outcomes[i].deliveries_now = (*reply)[i].number().value_or(0);
  }
  return (*reply)[outcomes.size()].number().value_or(0);
}

Result<std::vector<Handle>> ChannelStore::pending(std::size_t most, SteadyTime deadline) {
  Pipeline command;
  command.begin(7).arg("XPENDING").arg(stream_).arg(group_).arg("-").arg("+");
  command.arg(static_cast<std::int64_t>(most)).arg(consumer_);
  auto reply = route_->command("XPENDING", command, deadline, Repeat::safe);
  if (!reply) return std::unexpected(std::move(reply.error()));
  std::vector<Handle> handles;
  for (std::size_t i = 0; i < reply->size(); ++i) {
    const Reply row = (*reply)[i];
    if (row.size() != 4) return unexpected_reply("XPENDING");
    const auto id = EntryId::parse(row[0].text());
    if (!id) return unexpected_reply("XPENDING");
    handles.push_back({.entry_id = *id, .deliveries = row[3].number().value_or(1)});
  }
  return handles;
}

Result<void> ChannelStore::leave(SteadyTime deadline) {
  const std::array keys{stream_};
  Arguments arguments;
  arguments.add(group_).add(consumer_);
  for (;;) {
    auto reply = leave_script().run(*route_, keys, arguments, deadline, Repeat::safe);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->number() != 1) return {};
  }
}

}  // namespace lrpc::queue::redis
