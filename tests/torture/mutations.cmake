# Bugs put into the library, one a program: each is the torture with one source file of the library changed. Called by
# hand (scripts/torture-mutants.sh), as each costs minutes.
#
# torture_mutant(<name> <backend> <check> <file> <from> <to>): in <file> the text <from>, which has to be there once,
# becomes <to>; torture over <backend> has to fail <check>. torture_mutant_also(<name> <from> <to>): more of the same.
include(${PROJECT_SOURCE_DIR}/cmake/Mutate.cmake)

set(torture_mutants_list ${CMAKE_CURRENT_BINARY_DIR}/mutants.txt)
file(WRITE ${torture_mutants_list} "")
add_custom_target(torture_mutants)

function(torture_mutant name backend check file from to)
  set(source ${PROJECT_SOURCE_DIR}/src/${file})
  set(mutated ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cpp)
  lrpc_queue_mutate(${source} ${mutated} "${from}" "${to}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  # In the library the file is an object of its own, which nobody asks for where there is another before it.
  set_property(SOURCE ${source} TARGET_DIRECTORY lrpc_queue PROPERTY SKIP_UNITY_BUILD_INCLUSION ON)
  add_executable(torture_${name} EXCLUDE_FROM_ALL ${mutated} $<TARGET_OBJECTS:torture_objects>)
  target_include_directories(torture_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(torture_${name} PRIVATE lrpc_queue_torture lrpc_queue_redis_harness)
  add_dependencies(torture_mutants torture_${name})
  file(APPEND ${torture_mutants_list} "${name} ${backend} ${check}\n")
endfunction()

function(torture_mutant_also name from to)
  set(mutated ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.cpp)
  lrpc_queue_mutate(${mutated} ${mutated} "${from}" "${to}")
endfunction()

# Those of the engine.
torture_mutant(ack_before_handle memory lost engine/runner.cpp
  [[    Result<ProcessRsp> result = call_handler(std::move(item.delivery));]]
  [[    settle_.ack(me.tag, false);
    Result<ProcessRsp> result = call_handler(std::move(item.delivery));]])
torture_mutant(drop_on_nack memory lost engine/policy.cpp
  [[.action = Decision::Action::retry, .delay = delay]]
  [[.action = Decision::Action::drop, .delay = delay]])
torture_mutant(retry_without_a_cap memory cap engine/policy.cpp
  [[const bool limited = policy.max_retries >= 0 && !failure.skip_attempts;]]
  [[const bool limited = false;]])
torture_mutant(given_up_too_early memory dead_letter engine/policy.cpp
  [[if (limited && attempts > policy.max_retries)]]
  [[if (limited && attempts >= policy.max_retries)]])
torture_mutant(retry_not_counted memory attempts engine/channel_core.cpp
  [[.count_attempt = !failure.skip_attempts,]]
  [[.count_attempt = false,]])
torture_mutant(key_not_held memory key_order engine/runner.cpp
  [[if (settlement.action == Settlement::Action::retry && may_hold && me.message && hold(me.tag, settlement)) return;]]
  [[static_cast<void>(may_hold);]])
torture_mutant(prefetch_lost_on_close memory depth engine/runner_stop.cpp
  [[  settle_.settle(std::move(unseen.back));]]
  [[  unseen.back.clear();]])
torture_mutant(expiry_forgotten redis late engine/policy.cpp
  [[if (expiry != 0 && now_wall_s >= expiry) {]]
  [[if (expiry != 0 && now_wall_s >= expiry + 3600) {]])
torture_mutant(lease_not_renewed redis unexplained engine/runner_time.cpp
  [[  if (core_->context->capabilities.renew_leases) renew_leases(lock, now);]]
  "")
# Of the memory back end.
torture_mutant(lost_lease_not_noticed memory depth memory/store.cpp
  [[  leave_flight(slot);
  slot.lease_expired = true;
  line_up_in_front(slot);]]
  [[  slot.lease_expired = true;]])
# Of Redis.
torture_mutant(foreign_ack redis foreign_ack redis/channel_scripts.cpp
  [[local rows = call('XPENDING', stream, group, ARGV[3], ARGV[4], most, consumer)]]
  [[local rows = call('XPENDING', stream, group, ARGV[3], ARGV[4], most)]])
torture_mutant_also(foreign_ack
  [[  if deliveries == (once and 1 or tonumber(ARGV[6 + count + n])) then]]
  [[  if deliveries then]])
torture_mutant(dead_letter_without_its_body redis dead_letter redis/channel_scripts.cpp
  [[        local why = cjson.decode(third)]]
  [[        local why = cjson.decode(third)
        for i = 1, #fields, 2 do if fields[i] == 'body' then fields[i + 1] = '' end end]])
torture_mutant(delconsumer_with_pending redis lost redis/channel_scripts.cpp
  [[if its and of.name ~= consumer and of.pending == 0 and of.idle > its + 60000 then]]
  [[if its and of.name ~= consumer and of.idle > its then]])
torture_mutant(delay_forgotten redis early redis/topic_scripts.cpp
  [[  if delay == 0 then]]
  [[  if delay >= 0 then]])
torture_mutant(retry_keeps_its_origin redis unexplained redis/channel_scripts.cpp
  [[    remove(id)
    result[n] = 1]]
  [[    if action ~= 'retry' then remove(id) end
    result[n] = 1]])
torture_mutant(resend_of_an_unknown_outcome redis attempts redis/topic_store.cpp
  [[publish_one_script().run(*route_, keys, arguments, deadline, Repeat::no, parcel.messages)]]
  [[publish_one_script().run(*route_, keys, arguments, deadline, Repeat::safe, parcel.messages)]])
torture_mutant_also(resend_of_an_unknown_outcome
  [[publish_script().run(*route_, keys, arguments, deadline, Repeat::no, parcel.messages)]]
  [[publish_script().run(*route_, keys, arguments, deadline, Repeat::safe, parcel.messages)]])
