// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "kafka/errors.hpp"

namespace lrpc::queue::kafka {
namespace {

// Newer than librdkafka 2.0.2, which hands on codes that it does not know.
constexpr int kUnknownTopicId = 100;

struct Meaning {
  ErrorCode code = ErrorCode::backend;
  std::string_view advice{};
};

Meaning meaning_of(rd_kafka_resp_err_t code) noexcept {
  if (is_missing_topic(code)) {
    return {ErrorCode::backend,
            "the topic does not exist, or has fewer partitions; create it, or set kafka_config.auto_create_topics"};
  }
  switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
      return {ErrorCode::permission, "see kafka_config.sasl"};
    case RD_KAFKA_RESP_ERR__SSL:
      return {ErrorCode::permission, "see kafka_config.tls"};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_DELEGATION_TOKEN_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
      return {ErrorCode::permission, "an access rule of the cluster forbids it"};
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return {ErrorCode::body_too_large, "see max.message.bytes of the topic, message.max.bytes of the brokers"};
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return {ErrorCode::queue_full,
              "what waits to be sent fills the local buffer; see queue.buffering.max.messages and "
              "queue.buffering.max.kbytes in kafka_config.extra"};
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return {ErrorCode::timeout, {}};
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return {ErrorCode::invalid_argument, {}};
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
      return {ErrorCode::unsupported, {}};
    default:
      return {is_transient(code) ? ErrorCode::unavailable : ErrorCode::backend, {}};
  }
}

}  // namespace

bool is_missing_topic(rd_kafka_resp_err_t code) noexcept {
  return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || static_cast<int>(code) == kUnknownTopicId;
}

bool is_refusal(rd_kafka_resp_err_t code) noexcept { return meaning_of(code).code == ErrorCode::permission; }

bool is_transient(rd_kafka_resp_err_t code) noexcept {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__NODE_UPDATE:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_LISTENER_NOT_FOUND:
    case RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:  // a new topic's fame spreads from broker to broker
      return true;
    default:
      return false;
  }
}

Error error_of(rd_kafka_resp_err_t code, std::string_view what, std::string_view detail) {
  const Meaning meaning = meaning_of(code);
  Error error{.code = meaning.code,
              .retryable = meaning.code == ErrorCode::queue_full || (is_transient(code) && !is_missing_topic(code)),
              .native_code = code,
              .source = "kafka"};
  error.message = what;
  error.message += ": ";
  error.message += detail.empty() ? std::string_view(rd_kafka_err2str(code)) : detail;
  if (!meaning.advice.empty()) {
    error.message += " (";
    error.message += meaning.advice;
    error.message += ')';
  }
  return error;
}

}  // namespace lrpc::queue::kafka
