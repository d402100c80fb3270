#include "identity/access_directory.h"

#include <gtest/gtest.h>

#include "identity/people_pgtest.h"

namespace rowhouse::identity {
namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

class AccessDirectoryTest : public PeopleTest {
 protected:
  void SetUp() override {
    PeopleTest::SetUp();
    there_ = make_node();
    ASSERT_TRUE(run(there_->directory.start(patient())).ok());
    ada_ = added(acme_, "ada@acme.example");
    in_ = signed_in("ada@acme.example");
    ASSERT_TRUE(access(*here_, in_.access_token).ok());
    ASSERT_TRUE(access(*there_, in_.access_token).ok());
  }
  void TearDown() override {
    run(there_->trail.stop());
    there_.reset();
    PeopleTest::TearDown();
  }

  // Here at once, at the other node soon.
  void expect_refused() {
    EXPECT_EQ(here_->directory.cached(in_.access_token), nullptr);
    EXPECT_EQ(access(*here_, in_.access_token).error().code, ErrorCode::credential_unknown);
    EXPECT_TRUE(eventually([&] { return there_->directory.cached(in_.access_token) == nullptr; }));
    EXPECT_EQ(access(*there_, in_.access_token).error().code, ErrorCode::credential_unknown);
  }

  std::unique_ptr<PeopleNode> there_;
  Member ada_;
  SignedIn in_;
};

TEST_F(AccessDirectoryTest, WhatIsRememberedNeedsNoQuery) {
  const auto remembered = here_->directory.cached(in_.access_token);
  ASSERT_NE(remembered, nullptr);
  EXPECT_EQ(remembered->email, "ada@acme.example");
  EXPECT_EQ(here_->directory.size(), 1U);
  EXPECT_EQ(here_->directory.cached(in_.access_token + "x"), nullptr);
  EXPECT_EQ(here_->directory.cached(""), nullptr);
  EXPECT_EQ(*access(*here_, in_.access_token), remembered);
}

TEST_F(AccessDirectoryTest, AnEndedSessionIsRefusedEverywhere) {
  ASSERT_TRUE(run(sessions().end(in_.session, SessionScope(), admin(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, ARemovedMemberIsRefusedEverywhere) {
  ASSERT_TRUE(run(users().remove_member(acme_, ada_.user, platform(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, ADisabledMemberIsRefusedEverywhere) {
  MemberChange disabled;
  disabled.status = AccountStatus::disabled;
  ASSERT_TRUE(run(users().change_member(acme_, ada_.user, disabled, platform(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, ADisabledAccountIsRefusedEverywhere) {
  UserChange disabled;
  disabled.status = AccountStatus::disabled;
  ASSERT_TRUE(run(users().change_user(ada_.user, disabled, admin(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, ARemovedAccountIsRefusedEverywhere) {
  ASSERT_TRUE(run(users().remove_user(ada_.user, admin(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, ATenantThatGoesTakesItsTokensAlong) {
  ASSERT_TRUE(run(users().remove_tenant(acme_->id, admin(), patient())).ok());
  expect_refused();
}

TEST_F(AccessDirectoryTest, AChangedRoleCountsEverywhere) {
  NewRole wanted;
  wanted.name = "reader";
  wanted.operations = {"lead:read"};
  wanted.rows = tenancy::RowScope::own;
  ASSERT_TRUE(run(users().create_role(acme_, wanted, platform(), patient())).ok());
  MemberChange change;
  change.role = "reader";
  ASSERT_TRUE(run(users().change_member(acme_, ada_.user, change, platform(), patient())).ok());
  const auto is_reader = [&](PeopleNode& node) {
    const auto found = access(node, in_.access_token);
    return found.ok() && (*found)->role == "reader" && (*found)->role_of == Access::RoleOf::tenant &&
           (*found)->rows == tenancy::RowScope::own && (*found)->permissions->contains("lead:read");
  };
  EXPECT_TRUE(is_reader(*here_));
  EXPECT_TRUE(eventually([&] { return is_reader(*there_); }));
  EXPECT_FALSE((*access(*here_, in_.access_token))->permissions->contains("lead:write"));
  RoleChange wider;
  wider.operations = Strings{"lead:read", "lead:write"};
  ASSERT_TRUE(run(users().change_role(acme_, "reader", wider, platform(), patient())).ok());
  EXPECT_TRUE((*access(*here_, in_.access_token))->permissions->contains("lead:write"));
  EXPECT_TRUE(
      eventually([&] { return (*access(*there_, in_.access_token))->permissions->contains("lead:write"); }));
}

TEST_F(AccessDirectoryTest, ALostNotificationIsMadeUpForByThePoll) {
  // A change whose notification never arrives: the triggers are off, only the revision is written.
  identity_sql().run(
      "BEGIN; ALTER TABLE identity.sessions DISABLE TRIGGER told; UPDATE identity.sessions SET revoked_at = "
      "now(); "
      "ALTER TABLE identity.sessions ENABLE TRIGGER told; INSERT INTO identity.changes (subject) VALUES ('" +
      in_.session.to_string() + "'); COMMIT");
  EXPECT_TRUE(eventually([&] { return there_->directory.cached(in_.access_token) == nullptr; }));
  EXPECT_EQ(access(*there_, in_.access_token).error().code, ErrorCode::credential_unknown);
}

TEST_F(AccessDirectoryTest, TokensExpire) {
  clock().advance(10min + 29s);
  EXPECT_NE(here_->directory.cached(in_.access_token), nullptr);
  clock().advance(2s);
  EXPECT_EQ(here_->directory.cached(in_.access_token), nullptr);
  EXPECT_EQ(access(*here_, in_.access_token).error().code, ErrorCode::credential_unknown);
  EXPECT_EQ(here_->directory.size(), 0U);
}

TEST_F(AccessDirectoryTest, TheMemoryIsBounded) {
  AccessDirectoryOptions small;
  small.max_tokens = 3;
  const auto node = make_node(SessionOptions(), small);
  ASSERT_TRUE(run(node->directory.start(patient())).ok());
  std::vector<std::string> tokens;
  for (int i = 0; i < 6; ++i) {
    tokens.push_back(signed_in("ada@acme.example").access_token);
    ASSERT_TRUE(access(*node, tokens.back()).ok());
  }
  EXPECT_EQ(node->directory.size(), 3U);
  EXPECT_EQ(node->directory.cached(tokens.front()), nullptr);
  EXPECT_NE(node->directory.cached(tokens.back()), nullptr);
  node->directory.forget(ada_.user);
  EXPECT_EQ(node->directory.size(), 0U);
  run(node->trail.stop());
}

TEST_F(AccessDirectoryTest, TheOutboxIsCarriedByThePoll) {
  EXPECT_TRUE(
      eventually([&] { return identity_sql().value("SELECT count(*) FROM identity.outbox") == "0"; }));
  const auto actions = actions_of(acme_->id);
  EXPECT_EQ(std::count(actions.begin(), actions.end(), "session.started"), 1);
}

Task<void> find_into(AccessDirectory& directory, std::string token,
                     Result<std::shared_ptr<const Access>>& result) {
  result = co_await directory.find(std::move(token), patient());
}

TEST_F(AccessDirectoryTest, WhatChangesDuringALookUpIsNotRemembered) {
  const std::string token = signed_in("ada@acme.example").access_token;
  Result<std::shared_ptr<const Access>> found(Error(ErrorCode::internal, ""));
  net::TaskGroup group;
  group.spawn(find_into(here_->directory, token, found));
  here_->directory.forget(ada_.user);  // while the query is under way
  run(group.join());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(here_->directory.cached(token), nullptr);
}

TEST_F(AccessDirectoryTest, KeysAreRotatedWithoutALogout) {
  const auto before = here_->keys.list();
  ASSERT_GE(before.size(), 1U);
  const auto next = run(here_->keys.rotate(SigningKeys::Rotation::overlapping, admin(), patient()));
  ASSERT_TRUE(next.ok()) << next.error().message << next.error().detail(pg::kServerMessage);
  EXPECT_EQ(next->state, SigningKeyInfo::State::announced);
  // Published at once, on the other node too, and signing later.
  EXPECT_EQ(here_->keys.jwks().find("keys")->as_array()->size(), before.size() + 1);
  EXPECT_TRUE(eventually([&] { return there_->keys.list().size() == before.size() + 1; }));
  EXPECT_TRUE(access(*here_, in_.access_token).ok());
  const std::string old_token = in_.access_token;
  clock().advance(kPublishedAhead + 1s);
  EXPECT_EQ(here_->keys.list().front().state, SigningKeyInfo::State::signing);
  const auto refreshed_in = refreshed(in_.refresh_token);
  ASSERT_TRUE(refreshed_in.ok());
  EXPECT_TRUE(access(*here_, refreshed_in->access_token).ok());
  EXPECT_TRUE(access(*there_, refreshed_in->access_token).ok());
  EXPECT_TRUE(access(*there_, old_token).ok());  // signed by the old key, and good for ten minutes
  clock().advance(15min);
  ASSERT_TRUE(run(here_->keys.refresh(patient())).ok());
  EXPECT_EQ(here_->keys.list().size(), 1U);
  EXPECT_TRUE(refreshed(refreshed_in->refresh_token).ok());
}

TEST_F(AccessDirectoryTest, AKeyThatIsNotTrustedAnyMoreIsDroppedEverywhere) {
  const auto next = run(there_->keys.rotate(SigningKeys::Rotation::now, admin(), patient()));
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_TRUE(eventually([&] { return here_->directory.cached(in_.access_token) == nullptr; }));
  EXPECT_TRUE(eventually([&] { return here_->keys.list().front().kid == next->kid; }));
  EXPECT_EQ(here_->keys.list().size(), 1U);
  EXPECT_EQ(access(*here_, in_.access_token).error().code, ErrorCode::credential_unknown);
  const auto refreshed_in = refreshed(in_.refresh_token);
  ASSERT_TRUE(refreshed_in.ok());
  EXPECT_TRUE(access(*here_, refreshed_in->access_token).ok());
  EXPECT_TRUE(access(*there_, refreshed_in->access_token).ok());
}

TEST_F(AccessDirectoryTest, AnotherMasterKeySignsWithAKeyOfItsOwn) {
  SigningKeys other(
      here_->pool,
      [](std::string_view purpose) { return tenancy::Credentials(std::string(32, 'o')).derive(purpose); },
      clock(), TokenOptions());
  ASSERT_TRUE(run(other.refresh(patient())).ok());
  const auto claims = (*access(*here_, in_.access_token))->claims;
  const auto token = other.sign(claims);
  ASSERT_TRUE(token.ok());
  EXPECT_TRUE(other.verify(*token).ok());
  EXPECT_TRUE(other.verify(in_.access_token).ok());
  identity_sql().run("DELETE FROM identity.signing_keys");
}

}  // namespace
}  // namespace rowhouse::identity
