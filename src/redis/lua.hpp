// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace lrpc::queue::redis {

/// What several scripts share.
inline constexpr std::string_view kPrelude = R"lua(
local call = redis.call

-- The server's time in ms.
local function now()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A full server refuses a script's first write if it may need room, but not what follows another write: what is stored
-- already moves (D16).
local function make_way(stream) call('XDEL', stream, '0-0') end

-- Of names and values in turn.
local function table_of(list)
  local result = {}
  for i = 1, #list, 2 do result[list[i]] = list[i + 1] end
  return result
end

-- The last entry that a group has been handed; nil = there is no such group.
local function last_delivered(stream, group)
  for _, about in ipairs(call('XINFO', 'GROUPS', stream)) do
    local of = table_of(about)
    if of.name == group then return of['last-delivered-id'] end
  end
end

local function is_no_group(reply) return reply.err and string.find(reply.err, 'NOGROUP', 1, true) end
)lua";

/// A script's text that begins with the prelude.
[[nodiscard]] inline std::string with_prelude(std::string_view text) { return std::string(kPrelude).append(text); }

}  // namespace lrpc::queue::redis
