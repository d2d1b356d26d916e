// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <lrpc/queue/config.hpp>
#include <lrpc/queue/error.hpp>

#include "kafka/events.hpp"
#include "kafka/handle.hpp"

/// \file
/// KafkaConfig as properties of librdkafka. `events` must outlive the client that is made of the result.
/// `kafka_config.extra` wins over what is only tuning here; a property that is not librdkafka's, belongs to a field of
/// KafkaConfig or would break a promise is `invalid_config` naming it. No error shows a value of `extra` or a password.

namespace lrpc::queue::kafka {

/// For the producer of a back end.
[[nodiscard]] Result<ConfPtr> producer_conf(const KafkaConfig& config, ClientEvents& events);
/// For a member of a consumer group: nothing is committed or stored but by us, no partition starts but where we say,
/// assigned by range so that partitions of the same number go to one member. An empty group: for reading alone.
[[nodiscard]] Result<ConfPtr> consumer_conf(const KafkaConfig& config, const std::string& group, ClientEvents& events);
/// For questions and administration.
[[nodiscard]] Result<ConfPtr> admin_conf(const KafkaConfig& config, ClientEvents& events);

/// Whether the librdkafka that runs here can log in by SCRAM (2.6.1 and newer).
[[nodiscard]] bool scram_works() noexcept;

/// How long librdkafka keeps a message that it cannot deliver: somewhat less than write_timeout, so that its report
/// comes in time.
[[nodiscard]] Duration message_timeout(const KafkaConfig& config);

/// A client made of `conf`, which it takes over.
[[nodiscard]] Result<ClientPtr> make_client(rd_kafka_type_t type, ConfPtr conf);

}  // namespace lrpc::queue::kafka
