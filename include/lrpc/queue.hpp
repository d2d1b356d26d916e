// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Everything of lrpc-queue. Also includes the JSON codec and with it nlohmann/json; include the single headers under
/// lrpc/queue/ to avoid that.

#include <lrpc/queue/backend.hpp>
#include <lrpc/queue/channel.hpp>
#include <lrpc/queue/clock.hpp>
#include <lrpc/queue/codec.hpp>
#include <lrpc/queue/config.hpp>
#include <lrpc/queue/diagnosis.hpp>
#include <lrpc/queue/error.hpp>
#include <lrpc/queue/hooks.hpp>
#include <lrpc/queue/json_codec.hpp>
#include <lrpc/queue/message.hpp>
#include <lrpc/queue/message_id.hpp>
#include <lrpc/queue/policy.hpp>
#include <lrpc/queue/queue.hpp>
#include <lrpc/queue/redis_client.hpp>
#include <lrpc/queue/subscription.hpp>
#include <lrpc/queue/topic.hpp>
#include <lrpc/queue/types.hpp>
#include <lrpc/queue/version.hpp>
