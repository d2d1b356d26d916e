// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/judgement.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <librdkafka/rdkafka.h>

#include "config/duration.hpp"
#include "kafka/commit_note.hpp"
#include "kafka/settings.hpp"

namespace lrpc::queue::kafka {
namespace {

using Level = Finding::Level;
using config_impl::format_duration;

/// More names than that are counted, not listed.
constexpr std::size_t kMostNamed = 5;
/// Headers, key and the request around a body.
constexpr std::int64_t kRoomInRequest = 64 << 10;
constexpr Duration kUsualRetention = std::chrono::days(7);

std::string text_of(const BrokerSettings& settings, const std::string& name) {
  const auto it = settings.find(name);
  return it != settings.end() ? it->second : std::string();
}

std::optional<std::int64_t> number_of(const BrokerSettings& settings, const std::string& name) {
  const std::string text = text_of(settings, name);
  std::int64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value).ptr;
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string as_text(std::int64_t number) { return std::to_string(number); }

/// What one broker, or one topic, says.
class Part {
 public:
  Part(std::string_view kind, const std::string& name, const BrokerSettings& settings, Findings& findings)
      : kind_(kind), name_(name), settings_(settings), findings_(findings) {}

  void add(Level level, std::string what, std::string advice = {}) const {
    findings_.add_of(kind_, name_, level, std::move(what), std::move(advice));
  }
  [[nodiscard]] std::string text(const std::string& name) const { return text_of(settings_, name); }
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& name) const { return number_of(settings_, name); }

 private:
  std::string_view kind_;
  const std::string& name_;
  const BrokerSettings& settings_;
  Findings& findings_;
};

void judge_version(const Wishes& wishes, const BrokerSettings& settings, const Part& broker) {
  const KafkaVersion version = version_of(settings);
  const std::string name = "Kafka " + to_string(version);
  const auto older_than = [&](int major, int minor) {
    return std::pair(version.major, version.minor) < std::pair(major, minor);
  };
  if (older_than(0, 11)) {
    broker.add(Level::error, name + " keeps no headers: messages lose their id, attempts and expiry", "update Kafka");
  } else if (wishes.config.compression_type == Compression::zstd && older_than(2, 1)) {
    broker.add(Level::error, name + " does not know compression_type zstd", "update Kafka, or use another compression");
  } else if (!wishes.config.instance_id.empty() && older_than(2, 3)) {
    broker.add(Level::error, name + " does not know static members (instance_id)", "update Kafka, or unset it");
  } else {
    broker.add(Level::ok, name);
  }
}

void judge_commits(const Wishes& wishes, const Part& broker) {
  if (const auto most = broker.number("offset.metadata.max.bytes")) {
    const auto needed = static_cast<std::int64_t>(kMostMetadata);
    if (*most < static_cast<std::int64_t>(kLeastMetadata)) {
      broker.add(Level::error, "offset.metadata.max.bytes is " + as_text(*most) + ": commits are refused",
                 "set it to " + as_text(needed));
    } else if (*most < needed) {
      broker.add(Level::warning,
                 "offset.metadata.max.bytes is " + as_text(*most) +
                     ": after a crash more of what was settled out of order comes again",
                 "set it to " + as_text(needed));
    } else {
      broker.add(Level::ok, "offset.metadata.max.bytes " + as_text(*most));
    }
  }
  if (const auto minutes = broker.number("offsets.retention.minutes")) {
    const Duration time = std::chrono::minutes(*minutes);
    const bool latest = wishes.config.start_offset == StartOffset::latest;
    const std::string what = "offsets.retention.minutes is " + as_text(*minutes) +
                             ": a channel without consumers for " + format_duration(time) + " is forgotten";
    if (latest) {
      broker.add(Level::warning, what + ", and with start_offset latest what it had not handled is passed over",
                 "keep a consumer running, or use start_offset earliest");
    } else if (time < kUsualRetention) {
      broker.add(Level::warning, what, "set it to " + as_text(kUsualRetention / std::chrono::minutes(1)) + " or more");
    } else {
      broker.add(Level::ok, what);
    }
  }
}

void judge_sessions(const Wishes& wishes, const Part& broker) {
  const std::int64_t session = wishes.config.session_timeout.count();
  const auto least = broker.number("group.min.session.timeout.ms");
  const auto most = broker.number("group.max.session.timeout.ms");
  if (least && session < *least) {
    broker.add(Level::error,
               "group.min.session.timeout.ms is " + as_text(*least) + ", over the session_timeout of " +
                   as_text(session) + " ms: no consumer is let into its group",
               "raise session_timeout");
  } else if (most && session > *most) {
    broker.add(Level::error,
               "group.max.session.timeout.ms is " + as_text(*most) + ", under the session_timeout of " +
                   as_text(session) + " ms: no consumer is let into its group",
               "lower session_timeout");
  } else if (least && most) {
    broker.add(Level::ok, "session_timeout " + as_text(session) + " ms is allowed");
  }
}

/// How many copies must have a message, where there are so many; `whose` says of what.
void judge_in_sync(const Wishes& wishes, const KafkaVersion& version, int copies, const std::string& whose,
                   const Part& part) {
  const auto in_sync = part.number("min.insync.replicas");
  if (!in_sync || wishes.config.required_acks != -1) return;
  const std::string what = "min.insync.replicas is " + as_text(*in_sync);
  if (*in_sync > copies) {
    // Since 3.7 the number of copies bounds it.
    const bool refuses = std::pair(version.major, version.minor) < std::pair(3, 7);
    part.add(refuses ? Level::error : Level::warning,
             what + ", " + whose + " " + as_text(copies) + (copies == 1 ? " copy" : " copies") +
                 (refuses ? ": every publish is refused" : ": that many is enough then"),
             "raise the number of copies (replication_factor)");
  } else if (*in_sync == 1 && copies > 1) {
    part.add(Level::warning, what + ": a message may count as published when one broker alone has it", "set it to 2");
  }
}

void judge_new_topics(const Wishes& wishes, const BrokerSettings& settings, const Part& broker) {
  const KafkaConfig& config = wishes.config;
  if (broker.text("auto.create.topics.enable") == "true") {
    broker.add(Level::warning,
               "auto.create.topics.enable is true: a program that asks for a topic that was deleted, or misspells one, "
               "makes it, with the broker's defaults for partitions and copies",
               "set it to false; lrpc-queue makes its topics itself");
  } else if (!broker.text("auto.create.topics.enable").empty()) {
    broker.add(Level::ok, "auto.create.topics.enable false");
  }
  if (config.auto_create_topics) {
    judge_in_sync(wishes, version_of(settings), config.replication_factor, "new topics get", broker);
  }
}

void judge_sizes(const Wishes& wishes, const Part& broker) {
  const std::int64_t wanted = wishes.max_body_size + kRoomInRequest;
  const auto request = broker.number("socket.request.max.bytes");
  const auto message = broker.number("message.max.bytes");
  if (request && *request < wanted) {
    broker.add(Level::error,
               "socket.request.max.bytes is " + as_text(*request) +
                   ": the broker hangs up on bodies of max_body_size (" + as_text(wishes.max_body_size) + ")",
               "raise it, or lower max_body_size");
  } else if (message && *message < wishes.max_body_size && !wishes.config.auto_create_topics) {
    broker.add(Level::warning,
               "message.max.bytes is " + as_text(*message) +
                   ": topics without a max.message.bytes of their own refuse "
                   "larger bodies, below max_body_size (" +
                   as_text(wishes.max_body_size) + ")",
               "raise it, or lower max_body_size");
  } else if (request && message) {
    broker.add(Level::ok, "bodies of max_body_size (" + as_text(wishes.max_body_size) + ") fit into a request");
  }
}

}  // namespace

void Findings::add(Level level, std::string what, std::string advice) {
  entries_.push_back({.finding = {.level = level, .what = std::move(what), .advice = std::move(advice)}});
}

void Findings::add_of(std::string_view kind, const std::string& name, Level level, std::string what,
                      std::string advice) {
  const auto same = [&](const Entry& entry) {
    return entry.kind == kind && entry.finding.level == level && entry.finding.what == what &&
           entry.finding.advice == advice;
  };
  auto it = std::ranges::find_if(entries_, same);
  if (it == entries_.end()) {
    add(level, std::move(what), std::move(advice));
    it = std::prev(entries_.end());
    it->kind = kind;
  }
  it->names.push_back(name);
}

std::vector<Finding> Findings::take() && {
  std::vector<Finding> result;
  for (Entry& entry : entries_) {
    std::string where;
    const std::size_t named = std::min(entry.names.size(), kMostNamed);
    for (std::size_t i = 0; i < named; ++i) {
      if (i > 0) where += ", ";
      where += entry.names[i];
    }
    if (entry.names.size() > named) where += " and " + std::to_string(entry.names.size() - named) + " more";
    if (!where.empty()) {
      std::string& what = entry.finding.what;
      what.insert(0, ": ");
      what.insert(0, where);
      what.insert(0, entry.names.size() > 1 ? "s " : " ");
      what.insert(0, entry.kind);
    }
    result.push_back(std::move(entry.finding));
  }
  return result;
}

KafkaVersion version_of(const BrokerSettings& settings) {
  const std::string text = text_of(settings, "inter.broker.protocol.version");
  KafkaVersion version{.major = 4, .minor = 0, .or_newer = true};
  if (text.empty()) return version;
  version.or_newer = false;
  version.minor = 0;
  const char* const end = text.data() + text.size();
  const char* const dot = std::from_chars(text.data(), end, version.major).ptr;
  if (dot != end) std::from_chars(dot + 1, end, version.minor);
  return version;
}

std::string to_string(const KafkaVersion& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + (version.or_newer ? " or newer" : "");
}

void judge_wishes(const Wishes& wishes, std::size_t brokers, Findings& findings) {
  const KafkaConfig& config = wishes.config;
  findings.add(Level::ok, std::string("librdkafka ") + rd_kafka_version_str() +
                              (scram_works() ? "" : ", which cannot log in by SCRAM (2.6.1 and newer can)"));
  if (config.required_acks == 0) {
    findings.add(Level::warning, "required_acks is 0: a message counts as published before any broker has it",
                 "use -1");
  } else if (config.required_acks == 1) {
    findings.add(Level::warning, "required_acks is 1: a message that was published can be lost with its broker",
                 "use -1");
  } else {
    findings.add(Level::ok, "required_acks -1");
  }
  if (config.auto_create_topics) {
    const auto copies = static_cast<std::size_t>(config.replication_factor);
    if (copies > brokers) {
      findings.add(Level::error,
                   "replication_factor is " + std::to_string(copies) + ", and there are " + std::to_string(brokers) +
                       " brokers: topics and channels cannot be made",
                   "lower replication_factor, or add brokers");
    } else if (copies == 1) {
      findings.add(Level::warning,
                   "replication_factor is 1: new topics have one copy, which goes with its broker's disk",
                   "use 3, with min.insync.replicas 2");
    } else {
      findings.add(Level::ok, "replication_factor " + std::to_string(copies));
    }
  }
  if (config.heartbeat_interval * 2 > config.session_timeout) {
    findings.add(Level::warning,
                 "heartbeat_interval " + format_duration(config.heartbeat_interval) +
                     " leaves no room for a late one "
                     "within session_timeout " +
                     format_duration(config.session_timeout),
                 "a third of session_timeout is usual");
  }
  if (config.sasl.mechanism == "PLAIN" && !config.tls.enabled) {
    findings.add(Level::warning, "the password goes over the network as it is: sasl PLAIN without tls", "set tls");
  }
}

void judge_broker(const Wishes& wishes, const std::string& name, const BrokerSettings& settings, Findings& findings) {
  const Part broker("broker", name, settings, findings);
  judge_version(wishes, settings, broker);
  judge_commits(wishes, broker);
  judge_sessions(wishes, broker);
  judge_new_topics(wishes, settings, broker);
  judge_sizes(wishes, broker);
}

void judge_copies(const TopicCopies& topic, Findings& findings) {
  const BrokerSettings none;
  const Part part("topic", topic.name, none, findings);
  if (topic.without_leader > 0) {
    part.add(Level::error, "partitions without a leader, which take and give nothing: " + as_text(topic.without_leader),
             "are brokers down?");
  } else if (topic.fewest_replicas == 1) {
    part.add(Level::warning, "one copy, which goes with its broker's disk", "add replicas (kafka-reassign-partitions)");
  } else if (topic.fewest_in_sync < topic.fewest_replicas) {
    part.add(Level::warning,
             "in step are only " + as_text(topic.fewest_in_sync) + " of " + as_text(topic.fewest_replicas) + " copies",
             "are brokers down, or slow?");
  }
}

void judge_topic(const Wishes& wishes, const KafkaVersion& version, const TopicCopies& topic,
                 const BrokerSettings& settings, bool of_channel, Findings& findings) {
  const Part part("topic", topic.name, settings, findings);
  if (text_of(settings, "cleanup.policy").contains("compact")) {
    part.add(Level::error, "cleanup.policy is compact: messages of equal keys replace each other",
             "set cleanup.policy=delete");
  }
  const std::int64_t retention = part.number("retention.ms").value_or(-1);
  const std::int64_t bytes = part.number("retention.bytes").value_or(-1);
  if (of_channel && (retention >= 0 || bytes >= 0)) {
    part.add(Level::error, "retries and dead letters go by retention.ms or retention.bytes, settled or not",
             "set both to -1");
  } else if (retention >= 0 && (wishes.message_ttl.count() == 0 || Duration(retention) < wishes.message_ttl)) {
    part.add(Level::warning,
             "retention.ms takes messages after " + format_duration(Duration(retention)) +
                 ", read or not; message_ttl is " +
                 (wishes.message_ttl.count() == 0 ? "never" : format_duration(wishes.message_ttl)),
             "raise retention.ms, or lower message_ttl");
  }
  if (!of_channel && bytes >= 0) {
    part.add(Level::warning,
             "retention.bytes takes messages over " + as_text(bytes) + " bytes a partition, read or not",
             "set it to -1");
  }
  judge_in_sync(wishes, version, topic.fewest_replicas, "and there are", part);
  if (text_of(settings, "unclean.leader.election.enable") == "true") {
    part.add(Level::warning, "unclean.leader.election.enable is true: a copy that lacks messages may become the leader",
             "set it to false");
  }
  if (const auto most = part.number("max.message.bytes"); most && *most < wishes.max_body_size) {
    part.add(Level::warning,
             "max.message.bytes is " + as_text(*most) + ": larger bodies are refused, below max_body_size (" +
                 as_text(wishes.max_body_size) + ")",
             "raise it, or lower max_body_size");
  }
}

}  // namespace lrpc::queue::kafka
