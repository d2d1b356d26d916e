// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "fixture.hpp"
#include "world.hpp"

namespace lrpc::queue::soak {
namespace {

/// With an append-only file, as one has it where messages matter.
class OwnRedis final : public Server {
 public:
  [[nodiscard]] Config config() const override {
    return {.storage_type = StorageType::redis, .redis_config = {.addr = server_.address()}};
  }
  [[nodiscard]] std::optional<std::int64_t> memory() override {
    constexpr std::string_view kName = "used_memory:";
    const auto reply = redis::ask(*client_, {"INFO", "memory"});
    const std::string text = reply ? std::string(reply->text()) : std::string();
    const std::size_t at = text.find(kName);
    if (at == std::string::npos) return std::nullopt;
    return std::stoll(text.substr(at + kName.size())) / 1024;
  }
  [[nodiscard]] std::string_view memory_is() const override { return "used_memory of Redis"; }

 private:
  redis::RedisServer server_{{"--appendonly", "yes", "--appendfsync", "everysec"}};
  std::shared_ptr<redis::Client> client_ = redis::must(redis::Client::open(server_.config()));
};

}  // namespace

std::unique_ptr<Server> start_redis() { return std::make_unique<OwnRedis>(); }

}  // namespace lrpc::queue::soak
