// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/endpoint.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lrpc::queue::redis {
namespace {

Endpoint good(const Result<Endpoint>& result) {
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message);
  return result.value_or(Endpoint{});
}

std::string bad(const Result<Endpoint>& result) {
  EXPECT_FALSE(result.has_value());
  if (result) return {};
  EXPECT_EQ(result.error().code, ErrorCode::invalid_config);
  return result.error().message;
}

TEST(Endpoint, Addresses) {
  EXPECT_EQ(good(parse_address("localhost:6379")).where(), "localhost:6379");
  EXPECT_EQ(good(parse_address("redis.example")).where(), "redis.example:6379");
  EXPECT_EQ(good(parse_address("[::1]:7000")).where(), "[::1]:7000");
  EXPECT_EQ(good(parse_address("[::1]")).where(), "[::1]:6379");
  EXPECT_EQ(good(parse_address("/run/redis.sock")).unix_path, "/run/redis.sock");
  EXPECT_EQ(good(parse_address("./redis.sock")).unix_path, "./redis.sock");
}

TEST(Endpoint, BadAddressesNameTheField) {
  for (const char* address : {"", ":6379", "host:", "host:0", "host:65536", "host:12x", "::1", "[::1", "[::1]x"}) {
    EXPECT_NE(bad(parse_address(address)).find("redis_config.addr"), std::string::npos) << address;
  }
}

TEST(Endpoint, Urls) {
  const Endpoint all = good(parse_url("rediss://ada:s%40cret@redis.example:7000/3"));
  EXPECT_TRUE(all.tls.enabled);
  EXPECT_EQ(all.username, "ada");
  EXPECT_EQ(all.password, "s@cret");
  EXPECT_EQ(all.where(), "redis.example:7000");
  EXPECT_EQ(all.db, 3);
  const Endpoint plain = good(parse_url("redis://localhost"));
  EXPECT_FALSE(plain.tls.enabled);
  EXPECT_EQ(plain.where(), "localhost:6379");
  EXPECT_EQ(plain.db, 0);
  EXPECT_EQ(good(parse_url("redis://:secret@[::1]:7000/")).password, "secret");
  const Endpoint local = good(parse_url("unix://:secret@/run/my%20redis.sock?db=2"));
  EXPECT_EQ(local.unix_path, "/run/my redis.sock");
  EXPECT_EQ(local.password, "secret");
  EXPECT_EQ(local.db, 2);
}

TEST(Endpoint, BadUrlsNameTheFieldAndHideThePassword) {
  for (const char* url : {"", "localhost:6379", "http://localhost", "redis://", "redis://:hidden@",
                          "redis://:hidden@h:0", "redis://:hidden@h/x", "redis://:hid%zzden@h",
                          "redis://u:hidden@h?timeout=3", "unix://run/redis.sock", "redis://:hidden@h/-1"}) {
    const std::string message = bad(parse_url(url));
    EXPECT_NE(message.find("redis_config.url"), std::string::npos) << url;
    EXPECT_EQ(message.find("hidden"), std::string::npos) << message;
  }
}

TEST(Endpoint, UrlWinsOverTheFields) {
  const RedisConfig config{.addr = "a:1", .password = "p", .db = 7, .url = "redis://b:2/1", .username = "u"};
  const Endpoint endpoint = good(endpoint_of(config));
  EXPECT_EQ(endpoint.where(), "b:2");
  EXPECT_EQ(endpoint.username + endpoint.password, "");
  EXPECT_EQ(endpoint.db, 1);
  EXPECT_EQ(endpoint.tls.server_name, "b");
}

TEST(Endpoint, FieldsWithoutUrl) {
  const RedisConfig config{
      .addr = "a:1", .password = "p", .db = 7, .username = "u", .tls = {.enabled = true, .server_name = "name"}};
  const Endpoint endpoint = good(endpoint_of(config));
  EXPECT_EQ(endpoint.username + ":" + endpoint.password, "u:p");
  EXPECT_EQ(endpoint.db, 7);
  EXPECT_TRUE(endpoint.tls.enabled);
  EXPECT_EQ(endpoint.tls.server_name, "name");
  EXPECT_NE(bad(endpoint_of({.username = "u"})).find("redis_config.username"), std::string::npos);
}

}  // namespace
}  // namespace lrpc::queue::redis
