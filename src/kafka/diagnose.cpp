// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/diagnose.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

using Level = Finding::Level;
using std::chrono::steady_clock;

/// For one broker to answer, so that a dead one leaves time for the others.
constexpr std::chrono::seconds kForOneBroker{5};
/// Each topic is a question of its own.
constexpr std::size_t kMostTopics = 100;

/// One run over a cluster.
class Look {
 public:
  Look(Cluster& cluster, const Wishes& wishes, SteadyTime deadline)
      : cluster_(cluster), wishes_(wishes), deadline_(deadline) {}

  Result<Diagnosis> run() {
    auto layout = cluster_.admin->layout(deadline_);
    if (!layout) return std::unexpected(std::move(layout.error()));
    judge_wishes(wishes_, layout->brokers.size(), findings_);
    if (cluster_.config.brokers.size() > 1) entrances();
    std::string addresses;
    for (const BrokerNode& node : layout->brokers) {
      broker(node);
      addresses += (addresses.empty() ? "" : ", ") + node.address;
    }
    topics(layout->topics);
    Diagnosis diagnosis;
    diagnosis.server = "Kafka" + (version_ ? " " + to_string(*version_) : "") + " at " + addresses;
    diagnosis.findings = std::move(findings_).take();
    return diagnosis;
  }

 private:
  [[nodiscard]] SteadyTime soon() const { return std::min(deadline_, steady_clock::now() + kForOneBroker); }

  // The queue is connected by one of them; the others serve when that one is down.
  void entrances() {
    for (const std::string& address : cluster_.config.brokers) {
      KafkaConfig alone = cluster_.config;
      alone.brokers = {address};
      auto admin = Admin::make(alone, [](LogLevel, std::string_view) {});
      const auto reached = admin ? (*admin)->connect(soon()) : Result<void>(std::unexpected(admin.error()));
      if (reached) continue;
      findings_.add(Level::warning, "no way in by " + address + " of kafka_config.brokers: " + reached.error().message,
                    "is it down, or no longer in use?");
    }
  }

  void broker(const BrokerNode& node) {
    const std::string name = std::to_string(node.id) + " (" + node.address + ")";
    const auto settings = cluster_.admin->broker_config(node.id, soon());
    if (settings) {
      version_ = version_of(*settings);
      return judge_broker(wishes_, name, *settings, findings_);
    }
    const Error& error = settings.error();
    if (error.code == ErrorCode::permission) {
      findings_.add_of("broker", name, Level::warning, "this user may not read its settings",
                       "run doctor as a user who may (DESCRIBE_CONFIGS)");
      return;
    }
    findings_.add_of("broker", name, Level::error, "does not answer: " + error.message,
                     "is it down, or does it advertise an address (advertised.listeners) that this machine does not "
                     "reach?");
  }

  void topics(const std::vector<TopicCopies>& all) {
    std::size_t seen = 0;
    for (const TopicCopies& topic : all) {
      const bool of_channel = cluster_.names.is_of_channel(topic.name);
      const bool ours = of_channel || cluster_.names.topic_of(topic.name).has_value();
      // Kafka's own: where the groups' offsets are, and so what is settled.
      if (ours || topic.name == "__consumer_offsets") judge_copies(topic, findings_);
      if (!ours || ++seen > kMostTopics) continue;
      const auto settings = cluster_.admin->topic_config(topic.name, deadline_);
      if (settings) {
        judge_topic(wishes_, version_.value_or(version_of({})), topic, *settings, of_channel, findings_);
      } else if (!is_missing_topic(settings.error())) {  // else it was deleted meanwhile
        findings_.add(Level::warning,
                      "the settings of topic " + topic.name + " could not be read: " + settings.error().message);
      }
    }
    if (seen > kMostTopics) {
      findings_.add(Level::ok, "looked at the settings of " + std::to_string(kMostTopics) + " of " +
                                   std::to_string(seen) + " topics");
    }
  }

  Cluster& cluster_;
  const Wishes& wishes_;
  const SteadyTime deadline_;
  Findings findings_;
  std::optional<KafkaVersion> version_;
};

}  // namespace

Result<Diagnosis> diagnose(Cluster& cluster, const Wishes& wishes, SteadyTime deadline) {
  return Look(cluster, wishes, deadline).run();
}

}  // namespace lrpc::queue::kafka
