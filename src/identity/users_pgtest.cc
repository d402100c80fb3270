#include "identity/users.h"

#include <gtest/gtest.h>

#include "identity/people_pgtest.h"

namespace rowhouse::identity {
namespace {

using tenancy::fixture::paths;
using Strings = std::vector<std::string>;

class UsersTest : public PeopleTest {
 protected:
  ErrorCode code_of_add(const Tenant& tenant, const std::string& email, const std::string& role,
                        const Requester& requester, const std::string& password = kGoodPassword) {
    const auto result = add(tenant, email, role, requester, password);
    return result.ok() ? ErrorCode::internal : result.error().code;
  }
  void make_role(const std::string& name, const Strings& operations,
                 tenancy::RowScope rows = tenancy::RowScope::all) {
    NewRole wanted;
    wanted.name = name;
    wanted.operations = operations;
    wanted.rows = rows;
    const auto made = run(users().create_role(acme_, wanted, platform(), patient()));
    ASSERT_TRUE(made.ok()) << made.error().message;
  }
  Strings recorded() {
    Strings actions;
    for (const auto& row : identity_sql().run(
             "SELECT action FROM identity.outbox WHERE object_type <> 'signing_key' ORDER BY sequence")) {
      actions.push_back(*row[0]);
    }
    return actions;
  }
};

TEST_F(UsersTest, AnAccountIsMadeChangedAndRemoved) {
  NewUser wanted;
  wanted.email = "  Ada@Example.org ";
  wanted.name = "Ada";
  const auto made = run(users().create_user(wanted, admin(), patient()));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->email, "Ada@Example.org");
  EXPECT_EQ(made->password, User::Password::none);
  EXPECT_EQ(made->platform_admin, User::PlatformAdmin::no);
  EXPECT_EQ(run(users().find_user("ada@example.ORG", patient()))->id, made->id);
  wanted.email = "ADA@example.org";
  const auto again = run(users().create_user(wanted, admin(), patient()));
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  EXPECT_EQ(paths(again.error()), Strings{"/email"});

  UserChange change;
  change.name = "Ada Lovelace";
  change.status = AccountStatus::disabled;
  const auto changed = run(users().change_user(made->id, change, admin(), patient()));
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_EQ(changed->name, "Ada Lovelace");
  EXPECT_EQ(changed->status, AccountStatus::disabled);
  EXPECT_TRUE(run(users().remove_user(made->id, admin(), patient())).ok());
  EXPECT_EQ(run(users().get_user(made->id, patient())).error().code, ErrorCode::not_found);
  EXPECT_EQ(recorded(), (Strings{"user.created", "user.changed", "user.removed"}));
}

TEST_F(UsersTest, BadInputIsNamedAndNothingIsMade) {
  NewUser wanted;
  wanted.email = "nobody";
  wanted.name = "a\nb";
  wanted.password = "short";
  const auto refused = run(users().create_user(wanted, admin(), patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(paths(refused.error()), (Strings{"/email", "/name", "/password"}));
  for (const char* email : {"", "@", "a@", "@b", "a b@c.d", "a@b@c", "a@.b", "a@b.", "a@b..c", "ä@b.c",
                            "a@b\xff", "<a@b.c>", "a@-b.c"}) {
    wanted.email = email;
    EXPECT_FALSE(run(users().create_user(wanted, admin(), patient())).ok()) << email;
  }
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.users"), "0");
}

TEST_F(UsersTest, TheLastPlatformAdminStays) {
  const User first = make_admin("first@example.org");
  UserChange demotion;
  demotion.platform_admin = User::PlatformAdmin::no;
  UserChange disabling;
  disabling.status = AccountStatus::disabled;
  EXPECT_EQ(run(users().change_user(first.id, demotion, admin(), patient())).error().code,
            ErrorCode::conflict);
  EXPECT_EQ(run(users().change_user(first.id, disabling, admin(), patient())).error().code,
            ErrorCode::conflict);
  EXPECT_EQ(run(users().remove_user(first.id, admin(), patient())).error().code, ErrorCode::conflict);
  const User second = make_admin("second@example.org");
  EXPECT_TRUE(run(users().change_user(first.id, demotion, admin(), patient())).ok());
  EXPECT_EQ(run(users().remove_user(second.id, admin(), patient())).error().code, ErrorCode::conflict);
  EXPECT_TRUE(run(users().remove_user(first.id, admin(), patient())).ok());
}

TEST_F(UsersTest, AListIsReadInPages) {
  for (int i = 0; i < 5; ++i) added(acme_, "user" + std::to_string(i) + "@acme.example");
  UserFilter filter;
  filter.limit = 2;
  filter.search = "USER";
  Strings seen;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = run(users().list_users(filter, patient()));
    ASSERT_TRUE(page.ok());
    for (const User& user : page->users) seen.push_back(user.email.substr(0, 5));
    filter.cursor = page->next_cursor;
    if (filter.cursor.empty()) break;
  }
  EXPECT_EQ(seen, (Strings{"user0", "user1", "user2", "user3", "user4"}));
  filter.cursor = "nonsense";
  EXPECT_EQ(run(users().list_users(filter, patient())).error().code, ErrorCode::invalid_cursor);
  MemberFilter members;
  members.limit = 3;
  const auto page = run(users().list_members(acme_, members, patient()));
  ASSERT_EQ(page->members.size(), 3U);
  members.cursor = page->next_cursor;
  EXPECT_EQ(run(users().list_members(acme_, members, patient()))->members.size(), 2U);
  EXPECT_EQ(run(users().list_members(other_, members, patient())).error().code, ErrorCode::invalid_cursor);
  members.cursor = "";
  EXPECT_EQ(run(users().list_members(other_, members, patient()))->members.size(), 0U);
  members.search = "_ser1";  // no wildcard
  EXPECT_EQ(run(users().list_members(acme_, members, patient()))->members.size(), 0U);
}

TEST_F(UsersTest, OnePersonCanBelongToSeveralTenants) {
  const Member here = added(acme_, "ada@example.org");
  EXPECT_EQ(code_of_add(acme_, "ADA@example.org", "admin", platform(), ""), ErrorCode::conflict);
  const auto known = add(other_, "ada@example.org", "admin", platform(), "");
  ASSERT_TRUE(known.ok()) << known.error().message;
  EXPECT_EQ(known->account, AddedMember::Account::known);
  EXPECT_EQ(known->member.user, here.user);
  EXPECT_EQ(run(users().memberships_of(here.user, patient()))->size(), 2U);
  // Her password is hers.
  const auto with_password = add(other_, "ada@example.org", "admin", platform());
  ASSERT_FALSE(with_password.ok());
  EXPECT_EQ(paths(with_password.error()), Strings{"/password"});
  EXPECT_TRUE(run(users().remove_member(other_, here.user, platform(), patient())).ok());
  EXPECT_EQ(run(users().memberships_of(here.user, patient()))->size(), 1U);
  EXPECT_EQ(run(users().get_member(other_, here.user, patient())).error().code, ErrorCode::not_found);
}

TEST_F(UsersTest, AnAccountThatAnotherTenantMadeIsNoWayIn) {
  // The admin of acme makes an account for somebody of other, and knows its password.
  ASSERT_TRUE(add(acme_, "victim@other.example", "admin", with({"*"})).ok());
  EXPECT_EQ(code_of_add(other_, "victim@other.example", "admin", with({"*"}), ""), ErrorCode::conflict);
  identity_sql().run("UPDATE identity.users SET email_verified_at = now()");
  EXPECT_TRUE(add(other_, "victim@other.example", "admin", with({"*"}), "").ok());
}

TEST_F(UsersTest, NobodyGivesMoreThanTheyHave) {
  make_role("reader", {"lead:read"});
  make_role("keeper", {"lead:read", "user:manage"});
  make_role("own", {"lead:read"}, tenancy::RowScope::own);
  const Requester keeper = with({"lead:read", "user:manage", "role:manage"});
  EXPECT_EQ(code_of_add(acme_, "a@acme.example", "admin", keeper), ErrorCode::permission_missing);
  ASSERT_TRUE(add(acme_, "b@acme.example", "reader", keeper).ok());
  const Member boss = added(acme_, "boss@acme.example");
  const Member reader = run(users().list_members(acme_, MemberFilter(), patient()))->members.front();
  MemberChange promotion;
  promotion.role = "admin";
  EXPECT_EQ(run(users().change_member(acme_, reader.user, promotion, keeper, patient())).error().code,
            ErrorCode::permission_missing);
  promotion.role = "keeper";
  EXPECT_TRUE(run(users().change_member(acme_, reader.user, promotion, keeper, patient())).ok());
  // Whoever has more is out of reach.
  MemberChange demotion;
  demotion.role = "reader";
  EXPECT_EQ(run(users().change_member(acme_, boss.user, demotion, keeper, patient())).error().code,
            ErrorCode::permission_missing);
  EXPECT_EQ(run(users().remove_member(acme_, boss.user, keeper, patient())).error().code,
            ErrorCode::permission_missing);
  // The same for rows.
  const Requester own = with({"lead:read", "user:manage"}, tenancy::RowScope::own);
  EXPECT_EQ(code_of_add(acme_, "c@acme.example", "reader", own), ErrorCode::permission_missing);
  EXPECT_TRUE(add(acme_, "c@acme.example", "own", own).ok());
  // And for roles.
  NewRole wanted;
  wanted.name = "more";
  wanted.operations = {"lead:*"};
  EXPECT_EQ(run(users().create_role(acme_, wanted, keeper, patient())).error().code,
            ErrorCode::permission_missing);
  RoleChange widening;
  widening.operations = Strings{"*"};
  EXPECT_EQ(run(users().change_role(acme_, "reader", widening, keeper, patient())).error().code,
            ErrorCode::permission_missing);
}

TEST_F(UsersTest, TheLastAdminOfATenantStays) {
  const Member boss = added(acme_, "boss@acme.example");
  make_role("reader", {"lead:read"});
  const Requester all = with({"*"});
  MemberChange demotion;
  demotion.role = "reader";
  MemberChange disabling;
  disabling.status = AccountStatus::disabled;
  EXPECT_EQ(run(users().change_member(acme_, boss.user, demotion, all, patient())).error().code,
            ErrorCode::conflict);
  EXPECT_EQ(run(users().change_member(acme_, boss.user, disabling, all, patient())).error().code,
            ErrorCode::conflict);
  EXPECT_EQ(run(users().remove_member(acme_, boss.user, all, patient())).error().code, ErrorCode::conflict);
  added(acme_, "second@acme.example");
  EXPECT_TRUE(run(users().change_member(acme_, boss.user, demotion, all, patient())).ok());
  EXPECT_EQ(run(users().get_member(acme_, boss.user, patient()))->role, "reader");
}

TEST_F(UsersTest, ATenantChangesOnlyItsOwnAccounts) {
  const Requester all = with({"*"});
  const auto own = add(acme_, "own@acme.example", "admin", all);
  ASSERT_TRUE(own.ok());
  const Member foreign = added(acme_, "foreign@example.org");
  MemberChange change;
  change.password = kOtherPassword;
  change.name = "New name";
  const auto changed = run(users().change_member(acme_, own->member.user, change, all, patient()));
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_EQ(changed->name, "New name");
  EXPECT_TRUE(login("own@acme.example", kOtherPassword).ok());
  EXPECT_EQ(run(users().change_member(acme_, foreign.user, change, all, patient())).error().code,
            ErrorCode::forbidden);
  // With a second membership it belongs to the person alone.
  ASSERT_TRUE(add(other_, "own@acme.example", "admin", platform(), "").ok());
  EXPECT_EQ(run(users().change_member(acme_, own->member.user, change, all, patient())).error().code,
            ErrorCode::forbidden);
}

TEST_F(UsersTest, AnAccountGoesWithItsOnlyTenant) {
  added(acme_, "boss@acme.example");
  const auto own = add(acme_, "own@acme.example", "admin", with({"*"}));
  ASSERT_TRUE(run(users().remove_member(acme_, own->member.user, with({"*"}), patient())).ok());
  EXPECT_EQ(run(users().get_user(own->member.user, patient())).error().code, ErrorCode::not_found);
}

TEST_F(UsersTest, RolesOfThePackAndOnesOwn) {
  make_role("auditor", {"lead:read", "user:read"});
  const auto roles = run(users().list_roles(acme_, patient()));
  ASSERT_TRUE(roles.ok());
  Strings names;
  for (const RoleInfo& role : *roles) names.push_back(role.name);
  EXPECT_EQ(names.back(), "auditor");
  EXPECT_EQ(std::count(names.begin(), names.end(), "admin"), 1);
  EXPECT_EQ(roles->back().operations, (Strings{"lead:read", "user:read"}));
  EXPECT_EQ(run(users().list_roles(other_, patient()))->back().origin, RoleInfo::Origin::pack);

  NewRole bad;
  bad.name = "Bad name";
  bad.operations = {"lead:fly", "what", "lead:*", "tenants:manage"};
  const auto refused = run(users().create_role(acme_, bad, platform(), patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(paths(refused.error()), (Strings{"/name", "/operations/0", "/operations/1", "/operations/3"}));
  NewRole taken;
  taken.operations = {"*"};
  for (const char* name : {"auditor", "admin"}) {
    taken.name = name;
    EXPECT_EQ(run(users().create_role(acme_, taken, platform(), patient())).error().code,
              ErrorCode::conflict);
  }
  RoleChange change;
  change.operations = Strings{"lead:read"};
  change.description = "Looks";
  const auto changed = run(users().change_role(acme_, "auditor", change, platform(), patient()));
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_EQ(run(users().get_role(acme_, "auditor", patient()))->operations, Strings{"lead:read"});
  EXPECT_EQ(run(users().change_role(acme_, "admin", change, platform(), patient())).error().code,
            ErrorCode::forbidden);
  added(acme_, "a@acme.example", "auditor");
  EXPECT_EQ(run(users().remove_role(acme_, "auditor", platform(), patient())).error().code,
            ErrorCode::conflict);
  const Member member = run(users().list_members(acme_, MemberFilter(), patient()))->members.front();
  ASSERT_TRUE(run(users().remove_member(acme_, member.user, platform(), patient())).ok());
  EXPECT_TRUE(run(users().remove_role(acme_, "auditor", platform(), patient())).ok());
  EXPECT_EQ(run(users().get_role(acme_, "auditor", patient())).error().code, ErrorCode::not_found);
}

TEST_F(UsersTest, TheFirstMemberIsAnAdminUnlessSaidOtherwise) {
  EXPECT_EQ(added(acme_, "first@acme.example", "").role, acme_->pack->manifest.admin_role);
  const auto second = add(acme_, "second@acme.example", "", platform());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(paths(second.error()), Strings{"/role"});
  const auto unknown = add(acme_, "second@acme.example", "emperor", platform());
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(paths(unknown.error()), Strings{"/role"});
}

TEST_F(UsersTest, ATenantThatGoesLeavesNothing) {
  make_role("reader", {"lead:read"});
  ASSERT_TRUE(add(acme_, "own@acme.example", "reader", with({"*"})).ok());
  const Member both = added(acme_, "both@example.org");
  ASSERT_TRUE(add(other_, "both@example.org", "admin", platform(), "").ok());
  signed_in("own@acme.example");
  signed_in("both@example.org", "acme");
  signed_in("both@example.org", "other");
  EXPECT_EQ(run(users().prove_tenant_gone(acme_->id, patient())).error().code, ErrorCode::internal);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(run(users().remove_tenant(acme_->id, admin(), patient())).ok());
  EXPECT_TRUE(run(users().prove_tenant_gone(acme_->id, patient())).ok());
  EXPECT_EQ(run(users().find_user("own@acme.example", patient())).error().code, ErrorCode::not_found);
  EXPECT_EQ(run(users().memberships_of(both.user, patient()))->size(), 1U);
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.sessions"), "1");
  const auto actions = recorded();
  EXPECT_EQ(std::count(actions.begin(), actions.end(), "tenant.people_removed"), 1);
}

Task<Result<void>> remove_people(UserService& service, Uuid tenant, tenancy::Actor actor,
                                 CallOptions options) {
  CO_TRY_DO(co_await service.remove_tenant(tenant, std::move(actor), options));
  co_return co_await service.prove_tenant_gone(tenant, options);
}

TEST_F(UsersTest, ADeletedTenantTakesItsPeopleAlong) {
  tenants().wire_people([this](Uuid tenant, tenancy::Actor actor, CallOptions options) {
    return remove_people(users(), tenant, std::move(actor), options);
  });
  create(request("Passing"));
  const Tenant passing = *run(node().registry.find_tenant("passing", patient()));
  ASSERT_TRUE(add(passing, "own@passing.example", "admin", with({"*"})).ok());
  signed_in("own@passing.example");
  remove(*passing);
  tenants().wire_people(nullptr);
  EXPECT_TRUE(run(users().prove_tenant_gone(passing->id, patient())).ok());
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.users"), "0");
  // Who still holds the old picture of the tenant cannot bring anybody in.
  auto gone = std::make_shared<tenancy::Tenant>(*passing);
  gone->status = tenancy::TenantStatus::deleting;
  EXPECT_EQ(code_of_add(gone, "late@passing.example", "admin", platform()), ErrorCode::conflict);
}

TEST_F(UsersTest, WhatHappenedIsCarriedToThePlatformOnce) {
  const Member member = added(acme_, "ada@acme.example");
  const auto carried = run(here_->outbox.carry(patient()));
  ASSERT_TRUE(carried.ok()) << carried.error().message << carried.error().detail(pg::kServerMessage);
  const auto in = [&](const std::string& table, const std::string& column) {
    return platform_sql().value("SELECT string_agg(" + column + ", ' ' ORDER BY id) FROM platform." + table +
                                " WHERE tenant_id = '" + acme_->id.to_string() + "' AND " + column +
                                " IN ('user.created', 'member.added')");
  };
  EXPECT_EQ(in("audit_log", "action"), "user.created member.added");
  EXPECT_EQ(in("events", "type"), "user.created member.added");
  EXPECT_EQ(
      platform_sql().value("SELECT host(address) || ' ' || actor FROM platform.audit_log WHERE action = "
                           "'member.added' AND object_id = '" +
                           member.user.to_string() + "'"),
      "192.0.2.7 admin of a test");
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.outbox"), "0");
  EXPECT_EQ(*run(here_->outbox.carry(patient())), 0U);
  // A node that was cut off between the two databases: its entries come again and are known.
  identity_sql().run("INSERT INTO identity.outbox (tenant_id, actor, action) VALUES ('" +
                     acme_->id.to_string() + "', 'x', 'member.added')");
  const std::string id = identity_sql().value("SELECT id FROM identity.outbox");
  platform_sql().run("INSERT INTO platform.relayed_events (id) VALUES ('" + id + "')");
  EXPECT_EQ(*run(here_->outbox.carry(patient())), 1U);
  EXPECT_EQ(in("audit_log", "action"), "user.created member.added");
  EXPECT_EQ(identity_sql().value("SELECT count(*) FROM identity.outbox"), "0");
}

}  // namespace
}  // namespace rowhouse::identity
