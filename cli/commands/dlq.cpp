// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands/commands.hpp"
#include "shared/records.hpp"
#include "shared/remote.hpp"

namespace lrpc::queue::cli {

namespace {

constexpr const char* kDlqFooter =
    "Examples:\n"
    "  lrpc-queue dlq list orders billing --redis localhost:6379\n"
    "  lrpc-queue dlq requeue orders billing --redis localhost:6379\n"
    "  lrpc-queue dlq purge orders billing --redis localhost:6379";

constexpr const char* kListFooter =
    "One dead letter a line, oldest first: id, time of giving up, reason, attempts, error and body, with tabs between\n"
    "them; with --json an object with the keys id, body, attempts, reason, error, first_at, last_at (a body that is "
    "no\n"
    "JSON as \"body\":null and body_base64). With IDs only those.\n\n"
    "Examples:\n"
    "  lrpc-queue dlq list orders billing --redis localhost:6379\n"
    "  lrpc-queue dlq list orders billing --json --redis localhost:6379 | jq -c .body";

constexpr const char* kRequeueFooter =
    "Puts all dead letters, or those with the IDs, back into the channel, attempts starting over. Prints \"requeued "
    "N\",\n"
    "with --json one line {\"topic\":...,\"channel\":...,\"requeued\":N}. IDs that are no dead letters: exit code "
    "1.\n\n"
    "Examples:\n"
    "  lrpc-queue dlq requeue orders billing --redis localhost:6379\n"
    "  lrpc-queue dlq requeue orders billing 01J9Z3V0S8M1W4Q6T2Y5X7A9BC --redis localhost:6379";

constexpr const char* kPurgeFooter =
    "Forgets all dead letters of the channel. Prints \"purged N\", with --json one line\n"
    "{\"topic\":...,\"channel\":...,\"purged\":N}. Does not ask.\n\n"
    "Examples:\n"
    "  lrpc-queue dlq purge orders billing --redis localhost:6379";

struct DlqOptions {
  ChannelName name{};
  std::vector<std::string> ids{};
  std::optional<std::int64_t> limit{};
};

std::string count_line(const DlqOptions& options, const Session& session, std::string_view what, std::int64_t count) {
  return session.globals.json ? fmt::format("{},\"{}\":{}}}\n", json_begin(options.name), what, count)
                              : fmt::format("{} {}\n", what, count);
}

/// Prints page by page; returns how many were printed.
Result<std::int64_t> print_letters(Channel<RawBody>& channel, const DlqOptions& options, bool json) {
  constexpr std::int64_t kPage = 100;
  const std::int64_t most = options.limit.value_or(std::numeric_limits<std::int64_t>::max());
  std::int64_t printed = 0;
  std::string cursor;
  do {
    auto page = channel.dead_letters(kPage, cursor);
    if (!page) return std::unexpected(std::move(page.error()));
    std::string text;
    for (const DeadLetter<RawBody>& letter : page->items) {
      if (printed == most) break;
      if (!options.ids.empty() && std::ranges::find(options.ids, letter.id) == options.ids.end()) continue;
      const DeadLetterRecord record = record_of(letter);
      text += json ? to_json_line(record) : to_text_line(record);
      ++printed;
    }
    if (Result<void> written = write_output(text); !written) return std::unexpected(std::move(written.error()));
    cursor = std::move(page->cursor);
  } while (!cursor.empty() && printed < most);
  return printed;
}

int list(const DlqOptions& options, Session& session) {
  return with_channel(session, "dlq list", options.name, [&](Channel<RawBody>& channel) {
    return detail::map_result(print_letters(channel, options, session.globals.json),
                              [](std::int64_t) { return std::string(); });
  });
}

int requeue(const DlqOptions& options, Session& session) {
  std::int64_t count = 0;
  const int code = with_channel(session, "dlq requeue", options.name, [&](Channel<RawBody>& channel) {
    return detail::map_result(options.ids.empty() ? channel.requeue_dead() : channel.requeue_dead(options.ids),
                              [&](std::int64_t requeued) {
                                count = requeued;
                                return count_line(options, session, "requeued", requeued);
                              });
  });
  const auto missing = std::ssize(options.ids) - count;
  if (code != kExitOk || missing <= 0) return code;
  session.console.error(fmt::format("{} of {} IDs are no dead letters of channel {} of topic {}", missing,
                                    options.ids.size(), options.name.channel, options.name.topic));
  return kExitError;
}

int purge(const DlqOptions& options, Session& session) {
  return with_channel(session, "dlq purge", options.name, [&](Channel<RawBody>& channel) {
    return detail::map_result(channel.purge_dead(),
                              [&](std::int64_t count) { return count_line(options, session, "purged", count); });
  });
}

using Action = int (*)(const DlqOptions&, Session&);

CLI::App* add_action(CLI::App& dlq, Session& session, const std::shared_ptr<DlqOptions>& options, const char* name,
                     const char* description, const char* footer, Action action) {
  CLI::App* command = dlq.add_subcommand(name, description);
  remote_footer(*command, footer);
  add_channel_name(*command, options->name);
  command->callback(
      [options, action, &session] { session.run = [options, action, &session] { return action(*options, session); }; });
  return command;
}

}  // namespace

void add_dlq(CLI::App& app, Session& session) {
  auto options = std::make_shared<DlqOptions>();
  CLI::App* dlq = app.add_subcommand("dlq", "Work with the dead letters of a channel");
  dlq->require_subcommand(1);
  remote_footer(*dlq, kDlqFooter);
  CLI::App* listing = add_action(*dlq, session, options, "list", "Print the dead letters", kListFooter, list);
  CLI::App* requeuing =
      add_action(*dlq, session, options, "requeue", "Put dead letters back into the channel", kRequeueFooter, requeue);
  add_action(*dlq, session, options, "purge", "Forget the dead letters", kPurgeFooter, purge);
  for (CLI::App* const command : {listing, requeuing}) {
    command->add_option("ID", options->ids, "Ids of messages (default: all)")->type_name("");
  }
  listing->add_option("--limit", options->limit, "Print at most so many (default: all)")
      ->check(CLI::Range(std::int64_t{1}, std::numeric_limits<std::int64_t>::max()).description("INT >= 1"))
      ->type_name("N");
}

}  // namespace lrpc::queue::cli
