// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kafka_world.hpp"

namespace lrpc::queue::simulation {

/// A group over model brokers. What a consumer does is what the member, the mover and the channel do with their shelf;
/// every call of the shelf is also made to its model, and both must agree.
class KafkaMachine final : public Machine {
 public:
  KafkaMachine(std::uint64_t seed, Journal& journal);
  void step() override;
  void finish() override;

 private:
  using C = KafkaConsumer;
  using Phase = KafkaConsumer::Phase;
  using Fate = KafkaWorld::Fate;
  /// False: there was nothing to do.
  using Step = bool (KafkaMachine::*)(C&);

  // The world (kafka_machine.cpp).
  bool produce(C& c);
  bool produce_retry(C& c);
  bool pass_time(C& c);
  bool retention(C& c);
  bool cut_log(C& c);
  bool crash(C& c);
  bool expel(C& c);
  bool start_rebalance(C& c);
  // Its group (kafka_group.cpp).
  bool revoke(C& c);
  bool complete(C& c);
  bool take_assignment(C& c);
  bool learn_of_loss(C& c);
  bool begin_commit(C& c);
  bool commit_arrives(C& c);
  bool commit_answered(C& c);
  bool trim(C& c);
  // Reading and moving (kafka_reading.cpp).
  bool poll(C& c);
  bool tend(C& c);
  bool read_again(C& c);
  bool begin_early(C& c);
  bool begin_rewrite(C& c);
  bool end_rewrite(C& c);
  // Its user (kafka_user.cpp).
  bool hand_out(C& c);
  bool end_hand_out(C& c);
  bool ack(C& c);
  bool ack_every_other(C& c);
  bool nack(C& c);
  bool end_move(C& c);
  bool touch(C& c);
  bool keep(C& c);
  bool give_back(C& c);
  bool give_all_back(C& c);
  bool drop_all(C& c);
  bool look_for_id(C& c);

  void take_back(C& c, const Delivery& delivery, const C::Held& held, bool was_expired);
  void release(C& c);
  std::vector<Shelf::Commit> to_commit(C& c, bool all);
  void at_broker(C& c, C::Under& under);
  void ended(C& c, C::Under& under, bool stored);
  void relocate(C& c, PartitionKey key);
  void compare_start(const Shelf::Start& is, const Shelf::Start& expected) const;
  void retry_written(C& c, PartitionKey key, std::int64_t offset, const LogRecord& record);
  [[nodiscard]] bool is_current(const C& c) const {
    return c.phase == Phase::joined && c.generation == world_.generation;
  }
  /// A record's body tells its number, for several may be copies of one message.
  [[nodiscard]] static int number_of(const Delivery& delivery);
  [[nodiscard]] kafka::ReadRecord read(const LogRecord& record) const;
  /// Nothing fails any more once what is left is worked off.
  bool fails(int percent) { return faults_ && random_.chance(percent); }
  void work_off(C& c);
  template <class Text>
  void say(Text&& text) {
    journal_.add(std::forward<Text>(text));
  }

  Random random_;
  Journal& journal_;
  KafkaWorld world_;
  std::vector<std::unique_ptr<C>> consumers_;
  std::size_t most_entries_ = 0;
  std::size_t most_kept_ = 0;
  std::int64_t first_hand_overs_ = 0;  // of an assignment, that are committed first
  std::uint64_t last_owner_ = 0;
  int last_name_ = 0;
  bool big_gaps_ = false;
  bool faults_ = true;
};

}  // namespace lrpc::queue::simulation
