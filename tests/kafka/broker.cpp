// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "broker.hpp"

#include <signal.h>
#include <stdio.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace lrpc::queue::kafka::test {
namespace {

constexpr auto kGoodTime = std::chrono::seconds(60);
constexpr const char* kCluster = "lrpcqueue0000000000000";

struct ListenerKind {
  Listener listener;
  const char* name;  ///< the broker's, and librdkafka's security.protocol
};
constexpr std::array kListeners{
    ListenerKind{.listener = Listener::plaintext, .name = "PLAINTEXT"},
    ListenerKind{.listener = Listener::tls, .name = "SSL"},
    ListenerKind{.listener = Listener::sasl, .name = "SASL_PLAINTEXT"},
    ListenerKind{.listener = Listener::sasl_tls, .name = "SASL_SSL"},
};

/// The folder that scripts/kafka.sh keeps Kafka in; filled now if it was not.
const std::filesystem::path& kafka_folder() {
  static const std::filesystem::path folder = [] {
    FILE* output = ::popen(LRPC_QUEUE_KAFKA_SCRIPT " fetch", "r");
    std::array<char, 4096> line{};
    const bool ok = output != nullptr && ::fgets(line.data(), line.size(), output) != nullptr;
    if (output == nullptr || ::pclose(output) != 0 || !ok) throw std::runtime_error("no Kafka: kafka.sh fetch failed");
    std::string path = line.data();
    if (path.ends_with('\n')) path.pop_back();
    return std::filesystem::path(path);
  }();
  return folder;
}

/// `setpriv`: the broker is not to outlive a test program that died.
std::vector<std::string> java() {
  return {LRPC_QUEUE_SETPRIV, "--pdeathsig", "KILL", LRPC_QUEUE_JAVA, "@" + (kafka_folder() / "java.args").string()};
}

}  // namespace

Broker::Broker(BrokerOptions options) : Broker(std::move(options), Place{.controller_ports = {support::free_port()}}) {
  start();
}

Broker::Broker(BrokerOptions options, Place place)
    : options_(std::move(options)), place_(std::move(place)), certificates_(place_.certificates) {
  if (options_.tls && !certificates_) certificates_ = std::make_shared<support::Certificates>();
  for (int& port : ports_) port = support::free_port();
  write_properties();
  format();
}

bool Broker::has(Listener listener) const {
  const bool sasl = !options_.users.empty();
  switch (listener) {
    case Listener::plaintext:
      return true;
    case Listener::tls:
      return options_.tls;
    case Listener::sasl:
      return sasl;
    case Listener::sasl_tls:
      return options_.tls && sasl;
  }
  std::unreachable();
}

int Broker::port(Listener listener) const { return ports_.at(static_cast<std::size_t>(listener)); }

std::string Broker::address(Listener listener) const { return "127.0.0.1:" + std::to_string(port(listener)); }

std::vector<std::string> Broker::requests(const std::string& kind) const {
  constexpr std::string_view kBegin = "Completed request:";
  std::vector<std::string> result;
  std::istringstream lines(log());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(kBegin);
    if (at == std::string::npos || !line.ends_with('}') || !line.contains("\"requestApiKeyName\":\"" + kind + '"')) {
      continue;  // not one, another one, or not wholly written yet
    }
    result.push_back(line.substr(at + kBegin.size()));
  }
  return result;
}

Settings Broker::settings(Listener listener) const {
  Settings result{{"bootstrap.servers", address(listener)},
                  {"security.protocol", kListeners.at(static_cast<std::size_t>(listener)).name}};
  if (listener == Listener::tls || listener == Listener::sasl_tls) result["ssl.ca.location"] = certificate("ca.crt");
  if (listener == Listener::sasl || listener == Listener::sasl_tls) {
    const User& user = options_.users.at(0);
    result.insert({{"sasl.mechanism", "PLAIN"}, {"sasl.username", user.name}, {"sasl.password", user.password}});
  }
  return result;
}

void Broker::write_properties() const {
  std::ofstream out(folder_.path() / "broker.properties");
  out << support::contents(kafka_folder() / "broker.properties");
  const std::size_t nodes = place_.controller_ports.size();
  const std::size_t replicas = std::min<std::size_t>(nodes, 3);
  const std::size_t in_step = replicas == 3 ? 2 : 1;
  out << "node.id=" << place_.id << "\nlog.dirs=" << (folder_.path() / "data").string()
      << "\ncontroller.quorum.voters=";
  for (std::size_t i = 0; i < nodes; ++i) {
    out << (i > 0 ? "," : "") << i + 1 << "@127.0.0.1:" << place_.controller_ports[i];
  }
  std::string listeners;
  for (const ListenerKind& kind : kListeners) {
    if (has(kind.listener)) listeners += std::string(kind.name) + "://" + address(kind.listener) + ",";
  }
  listeners.pop_back();
  std::string advertised = listeners;
  if (options_.advertise) {
    if (listeners.contains(',')) throw std::runtime_error("a broker with several listeners has no proxy");
    advertised = "PLAINTEXT://127.0.0.1:" + std::to_string(options_.advertise(port()));
  }
  out << "\nadvertised.listeners=" << advertised << "\nlisteners=" << listeners
      << ",CONTROLLER://127.0.0.1:" << place_.controller_ports.at(static_cast<std::size_t>(place_.id) - 1);
  for (const char* each : {"default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"}) {
    out << "\n" << each << ".replication.factor=" << replicas;
  }
  for (const char* each :
       {"min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"}) {
    out << "\n" << each << "=" << in_step;
  }
  // It is taken back after a SIGKILL only when its session is over; alone, it depends on nobody's clock but its own.
  if (nodes == 1) out << "\nbroker.heartbeat.interval.ms=250\nbroker.session.timeout.ms=2000";
  out << "\n";
  write_secure_properties(out);
  for (const auto& [name, value] : options_.properties) out << name << "=" << value << "\n";
  if (!out.flush()) throw std::runtime_error("cannot write the broker's properties");
}

void Broker::write_secure_properties(std::ostream& out) const {
  if (options_.tls) {
    const auto store = folder_.path() / "server.pem";
    std::ofstream(store) << support::contents(certificate("server.key"))
                         << support::contents(certificate("server.crt"));
    out << "ssl.keystore.type=PEM\nssl.keystore.location=" << store.string()
        << "\nssl.truststore.type=PEM\nssl.truststore.location=" << certificate("ca.crt")
        << "\nssl.client.auth=requested\n";
  }
  if (options_.users.empty()) return;
  out << "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n";
  for (const char* listener : {"sasl_plaintext", "sasl_ssl"}) {
    const std::string prefix = std::string("listener.name.") + listener;
    const std::string modules = ".sasl.jaas.config=org.apache.kafka.common.security.";
    out << prefix << ".plain" << modules << "plain.PlainLoginModule required";
    for (const User& user : options_.users) out << " user_" << user.name << "=\"" << user.password << '"';
    out << ";\n";
    for (const char* mechanism : {".scram-sha-256", ".scram-sha-512"}) {
      out << prefix << mechanism << modules << "scram.ScramLoginModule required;\n";
    }
  }
}

/// What `StorageTool format` does, which takes a second: the metadata are always the same but for SCRAM users.
void Broker::format() const {
  const auto data = folder_.path() / "data";
  if (options_.scram) {
    std::vector<std::string> words = java();
    words.insert(words.end(), {"kafka.tools.StorageTool", "format", "--cluster-id", kCluster, "--config",
                               (folder_.path() / "broker.properties").string()});
    for (const User& user : options_.users) {
      for (const char* mechanism : {"SCRAM-SHA-256", "SCRAM-SHA-512"}) {
        words.insert(words.end(), {"--add-scram", std::string(mechanism) + "=[name=" + user.name +
                                                      ",password=" + user.password + "]"});
      }
    }
    support::run(words, log_file());
    return;
  }
  const auto metadata = data / "__cluster_metadata-0";
  std::filesystem::create_directories(metadata);
  std::filesystem::copy(kafka_folder() / "bootstrap.checkpoint",
                        metadata / "00000000000000000000-0000000000.checkpoint");
  // The last character of an id has two bits only: A, Q, g, w.
  std::ofstream(data / "meta.properties") << "version=1\ncluster.id=" << kCluster << "\nnode.id=" << place_.id
                                          << "\ndirectory.id=lrpcqueue00000000000" << place_.id << "A\n";
}

void Broker::launch() {
  std::vector<std::string> words = java();
  if (options_.log_requests) {
    const auto more = folder_.path() / "requests.properties";
    std::ofstream(more) << "logger.requests.name = kafka.request.logger\nlogger.requests.level = debug\n";
    words.push_back("-Dlog4j2.configurationFile=" + (kafka_folder() / "log4j2.properties").string() + "," +
                    more.string());
  }
  words.insert(words.end(), {"kafka.Kafka", (folder_.path() / "broker.properties").string()});
  process_.launch(words, log_file());
}

void Broker::await_ready(std::size_t brokers) {
  const RawAdmin admin(settings());
  process_.await(
      [&] {
        try {
          const auto ids = admin.brokers(std::chrono::milliseconds(300));
          return ids.size() >= brokers && std::ranges::find(ids, place_.id) != ids.end();
        } catch (const RawError&) {
          return false;  // not yet
        }
      },
      kGoodTime);
}

void Broker::start() {
  launch();
  await_ready(1);
}

void Broker::set_users(std::vector<User> users) {
  options_.users = std::move(users);
  write_properties();
}

void Broker::kill() {
  process_.signal(SIGKILL);
  process_.await_end();
}

void Broker::stop() {
  process_.signal(SIGTERM);
  if (process_.await_end(kGoodTime)) return;
  kill();
  throw std::runtime_error("the broker did not end: " + log());
}

void Broker::pause() { process_.pause(); }

void Broker::resume() const { process_.signal(SIGCONT); }

Broker& shared_broker() {
  static Broker broker;
  return broker;
}

}  // namespace lrpc::queue::kafka::test
