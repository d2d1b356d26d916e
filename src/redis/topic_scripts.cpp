// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "redis/topic_scripts.hpp"

#include "redis/lua.hpp"

namespace lrpc::queue::redis {

const Script& publish_script() {
  static const Script script("publish", with_prelude(R"lua(
local registry, topic = KEYS[1], ARGV[1]
local most, overflow, count = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

-- The channels, or the backlog: names and streams.
local targets = {}
local listed = call('HGETALL', registry)
for i = 1, #listed, 2 do
  if string.sub(listed[i], 1, 1) ~= '#' and tonumber(listed[i + 1]) > 0 then
    targets[#targets + 1] = {listed[i], registry .. ':' .. listed[i]}
  end
end
if #targets == 0 then targets[1] = {'', registry .. '::backlog'} end
if count * #targets > tonumber(ARGV[6]) or tonumber(ARGV[5]) * #targets > tonumber(ARGV[7]) then
  return {-1, #targets}
end

-- Room for all, or nothing is stored.
local drops = {}
for _, target in ipairs(targets) do
  local length = call('XLEN', target[2])
  local depth = length + call('ZCARD', target[2] .. ':delayed')
  local excess = depth + count - most
  if excess > 0 then
    local ready = 0
    if overflow == 'drop_oldest' and length > 0 then
      -- What no consumer has been handed: the entries behind the group's last.
      local from = '-'
      if target[1] ~= '' then
        local last = last_delivered(target[2], topic .. ':' .. target[1])
        if last then from = '(' .. last end
      end
      local oldest = call('XRANGE', target[2], from, '+', 'COUNT', excess)
      ready = #oldest
      drops[#drops + 1] = {target, oldest}
    end
    if ready < excess then return {0, target[1], depth} end
  end
end
local result = {1}
for _, drop in ipairs(drops) do
  for _, entry in ipairs(drop[2]) do call('XDEL', drop[1][2], entry[1]) end
  result[#result + 1] = #drop[2]
  result[#result + 1] = drop[1][1]
end

if ARGV[8] == '1' then
  local argv = ARGV
  for _, target in ipairs(targets) do
    local channel, stream = target[1], target[2]
    for at = 9, #argv, 4 do
      call('XADD', stream, '*', 'id', argv[at], 'body', argv[at + 1], 'timestamp', argv[at + 2], 'channel', channel,
           'expires_at', argv[at + 3], 'attempts', '0')
    end
  end
  return result
end

local present = nil
local at = 9
for _ = 1, count do
  local delay, further = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local entry = {'', '*', 'id', ARGV[at + 2], 'body', ARGV[at + 3], 'timestamp', ARGV[at + 4], 'channel', '',
                 'expires_at', ARGV[at + 5], 'attempts', '0'}
  for i = 1, 2 * further do entry[14 + i] = ARGV[at + 5 + i] end
  at = at + 6 + 2 * further
  if delay == 0 then
    for _, target in ipairs(targets) do
      entry[1], entry[10] = target[2], target[1]
      call('XADD', unpack(entry))
    end
  else
    present = present or now()
    for _, target in ipairs(targets) do
      entry[10] = target[1]
      -- The number makes two equal messages two members.
      local number = call('HINCRBY', registry, '#', 1)
      local member, set = cmsgpack.pack({number, unpack(entry, 3)}), target[2] .. ':delayed'
      call('ZADD', set, present + delay, member)
      -- Consumers that wait for a later one look again.
      if call('ZRANK', set, member) == 0 then redis.pcall('PUBLISH', target[2], 'look') end
    end
  end
end
return result
)lua"));
  return script;
}

const Script& publish_one_script() {
  static const Script script("publish one", R"lua(
local call, byte, registry, message = redis.call, string.byte, KEYS[1], ARGV
local most = tonumber(message[1])
local listed, count = call('HGETALL', registry), 0
for i = 1, #listed, 2 do
  local name = listed[i]
  -- Neither '#...' nor deleted, which has a '-'. Names and streams take the places of what has been read.
  if byte(name) ~= 35 and byte(listed[i + 1]) ~= 45 then
    local stream = registry .. ':' .. name
    if call('XLEN', stream) + call('ZCARD', stream .. ':delayed') >= most then return 0 end
    count = count + 2
    listed[count - 1], listed[count] = name, stream
  end
end
if count == 0 or count > 2000 then return 0 end
for i = 1, count, 2 do
  call('XADD', listed[i + 1], '*', 'id', message[2], 'body', message[3], 'timestamp', message[4],
       'channel', listed[i], 'expires_at', message[5], 'attempts', '0')
end
return 1
)lua");
  return script;
}

const Script& open_channel_script() {
  static const Script script("open channel", with_prelude(R"lua(
local registry, stream, backlog = KEYS[1], KEYS[2], KEYS[3]
local channel, group, create = ARGV[1], ARGV[2], ARGV[3] ~= 'existing'

local incarnation = tonumber(call('HGET', registry, channel) or '0')
local born = call('HGET', registry, '#born')
-- Who had it open may have it anew only when nobody deleted it.
if ARGV[3] == 'rebuild' and (incarnation < 0 or (born == ARGV[4] and incarnation > 0 and incarnation ~= tonumber(ARGV[5])))
then return 0 end
-- A stream that another program made counts as a channel, unless we have deleted it.
local there = incarnation > 0 or (incarnation == 0 and call('EXISTS', stream) == 1)
if not there and not create then return 0 end
-- Who opens a channel may be there to make room.
make_way(stream)
if not born then
  local time = call('TIME')
  born = time[1] .. '.' .. time[2]
  call('HSET', registry, '#born', born)
end
if incarnation <= 0 then
  local first = true
  for _, name in ipairs(call('HKEYS', registry)) do
    if string.sub(name, 1, 1) ~= '#' and tonumber(call('HGET', registry, name)) > 0 then first = false end
  end
  if first and call('EXISTS', backlog) == 1 then
    -- What was published before the first channel is its.
    if call('EXISTS', stream) == 0 then
      call('RENAME', backlog, stream)
    else
      local moving = call('XRANGE', backlog, '-', '+', 'COUNT', 1000)
      for _, entry in ipairs(moving) do
        call('XADD', stream, '*', unpack(entry[2]))
        call('XDEL', backlog, entry[1])
      end
      if call('XLEN', backlog) > 0 then return -1 end
      call('UNLINK', backlog)
    end
  end
  -- It may have some of its own, when an operator deleted the registry.
  if first and call('EXISTS', backlog .. ':delayed') == 1 then
    local own = stream .. ':delayed'
    call('ZUNIONSTORE', own, 2, own, backlog .. ':delayed', 'AGGREGATE', 'MIN')
    call('UNLINK', backlog .. ':delayed')
  end
  incarnation = call('HINCRBY', registry, '#', 1)
  call('HSET', registry, channel, incarnation)
end
-- The group goes with its stream when an operator deletes that.
local made = redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
if type(made) == 'table' and made['err'] and not string.find(made['err'], 'BUSYGROUP', 1, true) then return made end
return {incarnation, born}
)lua"));
  return script;
}

const Script& delete_channel_script() {
  static const Script script("delete channel", R"lua(
local registry, stream, delayed, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local incarnation = tonumber(redis.call('HGET', registry, ARGV[1]) or '0')
if incarnation < 0 or (incarnation == 0 and redis.call('EXISTS', stream) == 0) then return 0 end
-- First what makes room: a full server refuses what needs some as a script's first write.
redis.call('UNLINK', stream, delayed, dead)
if incarnation == 0 then incarnation = redis.call('HINCRBY', registry, '#', 1) end
redis.call('HSET', registry, ARGV[1], -incarnation)
redis.pcall('PUBLISH', stream, 'look')
return 1
)lua");
  return script;
}

}  // namespace lrpc::queue::redis
