// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "machine.hpp"
#include "redis/held.hpp"

namespace lrpc::queue::simulation {

/// Where an entry stands for one client: `ended`, its lease is over and nobody has it yet; `keeping` and `going`: the
/// server is being told.
enum class Hold : std::uint8_t { none, held, keeping, going };
enum class HoldEvent : std::uint8_t {
  put,
  put_again,
  put_after_end,
  ack,
  keep,
  kept,
  not_kept,
  give_back,
  given_back,
  not_given_back,
  touch,
  refused,
  end_by,
  forget_ended,
  goes_on,
  not_ours
};

extern Coverage held_coverage;

/// Clients of one stream's group on a model server: what RedisChannel does with its table of held deliveries, whose
/// model must agree, while answers are late, lost, or overtake one another.
class RedisMachine final : public Machine {
 public:
  RedisMachine(std::uint64_t seed, Journal& journal);
  void step() override;
  void finish() override;

 private:
  static constexpr int kNobody = -1;
  static constexpr int kGivenBack = -2;
  struct Entry {
    int message = 0;
    std::int64_t base = 0;
    std::int64_t deliveries = 0;
    int owner = kNobody;
    std::int64_t idle_since = 0;
  };
  struct Held {
    DeliveryTag tag{};
    std::int64_t deliveries = 0;
    std::int64_t attempts = 0;
    std::int64_t base = 0;
    std::int64_t until = 0;
    std::int64_t renewed_at = 0;
    int message = 0;
    bool long_lease = false;
    bool being_kept = false;
    bool going_back = false;
    [[nodiscard]] bool renewed() const { return until == redis::Held::kForever; }
    [[nodiscard]] Hold stands() const { return being_kept ? Hold::keeping : going_back ? Hold::going : Hold::held; }
  };
  enum class What : std::uint8_t { ack, retry, give_back, keep, touch };
  /// A settlement on its way to the server or back.
  struct Call {
    What what = What::ack;
    DeliveryTag tag{};
    redis::Handle handle{};
    std::int64_t counted = 0;
    int number = 0;  ///< The delivery's.
    bool counts = true;
    Duration lease{0};
    std::optional<std::int64_t> answer{};  ///< What the server said: 0 = not yours.
  };
  /// A read or a look.
  struct Ask {
    bool renewed = false;
    std::int64_t begin = 0;
    std::vector<redis::Ended> ended{};
    std::size_t own = 0;  ///< Of these, what the table says has ended.
    std::optional<std::vector<redis::Taken>> answer{};
    bool look = false;
  };
  struct Client {
    redis::HeldTable table{};
    std::map<std::uint64_t, Held> model{};  ///< By number of entry.
    std::vector<DeliveryTag> user{};
    std::vector<Call> calls{};
    std::optional<Ask> ask{};
    std::vector<redis::Ended> lost{};
    bool maybe_lost = false;
  };
  using Step = bool (RedisMachine::*)(Client&);

  bool publish(Client& c);
  bool pass_time(Client& c);
  bool begin_ask(Client& c);
  bool serve_ask(Client& c);
  bool end_ask(Client& c);
  bool find_lost(Client& c);
  bool begin_call(Client& c);
  bool serve_call(Client& c);
  bool end_call(Client& c);
  bool want(Client& c);
  bool keep_alive(Client& c);
  bool end_by(Client& c);
  bool crash(Client& c);

  void put(Client& c, const redis::Taken& taken, bool renewed);
  void compare(Client& c);
  std::int64_t at_server(int client, const Call& call);
  redis::Taken take(std::uint64_t number, int client, std::int64_t deliveries);
  [[nodiscard]] Held* find(Client& c, DeliveryTag tag, std::uint64_t* number = nullptr);
  void forget(Client& c, std::uint64_t number, HoldEvent why);
  [[nodiscard]] static redis::EntryId entry_id(std::uint64_t number) { return {.ms = number, .number = 0}; }
  [[nodiscard]] int number_of(const Client& c) const { return static_cast<int>(&c - clients_.data()); }
  bool fails(int percent) { return faults_ && random_.chance(percent); }
  template <class Text>
  void say(Text&& text) {
    journal_.add(std::forward<Text>(text));
  }

  Random random_;
  Journal& journal_;
  std::map<std::uint64_t, Entry> entries_;  ///< The stream.
  std::uint64_t last_entry_ = 0;
  int messages_ = 0;
  std::int64_t tick_ = 1000;
  std::int64_t lease_ = 0;
  std::vector<Client> clients_;
  bool faults_ = true;
};

}  // namespace lrpc::queue::simulation
