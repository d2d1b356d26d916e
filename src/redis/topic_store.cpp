// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/topic_store.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "redis/topic_scripts.hpp"
#include "redis/wire.hpp"

namespace lrpc::queue::redis {
namespace {

/// What a message without further fields is beside its body.
constexpr std::size_t kUsualHead = 128;
/// Of a message that publish_one_script takes: for so many channels as that allows it is within TopicStore::kMostBytes.
constexpr std::size_t kMostQuickBytes = TopicStore::kMostBytes / 1024;

bool is_plain(const Outgoing& out) {
  return out.delay.count() == 0 && out.message->key().empty() && out.message->headers().empty();
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::unexpected<Error> TopicStore::too_large(const Parcel& parcel, std::int64_t channels) const {
  return fail(ErrorCode::invalid_argument, "topic " + topic_ + ": a batch of " + std::to_string(parcel.count) +
                                               " messages and " + std::to_string(parcel.bytes) + " bytes for " +
                                               std::to_string(channels) + " channels; Redis takes at most " +
                                               std::to_string(kMostEntries) +
                                               " entries and 64 MiB in one step, channels times messages");
}

Result<Dropped> TopicStore::publish(std::span<const Outgoing> batch, const TopicPolicy& policy, SteadyTime deadline) {
  Parcel parcel{.count = batch.size()};
  for (const Outgoing& out : batch) parcel.bytes += out.message->encoded_body().size();
  if (parcel.count > kMostEntries || parcel.bytes > kMostBytes) return too_large(parcel, 1);
  parcel.messages.reserve(parcel.bytes + kUsualHead * parcel.count);
  parcel.plain = std::ranges::all_of(batch, is_plain);
  for (const Outgoing& out : batch) {
    const Envelope& m = *out.message;
    std::vector<std::string> further;
    if (!parcel.plain) {
      Result<std::vector<std::string>> fields = further_fields(out);
      if (!fields) return std::unexpected(std::move(fields.error()));
      further = std::move(*fields);
      parcel.messages.add(out.delay.count()).add(static_cast<std::int64_t>(further.size() / 2));
    }
    parcel.messages.add(m.id()).add(text_of(m.encoded_body())).add(m.timestamp()).add(m.expires_at());
    for (const std::string& field : further) parcel.messages.add(field);
  }
  return gathering_.publish(parcel, deadline,
                            [this, &policy](const Parcel& all, SteadyTime until) { return send(all, policy, until); });
}

Result<Dropped> TopicStore::send(const Parcel& parcel, const TopicPolicy& policy, SteadyTime deadline) const {
  const std::array keys{keys_.registry()};
  if (parcel.count == 1 && parcel.plain && parcel.bytes <= kMostQuickBytes) {
    Arguments arguments;
    arguments.add(policy.max_msg_size);
    auto reply = publish_one_script().run(*route_, keys, arguments, deadline, Repeat::no, parcel.messages);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->number() == 1) return Dropped();
  }
  Arguments arguments;
  arguments.add(topic_).add(policy.max_msg_size).add(to_string(policy.overflow));
  arguments.add(static_cast<std::int64_t>(parcel.count)).add(static_cast<std::int64_t>(parcel.bytes));
  arguments.add(static_cast<std::int64_t>(kMostEntries)).add(static_cast<std::int64_t>(kMostBytes));
  arguments.add(parcel.plain ? "1" : "0");
  auto reply = publish_script().run(*route_, keys, arguments, deadline, Repeat::no, parcel.messages);
  if (!reply) return std::unexpected(std::move(reply.error()));
  const auto verdict = reply->size() > 0 ? (*reply)[0].number() : std::nullopt;
  if (verdict == 0 && reply->size() == 3) {
    const std::string channel((*reply)[1].text());
    return fail(ErrorCode::queue_full,
                (channel.empty() ? "the backlog" : "channel " + channel) + " of topic " + topic_ + " holds " +
                    std::to_string((*reply)[2].number().value_or(0)) + " of at most " +
                    std::to_string(policy.max_msg_size) + " messages; consume faster or raise max_msg_size",
                true);
  }
  if (verdict == -1 && reply->size() == 2) return too_large(parcel, (*reply)[1].number().value_or(0));
  if (verdict != 1) return unexpected_reply("publishing");
  Dropped dropped;
  for (std::size_t i = 1; i + 1 < reply->size(); i += 2) {
    dropped[std::string((*reply)[i + 1].text())] += (*reply)[i].number().value_or(0);
  }
  return dropped;
}

Result<void> TopicStore::open(SteadyTime deadline) {
  Pipeline command;
  command.add({"HSETNX", keys_.registry(), "#", "0"});
  auto reply = route_->command("HSETNX", command, deadline, Repeat::safe);
  // On a full server it does without: it may be here to make room.
  if (!reply && reply.error().code != ErrorCode::queue_full) return std::unexpected(std::move(reply.error()));
  return {};
}

Result<Incarnation> TopicStore::open_channel(const std::string& name, bool create, SteadyTime deadline) {
  return open_as(name, std::array{std::string(create ? "create" : "existing")}, deadline);
}

Result<Incarnation> TopicStore::rebuild_channel(const std::string& name, const Incarnation& known,
                                                SteadyTime deadline) {
  return open_as(name, std::array{std::string("rebuild"), known.born, std::to_string(known.number)}, deadline);
}

Result<Incarnation> TopicStore::open_as(const std::string& name, std::span<const std::string> how,
                                        SteadyTime deadline) {
  const std::array keys{keys_.registry(), keys_.stream(name), keys_.backlog()};
  Arguments arguments;
  arguments.add(name).add(keys_.group(name));
  for (const std::string& word : how) arguments.add(word);
  for (;;) {
    auto reply = open_channel_script().run(*route_, keys, arguments, deadline, Repeat::safe);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->size() == 2) {
      return Incarnation{.number = (*reply)[0].number().value_or(0), .born = std::string((*reply)[1].text())};
    }
    if (reply->number() == 0) return fail(ErrorCode::channel_not_found, "topic " + topic_ + " has no channel " + name);
    if (reply->number() != -1) return unexpected_reply("opening channel " + name);
  }
}

Result<void> TopicStore::delete_channel(const std::string& name, SteadyTime deadline) {
  const std::array keys{keys_.registry(), keys_.stream(name), keys_.delayed(name), keys_.dead(name)};
  Arguments arguments;
  arguments.add(name);
  auto reply = delete_channel_script().run(*route_, keys, arguments, deadline, Repeat::no);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->number() == 1) return {};
  return fail(ErrorCode::channel_not_found, "topic " + topic_ + " has no channel " + name);
}

Result<std::vector<std::string>> TopicStore::channels(SteadyTime deadline) {
  Pipeline command;
  command.add({"HGETALL", keys_.registry()});
  auto reply = route_->command("HGETALL", command, deadline, Repeat::safe);
  if (!reply) return std::unexpected(std::move(reply.error()));
  std::vector<std::string> names;
  for (std::size_t i = 0; i + 1 < reply->size(); i += 2) {
    const std::string_view name = (*reply)[i].text();
    if (!name.starts_with('#') && (*reply)[i + 1].number().value_or(0) > 0) names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace lrpc::queue::redis
