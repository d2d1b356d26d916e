// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <lrpc/queue/conformance.hpp>

#include "server.hpp"
#include "server_clock.hpp"
#include "server_group.hpp"

namespace lrpc::queue::redis {
namespace {

/// Servers of one kind, whose clock is the one that the tests move.
struct Servers {
  ServerClock clock{};
  std::optional<Certificates> certificates{};
  std::unique_ptr<RedisServer> one{};
  std::unique_ptr<RedisCluster> cluster{};
  std::unique_ptr<SentinelTrio> sentinels{};
  RedisConfig config{};

  bool start(const std::string& kind) {
    if (kind == "standalone") {
      one = std::make_unique<RedisServer>(ServerClock::options(), clock.launcher());
      config = one->config();
    } else if (kind == "tls") {
      start_tls();
    } else if (kind == "cluster") {
      const auto running = clock.run();
      // The clock jumps by days: nobody is to be taken for dead.
      cluster = std::make_unique<RedisCluster>(3, std::vector<std::string>{"--cluster-node-timeout", "100000000000"},
                                               clock.launcher());
      config = cluster->config();
    } else if (kind == "sentinel") {
      const auto running = clock.run();
      sentinels = std::make_unique<SentinelTrio>(1, "", clock.launcher());
      config = sentinels->config();
    } else {
      return false;
    }
    return true;
  }

  // Encrypted, with client certificates, as a user who may do no more than docs/redis.md asks for.
  void start_tls() {
    const Certificates& pem = certificates.emplace();
    one = std::make_unique<RedisServer>(
        std::vector<std::string>{"--tls-cert-file", pem.file("server.crt"), "--tls-key-file", pem.file("server.key"),
                                 "--tls-ca-cert-file", pem.file("ca.crt"), "--tls-auth-clients", "yes", "--user",
                                 "worker", "on", ">secret", "~test*", "&test*", "+@all", "-@dangerous",
                                 "+client|unblock"},
        clock.launcher());
    config = one->config();
    config.username = "worker";
    config.password = "secret";
    config.tls = {.enabled = true,
                  .ca_file = pem.file("ca.crt"),
                  .cert_file = pem.file("server.crt"),
                  .key_file = pem.file("server.key")};
  }
};

int run(const std::string& kind) {
  using conformance::Capability;
  Servers servers;
  if (!servers.start(kind)) {
    std::fprintf(stderr, "unknown kind %s: standalone, tls, cluster or sentinel\n", kind.c_str());
    return 2;
  }
  int queues = 0;
  conformance::Subject subject;
  subject.open = [&](Config config) {
    if (config.clock) servers.clock.follow(config.clock);
    config.storage_type = StorageType::redis;
    config.redis_config = servers.config;
    config.redis_config.key_prefix = "test" + std::to_string(++queues) + ":";
    return Queue::open(std::move(config));
  };
  subject.claims.erase(Capability::typed_bodies);
  conformance::register_suite("redis_" + kind, subject);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace lrpc::queue::redis

/// Runs the suite over real redis-servers: `conformance_redis_test [standalone|tls|cluster|sentinel]`.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return lrpc::queue::redis::run(argc > 1 ? argv[1] : "standalone");
}
