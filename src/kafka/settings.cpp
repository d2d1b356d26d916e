// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/settings.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

/// SCRAM before this sends a nonce that the broker refuses.
constexpr int kScramWorks = 0x020601ff;

/// A property that is not for `extra`, and why.
struct Reserved {
  std::string_view name;
  std::string_view instead;  ///< A field of KafkaConfig; empty = a promise hangs on it.
};

constexpr auto kReserved = std::to_array<Reserved>({
    {"bootstrap.servers", "brokers"},
    {"metadata.broker.list", "brokers"},
    {"group.id", "consumer_group_id"},
    {"group.instance.id", "instance_id"},
    {"isolation.level", "isolation_level"},
    {"session.timeout.ms", "session_timeout"},
    {"heartbeat.interval.ms", "heartbeat_interval"},
    {"max.poll.interval.ms", "rebalance_timeout"},
    {"auto.commit.interval.ms", "commit_interval"},
    {"auto.offset.reset", "start_offset"},
    {"request.required.acks", "required_acks"},
    {"acks", "required_acks"},
    {"compression.codec", "compression_type"},
    {"compression.type", "compression_type"},
    {"message.timeout.ms", "write_timeout"},
    {"delivery.timeout.ms", "write_timeout"},
    {"request.timeout.ms", "write_timeout"},
    {"fetch.wait.max.ms", "read_batch_timeout"},
    {"socket.timeout.ms", "write_timeout or read_batch_timeout"},
    {"socket.connection.setup.timeout.ms", "dial_timeout"},
    {"partitioner", "balancer"},
    {"allow.auto.create.topics", "auto_create_topics"},
    {"ssl.ca.location", "tls.ca_file"},
    {"ssl.certificate.location", "tls.cert_file"},
    {"ssl.key.location", "tls.key_file"},
    {"enable.ssl.certificate.verification", "tls.verify"},
    {"ssl.endpoint.identification.algorithm", "tls.verify"},
    {"message.max.bytes", "max_body_size of the topic"},
    {"enable.auto.commit", ""},
    {"auto.commit.enable", ""},
    {"enable.auto.offset.store", ""},
    {"enable.partition.eof", ""},
    {"partition.assignment.strategy", ""},
    {"group.protocol", ""},
    {"group.remote.assignor", ""},
    {"group.protocol.type", ""},
    {"offset.store.method", ""},
    {"enable.idempotence", ""},
    {"enable.gapless.guarantee", ""},
    {"transactional.id", ""},
    {"retries", ""},
    {"message.send.max.retries", ""},
    {"max.in.flight", ""},
    {"max.in.flight.requests.per.connection", ""},
    {"queuing.strategy", ""},
    {"queue.buffering.backpressure.threshold", ""},
    {"delivery.report.only.error", ""},
    {"produce.offset.report", ""},
    {"log.queue", ""},
});

/// Those of the login, which belong to fields only where these are used: other mechanisms need them.
constexpr auto kLogin = std::to_array<Reserved>({
    {"security.protocol", "tls and sasl"},
    {"sasl.mechanism", "sasl.mechanism"},
    {"sasl.mechanisms", "sasl.mechanism"},
    {"sasl.username", "sasl.username"},
    {"sasl.password", "sasl.password"},
});

std::unexpected<Error> refuse(std::string_view field, std::string_view why,
                              ErrorCode code = ErrorCode::invalid_config) {
  Error error{.code = code, .message = "kafka_config.", .source = "kafka"};
  error.message += field;
  error.message += ": ";
  error.message += why;
  return std::unexpected(std::move(error));
}

/// A conf that is filled until something is wrong, which is then the result.
class ConfBuilder {
 public:
  ConfBuilder() : conf_(rd_kafka_conf_new()) {}

  void set(const char* name, const std::string& value, std::string_view field) {
    if (failure_) return;
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(conf_.get(), name, value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      failure_ = refuse(field, std::string("librdkafka refuses ") + name + ": " + why.data()).error();
    }
  }
  /// One that older versions of librdkafka do not have.
  void set_where_known(const char* name, const std::string& value) {
    const auto result = rd_kafka_conf_set(conf_.get(), name, value.c_str(), nullptr, 0);
    if (result != RD_KAFKA_CONF_UNKNOWN) set(name, value, name);
  }
  void set(const char* name, bool value) { set(name, value ? "true" : "false", name); }
  void set(const char* name, std::int64_t value, std::string_view field) { set(name, std::to_string(value), field); }
  /// A duration as milliseconds, within what librdkafka takes.
  void set_ms(const char* name, Duration value, std::int64_t least, std::int64_t most, std::string_view field) {
    set(name, std::clamp<std::int64_t>(value.count(), least, most), field);
  }
  void fail(Error error) {
    if (!failure_) failure_ = std::move(error);
  }

  /// `extra`, whose values may be secrets and stay out of messages.
  void add_extra(const KafkaConfig& config) {
    for (const auto& [name, value] : config.extra) {
      if (failure_) return;
      const std::string field = "extra." + name;
      if (const Reserved* const reserved = find_reserved(config, name)) {
        fail(refuse(field, reserved->instead.empty()
                               ? std::string("is not yours to set: the queue's promises depend on it")
                               : "use kafka_config." + std::string(reserved->instead))
                 .error());
        return;
      }
      std::array<char, 512> why{};
      switch (rd_kafka_conf_set(conf_.get(), name.c_str(), value.c_str(), why.data(), why.size())) {
        case RD_KAFKA_CONF_OK:
          break;
        case RD_KAFKA_CONF_UNKNOWN:
          fail(refuse(field, std::string("is no property of librdkafka ") + rd_kafka_version_str()).error());
          break;
        case RD_KAFKA_CONF_INVALID:
          fail(refuse(field, "librdkafka does not take this value").error());
          break;
      }
    }
  }

  Result<ConfPtr> finish() && {
    if (failure_) return std::unexpected(std::move(*failure_));
    return std::move(conf_);
  }
  [[nodiscard]] rd_kafka_conf_t* get() const noexcept { return conf_.get(); }

 private:
  static const Reserved* find_reserved(const KafkaConfig& config, std::string_view name) {
    const auto in = [name](const auto& table) -> const Reserved* {
      const auto it = std::ranges::find(table, name, &Reserved::name);
      return it != table.end() ? &*it : nullptr;
    };
    if (const Reserved* const found = in(kReserved)) return found;
    return config.tls.enabled || !config.sasl.mechanism.empty() ? in(kLogin) : nullptr;
  }

  ConfPtr conf_;
  std::optional<Error> failure_;
};

void add_security(ConfBuilder& conf, const KafkaConfig& config, ClientEvents& events) {
  const bool sasl = !config.sasl.mechanism.empty();
  if (config.tls.enabled || sasl) {
    conf.set("security.protocol", sasl ? (config.tls.enabled ? "sasl_ssl" : "sasl_plaintext") : "ssl", "tls");
  }
  if (config.tls.enabled) {
    if (!config.tls.ca_file.empty()) conf.set("ssl.ca.location", config.tls.ca_file, "tls.ca_file");
    if (!config.tls.cert_file.empty()) conf.set("ssl.certificate.location", config.tls.cert_file, "tls.cert_file");
    if (!config.tls.key_file.empty()) conf.set("ssl.key.location", config.tls.key_file, "tls.key_file");
    conf.set("enable.ssl.certificate.verification", config.tls.verify);
    const bool other_name = config.tls.verify && !config.tls.server_name.empty();
    conf.set("ssl.endpoint.identification.algorithm", config.tls.verify && !other_name ? "https" : "none",
             "tls.verify");
    if (other_name) events.expect_name(conf.get(), config.tls.server_name);
  }
  if (sasl) {
    if (config.sasl.mechanism.starts_with("SCRAM") && !scram_works()) {
      conf.fail(refuse("sasl.mechanism",
                       config.sasl.mechanism + " needs librdkafka 2.6.1 or newer; this is " + rd_kafka_version_str() +
                           ", which no broker lets in by SCRAM. Use PLAIN over TLS, or a newer librdkafka",
                       ErrorCode::unsupported)
                    .error());
    }
    conf.set("sasl.mechanisms", config.sasl.mechanism, "sasl.mechanism");
    conf.set("sasl.username", config.sasl.username, "sasl.username");
    conf.set("sasl.password", config.sasl.password, "sasl.password");
  }
}

/// What every client needs.
void add_common(ConfBuilder& conf, const KafkaConfig& config, ClientEvents& events) {
  events.listen(conf.get());
  std::string brokers;
  for (const std::string& each : config.brokers) {
    if (!brokers.empty()) brokers += ',';
    brokers += each;
  }
  conf.set("bootstrap.servers", brokers, "brokers");
  conf.set("client.id", "lrpc-queue", "client.id");
  conf.set_ms("socket.connection.setup.timeout.ms", config.dial_timeout, 1'000, 2'147'483'647, "dial_timeout");
  conf.set("socket.keepalive.enable", true);
  conf.set("socket.nagle.disable", true);  // a small request must not wait for the answer to the one before
  // After a failure of all brokers nobody waits ten seconds for one that is back (D22); librdkafka adds jitter.
  conf.set("reconnect.backoff.max.ms", 2'000, "reconnect.backoff.max.ms");
  conf.set("allow.auto.create.topics", false);  // we create them, with the right number of partitions
  conf.set("topic.metadata.refresh.interval.ms", 60'000, "topic.metadata.refresh.interval.ms");
  add_security(conf, config, events);
}

}  // namespace

bool scram_works() noexcept { return rd_kafka_version() >= kScramWorks; }

Result<ConfPtr> producer_conf(const KafkaConfig& config, ClientEvents& events) {
  ConfBuilder conf;
  add_common(conf, config, events);
  const bool idempotent = config.required_acks == -1;
  conf.set("enable.idempotence", idempotent);
  conf.set("request.required.acks", config.required_acks, "required_acks");
  // Without idempotence a repeated request may store its messages twice. What certainly was not stored we repeat.
  if (!idempotent) conf.set("message.send.max.retries", 0, "required_acks");
  conf.set("compression.codec", std::string(to_string(config.compression_type)), "compression_type");
  conf.set_ms("message.timeout.ms", message_timeout(config), 1, 2'147'483'647, "write_timeout");
  conf.set_ms("request.timeout.ms", config.write_timeout, 1, 900'000, "write_timeout");
  conf.set_ms("socket.timeout.ms", config.write_timeout, 1'000, 300'000, "write_timeout");
  // A lone message goes at once; those that come while requests are under way gather for the next.
  conf.set("linger.ms", 0, "linger.ms");
  conf.set("message.max.bytes", 1'000'000'000,
           "message.max.bytes");  // the engine knows max_body_size, the broker its own
  conf.set("queue.buffering.max.messages", 1'000'000, "queue.buffering.max.messages");
  // A topic that is gone is told from one that is not known everywhere yet by this time.
  conf.set_ms("topic.metadata.propagation.max.ms", std::min(config.write_timeout / 4, Duration(2'000)), 1, 3'600'000,
              "write_timeout");
  conf.add_extra(config);
  return std::move(conf).finish();
}

Result<ConfPtr> consumer_conf(const KafkaConfig& config, const std::string& group, ClientEvents& events) {
  ConfBuilder conf;
  add_common(conf, config, events);
  if (!group.empty()) conf.set("group.id", group, "consumer_group_id");
  if (!config.instance_id.empty()) conf.set("group.instance.id", config.instance_id, "instance_id");
  conf.set("partition.assignment.strategy", "range", "partition.assignment.strategy");
  conf.set("enable.auto.commit", false);
  conf.set("enable.auto.offset.store", false);
  conf.set("auto.offset.reset", "error", "start_offset");
  conf.set("isolation.level", std::string(to_string(config.isolation_level)), "isolation_level");
  conf.set_ms("session.timeout.ms", config.session_timeout, 1, 3'600'000, "session_timeout");
  conf.set_ms("heartbeat.interval.ms", config.heartbeat_interval, 1, 3'600'000, "heartbeat_interval");
  // The broker waits this long for members in a rebalance; librdkafka wants no less than the session's.
  conf.set_ms("max.poll.interval.ms", std::max(config.rebalance_timeout, config.session_timeout), 1, 86'400'000,
              "rebalance_timeout");
  conf.set("receive.message.max.bytes", 2'147'483'647,
           "receive.message.max.bytes");  // max_body_size has no upper limit
  // A broker that keeps us waiting longer than that for a batch is taken for dead. An idle fetch is asked for anew
  // five times a second: a partition that is added, or has room again, waits for the end of the one under way. Until
  // then what the client has read ahead has to last: twice as many messages as librdkafka would.
  const Duration wait = std::min(config.read_batch_timeout, Duration(200));
  conf.set_ms("fetch.wait.max.ms", wait, 0, 300'000, "read_batch_timeout");
  conf.set_ms("socket.timeout.ms", std::max(config.read_batch_timeout, wait + Duration(1'000)), 1'000, 300'000,
              "read_batch_timeout");
  conf.set("queued.min.messages", 200'000, "queued.min.messages");
  // From 2.2 on a client that has read ahead as much as it may looks again after this, which by default is a second.
  conf.set_where_known("fetch.queue.backoff.ms", "20");
  conf.add_extra(config);
  return std::move(conf).finish();
}

Result<ConfPtr> admin_conf(const KafkaConfig& config, ClientEvents& events) {
  ConfBuilder conf;
  add_common(conf, config, events);
  conf.set("isolation.level", std::string(to_string(config.isolation_level)), "isolation_level");
  // A line that died unnoticed is given up in time for another try within dial_timeout (D22); by default after a
  // minute.
  conf.set_ms("socket.timeout.ms", config.dial_timeout / 2, 1'000, 300'000, "dial_timeout");
  conf.add_extra(config);
  return std::move(conf).finish();
}

Duration message_timeout(const KafkaConfig& config) {
  // librdkafka looks once a second for messages whose time is over, and the caller wants to hear before his own is.
  const Duration margin = std::min(config.write_timeout / 4, Duration(1'500));
  return std::max(config.write_timeout - margin, Duration(1));
}

Result<ClientPtr> make_client(rd_kafka_type_t type, ConfPtr conf) {
  std::array<char, 512> why{};
  ClientPtr client(rd_kafka_new(type, conf.get(), why.data(), why.size()));
  if (client == nullptr) {
    return fail(ErrorCode::invalid_config, std::string("kafka_config: librdkafka refuses it: ") + why.data());
  }
  static_cast<void>(conf.release());  // the client's now
  return client;
}

}  // namespace lrpc::queue::kafka
