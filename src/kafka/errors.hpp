// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <librdkafka/rdkafka.h>

#include <lrpc/queue/error.hpp>

namespace lrpc::queue::kafka {

/// The Error for one of librdkafka's or the broker's codes. `what` is what was tried, for people ("publish to topic
/// x"); `detail` is a longer text from librdkafka, instead of the code's own.
[[nodiscard]] Error error_of(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail = {});

/// The same as a result.
[[nodiscard]] inline std::unexpected<Error> failed(rd_kafka_resp_err_t code, std::string_view what,
                                                   std::string_view detail = {}) {
  return std::unexpected(error_of(code, what, detail));
}

/// Whether the topic or partition is not there.
[[nodiscard]] bool is_missing_topic(rd_kafka_resp_err_t code) noexcept;
[[nodiscard]] inline bool is_missing_topic(const Error& error) noexcept {
  return is_missing_topic(static_cast<rd_kafka_resp_err_t>(error.native_code));
}

/// Whether asking again may help: the request did not arrive, came to the wrong broker or at the wrong moment.
[[nodiscard]] bool is_transient(rd_kafka_resp_err_t code) noexcept;

/// Whether the login, a certificate or an access rule is wrong, which no waiting mends.
[[nodiscard]] bool is_refusal(rd_kafka_resp_err_t code) noexcept;

}  // namespace lrpc::queue::kafka
