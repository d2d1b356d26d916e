// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/clock.hpp>

#include "memory_model.hpp"

namespace lrpc::queue::simulation {

/// The value of a call that cannot fail here.
template <class T>
T must(Result<T> result, const char* what) {
  check(result.has_value(), [&] { return std::string(what) + ": " + result.error().message; });
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

[[nodiscard]] inline std::string name_of(int number) { return "m" + std::to_string(number); }

/// A body that is counted: what the back end forgets to release, or releases twice, is seen.
struct Counted {
  Counted(int number_of_message) : number(number_of_message) { ++live; }
  Counted(const Counted& other) : number(other.number) { ++live; }
  Counted(Counted&& other) noexcept : number(other.number) { ++live; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --live; }
  int number;
  static inline int live = 0;
};

/// A topic of the memory back end and its channels, by one thread and without waiting, on a clock that stands.
class MemoryMachine final : public Machine {
 public:
  MemoryMachine(std::uint64_t seed, Journal& journal);
  void step() override;
  void finish() override;

 private:
  struct Held {
    DeliveryTag tag{};
    std::uint64_t id = 0;
    std::uint64_t hand_over = 0;
  };
  struct Open {
    std::string name{};
    std::shared_ptr<BackendChannel> channel{};
    std::int64_t dropped_before = 0;
    bool receiving = true;
    std::vector<Held> held{};
  };
  /// False: there was nothing to do.
  using Step = bool (MemoryMachine::*)(Open&);

  bool publish(Open& o);
  bool receive(Open& o);
  bool ack(Open& o);
  bool ack_id(Open& o);
  bool settle(Open& o);
  bool touch(Open& o);
  bool find(Open& o);
  bool pass_time(Open& o);
  bool stats(Open& o);
  bool drop_all(Open& o);
  bool dead_letters(Open& o);
  bool requeue(Open& o);
  bool purge(Open& o);
  bool switch_receiving(Open& o);
  bool reopen(Open& o);
  bool delete_channel(Open& o);
  bool open_another(Open& o);

  void open(Open& o);
  void check_bodies() const;
  [[nodiscard]] bool make_room(std::int64_t count);
  [[nodiscard]] ChannelModel& model(const Open& o) { return models_.at(o.name); }
  [[nodiscard]] std::vector<ChannelModel*> targets();
  template <class Text>
  void say(Text&& text) {
    journal_.add(std::forward<Text>(text));
  }

  Random random_;
  Journal& journal_;
  std::shared_ptr<ManualClock> clock_;
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<BackendTopic> topic_;
  TopicPolicy topic_policy_;
  ChannelPolicy policy_;
  std::map<std::string, ChannelModel> models_;
  ChannelModel backlog_;
  std::vector<std::unique_ptr<Open>> open_;
  int messages_ = 0;
  std::vector<DeliveryTag> foreign_;
};

}  // namespace lrpc::queue::simulation
