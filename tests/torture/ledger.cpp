// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
#include "ledger.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace lrpc::queue::torture {
namespace {

/// A line of words; an empty word is written as "-".
class Line {
 public:
  explicit Line(char kind) : text_(1, kind) {}
  Line& add(std::string_view word) {
    text_ += ' ';
    text_ += word.empty() ? std::string_view("-") : word;
    return *this;
  }
  Line& add(std::int64_t number) { return add(std::to_string(number)); }
  std::string end() { return std::move(text_ += '\n'); }

 private:
  std::string text_;
};

/// Reads the words of a line one after the other.
class Words {
 public:
  explicit Words(std::string_view line) : line_(line), rest_(line) {}
  std::string text() {
    if (rest_.empty()) wrong();
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return word == "-" ? std::string() : std::string(word);
  }
  std::int64_t number() {
    const std::string word = text();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) wrong();
    return value;
  }
  template <class E>
  E one_of() {
    return static_cast<E>(number());
  }

 private:
  [[noreturn]] void wrong() const { throw std::runtime_error("not a line of a ledger: " + std::string(line_)); }

  std::string_view line_;
  std::string_view rest_;
};

/// Where the deliveries of the ledger's consumers are in the history.
using Places = std::unordered_map<std::string, std::size_t>;

std::string place_name(const std::string& consumer, std::int64_t number) {
  return consumer + "/" + std::to_string(number);
}

Delivered& delivery_named(Words& words, History& history, const Places& places) {
  const std::string consumer = words.text();
  const std::string name = place_name(consumer, words.number());
  const auto found = places.find(name);
  if (found == places.end()) throw std::runtime_error("a ledger ends a delivery that never began: " + name);
  return history.deliveries[found->second];
}

void read_line(std::string_view line, History& history, Places& places) {
  Words words(line);
  const std::string kind = words.text();
  if (kind == "I") {
    const std::string token = words.text();
    const TokenParts parts = parts_of(token);
    Intent& intent = history.intents[token];
    intent.publisher = parts.publisher;
    intent.number = parts.number;
    intent.key = words.text();
    intent.due_tick_ms = words.number();
    intent.expires_s = words.number();
    intent.ordered = words.number() != 0;
    intent.begin_us = words.number();
  } else if (kind == "O") {
    Intent& intent = history.intents[words.text()];
    intent.outcome = words.one_of<Published>();
    intent.code = words.text();
    intent.end_us = words.number();
  } else if (kind == "D") {
    Delivered d;
    d.consumer = words.text();
    d.number = words.number();
    d.token = words.text();
    d.channel = words.text();
    d.attempts = static_cast<int>(words.number());
    d.begin_us = words.number();
    d.wall_ms = words.number();
    d.tick_ms = words.number();
    places[place_name(d.consumer, d.number)] = history.deliveries.size();
    history.deliveries.push_back(std::move(d));
  } else if (kind == "S") {
    Delivered& d = delivery_named(words, history, places);
    d.ending = words.one_of<Ending>();
    d.end_us = words.number();
  } else if (kind == "A") {
    Delivered& d = delivery_named(words, history, places);
    d.answer = words.one_of<Answer>();
    d.answer_code = words.text();
    d.settle_begin_us = words.number();
    d.settle_end_us = words.number();
  } else if (kind == "B") {
    const std::string name = words.text();
    history.lives[name] = words.number();
  } else if (kind == "L") {
    DeadLetterSeen letter;
    letter.token = words.text();
    letter.channel = words.text();
    letter.reason = words.text();
    letter.attempts = static_cast<int>(words.number());
    letter.has_error = words.number() != 0;
    letter.wall_ms = words.number();
    history.dead.push_back(std::move(letter));
  } else if (kind == "F") {
    Fault fault;
    fault.name = words.text();
    fault.begin_us = words.number();
    fault.end_us = words.number();
    fault.target = words.text();
    fault.spreads = words.number() != 0;
    fault.redelivers = words.number() != 0;
    fault.reorders = words.number() != 0;
    fault.moves_clock = words.number() != 0;
    fault.reach_ms = words.number();
    fault.may_lose_ms = words.number();
    fault.lurks = words.number() != 0;
    fault.cuts = words.number() != 0;
    history.faults.push_back(std::move(fault));
  } else if (kind == "E") {
    const std::string channel = words.text();
    history.depths[channel] = words.number();
    history.end_wall_ms = std::max(history.end_wall_ms, words.number());
  } else {
    throw std::runtime_error("not a line of a ledger: " + std::string(line));
  }
}

}  // namespace

std::int64_t machine_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

std::string token_of(const std::string& publisher, std::int64_t number) {
  return publisher + ":" + std::to_string(number);
}

Answer answer_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::message_not_found:
      return Answer::refused;
    case ErrorCode::unavailable:
    case ErrorCode::timeout:
    case ErrorCode::outcome_unknown:
      return Answer::unknown;
    default:
      return Answer::failed;
  }
}

TokenParts parts_of(const std::string& token) {
  const std::size_t colon = token.rfind(':');
  TokenParts parts;
  if (colon == std::string::npos) return parts;
  const char* const end = token.data() + token.size();
  if (std::from_chars(token.data() + colon + 1, end, parts.number).ptr == end) parts.publisher = token.substr(0, colon);
  return parts;
}

Ledger::Ledger(const std::filesystem::path& file)
    : fd_(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  if (fd_ < 0) throw std::runtime_error("cannot write " + file.string());
}

Ledger::~Ledger() { ::close(fd_); }

void Ledger::write(std::string line) {
  ssize_t written = 0;
  do {
    written = ::write(fd_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  // A history with holes proves nothing.
  if (written != static_cast<ssize_t>(line.size())) {
    const std::string_view text = "a ledger cannot be written\n";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    std::_Exit(EXIT_FAILURE);
  }
}

void Ledger::intent(const std::string& token, const std::string& key, std::int64_t due_tick_ms, std::int64_t expires_s,
                    bool ordered, const Reading& now) {
  write(Line('I').add(token).add(key).add(due_tick_ms).add(expires_s).add(ordered).add(now.at_us).end());
}

void Ledger::outcome(const std::string& token, Published outcome, std::string_view code) {
  write(Line('O').add(token).add(static_cast<std::int64_t>(outcome)).add(code).add(machine_us()).end());
}

void Ledger::delivered(const std::string& consumer, std::int64_t number, const std::string& token,
                       const std::string& channel, int attempts, const Reading& now) {
  write(Line('D')
            .add(consumer)
            .add(number)
            .add(token)
            .add(channel)
            .add(attempts)
            .add(now.at_us)
            .add(now.wall_ms)
            .add(now.tick_ms)
            .end());
}

void Ledger::ended(const std::string& consumer, std::int64_t number, Ending ending) {
  write(Line('S').add(consumer).add(number).add(static_cast<std::int64_t>(ending)).add(machine_us()).end());
}

void Ledger::settled(const std::string& consumer, std::int64_t number, Answer answer, std::string_view code,
                     std::int64_t began_us) {
  write(Line('A')
            .add(consumer)
            .add(number)
            .add(static_cast<std::int64_t>(answer))
            .add(code)
            .add(began_us)
            .add(machine_us())
            .end());
}

void Ledger::life(const std::string& name) { write(Line('B').add(name).add(machine_us()).end()); }

void Ledger::dead(const DeadLetterSeen& letter) {
  write(Line('L')
            .add(letter.token)
            .add(letter.channel)
            .add(letter.reason)
            .add(letter.attempts)
            .add(letter.has_error)
            .add(letter.wall_ms)
            .end());
}

void Ledger::fault(const Fault& fault) {
  write(Line('F')
            .add(fault.name)
            .add(fault.begin_us)
            .add(fault.end_us)
            .add(fault.target)
            .add(fault.spreads)
            .add(fault.redelivers)
            .add(fault.reorders)
            .add(fault.moves_clock)
            .add(fault.reach_ms)
            .add(fault.may_lose_ms)
            .add(fault.lurks)
            .add(fault.cuts)
            .end());
}

void Ledger::depth(const std::string& channel, std::int64_t depth, std::int64_t wall_ms) {
  write(Line('E').add(channel).add(depth).add(wall_ms).end());
}

void read_ledger(const std::filesystem::path& file, History& history) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  Places places;
  for (std::string line; std::getline(in, line) && !in.eof();) read_line(line, history, places);
}

History read_ledgers(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".ledger") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  History history;
  for (const auto& file : files) read_ledger(file, history);
  return history;
}

}  // namespace lrpc::queue::torture
