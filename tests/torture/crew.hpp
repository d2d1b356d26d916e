// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include <lrpc/queue.hpp>

#include "nemesis.hpp"
#include "role.hpp"
#include "support/process.hpp"
#include "support/proxy.hpp"
#include "support/shared_number.hpp"

namespace lrpc::queue::torture {

/// The processes of a round: three producers, three consumers by subscription and two by `next`. For the thread that
/// made it alone: they end with it.
class Crew {
 public:
  /// How producers and consumers reach the servers.
  struct Ways {
    std::filesystem::path producers{};
    std::filesystem::path consumers{};
  };
  /// The consumers first; what a consumer's coming does to those that are there, `await_consumers` is to wait for.
  Crew(const RoundOptions& options, const Setup& setup, const Ways& ways,
       const std::function<void()>& await_consumers = {});

  /// What is done to processes: kill -9, SIGSTOP for longer than a lease, an end in good order, and a jump of the clock
  /// where each has its own. `group_reach_ms`: how long after a consumer came or went its whole group may feel it; 0 =
  /// not at all.
  void add_faults(Nemesis& nemesis, std::int64_t group_reach_ms = 0);
  /// The round is over: what is under way is finished.
  void end_producers();
  void end_consumers();

 private:
  struct Member {
    Role role{};
    std::string base{};
    int lives = 0;
    std::unique_ptr<support::SharedNumber> clock{};  ///< The offset of its own one, all its lives long.
    support::Process process{};
  };

  void start(Member& member);
  void end_all(std::list<Member>& members);
  /// Stops it in good order; kills it when it does not end in good time, which is an error.
  void end(Member& member);
  static Member& one_of(std::list<Member>& members, Random& random);
  void add_clock_faults(Nemesis& nemesis);

  const RoundOptions& options_;
  const Setup setup_;
  std::list<Member> producers_;
  std::list<Member> consumers_;
};

/// What is done to lines: cut, reset, half open, slow, stalled, and bytes that are lost in one direction or both.
/// `reach_ms`: how long after a line has healed a lease that was not renewed may still be given to another.
/// `half_open_lurks`: a client may leave a line that is half open unused, and so unnoticed, for any time. Only where
/// all come by one proxy: another fault that cuts lines ends that, and must then cut those of all.
void add_line_faults(Nemesis& nemesis, support::Proxy& producers, support::Proxy& consumers, std::int64_t reach_ms,
                     bool half_open_lurks = false);

/// Writes a configuration as Config::load reads it; `members` are those of its JSON object, as text.
std::filesystem::path write_config(const std::filesystem::path& file, const std::string& members);

/// Tries for a minute: a machine that has other work as well is slow. Throws std::runtime_error when it cannot.
[[nodiscard]] Queue open_queue(const Config& config);

/// Waits until all channels are empty, which with healthy servers they must become: what is left when nothing has gone
/// on for `stuck` is a finding. Then writes the end down.
void drain(Queue& queue, const Setup& setup, Ledger& ledger, std::chrono::seconds stuck);

}  // namespace lrpc::queue::torture
