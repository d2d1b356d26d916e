// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>

#include <lrpc/queue/backend.hpp>

#include "protocol.hpp"
#include "server.hpp"
#include "wakeup.hpp"

namespace lrpc::queue::wire {

/// What happens to one request on its way.
enum class Fault : std::uint8_t {
  none,
  refuse,      ///< It does not reach the server: `unavailable`.
  lose_reply,  ///< The server does it, the reply is lost: `outcome_unknown`. A receive's messages stay leased.
};

/// Chances of random faults, each from 0 to 1.
struct FaultRates {
  double refuse = 0;
  double lose_reply = 0;
  double delay = 0;       ///< Of a slow request: it travels between half of `max_delay` and `max_delay`.
  Duration max_delay{0};  ///< Real time.
};

/// The line between one client and the server: carries bytes, and breaks as the test wants. Faults are drawn from a
/// seeded source. Thread-safe.
class Link final : public NewsListener {
 public:
  Link(std::shared_ptr<WireServer> server, std::uint64_t seed) : server_(std::move(server)), random_(seed) {}

  // For the test.
  void set_rates(const FaultRates& rates);
  /// The next `times` requests of this kind suffer this fault; they come before random ones.
  void inject(Op op, Fault fault, std::uint64_t times = UINT64_MAX);
  /// Ends an injection.
  void clear(Op op) { inject(op, Fault::none, 0); }
  /// A line that is cut lets nothing through; requests on their way are lost.
  void set_connected(bool connected);
  /// How many requests of a kind began, and how many met a fault.
  [[nodiscard]] std::uint64_t calls(Op op) const;
  [[nodiscard]] std::uint64_t faults(Op op, Fault fault) const;
  /// How many requests have begun and not ended.
  [[nodiscard]] int on_the_way() const;

  // For the client.
  /// Sends a request and waits for its reply. `unavailable` = not done, `outcome_unknown` = perhaps done.
  [[nodiscard]] Result<Bytes> call(Op op, std::span<const std::byte> request, SteadyTime deadline);
  /// Whether a request has a chance now.
  [[nodiscard]] bool reachable() const;
  /// A random wait between half of `base` and `base`, for a reconnect.
  [[nodiscard]] Duration jittered(Duration base);
  void listen(std::uint64_t channel, std::weak_ptr<Wakeup> wakeup);
  void wake_all();

  void on_news(std::uint64_t number) override;
  void on_up() override { wake_all(); }

 private:
  struct Injection {
    Fault fault = Fault::none;
    std::uint64_t times = 0;
  };
  struct Counters {
    std::uint64_t calls = 0;
    std::uint64_t refused = 0;
    std::uint64_t lost = 0;
  };
  static constexpr auto kOps = static_cast<std::size_t>(Op::count_);

  Result<Bytes> carry(Op op, std::span<const std::byte> request, SteadyTime deadline);
  Fault draw(Op op);
  Duration draw_delay();
  bool chance(double probability);

  const std::shared_ptr<WireServer> server_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable cut_;
  std::mt19937_64 random_;
  FaultRates rates_;
  std::array<Injection, kOps> injections_{};
  std::array<Counters, kOps> counters_{};
  bool connected_ = true;
  int on_the_way_ = 0;
  std::multimap<std::uint64_t, std::weak_ptr<Wakeup>> wakeups_;
};

}  // namespace lrpc::queue::wire
