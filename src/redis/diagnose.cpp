// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/diagnose.hpp"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

namespace lrpc::queue::redis {
namespace {

using Level = Finding::Level;
using Facts = std::map<std::string, std::string, std::less<>>;

/// "name:value" lines, as INFO gives them.
Facts facts_of(std::string_view info) {
  Facts facts;
  while (!info.empty()) {
    const std::size_t end = info.find("\r\n");
    const std::string_view line = info.substr(0, end);
    info.remove_prefix(end == std::string_view::npos ? info.size() : end + 2);
    if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
      facts.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  return facts;
}

std::int64_t number(const Facts& facts, std::string_view name) {
  const auto it = facts.find(name);
  std::int64_t value = 0;
  if (it != facts.end()) std::from_chars(it->second.data(), it->second.data() + it->second.size(), value);
  return value;
}

std::string text(const Facts& facts, std::string_view name) {
  const auto it = facts.find(name);
  return it != facts.end() ? it->second : std::string();
}

/// What one server says, as findings.
class Examination {
 public:
  Examination(Route& route, SteadyTime deadline, Diagnosis& into)
      : route_(route), deadline_(deadline), into_(into), where_(route.where()) {}

  Result<void> run() {
    Pipeline info;
    info.add({"INFO"});
    auto reply = route_.command("INFO", info, deadline_, Repeat::safe);
    if (!reply && reply.error().code != ErrorCode::permission) return std::unexpected(std::move(reply.error()));
    if (reply) {
      const Facts facts = facts_of(reply->text());
      if (!into_.server.empty()) into_.server += ", ";
      into_.server += "Redis " + text(facts, "redis_version") + " at " + where_;
      version(text(facts, "redis_version"));
      persistence(facts);
      memory(facts);
      role(facts);
    } else {
      if (!into_.server.empty()) into_.server += ", ";
      into_.server += "Redis at " + where_;
      add(Level::warning, "this user may not read INFO", "run doctor as a user who may, to see the settings");
    }
    return clocks();
  }

 private:
  void add(Level level, std::string what, std::string advice = {}) {
    into_.findings.push_back({.level = level, .what = where_ + ": " + std::move(what), .advice = std::move(advice)});
  }

  void version(const std::string& text) {
    int major = 0;
    int minor = 0;
    const char* const end = text.data() + text.size();
    const char* const dot = std::from_chars(text.data(), end, major).ptr;
    if (dot != end) std::from_chars(dot + 1, end, minor);
    if (std::pair(major, minor) < std::pair(6, 2)) {
      add(Level::error, "version " + text + " is too old", "Redis 6.2 or newer is needed");
    } else {
      add(Level::ok, "version " + text);
    }
  }

  void persistence(const Facts& facts) {
    if (number(facts, "aof_enabled") == 0) {
      add(Level::warning, "appendonly is no: a crash of the server loses what came since the last snapshot",
          "set appendonly yes");
    } else {
      Pipeline command;
      command.add({"CONFIG", "GET", "appendfsync"});
      const auto reply = route_.command("CONFIG", command, deadline_, Repeat::safe);
      const std::string fsync = reply && reply->size() == 2 ? std::string((*reply)[1].text()) : "unknown";
      if (fsync == "always") {
        add(Level::ok, "appendonly yes, appendfsync always");
      } else if (fsync == "no") {
        add(Level::warning, "appendfsync is no: a power loss loses what the system had not written yet",
            "set appendfsync always or everysec");
      } else {
        add(Level::ok, "appendonly yes, appendfsync " + fsync + ": a power loss may lose the last second or two");
      }
    }
    for (const char* const status : {"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"}) {
      if (const std::string value = text(facts, status); !value.empty() && value != "ok") {
        add(Level::error, std::string(status) + " is " + value, "look into the server's log; is its disk full?");
      }
    }
  }

  void memory(const Facts& facts) {
    const std::int64_t most = number(facts, "maxmemory");
    const std::string policy = text(facts, "maxmemory_policy");
    if (most == 0) {
      add(Level::ok, "no maxmemory");
    } else if (policy == "noeviction") {
      add(Level::ok, "maxmemory with noeviction");
    } else {
      add(Level::error, "maxmemory_policy is " + policy + ": a full server throws messages away",
          "set maxmemory-policy noeviction");
    }
    if (most > 0 && number(facts, "used_memory") > most / 10 * 9) {
      add(Level::warning, "more than nine tenths of maxmemory are used", "consume faster, or raise maxmemory");
    }
  }

  void role(const Facts& facts) {
    if (text(facts, "role") == "slave") {
      add(Level::error, "this is a replica: it takes no messages", "use the master's address, or sentinel");
    } else {
      add(Level::ok, "master with " + std::to_string(number(facts, "connected_slaves")) + " replicas");
    }
  }

  // Due times go by the server's clock, expiry by ours.
  Result<void> clocks() {
    Pipeline command;
    command.add({"TIME"});
    auto reply = route_.command("TIME", command, deadline_, Repeat::safe);
    if (!reply) return std::unexpected(std::move(reply.error()));
    const auto here =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const std::int64_t there = reply->size() == 2 ? (*reply)[0].number().value_or(0) : 0;
    if (std::abs(there - here) > 2) {
      add(Level::warning, "its clock is " + std::to_string(there - here) + " s ahead of this machine's",
          "keep both in step (NTP): delays go by the one, expiry by the other");
    } else {
      add(Level::ok, "clock in step with this machine's");
    }
    return {};
  }

  Route& route_;
  const SteadyTime deadline_;
  Diagnosis& into_;
  const std::string where_;
};

}  // namespace

Result<Diagnosis> diagnose(Router& router, SteadyTime deadline) {
  Diagnosis diagnosis;
  for (const auto& node : router.nodes()) {
    if (auto ok = Examination(*node, deadline, diagnosis).run(); !ok) return std::unexpected(std::move(ok.error()));
  }
  return diagnosis;
}

}  // namespace lrpc::queue::redis
