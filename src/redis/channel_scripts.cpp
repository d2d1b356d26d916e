// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/channel_scripts.hpp"

namespace lrpc::queue::redis {

const Script& settle_script() {
  static const Script script("settle", R"lua(
local call = redis.call
local stream, delayed, dead = KEYS[1], KEYS[2], KEYS[3]
local group, consumer = ARGV[1], ARGV[2]
local gone = 0

local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The fields of an entry that is written anew: with these attempts, and with the time at which it first was ready, which
-- only its old entry id told.
local function renewed(id, attempts)
  local found = call('XRANGE', stream, id, id)
  if #found == 0 then return nil end
  local fields, dated = found[1][2], false
  for i = 1, #fields, 2 do
    if fields[i] == 'attempts' then fields[i + 1] = attempts end
    if fields[i] == 'enqueued_at_ms' then dated = true end
  end
  if not dated then
    fields[#fields + 1] = 'enqueued_at_ms'
    fields[#fields + 1] = string.match(id, '^%d+')
  end
  return fields
end

local function remove(id)
  call('XACK', stream, group, id)
  call('XDEL', stream, id)
end

local result = {}
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
    result[n] = 1
  else
    if action == 'retry' then
      local fields = renewed(id, second)
      if fields then
        if tonumber(first) == 0 then
          call('XADD', stream, '*', unpack(fields))
        else
          call('ZADD', delayed, now() + tonumber(first), cmsgpack.pack({id .. ':' .. deliveries, unpack(fields)}))
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
result[#result + 1] = gone
return result
)lua");
  return script;
}

const Script& recover_script() {
  static const Script script("recover", R"lua(
local call = redis.call
local stream, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local taken = call('XAUTOCLAIM', stream, group, consumer, ARGV[3], ARGV[4], 'COUNT', ARGV[5])
local result = {taken[1]}
for _, entry in ipairs(taken[2]) do
  -- Before Redis 7 an entry whose body is gone comes as a nil.
  if entry and entry[2] then
    local pending = call('XPENDING', stream, group, entry[1], entry[1], 1, consumer)
    if #pending == 1 then result[#result + 1] = {entry[1], pending[1][4], entry[2]} end
  end
end
return result
)lua");
  return script;
}

const Script& move_due_script() {
  static const Script script("move due messages", R"lua(
local call = redis.call
local stream, delayed = KEYS[1], KEYS[2]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due = call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  call('XADD', stream, '*', unpack(cmsgpack.unpack(member), 2))
  call('ZREM', delayed, member)
end
local next = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if #next == 0 then return {#due, -1} end
return {#due, math.max(tonumber(next[2]) - now, 0)}
)lua");
  return script;
}

}  // namespace lrpc::queue::redis
