#include "identity/passwords.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;
using Answer = Passwords::Checked::Answer;

PasswordOptions cheap() {
  PasswordOptions options;
  options.cost = crypto::PasswordCost{64 * 1024, 1};
  options.threads = 1;
  return options;
}

CallOptions patient() { return CallOptions{deadline_in(60s)}; }

std::string fault(std::string_view password, std::string_view email = "ada@acme.example") {
  const auto result = check_new_password(password, email, cheap());
  if (result.ok()) return "";
  EXPECT_EQ(result.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(result.error().fields.at(0).path, "/password");
  return result.error().fields.at(0).message;
}

TEST(PasswordRules, GoodOnesPass) {
  for (const char* password : {"correct horse battery", "Tr0ub4dor&3xyz", "grüße aus köln", "0f8kq2!mzb1",
                               "admin of the whole house"}) {
    EXPECT_EQ(fault(password), "") << password;
    EXPECT_EQ(fault(password, ""), "") << password;
  }
}

TEST(PasswordRules, BadOnesAreNamed) {
  EXPECT_EQ(fault("short"), "is too short: at least 10 characters");
  EXPECT_EQ(fault("ääääö"), "is too short: at least 10 characters");
  EXPECT_EQ(fault(std::string(513, 'x')), "is too long: 512 bytes at most");
  EXPECT_EQ(fault("\xff\xfe 123456789"), "must be text in UTF-8");
  EXPECT_EQ(fault(std::string("with a\0 byte", 12)), "must be text in UTF-8");
  EXPECT_EQ(fault("aaaaaaaabbbb"), "has too few different characters");
  EXPECT_EQ(fault("margarete1", "margarete@acme.example"), "is too close to the e-mail address");
  EXPECT_EQ(fault("margarete@acme.example", "margarete@acme.example"), "is too close to the e-mail address");
  EXPECT_EQ(fault("Ada@acme.example1"), "is too close to the e-mail address");
  for (const char* password : {"password123", "PassWord-12", "P.a.s.s.w.o.r.d", "1234567890", "qwertyuiop",
                               "changeme!!", "password123456"}) {
    EXPECT_EQ(fault(password), "is one of those that everybody tries first") << password;
  }
}

TEST(Passwords, RightAndWrong) {
  net::Executor executor;
  Passwords passwords(cheap());
  const auto hash = net::run_until_done(executor, passwords.hash(executor, "correct horse", patient()));
  ASSERT_TRUE(hash.ok());
  const auto right =
      net::run_until_done(executor, passwords.check(executor, *hash, "correct horse", patient()));
  ASSERT_TRUE(right.ok());
  EXPECT_EQ(right->answer, Answer::right);
  EXPECT_EQ(right->new_hash, "");
  for (const char* wrong : {"", "correct hors", "correct horse "}) {
    const auto answer = net::run_until_done(executor, passwords.check(executor, *hash, wrong, patient()));
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->answer, Answer::wrong) << wrong;
  }
  // Nobody has this account: never right.
  const auto nobody =
      net::run_until_done(executor, passwords.check(executor, "", "correct horse", patient()));
  ASSERT_TRUE(nobody.ok());
  EXPECT_EQ(nobody->answer, Answer::wrong);
  const auto endless =
      net::run_until_done(executor, passwords.check(executor, *hash, std::string(1'000'000, 'x'), patient()));
  ASSERT_TRUE(endless.ok());
  EXPECT_EQ(endless->answer, Answer::wrong);
}

TEST(Passwords, AHashOfAnotherCostIsMadeAnewWhenThePasswordIsRight) {
  net::Executor executor;
  Passwords passwords(cheap());
  const std::string old = crypto::hash_password("correct horse", crypto::PasswordCost{32 * 1024, 1});
  const auto right =
      net::run_until_done(executor, passwords.check(executor, old, "correct horse", patient()));
  ASSERT_TRUE(right.ok());
  EXPECT_EQ(right->answer, Answer::right);
  EXPECT_TRUE(right->new_hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")) << right->new_hash;
  EXPECT_TRUE(crypto::verify_password(right->new_hash, "correct horse"));
  const auto wrong = net::run_until_done(executor, passwords.check(executor, old, "wrong horse", patient()));
  EXPECT_EQ(wrong->new_hash, "");
}

Task<void> hash_into(Passwords& passwords, net::Executor& executor, CallOptions options,
                     std::vector<Result<std::string>>& results) {
  const std::string password = "correct horse";
  auto result = co_await passwords.hash(executor, password, options);
  results.push_back(std::move(result));
}

TEST(Passwords, AFullQueueRefusesAndTheRestIsServed) {
  net::Executor executor;
  PasswordOptions options = cheap();
  options.cost = crypto::PasswordCost{4 * 1024 * 1024, 3};  // long enough for the queue to fill
  options.max_queued = 3;
  Passwords passwords(options);
  std::vector<Result<std::string>> results;
  net::TaskGroup group;
  constexpr std::size_t kAsked = 30;
  for (std::size_t i = 0; i < kAsked; ++i) group.spawn(hash_into(passwords, executor, patient(), results));
  // Those who found the queue full are told at once.
  EXPECT_FALSE(results.empty());
  net::run_until_done(executor, group.join());
  ASSERT_EQ(results.size(), kAsked);
  std::size_t refused = 0;
  for (const auto& result : results) {
    if (result.ok()) continue;
    EXPECT_EQ(result.error().code, ErrorCode::overloaded);
    ++refused;
  }
  EXPECT_GE(refused, kAsked / 2);
  EXPECT_LE(refused, kAsked - options.max_queued);
}

TEST(Passwords, WhoWaitedTooLongIsNotServed) {
  net::Executor executor;
  Passwords passwords(cheap());
  std::vector<Result<std::string>> results;
  const CallOptions past{std::chrono::steady_clock::now() - 1s};
  net::run_until_done(executor, hash_into(passwords, executor, past, results));
  ASSERT_FALSE(results.at(0).ok());
  EXPECT_EQ(results.at(0).error().code, ErrorCode::overloaded);
}

}  // namespace
}  // namespace rowhouse::identity
