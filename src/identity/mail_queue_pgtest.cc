#include "identity/mail_queue.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/seal.h"
#include "identity/people_pgtest.h"
#include "identity/users_impl.h"

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;

constexpr const char* kRecipient = "ada@acme.example";

class NoSink final : public observe::Sink {
 public:
  void write(std::string_view) override {}
};

// Bound, so that it is nobody else's, and not listened to: whoever connects is refused.
class ClosedPort {
 public:
  ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_, generic, size) == 0 && getsockname(socket_, generic, &size) == 0)
      port_ = ntohs(address.sin_port);
  }
  ~ClosedPort() { close(socket_); }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

class MailQueueTest : public PeopleTest {
 protected:
  void SetUp() override {
    PeopleTest::SetUp();
    queue_ = make_queue();
  }
  void TearDown() override {
    run(queue_->stop());
    queue_.reset();
    identity_sql().run("TRUNCATE identity.mail");
    PeopleTest::TearDown();
  }

  std::unique_ptr<MailQueue> make_queue(char key = 'k') {
    MailOptions options;
    options.server.url = "smtp://127.0.0.1:" + std::to_string(port_.port());
    options.from.address = "no-reply@platform.example";
    return std::make_unique<MailQueue>(cluster().executor(), here_->pool, background_, log_, time_,
                                       std::string(crypto::kSealKeyBytes, key), options);
  }

  void put() {
    mail::Content content;
    content.kind = mail::Kind::invitation;
    content.branding = mail::default_branding();
    content.link = "https://rows.example/account/#/invitation/rhl_secret";
    const Letter letter(content, kRecipient, acme_->id);
    pg::Params params;
    const std::string sql = queue_->insert_sql(params, letter, "(SELECT 1) AS source");
    const pg::Statement statement(sql, std::move(params), pg::Access::write);
    const auto done = run(here_->pool.run(nullptr, statement, patient()));
    ASSERT_TRUE(done.ok()) << done.error().message << done.error().detail(pg::kServerMessage);
  }
  std::size_t send_due() {
    const auto sent = run(queue_->send_due(patient()));
    if (!sent.ok()) ADD_FAILURE() << sent.error().message << sent.error().detail(pg::kServerMessage);
    return sent.ok() ? *sent : 0;
  }
  MailInfo only() {
    auto all = run(queue_->list("", patient()));
    if (!all.ok() || all->size() != 1) {
      ADD_FAILURE() << "not one mail";
      return {};
    }
    return all->front();
  }

  ClosedPort port_;
  NoSink sink_;
  ManualClock time_{WallTime(std::chrono::seconds(1'795'239'600))};
  observe::Log log_{sink_, time_, observe::Level::error};
  net::BlockingWork background_{net::BlockingWorkOptions()};
  std::unique_ptr<MailQueue> queue_;
};

TEST_F(MailQueueTest, AServerThatIsAwayIsAskedAgainForADayWithGrowingPauses) {
  put();
  EXPECT_EQ(send_due(), 1U);
  auto mail = only();
  EXPECT_EQ(mail.status, "queued");
  EXPECT_EQ(mail.attempts, 1);
  EXPECT_FALSE(mail.last_error.empty());
  EXPECT_EQ(send_due(), 0U) << "not before the pause is over";
  time_.advance(9s);
  EXPECT_EQ(send_due(), 0U);
  time_.advance(1s);
  EXPECT_EQ(send_due(), 1U);
  time_.advance(10s);
  EXPECT_EQ(send_due(), 0U) << "the second pause is longer";
  time_.advance(25h);
  EXPECT_EQ(send_due(), 1U);
  mail = only();
  EXPECT_EQ(mail.status, "failed");
  EXPECT_EQ(mail.attempts, 3);
  EXPECT_EQ(identity_sql().value(
                "SELECT count(*) FROM identity.outbox WHERE action = 'mail.failed' AND tenant_id = '" +
                acme_->id.to_string() + "'"),
            "1");
  const auto retried = run(queue_->retry(mail.id, admin(), patient()));
  ASSERT_TRUE(retried.ok()) << retried.error().message;
  EXPECT_EQ(send_due(), 1U);
  EXPECT_EQ(only().status, "queued");
}

TEST_F(MailQueueTest, OneThatWasTakenIsTakenByAnotherWhenItsTimeIsOver) {
  put();
  // As a node leaves it that is killed.
  identity_sql().run("UPDATE identity.mail SET attempts = 1, next_attempt_at = '2026-11-21T05:42:00Z'");
  EXPECT_EQ(send_due(), 0U);
  time_.advance(120s);
  EXPECT_EQ(send_due(), 1U);
  EXPECT_EQ(only().attempts, 2);
}

TEST_F(MailQueueTest, TheTextIsSealedAndOpensWithItsKeyAlone) {
  put();
  EXPECT_EQ(identity_sql().value(
                "SELECT count(*) FROM identity.mail m WHERE position('rhl_secret'::bytea IN sealed) > 0"),
            "0");
  queue_ = make_queue('x');
  EXPECT_EQ(send_due(), 1U);
  EXPECT_EQ(only().status, "failed");
  EXPECT_NE(only().last_error.find("master key"), std::string::npos);
}

TEST_F(MailQueueTest, ItGoesWithItsTenant) {
  put();
  ASSERT_FALSE(run(users().prove_tenant_gone(acme_->id, patient())).ok());
  ASSERT_TRUE(run(users().remove_tenant(acme_->id, admin(), patient())).ok());
  EXPECT_TRUE(run(users().prove_tenant_gone(acme_->id, patient())).ok());
}

TEST_F(MailQueueTest, PausesGrowToAnHour) {
  EXPECT_EQ(mail_pause(1), 10s);
  EXPECT_EQ(mail_pause(2), 20s);
  EXPECT_EQ(mail_pause(8), 1280s);
  EXPECT_EQ(mail_pause(10), 3'600s);
  EXPECT_EQ(mail_pause(1'000), 3'600s);
}

}  // namespace
}  // namespace rowhouse::identity
