// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <span>
#include <string_view>
#include <vector>

#include <lrpc/queue/conformance.hpp>

namespace lrpc::queue::conformance {

class Context;

/// A few capabilities.
class CapabilitySet {
 public:
  constexpr CapabilitySet(std::initializer_list<Capability> list) {
    for (const Capability c : list) bits_ |= bit(c);
  }
  [[nodiscard]] constexpr bool contains(Capability c) const noexcept { return (bits_ & bit(c)) != 0; }

 private:
  static constexpr std::uint32_t bit(Capability c) noexcept { return std::uint32_t{1} << static_cast<unsigned>(c); }
  std::uint32_t bits_ = 0;
};

// What most tests need.
inline constexpr CapabilitySet kTimed = {Capability::manual_clock};
inline constexpr CapabilitySet kLetters = {Capability::dead_letters};
inline constexpr CapabilitySet kTimedLetters = {Capability::manual_clock, Capability::dead_letters};
inline constexpr CapabilitySet kDelayed = {Capability::manual_clock, Capability::delayed_publish};

/// Whether a test can run where bodies are typed.
enum class Bodies { any, encoded_only };

/// One test of the suite. Its name starts with the rule that it is mainly about ("D9_..."), or with "API_".
struct TestCase {
  constexpr TestCase(std::string_view test_name, std::string_view cited, CapabilitySet required, void (*body)(Context&),
                     Bodies kind = Bodies::any, std::source_location at = std::source_location::current())
      : name(test_name), rules(cited), needs(required), run(body), bodies(kind), where(at) {}

  std::string_view name;
  std::string_view rules;  ///< All rules and API rows that it tests, separated by blanks.
  CapabilitySet needs;
  void (*run)(Context& ctx);
  Bodies bodies;
  std::source_location where;
};

/// Every test of the suite, by subject.
[[nodiscard]] std::vector<TestCase> all_tests();

// One function a subject, each defined in the file of that name.
std::span<const TestCase> async_tests();
std::span<const TestCase> attempts_tests();
std::span<const TestCase> backlog_tests();
std::span<const TestCase> blocking_tests();
std::span<const TestCase> capacity_tests();
std::span<const TestCase> close_delivery_tests();
std::span<const TestCase> close_state_tests();
std::span<const TestCase> codec_tests();
std::span<const TestCase> concurrency_tests();
std::span<const TestCase> dead_letter_tests();
std::span<const TestCase> delay_tests();
std::span<const TestCase> delete_channel_tests();
std::span<const TestCase> delivery_tests();
std::span<const TestCase> disconnect_tests();
std::span<const TestCase> expiry_tests();
std::span<const TestCase> handler_tests();
std::span<const TestCase> hooks_tests();
std::span<const TestCase> input_tests();
std::span<const TestCase> key_order_tests();
std::span<const TestCase> lease_tests();
std::span<const TestCase> message_tests();
std::span<const TestCase> publish_tests();
std::span<const TestCase> retry_tests();
std::span<const TestCase> settle_tests();
std::span<const TestCase> stats_tests();
std::span<const TestCase> stress_tests();
std::span<const TestCase> subscription_tests();
std::span<const TestCase> ttl_tests();

}  // namespace lrpc::queue::conformance
