#include "identity/sessions.h"

#include <gtest/gtest.h>

#include "identity/people_pgtest.h"
#include "tenancy/api_key.h"

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;
using tenancy::fixture::paths;
using Strings = std::vector<std::string>;

class SessionsTest : public PeopleTest {
 protected:
  ErrorCode refusal(const std::string& email, const std::string& password, const std::string& tenant = "",
                    const std::string& address = "198.51.100.9:5000") {
    const auto hashed_before = here_->passwords.done();
    const auto result = login(email, password, tenant, address);
    if (result.ok()) return ErrorCode::internal;
    if (result.error().code == ErrorCode::credential_unknown) {
      // The same work, whatever the reason.
      EXPECT_EQ(here_->passwords.done() - hashed_before, 1U);
      EXPECT_EQ(result.error().message,
                "the e-mail address, the password, the tenant or the code is not right");
      EXPECT_TRUE(result.error().fields.empty());
    }
    return result.error().code;
  }
  int security_events(const std::string& action) {
    run(here_->trail.stop());
    return std::stoi(
        platform_sql().value("SELECT count(*) FROM platform.audit_log WHERE action = '" + action + "'"));
  }
};

TEST_F(SessionsTest, ALoginGivesAccessToOneTenant) {
  const Member ada = added(acme_, "ada@acme.example");
  const SignedIn in = signed_in("ADA@acme.example");
  EXPECT_EQ(in.user, ada.user);
  EXPECT_EQ(in.tenant->id, acme_->id);
  EXPECT_EQ(in.role, "admin");
  EXPECT_TRUE(tenancy::has_credential_form(in.refresh_token, kRefreshTokenPrefix));
  const auto found = access(in.access_token);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ((*found)->claims.tenant, acme_->id);
  EXPECT_EQ((*found)->claims.user, ada.user);
  EXPECT_EQ((*found)->claims.session, in.session);
  EXPECT_EQ((*found)->email, "ada@acme.example");
  EXPECT_EQ((*found)->role, "admin");
  EXPECT_EQ((*found)->role_of, Access::RoleOf::pack);
  EXPECT_FALSE(run(users().get_user(ada.user, patient()))->last_login_at.empty());
  // Nothing that opens a door is stored.
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.sessions s WHERE s::text LIKE '%" +
                                 in.refresh_token.substr(4) + "%'"),
            "0");
}

TEST_F(SessionsTest, TheTenantMayBeNamedBySlugOrId) {
  added(acme_, "ada@example.org");
  EXPECT_TRUE(login("ada@example.org", kGoodPassword, "acme").ok());
  EXPECT_TRUE(login("ada@example.org", kGoodPassword, acme_->id.to_string()).ok());
  ASSERT_TRUE(add(other_, "ada@example.org", "admin", platform(), "").ok());
  EXPECT_EQ(login("ada@example.org", kGoodPassword, "other")->tenant->id, other_->id);
  const auto unnamed = login("ada@example.org", kGoodPassword);
  ASSERT_FALSE(unnamed.ok());
  EXPECT_EQ(unnamed.error().code, ErrorCode::validation_failed);
  EXPECT_EQ(paths(unnamed.error()), Strings{"/tenant"});
  // Whoever does not know the password does not hear of it.
  EXPECT_EQ(refusal("ada@example.org", "wrong password"), ErrorCode::credential_unknown);
}

TEST_F(SessionsTest, EveryFailureSaysTheSame) {
  added(acme_, "ada@acme.example");
  const Member off = added(acme_, "off@acme.example");
  const Member out = added(acme_, "out@acme.example");
  added(acme_, "none@acme.example", "admin", "");
  UserChange disabled;
  disabled.status = AccountStatus::disabled;
  ASSERT_TRUE(run(users().change_user(off.user, disabled, admin(), patient())).ok());
  MemberChange left;
  left.status = AccountStatus::disabled;
  ASSERT_TRUE(run(users().change_member(acme_, out.user, left, platform(), patient())).ok());
  EXPECT_EQ(refusal("ada@acme.example", "wrong password"), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("ada@acme.example", ""), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword, "other"), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword, "nowhere"), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword, std::string(5'000, 'x')),
            ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("nobody@acme.example", kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("no address", kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal(std::string("ada\0@acme.example", 17), kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("off@acme.example", kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("out@acme.example", kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("none@acme.example", ""), ErrorCode::credential_unknown);
  EXPECT_GE(security_events("LOGIN_FAILED"), 4);
  // What was typed as an address that no account has is written down nowhere.
  EXPECT_EQ(
      platform_sql().value("SELECT count(*) FROM platform.audit_log a WHERE a::text LIKE '%nobody@acme%'"),
      "0");
}

TEST_F(SessionsTest, APlatformAdminNeedsNoTenant) {
  make_admin("root@example.org");
  const SignedIn in = signed_in("root@example.org");
  EXPECT_EQ(in.tenant, nullptr);
  EXPECT_EQ(in.role, kPlatformAdminRole);
  const auto found = access(in.access_token);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_FALSE((*found)->claims.tenant);
  EXPECT_EQ((*found)->role_of, Access::RoleOf::platform);
  EXPECT_TRUE((*found)->permissions->is_everything());
  // Of a tenant they are no member by that.
  EXPECT_EQ(refusal("root@example.org", kGoodPassword, "acme"), ErrorCode::credential_unknown);
  ASSERT_TRUE(add(acme_, "root@example.org", "admin", platform(), "").ok());
  EXPECT_EQ(signed_in("root@example.org").tenant, nullptr);
  EXPECT_EQ(signed_in("root@example.org", "acme").tenant->id, acme_->id);
  // Who is no admin any more is out at once.
  make_admin("second@example.org");
  UserChange demotion;
  demotion.platform_admin = User::PlatformAdmin::no;
  ASSERT_TRUE(run(users().change_user(in.user, demotion, admin(), patient())).ok());
  EXPECT_EQ(access(in.access_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(refreshed(in.refresh_token).error().code, ErrorCode::credential_unknown);
}

TEST_F(SessionsTest, ASuspendedTenantSaysSoToItsMembersAlone) {
  added(acme_, "ada@acme.example");
  const SignedIn in = signed_in("ada@acme.example");
  ASSERT_TRUE(run(tenants().suspend("acme", admin(), patient())).ok());
  node().registry.forget_tenant(acme_->id);
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword), ErrorCode::tenant_suspended);
  EXPECT_EQ(refusal("ada@acme.example", "wrong password", "acme"), ErrorCode::credential_unknown);
  EXPECT_EQ(refreshed(in.refresh_token).error().code, ErrorCode::tenant_suspended);
  ASSERT_TRUE(run(tenants().resume("acme", admin(), patient())).ok());
  node().registry.forget_tenant(acme_->id);
  EXPECT_TRUE(refreshed(in.refresh_token).ok());
}

TEST_F(SessionsTest, TooManyAttemptsFromOneAddress) {
  added(acme_, "ada@acme.example");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(refusal("ada@acme.example", "wrong"), ErrorCode::credential_unknown);
  const auto limited = login("ada@acme.example", kGoodPassword);
  ASSERT_FALSE(limited.ok());
  EXPECT_EQ(limited.error().code, ErrorCode::rate_limited);
  const int wait_s = std::stoi(std::string(limited.error().detail(kRetryAfterS)));
  EXPECT_GT(wait_s, 0);
  EXPECT_LE(wait_s, 15 * 60);
  // An account that is not there is limited in the same way.
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(refusal("nobody@acme.example", "wrong"), ErrorCode::credential_unknown);
  EXPECT_EQ(refusal("nobody@acme.example", "wrong"), ErrorCode::rate_limited);
  // Elsewhere, and later, the password is good.
  EXPECT_TRUE(login("ada@acme.example", kGoodPassword, "", "203.0.113.1:1").ok());
  clock().advance(15min);
  EXPECT_TRUE(login("ada@acme.example", kGoodPassword).ok());
  EXPECT_GE(security_events("RATE_LIMIT_EXCEEDED"), 1);
}

TEST_F(SessionsTest, SuccessWipesTheSlateClean) {
  added(acme_, "ada@acme.example");
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(refusal("ada@acme.example", "wrong"), ErrorCode::credential_unknown);
    EXPECT_TRUE(login("ada@acme.example", kGoodPassword).ok());
  }
}

TEST_F(SessionsTest, StrangersCannotLockAnybodyOut) {
  SessionOptions options;
  options.attempts_per_account = 8;
  options.attempts_per_address = 6;
  here_ = make_node(options);
  ASSERT_TRUE(run(here_->directory.start(patient())).ok());
  added(acme_, "ada@acme.example");
  added(acme_, "bob@acme.example");
  const std::string home = "198.51.100.77:1";
  ASSERT_TRUE(login("ada@acme.example", kGoodPassword, "", home).ok());
  // Many addresses, one account.
  for (int i = 0; i < 20; ++i)
    refusal("ada@acme.example", "wrong", "", "203.0.113." + std::to_string(i) + ":1");
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword, "", "192.0.2.200:1"), ErrorCode::rate_limited);
  EXPECT_TRUE(login("ada@acme.example", kGoodPassword, "", home).ok());
  // One address that Ada shares, many accounts.
  for (int i = 0; i < 20; ++i) refusal("user" + std::to_string(i) + "@acme.example", "wrong", "", home);
  EXPECT_EQ(refusal("bob@acme.example", kGoodPassword, "", home), ErrorCode::rate_limited);
  EXPECT_TRUE(login("ada@acme.example", kGoodPassword, "", home).ok());
}

TEST_F(SessionsTest, AttemptsThatAreRefusedUseUpNothingElse) {
  SessionOptions options;
  options.attempts_per_account = 7;
  here_ = make_node(options);
  ASSERT_TRUE(run(here_->directory.start(patient())).ok());
  added(acme_, "ada@acme.example");
  for (int i = 0; i < 30; ++i) refusal("ada@acme.example", "wrong", "", "203.0.113.1:1");
  EXPECT_TRUE(login("ada@acme.example", kGoodPassword, "", "192.0.2.200:1").ok());
}

Task<void> try_login(SessionService& service, std::vector<ErrorCode>& codes) {
  Login wanted;
  wanted.email = "ada@acme.example";
  wanted.password = "wrong";
  Origin origin("198.51.100.9:5000", "", "");
  auto result = co_await service.login(wanted, origin, patient());
  codes.push_back(result.ok() ? ErrorCode::internal : result.error().code);
}

TEST_F(SessionsTest, ManyAtOnceDoNotSlipThrough) {
  added(acme_, "ada@acme.example");
  std::vector<ErrorCode> codes;
  net::TaskGroup group;
  for (int i = 0; i < 40; ++i) group.spawn(try_login(sessions(), codes));
  run(group.join());
  EXPECT_EQ(std::count(codes.begin(), codes.end(), ErrorCode::credential_unknown), 5);
  EXPECT_EQ(std::count(codes.begin(), codes.end(), ErrorCode::rate_limited), 35);
}

TEST_F(SessionsTest, ARefreshTokenIsGoodOnce) {
  added(acme_, "ada@acme.example");
  const SignedIn in = signed_in("ada@acme.example");
  const auto second = refreshed(in.refresh_token);
  ASSERT_TRUE(second.ok()) << second.error().message << second.error().detail(pg::kServerMessage);
  EXPECT_EQ(second->session, in.session);
  EXPECT_EQ(second->role, "admin");
  EXPECT_NE(second->refresh_token, in.refresh_token);
  EXPECT_NE(second->access_token, in.access_token);
  const auto third = refreshed(second->refresh_token);
  ASSERT_TRUE(third.ok());
  ASSERT_TRUE(access(third->access_token).ok());
  // The first one comes again: somebody has a copy, so nobody goes on.
  EXPECT_EQ(refreshed(in.refresh_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(refreshed(third->refresh_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(access(third->access_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(identity_sql().value("SELECT end_reason FROM identity.sessions"), "refresh token used twice");
  EXPECT_EQ(security_events("REFRESH_TOKEN_REUSED"), 1);
}

Task<void> refresh_into(SessionService& service, std::string token, std::vector<Result<SignedIn>>& results) {
  Origin origin("198.51.100.9:5000", "", "");
  auto result = co_await service.refresh(std::move(token), origin, patient());
  results.push_back(std::move(result));
}

TEST_F(SessionsTest, OfManyWhoUseOneTokenAtOnceAtMostOneGoesOn) {
  added(acme_, "ada@acme.example");
  const SignedIn in = signed_in("ada@acme.example");
  std::vector<Result<SignedIn>> results;
  net::TaskGroup group;
  for (int i = 0; i < 10; ++i) group.spawn(refresh_into(sessions(), in.refresh_token, results));
  run(group.join());
  const auto good =
      std::count_if(results.begin(), results.end(), [](const auto& result) { return result.ok(); });
  EXPECT_EQ(good, 1);
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.sessions WHERE revoked_at IS NULL"), "0");
}

TEST_F(SessionsTest, SessionsEndInTime) {
  added(acme_, "ada@acme.example");
  SignedIn in = signed_in("ada@acme.example");
  for (int i = 0; i < 6; ++i) {
    clock().advance(std::chrono::hours(13 * 24));
    auto next = refreshed(in.refresh_token);
    ASSERT_TRUE(next.ok()) << i;
    in = std::move(next).value();
  }
  clock().advance(std::chrono::hours(13 * 24));  // the 91st day
  EXPECT_EQ(refreshed(in.refresh_token).error().code, ErrorCode::credential_unknown);
  const SignedIn idle = signed_in("ada@acme.example");
  clock().advance(std::chrono::hours(14 * 24) + 1s);
  EXPECT_EQ(refreshed(idle.refresh_token).error().code, ErrorCode::credential_unknown);
  EXPECT_TRUE(run(sessions().list(SessionScope(), patient()))->empty());
  clock().advance(std::chrono::hours(40 * 24));
  ASSERT_TRUE(run(prune_sessions(here_->pool, clock().now(), patient())).ok());
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.sessions"), "0");
}

TEST_F(SessionsTest, ASessionTooManyEndsTheOldest) {
  SessionOptions options;
  options.max_sessions_per_user = 3;
  here_ = make_node(options);
  ASSERT_TRUE(run(here_->directory.start(patient())).ok());
  added(acme_, "ada@acme.example");
  std::vector<SignedIn> all;
  for (int i = 0; i < 5; ++i) {
    clock().advance(1s);
    all.push_back(signed_in("ada@acme.example"));
  }
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(refreshed(all[i].refresh_token).ok(), i >= 2) << i;
  EXPECT_EQ(run(sessions().list(SessionScope(), patient()))->size(), 3U);
}

TEST_F(SessionsTest, ForeignRefreshTokensAreRefused) {
  for (const std::string& token :
       {std::string(), std::string("rht_"), std::string("rht_short"), std::string(10'000, 'x'),
        tenancy::make_credential(kRefreshTokenPrefix), tenancy::make_credential("tk_")}) {
    EXPECT_EQ(refreshed(token).error().code, ErrorCode::credential_unknown) << token;
    EXPECT_TRUE(run(sessions().logout(token, from("198.51.100.9:1"), patient())).ok()) << token;
  }
}

TEST_F(SessionsTest, LogoutEndsTheSession) {
  added(acme_, "ada@acme.example");
  const SignedIn in = signed_in("ada@acme.example");
  const SignedIn kept = signed_in("ada@acme.example");
  ASSERT_TRUE(access(in.access_token).ok());
  ASSERT_TRUE(run(sessions().logout(in.refresh_token, from("198.51.100.9:1"), patient())).ok());
  EXPECT_EQ(access(in.access_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(refreshed(in.refresh_token).error().code, ErrorCode::credential_unknown);
  EXPECT_TRUE(access(kept.access_token).ok());
}

TEST_F(SessionsTest, SessionsAreListedAndEndedWithinTheirScope) {
  const Member ada = added(acme_, "ada@example.org");
  ASSERT_TRUE(add(other_, "ada@example.org", "admin", platform(), "").ok());
  added(acme_, "bob@acme.example");
  const SignedIn here = signed_in("ada@example.org", "acme");
  const SignedIn there = signed_in("ada@example.org", "other");
  clock().advance(1s);
  const SignedIn bob = signed_in("bob@acme.example");
  SessionScope of_acme;
  of_acme.tenant = acme_->id;
  SessionScope of_ada;
  of_ada.user = ada.user;
  const auto listed = run(sessions().list(of_acme, patient()));
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(listed->front().email, "bob@acme.example");
  EXPECT_EQ(listed->front().address, "198.51.100.9");
  EXPECT_EQ(listed->front().agent, "a browser");
  EXPECT_EQ(run(sessions().list(of_ada, patient()))->size(), 2U);
  EXPECT_EQ(run(sessions().end(there.session, of_acme, admin(), patient())).error().code,
            ErrorCode::not_found);
  ASSERT_TRUE(run(sessions().end(bob.session, of_acme, admin(), patient())).ok());
  EXPECT_EQ(run(sessions().end(bob.session, of_acme, admin(), patient())).error().code, ErrorCode::not_found);
  EXPECT_EQ(*run(sessions().end_all(of_ada, here.session, admin(), patient())), 1U);
  EXPECT_TRUE(refreshed(here.refresh_token).ok());
  EXPECT_FALSE(refreshed(there.refresh_token).ok());
  EXPECT_FALSE(run(sessions().end_all(SessionScope(), std::nullopt, admin(), patient())).ok());
}

TEST_F(SessionsTest, APasswordIsChangedByWhoKnowsIt) {
  const Member ada = added(acme_, "ada@acme.example");
  const SignedIn mine = signed_in("ada@acme.example");
  const SignedIn elsewhere = signed_in("ada@acme.example");
  const auto change = [&](const std::string& current, const std::string& next) {
    return run(sessions().change_password(ada.user, current, next, mine.session, from("198.51.100.9:5000"),
                                          patient()));
  };
  EXPECT_EQ(change("wrong password", kOtherPassword).error().code, ErrorCode::credential_unknown);
  const auto weak = change(kGoodPassword, "short");
  ASSERT_FALSE(weak.ok());
  EXPECT_EQ(paths(weak.error()), Strings{"/new_password"});
  ASSERT_TRUE(change(kGoodPassword, kOtherPassword).ok());
  EXPECT_EQ(refusal("ada@acme.example", kGoodPassword), ErrorCode::credential_unknown);
  EXPECT_TRUE(login("ada@acme.example", kOtherPassword).ok());
  EXPECT_TRUE(access(mine.access_token).ok());
  EXPECT_FALSE(access(elsewhere.access_token).ok());
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(change("wrong password", kGoodPassword).ok());
  EXPECT_EQ(change(kOtherPassword, kGoodPassword).error().code, ErrorCode::rate_limited);
}

TEST_F(SessionsTest, AHashOfAnotherCostIsReplacedAtTheNextLogin) {
  const Member ada = added(acme_, "ada@acme.example");
  const std::string old = crypto::hash_password(kGoodPassword, crypto::PasswordCost{32 * 1024, 1});
  identity_sql().run("UPDATE identity.users SET password_hash = '" + old + "'");
  signed_in("ada@acme.example");
  const std::string hash = identity_sql().value("SELECT password_hash FROM identity.users WHERE id = '" +
                                                ada.user.to_string() + "'");
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")) << hash;
  signed_in("ada@acme.example");
}

}  // namespace
}  // namespace rowhouse::identity
