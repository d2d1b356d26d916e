# Bugs put into the library, one a program: each is the simulation with one source file of the library changed.
#
# simulation_mutant(<name> <machine> <file> <from> <to>): in <file> the text <from>, which has to be there once, becomes
# <to>; the machine has to find it. A header is changed for the machines alone that include it.
include(${PROJECT_SOURCE_DIR}/cmake/Mutate.cmake)

set(simulation_mutants_list ${CMAKE_CURRENT_BINARY_DIR}/mutants.txt)
file(WRITE ${simulation_mutants_list} "")

function(simulation_mutant name machine file from to)
  set(source ${PROJECT_SOURCE_DIR}/src/${file})
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name})
  set(mutated ${folder}/${file})
  get_filename_component(mutated_folder ${mutated} DIRECTORY)
  file(MAKE_DIRECTORY ${mutated_folder})
  lrpc_queue_mutate(${source} ${mutated} "${from}" "${to}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  if(file MATCHES "hpp$")
    add_executable(simulation_${name} EXCLUDE_FROM_ALL ${simulation_sources})
    target_include_directories(simulation_${name} BEFORE PRIVATE ${folder})
    target_include_directories(simulation_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  else()
    # In the library the file is an object of its own, which nobody asks for where there is another before it.
    set_property(SOURCE ${source} TARGET_DIRECTORY lrpc_queue PROPERTY SKIP_UNITY_BUILD_INCLUSION ON)
    add_executable(simulation_${name} EXCLUDE_FROM_ALL ${mutated} $<TARGET_OBJECTS:simulation_objects>)
  endif()
  target_include_directories(simulation_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(simulation_${name} PRIVATE lrpc::queue)
  file(APPEND ${simulation_mutants_list} "${name} ${machine} ${file}\n")
endfunction()

# Kafka: what is committed.
simulation_mutant(commit_past_a_gap kafka kafka/shelf_partitions.cpp
  [[.offset = progress.watermark(),]]
  [[.offset = progress.end(),]])
simulation_mutant(run_one_too_long kafka kafka/commit_note.cpp
  [[put_number(out, run.end - run.first);]]
  [[put_number(out, run.end - run.first + 1);]])
simulation_mutant(what_waits_again_not_in_the_note kafka kafka/shelf_partitions.cpp
  [[if (slot.state == State::free || slot.deliveries == 0) continue;]]
  [[if (slot.state != State::out || slot.deliveries == 0) continue;]])
simulation_mutant(unread_deliveries_not_in_the_note kafka kafka/shelf_partitions.cpp
  [[      if (!progress.settled(offset)) note.handed_out.push_back({.offset = offset, .deliveries = deliveries});]]
  [[      static_cast<void>(offset), static_cast<void>(deliveries);]])
simulation_mutant(note_without_room_not_noticed kafka kafka/shelf_partitions.cpp
  [[partition.full = !commit.note.all_settled;]]
  [[partition.full = false;]])
simulation_mutant(late_answer_counts kafka kafka/shelf_partitions.cpp
  [[if (it == partitions_.end() || it->second.assignment != commit.assignment) return;]]
  [[if (it == partitions_.end()) return;]])
simulation_mutant(failed_commit_forgotten kafka kafka/shelf_partitions.cpp
  [[  } else {
    it->second.dirty = true;
  }]]
  [[  }]])
# Assignments.
simulation_mutant(resumes_after_others kafka kafka/shelf_partitions.cpp
  [[const bool ours = committed && committed->note && committed->note->owner == owner_;]]
  [[const bool ours = committed && committed->note;]])
simulation_mutant(handed_out_while_suspended kafka kafka/shelf_partitions.cpp
  [[  std::erase_if(ready_, park);]]
  "")
simulation_mutant(lost_not_counted kafka kafka/shelf_partitions.cpp
  [[  return {.offset = partition.progress.end(), .lost = lost};]]
  [[  return {.offset = partition.progress.end(), .lost = lost * 0};]])
# Reading.
simulation_mutant(settled_by_others_read_again kafka kafka/progress.cpp
  [[return !foreseen && !settled(offset);]]
  [[return !foreseen;]])
simulation_mutant(foreseen_passed_over kafka kafka/progress.cpp
  [[from = here + 1;]]
  [[from = here;]])
simulation_mutant(late_refill_delivered kafka kafka/shelf.cpp
  [[return it != partitions_.end() && it->second.away.erase(place.offset) > 0;]]
  [[return it != partitions_.end() && (it->second.away.erase(place.offset) > 0 || !it->second.suspended);]])
simulation_mutant(retry_too_early kafka kafka/retry_index.cpp
  [[if (next_due_ms() > now_ms) return std::nullopt;]]
  [[if (next_due_ms() > now_ms + 5) return std::nullopt;]])
simulation_mutant(body_counted_for_ever kafka kafka/retry_index.cpp
  [[    if (waiting.record) bytes_ -= footprint(*waiting.record);
  }
  return taken;]]
  [[  }
  return taken;]])
# Deliveries.
simulation_mutant(touched_lease_ends_all_the_same kafka kafka/shelf.cpp
  [[if (slot.generation != lease.generation || slot.state != State::out || slot.until != lease.until) continue;]]
  [[if (slot.generation != lease.generation || slot.state != State::out) continue;]])
simulation_mutant(lease_passed_over_in_a_move kafka kafka/shelf.cpp
  [[  } else if (slot.until != kForever) {
    leases_.push({.until]]
  [[  } else if (slot.until < 0) {
    leases_.push({.until]])
simulation_mutant(taken_back_counts kafka kafka/shelf.cpp
  [[give_back(it->tag, false);]]
  [[give_back(it->tag, true);]])
simulation_mutant(written_anew_without_its_deliveries kafka kafka/shelf.cpp
  [[waiting.deliveries = carried == partition.carried.end() ? 0 : carried->second;]]
  [[waiting.deliveries = 0;]])
# The memory back end.
simulation_mutant(lapsed_goes_behind memory memory/store.cpp
  [[  slot.lease_expired = true;
  line_up_in_front(slot);]]
  [[  slot.lease_expired = true;
  line_up_behind(slot);]])
simulation_mutant(touch_of_a_lapsed_one_not_counted memory memory/store.cpp
  [[    ++in_flight_;
    ++unrenewed_;
  }]]
  [[    ++in_flight_;
  }]])
simulation_mutant(settled_tag_stays_good memory memory/store.cpp
  [[  if (slot.indexed) index_.remove(slot);
  slot.generation = 0;]]
  [[  if (slot.indexed) index_.remove(slot);]])
simulation_mutant(dropped_delayed_counted memory memory/store.cpp
  [[  delayed_ = 0;]]
  "")
simulation_mutant(reference_leaked memory memory/store.cpp
  [[slot->message->add_refs(1);]]
  [[slot->message->add_refs(2);]])
simulation_mutant(one_dead_letter_too_many memory memory/dead_letters.cpp
  [[for (; size() > limit; ++gone) {]]
  [[for (; size() > limit + 1; ++gone) {]])
simulation_mutant(requeued_keeps_its_expiry memory memory/store.cpp
  [[message->set_expires_at(expiry_after(now_wall_ms, fresh_ttl));]]
  [[static_cast<void>(fresh_ttl);]])
# The engine.
simulation_mutant(given_up_too_early engine engine/policy.cpp
  [[if (limited && attempts > policy.max_retries)]]
  [[if (limited && attempts >= policy.max_retries)]])
simulation_mutant(expiry_a_second_late engine engine/policy.cpp
  [[if (expiry != 0 && now_wall_s >= expiry) {]]
  [[if (expiry != 0 && now_wall_s > expiry) {]])
simulation_mutant(lapsed_ones_have_one_more engine engine/policy.cpp
  [[attempts > 0 && attempts - 1 > policy.max_retries) {]]
  [[attempts > 0 && attempts - 2 > policy.max_retries) {]])
simulation_mutant(backoff_a_step_ahead engine engine/policy.cpp
  [[std::max(failures, 1) - 1);]]
  [[std::max(failures, 1));]])
simulation_mutant(unsent_acks_forgotten engine engine/settle_queue.cpp
  [[if (!acked) acks_.insert(acks_.begin(), acks.begin(), acks.end());]]
  "")
simulation_mutant(unsent_settlements_forgotten engine engine/settle_queue.cpp
  [[    if (!settled) {]]
  [[    if (!settled && acked) {]])
simulation_mutant(wheel_one_slot_late engine base/timer_wheel.hpp
  [[const std::size_t from = index(current_, level) + (level == 0 ? 0 : 1);]]
  [[const std::size_t from = index(current_, level) + (level == 0 ? 0 : 2);]])
# Redis.
simulation_mutant(back_before_the_answer redis redis/held.cpp
  [[if (lasts && !old.going_back) {]]
  [[if (lasts) {]])
simulation_mutant(refusal_beside_a_keep redis redis/held.cpp
  [[if (held->being_kept || held->handle.deliveries != handle.deliveries) return true;]]
  [[if (held->handle.deliveries != handle.deliveries) return true;]])
simulation_mutant(kept_under_its_old_end redis redis/held.cpp
  [[    by_end_.erase({held->until, tag.generation});
    by_end_.emplace(std::pair(held->until, number), tag.slot);]]
  "")
simulation_mutant(handed_out_again_and_forgotten redis redis/held.cpp
  [[if (held.handle == end.handle && held.until <= now) remove(it->second);]]
  [[if (held.handle.entry_id == end.handle.entry_id) remove(it->second);]])
simulation_mutant(own_recovery_counts redis redis/held.cpp
  [[.next = held.attempts - held.base + 1});]]
  [[.next = held.handle.deliveries + 1});]])
simulation_mutant(ended_goes_on redis redis/held.cpp
  [[  if (held.until > now) {
    held.handle.deliveries]]
  [[  if (held.until > 0) {
    held.handle.deliveries]])
