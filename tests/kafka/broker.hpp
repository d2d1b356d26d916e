// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raw.hpp"
#include "support/certificates.hpp"
#include "support/process.hpp"

namespace lrpc::queue::kafka::test {

/// The ways in. Without encryption and login there is always one.
enum class Listener { plaintext, tls, sasl, sasl_tls };

struct User {
  std::string name{};
  std::string password{};
};

struct BrokerOptions {
  /// Over those of scripts/kafka/broker.properties and the harness' own.
  Settings properties{};
  /// With Listener::tls; a client's certificate is checked where there is one ("ssl.client.auth" = "required" demands
  /// it).
  bool tls = false;
  /// With Listener::sasl; and with Listener::sasl_tls if both.
  std::vector<User> users{};
  /// The port at which it tells clients (and itself) to find it, given its own: that of a proxy.
  std::function<int(int port)> advertise{};
  /// They may also log in by SCRAM-SHA-256 and SCRAM-SHA-512, not by PLAIN alone. Costs a second at the first start.
  bool scram = false;
  /// Every answered request goes to its log: `requests`.
  bool log_requests = false;
};

/// A real Kafka broker of the test's own, on free ports, with its data in a folder that goes with it. Its process ends
/// with its owner, and with the thread that started it. Everything throws std::runtime_error when it does not come
/// about in good time.
class Broker {
 public:
  /// Starts it.
  explicit Broker(BrokerOptions options = {});
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  [[nodiscard]] int port(Listener listener = Listener::plaintext) const;
  [[nodiscard]] std::string address(Listener listener = Listener::plaintext) const;
  /// What librdkafka needs for it: address, authority, and the first user's login by PLAIN.
  [[nodiscard]] Settings settings(Listener listener = Listener::plaintext) const;
  /// "ca.crt"; and "server.crt" with "server.key", which will also do for a client.
  [[nodiscard]] std::string certificate(const std::string& name) const { return certificates_->file(name); }
  /// What it has logged.
  [[nodiscard]] std::string log() const { return support::contents(log_file()); }
  /// The requests of a kind ("JOIN_GROUP") that it has answered, as JSON, the oldest first (`log_requests`).
  [[nodiscard]] std::vector<std::string> requests(const std::string& kind) const;
  /// The folder of what it stores.
  [[nodiscard]] std::filesystem::path data() const { return folder_.path() / "data"; }
  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }
  [[nodiscard]] int id() const noexcept { return place_.id; }

  /// Starts it again after it was ended, on the same ports and data, and waits until it serves.
  void start();
  /// Other logins, from the next start on.
  void set_users(std::vector<User> users);
  /// SIGKILL, and waits until it is gone.
  void kill();
  /// Has it end in good order.
  void stop();
  /// Waits until it has ended by itself, but no longer than this; false when the time is over.
  [[nodiscard]] bool await_end(std::chrono::milliseconds time) { return process_.await_end(time); }
  /// SIGSTOP, and waits until it stands still: it keeps its connections and says nothing.
  void pause();
  void resume() const;

 private:
  friend class BrokerGroup;

  /// Its part in a group: the controllers' ports are those of nodes 1, 2, ...
  struct Place {
    int id = 1;
    std::vector<int> controller_ports{};
    std::shared_ptr<const support::Certificates> certificates{};
  };
  Broker(BrokerOptions options, Place place);
  void launch();
  /// Until it knows that so many brokers serve, itself among them.
  void await_ready(std::size_t brokers);
  void write_properties() const;
  void write_secure_properties(std::ostream& out) const;
  void format() const;
  [[nodiscard]] bool has(Listener listener) const;
  [[nodiscard]] std::filesystem::path log_file() const { return folder_.path() / "broker.log"; }

  BrokerOptions options_;
  Place place_;
  std::shared_ptr<const support::Certificates> certificates_;
  support::TemporaryFolder folder_;
  std::array<int, 4> ports_{};
  support::Process process_;
};

/// One for the whole test program, started when first asked for. Tests do not meet on it if they name their topics and
/// groups by unique_name.
[[nodiscard]] Broker& shared_broker();

/// Brokers that are one cluster, each also a controller. Errors as of Broker.
class BrokerGroup {
 public:
  /// Topics have three replicas, of which two must be in step.
  explicit BrokerGroup(const BrokerOptions& options = {}, std::size_t size = 3);

  [[nodiscard]] std::size_t size() const noexcept { return brokers_.size(); }
  [[nodiscard]] Broker& broker(std::size_t i) { return *brokers_[i]; }
  /// All of them, as of Broker.
  [[nodiscard]] std::string addresses(Listener listener = Listener::plaintext) const;
  [[nodiscard]] Settings settings(Listener listener = Listener::plaintext) const;

  /// The place of the broker that leads a partition, as the others see it; none at present: nullopt.
  [[nodiscard]] std::optional<std::size_t> leader(const std::string& topic, std::int32_t partition) const;
  std::size_t await_leader(const std::string& topic, std::int32_t partition) const;
  std::size_t await_leader_other_than(const std::string& topic, std::int32_t partition, std::size_t old) const;
  /// Until all replicas of all partitions are in step.
  void await_in_sync(const std::string& topic) const;

 private:
  std::vector<std::unique_ptr<Broker>> brokers_;
};

}  // namespace lrpc::queue::kafka::test
