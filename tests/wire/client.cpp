// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <utility>

#include "base/gate.hpp"
#include "client_channel.hpp"
#include "connection.hpp"

namespace lrpc::queue::wire {

namespace {

std::unexpected<Error> closed(ErrorCode code, std::string message) {
  return std::unexpected(Error{.code = code, .message = std::move(message), .source = "wire"});
}

Result<void> without_value(Result<Reply>&& reply) {
  if (!reply) return std::unexpected(std::move(reply.error()));
  return {};
}

Result<std::vector<std::string>> read_names(Result<Reply>&& reply) {
  if (!reply) return std::unexpected(std::move(reply.error()));
  std::vector<std::string> names(reply->in.count());
  for (std::string& name : names) name = reply->in.text();
  if (!reply->in.complete()) return std::unexpected(Connection::garbled());
  return names;
}

class WireTopic final : public BackendTopic {
 public:
  WireTopic(std::shared_ptr<Connection> connection, std::string name, const TopicPolicy& policy)
      : connection_(std::move(connection)),
        name_(std::move(name)),
        limit_(policy.max_msg_size),
        drop_oldest_(policy.overflow == Overflow::drop_oldest) {}

  Result<void> publish(std::span<Outgoing> batch, Duration timeout) override {
    const SteadyTime deadline = Connection::within(timeout);
    const auto pass = gate_.enter();
    if (!pass) return topic_closed();
    Writer arguments;
    arguments.text(name_).i64(limit_).flag(drop_oldest_).u32(static_cast<std::uint32_t>(batch.size()));
    for (const Outgoing& out : batch) {
      arguments.i64(out.delay.count()).block(encode_frame(to_stored(*out.message)));
    }
    return without_value(connection_->call(Op::publish, arguments, deadline));
  }

  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string& name, const ChannelPolicy& policy,
                                                       bool create) override {
    const auto pass = gate_.enter();
    if (!pass) return topic_closed();
    auto reply = connection_->call(Op::open_channel, Writer().text(name_).text(name).flag(create));
    if (!reply) return std::unexpected(std::move(reply.error()));
    const std::uint64_t number = reply->in.u64();
    const std::int64_t dropped = reply->in.i64();
    if (!reply->in.complete()) return std::unexpected(Connection::garbled());
    return std::make_shared<WireChannel>(connection_, name_, name, number, dropped, policy);
  }

  Result<std::vector<std::string>> channels() override {
    const auto pass = gate_.enter();
    if (!pass) return topic_closed();
    return read_names(connection_->call(Op::channels, Writer().text(name_)));
  }

  Result<void> delete_channel(const std::string& name) override {
    const auto pass = gate_.enter();
    if (!pass) return topic_closed();
    return without_value(connection_->call(Op::delete_channel, Writer().text(name_).text(name)));
  }

  Result<void> close() override {
    gate_.shut();
    gate_.drain();
    return {};
  }

 private:
  [[nodiscard]] std::unexpected<Error> topic_closed() const {
    return closed(ErrorCode::topic_closed, "topic " + name_ + " was closed");
  }

  const std::shared_ptr<Connection> connection_;
  const std::string name_;
  const std::int64_t limit_;
  const bool drop_oldest_;
  detail::Gate gate_;
};

class WireBackend final : public Backend {
 public:
  explicit WireBackend(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }

  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string& name, const TopicPolicy& policy) override {
    const auto pass = gate_.enter();
    if (!pass) return queue_closed();
    auto reply = connection_->call(Op::open_topic, Writer().text(name));
    if (!reply) return std::unexpected(std::move(reply.error()));
    return std::make_shared<WireTopic>(connection_, name, policy);
  }

  Result<std::vector<std::string>> topics() override {
    const auto pass = gate_.enter();
    if (!pass) return queue_closed();
    return read_names(connection_->call(Op::topics, {}));
  }

  Result<void> ping(SteadyTime deadline) override {
    const auto pass = gate_.enter();
    if (!pass) return queue_closed();
    return without_value(connection_->call(Op::ping, {}, deadline));
  }

  Result<void> close() override {
    const bool first = gate_.shut();
    gate_.drain();
    if (!first) return {};
    return without_value(connection_->call_repeatedly(Op::disconnect, {}));
  }

 private:
  static std::unexpected<Error> queue_closed() { return closed(ErrorCode::queue_closed, "the queue was closed"); }

  const std::shared_ptr<Connection> connection_;
  const Capabilities capabilities_{.name = "wire", .serializes = true, .renew_leases = true, .batch_acks = true};
  detail::Gate gate_;
};

}  // namespace

std::shared_ptr<Link> make_link(const std::shared_ptr<WireServer>& server, std::uint64_t seed) {
  auto link = std::make_shared<Link>(server, seed);
  server->attach(link);
  return link;
}

BackendFactory wire_backend(std::shared_ptr<Link> link) {
  return [link = std::move(link)](const BackendContext& context) -> Result<std::shared_ptr<Backend>> {
    auto connection = Connection::open(link, context.clock);
    if (!connection) return std::unexpected(std::move(connection.error()));
    return std::make_shared<WireBackend>(std::move(*connection));
  };
}

}  // namespace lrpc::queue::wire
