// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <stdexcept>
#include <thread>

#include "broker.hpp"

namespace lrpc::queue::kafka::test {
namespace {

void await(const std::string& what, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("did not come about: " + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

BrokerGroup::BrokerGroup(const BrokerOptions& options, std::size_t size) {
  Broker::Place place;
  for (std::size_t i = 0; i < size; ++i) place.controller_ports.push_back(support::free_port());
  if (options.tls) place.certificates = std::make_shared<support::Certificates>();
  for (std::size_t i = 0; i < size; ++i) {
    place.id = static_cast<int>(i) + 1;
    brokers_.push_back(std::unique_ptr<Broker>(new Broker(options, place)));
  }
  for (const auto& broker : brokers_) broker->launch();
  for (const auto& broker : brokers_) broker->await_ready(size);
}

std::string BrokerGroup::addresses(Listener listener) const {
  std::string result;
  for (const auto& broker : brokers_) result += (result.empty() ? "" : ",") + broker->address(listener);
  return result;
}

Settings BrokerGroup::settings(Listener listener) const {
  Settings result = brokers_.front()->settings(listener);
  result["bootstrap.servers"] = addresses(listener);
  return result;
}

std::optional<std::size_t> BrokerGroup::leader(const std::string& topic, std::int32_t partition) const {
  const auto partitions = RawAdmin(settings()).partitions(topic);
  const int id = partitions.at(static_cast<std::size_t>(partition)).leader;
  if (id < 0) return std::nullopt;
  return static_cast<std::size_t>(id) - 1;
}

std::size_t BrokerGroup::await_leader(const std::string& topic, std::int32_t partition) const {
  return await_leader_other_than(topic, partition, size());
}

std::size_t BrokerGroup::await_leader_other_than(const std::string& topic, std::int32_t partition,
                                                 std::size_t old) const {
  std::optional<std::size_t> now;
  await("another leader of " + topic, [&] {
    now = leader(topic, partition);
    return now && *now != old;
  });
  return *now;
}

void BrokerGroup::await_in_sync(const std::string& topic) const {
  const RawAdmin admin(settings());
  await("replicas in step", [&] {
    return std::ranges::all_of(admin.partitions(topic),
                               [](const auto& each) { return each.in_sync.size() == each.replicas.size(); });
  });
}

}  // namespace lrpc::queue::kafka::test
