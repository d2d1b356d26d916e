// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/channel_scripts.hpp"

#include "redis/lua.hpp"

namespace lrpc::queue::redis {

const Script& settle_script() {
  static const Script script("settle", with_prelude(R"lua(
local stream, delayed, dead = KEYS[1], KEYS[2], KEYS[3]
local group, consumer = ARGV[1], ARGV[2]
local gone = 0

-- The fields of an entry that is written anew: with these attempts, and with what only its old entry id told, when it
-- was added by a program that left out what it may.
local function renewed(id, attempts)
  local found = call('XRANGE', stream, id, id)
  if #found == 0 then return nil end
  local fields, named = found[1][2], {}
  for i = 1, #fields, 2 do
    if fields[i] == 'attempts' then fields[i + 1] = attempts end
    named[fields[i]] = fields[i + 1]
  end
  local function add(name, value) fields[#fields + 1], fields[#fields + 2] = name, value end
  local ms = string.match(id, '^%d+')
  if not named.attempts then add('attempts', attempts) end
  if not named.id or named.id == '' then add('id', id) end
  if not named.timestamp then add('timestamp', string.format('%.0f', math.floor((tonumber(named.enqueued_at_ms) or ms) / 1000))) end
  if not named.enqueued_at_ms then add('enqueued_at_ms', ms) end
  return fields
end

local function remove(id)
  call('XACK', stream, group, id)
  call('XDEL', stream, id)
end

local result = {}
local nudge = false
for n = 1, tonumber(ARGV[3]) do
  local at = 4 + (n - 1) * 6
  local id, deliveries, action = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local first, second, third = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  local pending = call('XPENDING', stream, group, id, id, 1, consumer)
  if #pending == 0 or pending[1][4] ~= deliveries then
    result[n] = 0
  elseif action == 'touch' then
    call('XCLAIM', stream, group, consumer, 0, id, 'IDLE', 0, 'JUSTID')
    result[n] = deliveries
  elseif action == 'keep' then
    local count = tonumber(first) + 1
    call('XCLAIM', stream, group, consumer, 0, id, 'IDLE', 0, 'RETRYCOUNT', count, 'JUSTID')
    result[n] = count
  elseif action == 'give_back' then
    -- To nobody in particular, idle since 1970: the next recovery takes it.
    call('XCLAIM', stream, group, 'given-back', 0, id, 'TIME', 0, 'RETRYCOUNT', first, 'JUSTID')
    nudge = true
    result[n] = 1
  else
    if action == 'retry' or action == 'dead' then make_way(stream) end
    if action == 'retry' then
      local fields = renewed(id, second)
      if fields then
        if tonumber(first) == 0 then
          call('XADD', stream, '*', unpack(fields))
        else
          local member = cmsgpack.pack({id .. ':' .. deliveries, unpack(fields)})
          call('ZADD', delayed, now() + tonumber(first), member)
          nudge = nudge or call('ZRANK', delayed, member) == 0
        end
      end
    elseif action == 'dead' then
      local fields = renewed(id, first)
      if fields then
        local why = cjson.decode(third)
        fields[#fields + 1], fields[#fields + 2] = 'reason', why.reason
        fields[#fields + 1], fields[#fields + 2] = 'error', why.error
        fields[#fields + 1], fields[#fields + 2] = 'dead_at_ms', now()
        call('XADD', dead, '*', unpack(fields))
        gone = gone + call('XTRIM', dead, 'MAXLEN', second)
      end
    end
    remove(id)
    result[n] = 1
  end
end
-- Consumers that wait look again; whether they can be told is not what this is about.
if nudge then redis.pcall('PUBLISH', stream, 'look') end
result[#result + 1] = gone
return result
)lua"));
  return script;
}

const Script& ack_script() {
  static const Script script("ack", R"lua(
local call = redis.call
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local count = tonumber(ARGV[6])
local once = #ARGV == 6 + count

-- What lies between the first and the last of them is mostly just them, in this order.
local most = 2 * count + 16
local rows = call('XPENDING', stream, group, ARGV[3], ARGV[4], most, consumer)
local all = once and #rows == count
for n = 1, count do
  if not all then break end
  local row = rows[n]
  all = row[1] == ARGV[6 + n] and row[4] == 1
end
if all then
  call('XACK', stream, group, unpack(ARGV, 7))
  -- Where nothing older is pending for anybody they are the oldest entries, which go in one piece for less. What else
  -- lies before them was acked by other programs.
  if count >= 8 and #call('XPENDING', stream, group, '-', ARGV[4], 1) == 0 then
    call('XTRIM', stream, 'MINID', ARGV[5])
  else
    call('XDEL', stream, unpack(ARGV, 7))
  end
  return {}
end

local held = {}
for i = 1, #rows do held[rows[i][1]] = rows[i][4] end
local ids, missing = {}, {}
for n = 1, count do
  local id = ARGV[6 + n]
  local deliveries = held[id]
  if not deliveries and #rows == most then
    local row = call('XPENDING', stream, group, id, id, 1, consumer)
    deliveries = row[1] and row[1][4]
  end
  if deliveries == (once and 1 or tonumber(ARGV[6 + count + n])) then
    held[id] = 0  -- once only
    ids[#ids + 1] = id
  else
    missing[#missing + 1] = n
  end
end
if #ids > 0 then
  call('XACK', stream, group, unpack(ids))
  call('XDEL', stream, unpack(ids))
end
return missing
)lua");
  return script;
}

const Script& look_script() {
  static const Script script("look", with_prelude(R"lua(
local registry, stream, delayed = KEYS[1], KEYS[2], KEYS[3]
local channel, group, consumer = ARGV[1], ARGV[2], ARGV[3]
local most, own_lease, cursor, maintain = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9] == '1'

local mark = call('HMGET', registry, channel, '#born')
if mark[1] and tonumber(mark[1]) < 0 then return {-1} end
if not mark[1] or mark[2] ~= ARGV[4] then return {0} end
if mark[1] ~= ARGV[5] then return {-1} end
local summary = redis.pcall('XPENDING', stream, group)
if summary.err then
  return is_no_group(summary) and {0} or summary
end

-- What is due by the server's clock comes into line.
local present = now()
local due = call('ZRANGEBYSCORE', delayed, '-inf', present, 'LIMIT', 0, 1000)
if #due > 0 then make_way(stream) end
for _, member in ipairs(due) do
  call('XADD', stream, '*', unpack(cmsgpack.unpack(member), 2))
  call('ZREM', delayed, member)
end
local wait = -1
local next = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if #next > 0 then wait = math.max(tonumber(next[2]) - present, 0) end

local result = {1, wait, cursor}
local bodies_gone = false
local function take(claimed)
  for _, entry in ipairs(claimed) do
    -- Before Redis 7 an entry whose body is gone comes as a nil.
    if not entry or not entry[2] then
      bodies_gone = true
    else
      local pending = call('XPENDING', stream, group, entry[1], entry[1], 1)
      result[#result + 1] = {entry[1], pending[1][4], entry[2]}
      most = most - 1
    end
  end
end

-- Deliveries of this consumer that ended, or never arrived there.
for at = 10, #ARGV, 3 do
  local pending = call('XPENDING', stream, group, ARGV[at], ARGV[at], 1, consumer)
  if #pending == 1 and pending[1][4] == tonumber(ARGV[at + 1]) then
    take(call('XCLAIM', stream, group, consumer, 0, ARGV[at], 'RETRYCOUNT', ARGV[at + 2]))
  end
end

if tonumber(summary[1]) == 0 then
  result[3] = '0-0'
else
  -- What was given back.
  local given = most > 0 and call('XPENDING', stream, group, '-', '+', most, 'given-back') or {}
  if #given > 0 then
    local ids = {}
    for i, row in ipairs(given) do ids[i] = row[1] end
    take(call('XCLAIM', stream, group, consumer, 0, unpack(ids)))
  end
end

if maintain then
  -- The longest lease that a live consumer has, by its name; those that are gone and hold nothing are removed.
  local lease = own_lease
  for _, about in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
    local of = table_of(about)
    local its = tonumber(string.match(of.name, '^consumer%-%w+%-(%d+)$') or '')
    if its and of.idle <= its then lease = math.max(lease, its) end
    if its and of.name ~= consumer and of.pending == 0 and of.idle > its + 60000 then
      call('XGROUP', 'DELCONSUMER', stream, group, of.name)
    end
  end
  if most > 0 and tonumber(summary[1]) > 0 then
    -- Each looks at ten times as many entries as it may take; where it finds none, on to the next ones.
    for _ = 1, 50 do
      local taken = call('XAUTOCLAIM', stream, group, consumer, lease, result[3], 'COUNT', most)
      result[3] = taken[1]
      take(taken[2])
      if #taken[2] > 0 or taken[1] == '0-0' then break end
    end
  end
  if bodies_gone then
    -- It would stay pending for ever.
    for _, row in ipairs(call('XPENDING', stream, group, '-', '+', 1000, consumer)) do
      if #call('XRANGE', stream, row[1], row[1]) == 0 then call('XACK', stream, group, row[1]) end
    end
  end
  -- What other programs acked but left there: all before the oldest pending one.
  local oldest = call('XPENDING', stream, group)[2]
  if not oldest then
    local ms, number = string.match(last_delivered(stream, group), '^(%d+)%-(%d+)$')
    oldest = string.format('%s-%.0f', ms, tonumber(number) + 1)
  end
  call('XTRIM', stream, 'MINID', oldest)
end
return result
)lua"));
  return script;
}

const Script& leave_script() {
  static const Script script("leave", with_prelude(R"lua(
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1000, consumer)
if pending.err then
  return is_no_group(pending) and 0 or pending
end
for _, row in ipairs(pending) do
  call('XCLAIM', stream, group, 'given-back', 0, row[1], 'TIME', 0, 'RETRYCOUNT', row[4], 'JUSTID')
end
if #pending > 0 then redis.pcall('PUBLISH', stream, 'look') end
if #pending == 1000 then return 1 end
call('XGROUP', 'DELCONSUMER', stream, group, consumer)
return 0
)lua"));
  return script;
}

const Script& drop_all_script() {
  static const Script script("drop all", with_prelude(R"lua(
local stream, delayed, group = KEYS[1], KEYS[2], ARGV[1]
local dropped, left = 0, 0
local waiting = call('ZRANGE', delayed, 0, 999)
if #waiting > 0 then
  call('ZREM', delayed, unpack(waiting))
  dropped, left = #waiting, call('ZCARD', delayed)
end
for _, row in ipairs(call('XPENDING', stream, group, '-', '+', 1000, 'given-back')) do
  call('XACK', stream, group, row[1])
  dropped, left = dropped + call('XDEL', stream, row[1]), 1
end
local last = last_delivered(stream, group)
if last then
  local ids = {}
  for i, entry in ipairs(call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1000)) do ids[i] = entry[1] end
  if #ids > 0 then dropped, left = dropped + call('XDEL', stream, unpack(ids)), 1 end
end
return {dropped, left}
)lua"));
  return script;
}

const Script& requeue_dead_script() {
  static const Script script("requeue dead letters", with_prelude(R"lua(
local stream, dead = KEYS[1], KEYS[2]
local from, all, ttl = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local wanted = {}
for at = 4, #ARGV do wanted[ARGV[at]] = true end
local present = now()
local page = call('XRANGE', dead, from, '+', 'COUNT', 1000)
local moved = 0
make_way(dead)
for _, entry in ipairs(page) do
  local fields, id = {}, entry[1]
  for i = 1, #entry[2], 2 do
    local name, value = entry[2][i], entry[2][i + 1]
    if name == 'id' then id = value end
    if name == 'attempts' then value = '0' end
    if name == 'expires_at' then
      local at = tonumber(value)
      if at and at ~= 0 and at * 1000 <= present then
        value = ttl == 0 and '0' or string.format('%.0f', math.ceil((present + ttl) / 1000))
      end
    end
    -- Ours of the dead letter go, and the time: it is ready from now on.
    if name ~= 'reason' and name ~= 'error' and name ~= 'dead_at_ms' and name ~= 'enqueued_at_ms' then
      fields[#fields + 1], fields[#fields + 2] = name, value
    end
  end
  if all or wanted[id] then
    call('XADD', stream, '*', unpack(fields))
    call('XDEL', dead, entry[1])
    moved = moved + 1
  end
end
return {moved, #page == 1000 and '(' .. page[1000][1] or ''}
)lua"));
  return script;
}

}  // namespace lrpc::queue::redis
