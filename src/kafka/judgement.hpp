// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/diagnosis.hpp>

#include "kafka/admin.hpp"

/// \file
/// What of a cluster's settings endangers the promises (docs/kafka.md). No I/O: `diagnose` asks, this judges.

namespace lrpc::queue::kafka {

/// As a broker names its settings; one that it does not tell is missing.
using BrokerSettings = std::map<std::string, std::string>;

/// What a queue wants of its cluster.
struct Wishes {
  KafkaConfig config{};
  std::int64_t max_body_size = 1 << 20;
  Duration message_ttl = std::chrono::hours(24);  ///< 0 = never
};

/// Findings in the order of their first mention. One that holds for several brokers or topics is one finding, which
/// names them.
class Findings {
 public:
  using Level = Finding::Level;

  void add(Level level, std::string what, std::string advice = {});
  /// About one of several: `kind` is "broker" or "topic", `name` which.
  void add_of(std::string_view kind, const std::string& name, Level level, std::string what, std::string advice = {});
  [[nodiscard]] std::vector<Finding> take() &&;

 private:
  struct Entry {
    Finding finding{};
    std::string kind{};
    std::vector<std::string> names{};
  };
  std::vector<Entry> entries_;
};

/// A release of Kafka.
struct KafkaVersion {
  int major = 0;
  int minor = 0;
  bool or_newer = false;  ///< What it tells fits later ones, too.

  friend auto operator<=>(const KafkaVersion&, const KafkaVersion&) = default;
};
/// From a broker's settings: no request tells it. Until 3.9 one setting names it, 4.0 took that away.
[[nodiscard]] KafkaVersion version_of(const BrokerSettings& settings);
/// "3.9", "4.0 or newer".
[[nodiscard]] std::string to_string(const KafkaVersion& version);

/// The queue's own settings, among so many brokers.
void judge_wishes(const Wishes& wishes, std::size_t brokers, Findings& findings);
void judge_broker(const Wishes& wishes, const std::string& name, const BrokerSettings& settings, Findings& findings);
/// Where the copies of any topic are.
void judge_copies(const TopicCopies& topic, Findings& findings);
/// A topic's settings, on brokers of this release. `of_channel`: one for retries or dead letters.
void judge_topic(const Wishes& wishes, const KafkaVersion& version, const TopicCopies& topic,
                 const BrokerSettings& settings, bool of_channel, Findings& findings);

}  // namespace lrpc::queue::kafka
