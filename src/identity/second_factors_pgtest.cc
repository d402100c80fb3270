#include "identity/second_factors.h"

#include <gtest/gtest.h>

#include "crypto/totp.h"
#include "identity/people_pgtest.h"

namespace rowhouse::identity {
namespace {

using Answer = SecondFactors::Answer;

// What an authenticator app makes of what it was given: RFC 4648, backwards.
std::string from_base32(const std::string& text) {
  constexpr std::string_view kSigns = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string bytes;
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char sign : text) {
    held = ((held << 5U) | static_cast<std::uint32_t>(kSigns.find(sign))) & 0xfffU;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>((held >> bits) & 0xffU);
  }
  return bytes;
}

class SecondFactorsTest : public PeopleTest {
 protected:
  void SetUp() override {
    PeopleTest::SetUp();
    here_factors_ = make();
    sessions().wire(*here_factors_);
    ada_ = added(acme_, "ada@acme.example").user;
  }
  std::unique_ptr<SecondFactors> make(char key = 'k') {
    return std::make_unique<SecondFactors>(here_->pool, clock(), "rows.example", std::string(32, key));
  }
  std::string code(std::int64_t later = 0) const {
    return crypto::totp_code(secret_, crypto::totp_step_at(clock().now()) + later);
  }
  std::vector<std::string> set_up() {
    auto begun = run(here_factors_->begin(ada_, "ada@acme.example", admin(), patient()));
    EXPECT_TRUE(begun.ok()) << begun.error().message;
    secret_ = from_base32(begun->secret);
    auto codes = run(here_factors_->confirm(ada_, code(), admin(), patient()));
    EXPECT_TRUE(codes.ok()) << codes.error().message;
    return codes.ok() ? std::move(*codes) : std::vector<std::string>();
  }
  Answer spend(SecondFactors& where, const std::string& typed) {
    auto answer = run(where.spend(ada_, typed, admin(), patient()));
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    return answer.ok() ? *answer : Answer::wrong;
  }
  Result<SignedIn> login_with(const std::string& typed, const std::string& tenant = "") {
    Login wanted;
    wanted.email = "ada@acme.example";
    wanted.password = kGoodPassword;
    wanted.tenant = tenant;
    wanted.code = typed;
    return run(sessions().login(wanted, from("198.51.100.9:5000"), patient()));
  }

  std::unique_ptr<SecondFactors> here_factors_;
  Uuid ada_;
  std::string secret_;
};

TEST_F(SecondFactorsTest, ACodeIsGoodOnceOnAllNodesAndNoneBeforeIt) {
  set_up();
  const auto there = make();
  EXPECT_EQ(spend(*there, code()), Answer::wrong);  // it has confirmed the secret
  EXPECT_EQ(spend(*there, code(1)), Answer::right);
  EXPECT_EQ(spend(*here_factors_, code(1)), Answer::wrong);
  clock().advance(std::chrono::seconds(30));
  EXPECT_EQ(spend(*here_factors_, code(-1)), Answer::wrong);
  EXPECT_EQ(spend(*here_factors_, code(2)), Answer::wrong);
  clock().advance(std::chrono::seconds(30));
  EXPECT_EQ(spend(*here_factors_, code()), Answer::right);
}

TEST_F(SecondFactorsTest, TheSecretOpensOnlyForItsUserAndWithTheKey) {
  set_up();
  const Uuid bob = added(acme_, "bob@acme.example").user;
  identity_sql().run(
      "INSERT INTO identity.second_factors SELECT '" + bob.to_string() +
      "', sealed_secret, created_at, confirmed_at, last_step FROM identity.second_factors WHERE user_id = '" +
      ada_.to_string() + "'");
  const auto copied = run(here_factors_->spend(bob, code(1), admin(), patient()));
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().code, ErrorCode::internal);
  const auto with_another_key = make('o');
  EXPECT_FALSE(run(with_another_key->spend(ada_, code(1), admin(), patient())).ok());
  EXPECT_EQ(spend(*here_factors_, code(1)), Answer::right);
}

TEST_F(SecondFactorsTest, OneThatIsNotConfirmedIsNone) {
  auto begun = run(here_factors_->begin(ada_, "ada@acme.example", admin(), patient()));
  ASSERT_TRUE(begun.ok());
  secret_ = from_base32(begun->secret);
  EXPECT_EQ(spend(*here_factors_, code()), Answer::wrong);
  EXPECT_TRUE(login_with("").ok());
  const std::string of_the_first = code();
  ASSERT_TRUE(run(here_factors_->begin(ada_, "ada@acme.example", admin(), patient())).ok());
  EXPECT_FALSE(run(here_factors_->confirm(ada_, of_the_first, admin(), patient())).ok());
}

TEST_F(SecondFactorsTest, RecoveryCodesAreSpentAndReplaced) {
  const auto codes = set_up();
  ASSERT_EQ(codes.size(), kRecoveryCodes);
  EXPECT_EQ(codes[0].size(), 19U);
  EXPECT_EQ(spend(*here_factors_, codes[0]), Answer::right);
  EXPECT_EQ(spend(*here_factors_, codes[0]), Answer::wrong);
  EXPECT_EQ(run(here_factors_->status(ada_, patient()))->recovery_codes_left, kRecoveryCodes - 1);
  ASSERT_TRUE(run(here_factors_->renew_recovery_codes(ada_, admin(), patient())).ok());
  EXPECT_EQ(spend(*here_factors_, codes[1]), Answer::wrong);
  EXPECT_EQ(run(here_factors_->status(ada_, patient()))->recovery_codes_left, kRecoveryCodes);
}

TEST_F(SecondFactorsTest, GuessesAreCountedAndOnlyACodeWipesThemOut) {
  set_up();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(login_with("000").error().code, ErrorCode::credential_unknown);
    EXPECT_EQ(login_with("").error().code, ErrorCode::second_factor_required);
  }
  EXPECT_TRUE(login_with(code(1)).ok());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(login_with("000").error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(login_with("000").error().code, ErrorCode::rate_limited);
}

TEST_F(SecondFactorsTest, WithoutTheServiceNobodyGetsPast) {
  set_up();
  auto other_node = make_node();
  Login wanted;
  wanted.email = "ada@acme.example";
  wanted.password = kGoodPassword;
  wanted.code = code(1);
  const auto refused = run(other_node->sessions.login(wanted, from("198.51.100.9:5000"), patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::credential_unknown);
  run(other_node->trail.stop());
}

TEST_F(SecondFactorsTest, GoesWithItsUser) {
  set_up();
  ASSERT_TRUE(run(users().remove_user(ada_, admin(), patient())).ok());
  EXPECT_EQ(
      identity_sql().value("SELECT (SELECT count(*) FROM identity.second_factors) + (SELECT count(*) FROM "
                           "identity.recovery_codes)"),
      "0");
}

}  // namespace
}  // namespace rowhouse::identity
