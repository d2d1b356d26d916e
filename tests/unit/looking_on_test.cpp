// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// tail and diagnose: what the engine makes of a back end's answers.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrpc/queue.hpp>

namespace lrpc::queue {
namespace {

Bytes bytes_of(std::string_view text) {
  const auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

Delivery entry(std::string_view id, std::string_view body, int attempts) {
  Delivery delivery{.message = Envelope::make_encoded(bytes_of(body)), .attempts = attempts};
  delivery.message->set_id(id);
  return delivery;
}

/// A topic that can be looked at only.
class ShownTopic final : public BackendTopic {
 public:
  static std::unexpected<Error> no() { return fail(ErrorCode::unsupported, "only tail"); }
  Result<void> publish(std::span<Outgoing>, Duration) override { return no(); }
  Result<std::shared_ptr<BackendChannel>> open_channel(const std::string&, const ChannelPolicy&, bool) override {
    return no();
  }
  Result<std::vector<std::string>> channels() override { return no(); }
  Result<void> delete_channel(const std::string&) override { return no(); }
  Result<TailPage> tail(const std::string& channel, std::string_view cursor, std::size_t limit,
                        SteadyTime deadline) override {
    EXPECT_LE(deadline, std::chrono::steady_clock::now() + std::chrono::seconds(5));
    TailPage page{.items = {}, .cursor = channel + std::string(cursor) + std::to_string(limit)};
    page.items.push_back(entry("a", "\"one\"", 0));
    page.items.push_back(entry("b", "not JSON", 0));
    page.items.push_back(entry("c", "\"two\"", 2));
    page.items.push_back(entry("d", "", 0));
    page.items.back().malformed = std::make_shared<const std::string>("no body");
    return page;
  }
  Result<void> close() override { return {}; }
};

class ShownBackend final : public Backend {
 public:
  [[nodiscard]] const Capabilities& capabilities() const noexcept override { return capabilities_; }
  Result<std::shared_ptr<BackendTopic>> open_topic(const std::string&, const TopicPolicy&) override {
    return std::make_shared<ShownTopic>();
  }
  Result<std::vector<std::string>> topics() override { return std::vector<std::string>{}; }
  Result<void> ping(SteadyTime) override { return {}; }
  Result<Diagnosis> diagnose(SteadyTime) override {
    return Diagnosis{.server = "Shown 1", .findings = {{.level = Finding::Level::warning, .what = "w", .advice = "a"}}};
  }
  Result<void> close() override { return {}; }

 private:
  Capabilities capabilities_{.name = "shown"};
};

Queue open_shown() {
  return Queue::open({.backend_factory = [](const BackendContext&) { return std::make_shared<ShownBackend>(); }})
      .value();
}

TEST(Tail, DecodesAndPassesOverWhatItCannot) {
  Queue queue = open_shown();
  auto topic = queue.topic<std::string>("events").value();
  const auto page = topic.tail("work", "7-", 9, Duration(0)).value();
  EXPECT_EQ(page.cursor, "work7-9");
  ASSERT_EQ(page.items.size(), 2U);
  EXPECT_EQ(page.items[0].id(), "a");
  EXPECT_EQ(page.items[0].body(), "one");
  EXPECT_EQ(page.items[0].attempts(), 0);
  EXPECT_EQ(page.items[0].channel(), "work");
  EXPECT_EQ(page.items[1].body(), "two");
  EXPECT_EQ(page.items[1].attempts(), 2);
}

TEST(Tail, ShowsBytesAsTheyAre) {
  Queue queue = open_shown();
  const auto page = queue.topic<Bytes>("events").value().tail("", "0", 1, Duration(-5)).value();
  ASSERT_EQ(page.items.size(), 3U) << "only the malformed entry is passed over";
  EXPECT_EQ(page.items[1].body(), bytes_of("not JSON"));
}

TEST(Tail, ChecksItsArguments) {
  Queue queue = open_shown();
  auto topic = queue.topic<Bytes>("events").value();
  EXPECT_EQ(topic.tail("work", "", 0, Duration(0)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(topic.tail("a b", "", 1, Duration(0)).error().code, ErrorCode::invalid_argument);
  ASSERT_TRUE(topic.close());
  EXPECT_EQ(topic.tail("work", "", 1, Duration(0)).error().code, ErrorCode::topic_closed);
}

TEST(Diagnose, TellsWhatTheBackEndFound) {
  Queue queue = open_shown();
  const Diagnosis diagnosis = queue.diagnose().value();
  EXPECT_EQ(diagnosis.server, "Shown 1");
  ASSERT_EQ(diagnosis.findings.size(), 1U);
  EXPECT_EQ(to_string(diagnosis.findings[0].level), "warning");
  ASSERT_TRUE(queue.close());
  EXPECT_EQ(queue.diagnose().error().code, ErrorCode::queue_closed);
}

TEST(Diagnose, AndTailAreUnsupportedOnMemory) {
  Queue queue = Queue::open({}).value();
  const auto diagnosed = queue.diagnose();
  EXPECT_EQ(diagnosed.error().code, ErrorCode::unsupported);
  EXPECT_EQ(diagnosed.error().source, "memory");
  EXPECT_EQ(queue.topic<int>("events").value().tail("work", "", 1, Duration(0)).error().code, ErrorCode::unsupported);
}

}  // namespace
}  // namespace lrpc::queue
