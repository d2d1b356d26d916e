// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <librdkafka/rdkafka.h>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/envelope.hpp>

namespace lrpc::queue::kafka {

class ProduceCall;

/// One record of a call: what the delivery report says about it. At first: not sent for lack of time.
struct ProduceSlot {
  ProduceCall* call = nullptr;
  EnvelopePtr keep{};  ///< What the record's bytes lie in, while librdkafka may read them.
  std::int64_t offset = -1;
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
  rd_kafka_msg_status_t status = RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
  std::int32_t partition = 0;    ///< Set before it is sent.
  std::atomic<bool> done{true};  ///< No report is due (any more). Until then only the reporting thread writes.
};

/// The records of one `Producer::produce` and who waits for their reports: one counter, one wake-up. The caller may
/// leave before the last report; what arrives then finds the memory still there, and the last one frees it.
class ProduceCall {
 public:
  struct Leave {
    void operator()(ProduceCall* call) const noexcept { call->leave(); }
  };
  using Ptr = std::unique_ptr<ProduceCall, Leave>;

  [[nodiscard]] static Ptr make(std::size_t records);

  [[nodiscard]] std::span<ProduceSlot> slots() noexcept { return {slots_, size_}; }

  /// The caller, before it hands out records: nobody is woken until `wait`.
  void hold() noexcept { state_.fetch_add(1, std::memory_order_relaxed); }
  /// The caller, before it hands a record to librdkafka: a report is due for it.
  void expect() noexcept { state_.fetch_add(1, std::memory_order_relaxed); }
  /// The caller: librdkafka did not take it after all.
  void unexpect() noexcept { state_.fetch_sub(1, std::memory_order_relaxed); }
  /// The caller, when all records are handed out.
  void release() noexcept { state_.fetch_sub(1, std::memory_order_acq_rel); }
  /// The caller, after `release`: true when all expected reports are there, false at the deadline.
  bool wait(SteadyTime deadline) noexcept;
  /// The reporting thread, after it filled in the slot, which it must not touch any more.
  static void report(ProduceSlot& slot) noexcept;

 private:
  // How many reports are due, one more while the caller hands out records; kLeft when the caller has gone.
  static constexpr std::uint32_t kLeft = 0x8000'0000;

  explicit ProduceCall(ProduceSlot* slots, std::size_t size) noexcept : slots_(slots), size_(size) {}
  ~ProduceCall() = default;
  void leave() noexcept;
  void destroy() noexcept;

  std::atomic<std::uint32_t> state_{0};
  ProduceSlot* slots_;
  std::size_t size_;
};

}  // namespace lrpc::queue::kafka
