// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// A record of Kafka, of whatever program: what is not malformed can be written again and reads the same.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "fuzz.hpp"
#include "kafka/record.hpp"

using namespace lrpc::queue;
using namespace lrpc::queue::kafka;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  constexpr std::array kNames{"id",           "timestamp",         "expires_at", "attempts", "channel",
                              "retry_due_ms", "retry_enqueued_ms", "dlq_reason", "other"};
  const std::string key = input.ConsumeRandomLengthString(40);
  const auto time = input.ConsumeIntegralInRange<std::int64_t>(-1, 4'000'000'000'000);
  std::vector<std::pair<std::string, std::string>> texts;
  while (input.remaining_bytes() > 0 && texts.size() < 20) {
    std::string name = input.PickValueInArray(kNames);
    if (input.ConsumeBool()) name = input.ConsumeRandomLengthString(10);
    texts.emplace_back(std::move(name), input.ConsumeRandomLengthString(100));
  }
  const std::vector<RecordHeader> headers(texts.begin(), texts.end());
  const ReadRecord record = read_record(key, Bytes(3), headers, time, "0-7");
  fuzz::require(static_cast<bool>(record.message), "there is a message, also of a malformed record");
  fuzz::require(!record.message->id().empty(), "a message has an id");
  fuzz::require(record.attempts >= 0, "attempts are not negative");
  if (!record.malformed.empty()) return 0;
  fuzz::require(check_headers(*record.message).has_value(), "the reserved headers are not the user's");

  const Stamp stamp{.attempts = record.attempts, .due_ms = record.due_ms, .other_time = true};
  const RecordHeaders written = headers_of(*record.message, stamp);
  const std::vector<RecordHeader> views(written.begin(), written.end());
  const ReadRecord again = read_record(key_of(*record.message), Bytes(3), views, time, "0-8");
  fuzz::require(again.malformed.empty(), "what we write is not malformed");
  fuzz::require(again.message->id() == record.message->id() && again.message->key() == record.message->key() &&
                    again.message->headers() == record.message->headers() && again.attempts == record.attempts &&
                    again.due_ms == record.due_ms && again.message->timestamp() == record.message->timestamp() &&
                    again.message->expires_at() == record.message->expires_at() &&
                    again.message->enqueued_at_ms() == record.message->enqueued_at_ms(),
                "what is written again reads the same");
  return 0;
}
