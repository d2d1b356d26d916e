// Copyright The lrpc-queue authors. SPDX-License-Identifier: Apache-2.0
// Logins that a broker refuses, at once and under use (D22).
#include "queue_fixture.hpp"

namespace lrpc::queue::kafka::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::vector<User> kUsers{{.name = "ada", .password = "right-one"}};

class LoginFault : public ::testing::Test {
 protected:
  LoginFault() { config_.kafka_config.sasl = {.mechanism = "PLAIN", .username = "ada", .password = "right-one"}; }

  Broker broker_{{.users = kUsers}};
  Config config_ = queue_config(broker_.address(Listener::sasl));
};

TEST_F(LoginFault, D22_a_wrong_password_is_told_at_open_and_at_once) {
  config_.kafka_config.sasl.password = "wrong-one";
  config_.kafka_config.dial_timeout = seconds(30);
  Error error;
  EXPECT_LT(took([&] { error = error_of_call(Queue::open(config_)); }), seconds(15));
  EXPECT_EQ(error.code, ErrorCode::permission) << error.message;
  EXPECT_FALSE(error.retryable);
  EXPECT_THAT(error.message, HasSubstr("kafka_config.sasl"));
  EXPECT_THAT(error.message, Not(HasSubstr("wrong-one")));
  config_.kafka_config.sasl.password = "right-one";
  EXPECT_TRUE(Queue::open(config_).has_value());
}

TEST_F(LoginFault, D22_a_password_that_was_changed_under_use) {
  config_.kafka_config.write_timeout = seconds(2);
  // Two restarts of a broker on a busy machine take longer than the default; who outlasts the session is let in anew
  // only when the broker has waited for the member that it was.
  config_.kafka_config.session_timeout = seconds(120);
  Party consumer(config_);
  Party publisher(config_);
  Witness witness;
  const Subscription subscription = witness.watch(consumer.channel);
  Publisher stream(publisher.topic, PubOptions{}, milliseconds(1));
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  broker_.stop();
  broker_.set_users({{.name = "ada", .password = "new-one"}});
  broker_.start();
  const auto denied = [&] {
    const auto errors = stream.errors();
    return std::ranges::find(errors, ErrorCode::permission, &Error::code) != errors.end();
  };
  EXPECT_TRUE(eventually(denied));
  const auto errors = stream.errors();
  const auto error = std::ranges::find(errors, ErrorCode::permission, &Error::code);
  ASSERT_NE(error, errors.end());
  EXPECT_THAT(error->message, HasSubstr("kafka_config.sasl"));
  EXPECT_THAT(error->message, Not(HasSubstr("right-one")));
  broker_.stop();
  broker_.set_users(kUsers);
  broker_.start();
  ASSERT_TRUE(stream.goes_on(20, kPatience));
  expect_all(witness.ledger, stream.stop());
  expect_empty(consumer.channel);
  EXPECT_THAT(witness.ledger.repeated(), IsEmpty());
}

}  // namespace
}  // namespace lrpc::queue::kafka::test
