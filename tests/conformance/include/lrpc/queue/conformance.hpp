// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include <lrpc/queue.hpp>

/// \file
/// The conformance suite: every rule D1-D23 and every row of the API table as tests that run over any back end. Link
/// `lrpc::queue_conformance`, call `register_suite` from main before RUN_ALL_TESTS:
///
///     int main(int argc, char** argv) {
///       testing::InitGoogleTest(&argc, argv);
///       lrpc::queue::conformance::register_suite("memory", subject);
///       return RUN_ALL_TESTS();
///     }

namespace lrpc::queue::conformance {

/// What a back end claims. A test whose capability is missing is not registered, and `register_suite` prints
/// which rules are not claimed, so nothing is passed over in silence.
enum class Capability {
  manual_clock,     ///< Message time is `Config::clock`: tests of leases, delays and expiry move a ManualClock.
  atomic_batch,     ///< pub_batch is all or none (D2).
  bounded_depth,    ///< max_msg_size and overflow (D16).
  typed_bodies,     ///< Bodies are handed over without serialising; topics have one type.
  delayed_publish,  ///< D17.
  dead_letters,     ///< D18.
  lease_expiry,     ///< D9 for deliveries of next.
  delete_channel,   ///< topic.delete_channel.
  backlog,          ///< D4: messages published before the first channel.
  exact_depth,      ///< depth() is exact at once (D19).
  later_channels,   ///< A channel gets what is published from its creation on, not what its topic keeps (D4).
  split_stats,      ///< stats() parts ready from delayed before anything was received.
  due_order,        ///< Delayed messages that are all due come in the order of their times.
  steady_delays,    ///< A wall clock that is set leaves delays alone.
  cheap_channels,   ///< Thousands of channels can be opened in a test.
  longest_names,    ///< Topic and channel may both have names of 200 characters (D23).
  total_order,      ///< All of a channel's messages come in the order of their publish, with a key or without (D5).
  disconnects,      ///< The connection can be cut and healed by `Subject::set_connected` (D22).
};

/// The back end under test. Claim everything that holds; `typed_bodies` excepted, each claim adds tests. Without
/// `typed_bodies` the suite expects bodies to be encoded and adds the tests of codecs and undecodable messages (D13).
struct Subject {
  /// Opens a fresh, empty queue: `overlay` holds what the test needs (clock, policies, hooks); the subject adds the
  /// back end. Called several times by one test only after the queue before was closed, unless the test says so.
  std::function<Result<Queue>(Config overlay)> open;
  /// What it claims; by default everything that needs no further help from the subject.
  std::set<Capability> claims = {Capability::manual_clock,  Capability::atomic_batch,    Capability::bounded_depth,
                                 Capability::typed_bodies,  Capability::delayed_publish, Capability::dead_letters,
                                 Capability::lease_expiry,  Capability::delete_channel,  Capability::backlog,
                                 Capability::exact_depth,   Capability::later_channels,  Capability::split_stats,
                                 Capability::due_order,     Capability::steady_delays,   Capability::cheap_channels,
                                 Capability::longest_names, Capability::total_order};
  /// How much longer than on memory the bounded waits of the tests may take (a slow server, a sanitizer).
  double patience = 1.0;
  /// Cuts (false) or heals (true) the connection of the queue opened last; needed by Capability::disconnects.
  std::function<void(bool connected)> set_connected{};
};

/// The name of a capability as written above.
[[nodiscard]] std::string_view to_string(Capability capability) noexcept;

/// Registers all tests that `subject` claims under the suite name `name`; prints one line for each capability that is
/// not claimed, with the rules it leaves untested. Returns how many tests were registered. `only`, when not empty,
/// keeps the tests for which it returns true (used to test the suite itself).
std::size_t register_suite(const std::string& name, const Subject& subject,
                           const std::function<bool(std::string_view test)>& only = {});

}  // namespace lrpc::queue::conformance
