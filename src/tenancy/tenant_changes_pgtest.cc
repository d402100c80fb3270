#include "tenancy/tenants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tenancy/api_key.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::tenancy {
namespace {

using fixture::paths;
using fixture::tester;
using ::testing::ElementsAre;
using testing::patient;

class TenantChangesTest : public fixture::InstallationTest {};

// ------------------------------------------------------------------------------------------------ change

TEST_F(TenantChangesTest, UpdateChangesWhatIsSetAndCountsVersions) {
  const auto created = create(request("Before"));
  TenantChange change;
  change.name = "After";
  change.plan = "all";
  change.domain = "After.example.com";
  change.settings = json::parse(R"({"timezone": "Asia/Tokyo"})").value();
  change.if_version = 1;
  auto updated = run(tenants().update(created.tenant->slug, change, tester(), patient()));
  ASSERT_TRUE(updated.ok()) << updated.error().message;
  EXPECT_EQ((*updated)->name, "After");
  EXPECT_EQ((*updated)->slug, "before");
  EXPECT_EQ((*updated)->plan_name, "all");
  EXPECT_EQ((*updated)->domain, "after.example.com");
  EXPECT_EQ((*updated)->version, 2);
  EXPECT_EQ(*(*updated)->settings.find("timezone")->as_string(), "Asia/Tokyo");
  EXPECT_EQ(platform_sql().value(
                "SELECT old_values->>'name' || '>' || (new_values->>'name') FROM platform.audit_log "
                "WHERE action = 'tenant.updated' AND tenant_id = '" +
                created.tenant->id.to_string() + "'"),
            "Before>After");

  const auto late = run(tenants().update(created.tenant->slug, change, tester(), patient()));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::precondition_failed);

  change.if_version.reset();
  updated = run(tenants().update(created.tenant->slug, change, tester(), patient()));
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ((*updated)->version, 2) << "nothing changed, so nothing is counted";

  TenantChange bad;
  bad.name = "";
  bad.plan = "none";
  const auto refused = run(tenants().update(created.tenant->slug, bad, tester(), patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(paths(refused.error()), ElementsAre("/name", "/plan"));
  remove(*created.tenant);
}

Task<void> rename_into(TenantService& service, std::string id, std::string domain,
                       std::vector<Result<std::shared_ptr<const Tenant>>>& results) {
  TenantChange change;
  change.contact = json::Value(json::Object{});
  change.contact->set("note", domain);
  auto result = co_await service.update(std::move(id), std::move(change), tester(), patient());
  results.push_back(std::move(result));
}

TEST_F(TenantChangesTest, ConcurrentUpdatesAllCount) {
  const auto created = create(request("Busy"));
  std::vector<Result<std::shared_ptr<const Tenant>>> results;
  net::TaskGroup group;
  for (int i = 0; i < 4; ++i) {
    group.spawn(rename_into(tenants(), created.tenant->id.to_string(), "n" + std::to_string(i), results));
  }
  run(group.join());
  for (const auto& result : results) EXPECT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ((*run(tenants().get("busy", patient())))->version, 5);
  remove(*created.tenant);
}

TEST_F(TenantChangesTest, SuspendAndResumeMayBeRepeated) {
  const auto created = create(request("Paused"));
  std::vector<Uuid> announced;
  tenants().wire([&](const Uuid& id) { announced.push_back(id); }, nullptr, nullptr);
  for (int i = 0; i < 2; ++i) {
    const auto suspended = run(tenants().suspend("paused", tester(), patient()));
    ASSERT_TRUE(suspended.ok());
    EXPECT_EQ((*suspended)->status, TenantStatus::suspended);
  }
  EXPECT_THAT(announced, ElementsAre(created.tenant->id));
  for (int i = 0; i < 2; ++i) {
    const auto resumed = run(tenants().resume("paused", tester(), patient()));
    ASSERT_TRUE(resumed.ok());
    EXPECT_EQ((*resumed)->status, TenantStatus::active);
  }
  EXPECT_THAT(actions_of(created.tenant->id),
              ElementsAre("tenant.created", "tenant.suspended", "tenant.resumed"));
  EXPECT_EQ(run(tenants().suspend("nobody", tester(), patient())).error().code, ErrorCode::not_found);
  platform_sql().run("UPDATE platform.tenants SET status = 'deleting' WHERE slug = 'paused'");
  EXPECT_EQ(run(tenants().resume("paused", tester(), patient())).error().code, ErrorCode::conflict);
  remove(*created.tenant);
}

// -------------------------------------------------------------------------------------------------- list

TEST_F(TenantChangesTest, ListPagesThroughEverythingOnce) {
  std::vector<std::shared_ptr<const Tenant>> made;
  for (int i = 0; i < 7; ++i) made.push_back(create(request("Page 100%_" + std::to_string(i))).tenant);
  made.push_back(create(request("Other page")).tenant);
  TenantFilter filter;
  filter.search = "100%_";
  filter.limit = 3;
  std::vector<std::string> seen;
  std::string first_cursor;
  for (;;) {
    const auto page = run(tenants().list(filter, patient()));
    ASSERT_TRUE(page.ok()) << page.error().message;
    EXPECT_LE(page->tenants.size(), 3U);
    for (const auto& tenant : page->tenants) seen.push_back(tenant->name);
    if (first_cursor.empty()) first_cursor = page->next_cursor;
    if (page->next_cursor.empty()) break;
    filter.cursor = page->next_cursor;
  }
  EXPECT_THAT(seen, ElementsAre("Page 100%_0", "Page 100%_1", "Page 100%_2", "Page 100%_3", "Page 100%_4",
                                "Page 100%_5", "Page 100%_6"));
  filter.search = "other";
  filter.cursor = first_cursor;
  EXPECT_EQ(run(tenants().list(filter, patient())).error().code, ErrorCode::invalid_cursor);
  for (const char* cursor : {"x", "!!", "AAAA"}) {
    filter.cursor = cursor;
    EXPECT_EQ(run(tenants().list(filter, patient())).error().code, ErrorCode::invalid_cursor);
  }
  filter.cursor.clear();
  EXPECT_EQ(run(tenants().list(filter, patient()))->tenants.size(), 1U);
  filter.limit = 501;
  EXPECT_EQ(run(tenants().list(filter, patient())).error().code, ErrorCode::invalid_parameter);
  TenantFilter none;
  none.tier = Tier::database;
  none.status = TenantStatus::suspended;
  none.pack = "mini";
  none.plan = "all";
  EXPECT_TRUE(run(tenants().list(none, patient()))->tenants.empty());
  for (const auto& tenant : made) remove(*tenant);
}

// -------------------------------------------------------------------------------------------------- keys

TEST_F(TenantChangesTest, KeysAreMadeListedAndRevoked) {
  const auto created = create(request("Keys"));
  Grant grant;
  grant.expires_at = clock().now() + std::chrono::hours(1);
  const auto made =
      run(tenants().create_key("keys", NewKey("production", grant), KeyMaker(tester()), patient()));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(has_credential_form(made->secret, kTenantKeyPrefix));
  EXPECT_EQ(made->key.hint, made->secret.substr(0, 8));
  EXPECT_FALSE(made->key.expires_at.empty());
  auto keys = run(tenants().keys("keys", patient()));
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ((*keys)[0].name, "default");
  EXPECT_EQ((*keys)[1].name, "production");
  // Nowhere is the secret kept.
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.audit_log a WHERE a::text LIKE '%" +
                                 made->secret.substr(8) + "%'"),
            "0");

  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(run(tenants().revoke_key("keys", made->key.id, tester(), patient())).ok());
  }
  keys = run(tenants().keys("keys", patient()));
  EXPECT_FALSE((*keys)[1].revoked_at.empty());
  EXPECT_THAT(actions_of(created.tenant->id), ElementsAre("tenant.created", "key.created", "key.revoked"));
  EXPECT_THAT(actions_of(created.tenant->id, "events"),
              ElementsAre("tenant.created", "key.created", "key.revoked"));

  // A key of somebody else is not there.
  const auto other = create(request("Other Keys"));
  EXPECT_EQ(run(tenants().revoke_key("other-keys", (*keys)[0].id, tester(), patient())).error().code,
            ErrorCode::not_found);
  grant.expires_at = clock().now();
  const auto late = run(tenants().create_key("keys", NewKey("", grant), KeyMaker(tester()), patient()));
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(paths(late.error()), ElementsAre("/name", "/expires_at"));
  remove(*other.tenant);
  remove(*created.tenant);
}

TEST_F(TenantChangesTest, NobodyMakesOrRotatesAKeyThatHasMore) {
  const auto created = create(request("Maker"));
  KeyMaker maker(tester());
  maker.own.permissions = std::make_shared<const Permissions>(Permissions::from({"lead:*"}).value());
  const auto make = [&](const std::vector<std::string>& scopes) {
    Grant grant;
    grant.permissions = std::make_shared<const Permissions>(Permissions::from(scopes).value());
    return run(tenants().create_key("maker", NewKey("child", grant), maker, patient()));
  };
  EXPECT_EQ(make({"*"}).error().code, ErrorCode::permission_missing);
  EXPECT_EQ(make({"key:read"}).error().code, ErrorCode::permission_missing);
  EXPECT_EQ(make({"leads:read"}).error().code, ErrorCode::validation_failed) << "no such operation";
  EXPECT_EQ(make({}).error().code, ErrorCode::validation_failed);
  const auto child = make({"lead:read"});
  ASSERT_TRUE(child.ok()) << child.error().message;
  EXPECT_THAT(child->key.scopes, ElementsAre("lead:read"));
  const auto rotate = [&](const Uuid& key) {
    return run(tenants().rotate_key("maker", key, std::chrono::hours(1), maker, patient()));
  };
  EXPECT_TRUE(rotate(child->key.id).ok());
  const auto first = run(tenants().keys("maker", patient()))->front();
  EXPECT_EQ(first.name, "default");
  EXPECT_EQ(rotate(first.id).error().code, ErrorCode::permission_missing);
  EXPECT_EQ(rotate(created.tenant->id).error().code, ErrorCode::not_found);
  EXPECT_THAT(actions_of(created.tenant->id), ElementsAre("tenant.created", "key.created", "key.rotated"));
  EXPECT_TRUE(run(tenants().revoke_key("maker", child->key.id, tester(), patient())).ok());
  EXPECT_EQ(rotate(child->key.id).error().code, ErrorCode::conflict);
  remove(*created.tenant);
}

TEST_F(TenantChangesTest, ServiceKeysAreMadeListedAndRevoked) {
  Grant grant;
  grant.permissions = std::make_shared<const Permissions>(Permissions::from({"tenants:*"}).value());
  const auto make = [&](const KeyMaker& maker) {
    return run(tenants().create_service_key(NewKey("robot", grant), maker, patient()));
  };
  KeyMaker reader(tester());
  reader.own.permissions = std::make_shared<const Permissions>(Permissions::from({"tenants:read"}).value());
  EXPECT_EQ(make(reader).error().code, ErrorCode::permission_missing);
  const auto made = make(KeyMaker(tester()));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(has_credential_form(made->secret, kAdminTokenPrefix));
  EXPECT_EQ(make(KeyMaker(tester())).error().code, ErrorCode::conflict) << "the name is taken";
  const auto found = run(node().registry.find_admin_token(hash_of_credential(made->secret), patient()));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->kind, AdminEntry::Kind::service);
  EXPECT_THAT(found->grant.permissions->patterns(), ElementsAre("tenants:*"));
  const auto listed = run(tenants().service_keys(patient()));
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().id, made->key.id);
  EXPECT_TRUE(run(tenants().revoke_service_key(made->key.id, tester(), patient())).ok());
  EXPECT_EQ(run(tenants().revoke_service_key(Uuid(), tester(), patient())).error().code,
            ErrorCode::not_found);
  EXPECT_TRUE(make(KeyMaker(tester())).ok()) << "the name is free again";
}

TEST_F(TenantChangesTest, StatusCountsTenantsAndNamesDatabases) {
  const auto created = create(request("Counted"));
  const auto status = run(tenants().status(patient()));
  ASSERT_TRUE(status.ok()) << status.error().message;
  std::int64_t counted = 0;
  for (const auto& count : status->counts) counted += count.tenants;
  EXPECT_EQ(std::to_string(counted), platform_sql().value("SELECT count(*) FROM platform.tenants"));
  std::set<std::string> names;
  for (const auto& [name, bytes] : status->databases) {
    names.insert(name);
    EXPECT_GT(bytes, 0) << name;
  }
  EXPECT_TRUE(names.contains("rowhouse_platform"));
  EXPECT_TRUE(names.contains(pool_database_name("mini")));
  EXPECT_GT(status->connections, 0);
  EXPECT_GE(status->max_connections, status->connections);
  EXPECT_TRUE(status->server_version.starts_with("1"));
  remove(*created.tenant);
}

TEST_F(TenantChangesTest, AdminTokensAreReplacedByName) {
  const auto first = make_credential(kAdminTokenPrefix);
  const auto second = make_credential(kAdminTokenPrefix);
  EXPECT_TRUE(run(tenants().set_admin_token("cli", first, patient())).ok());
  EXPECT_TRUE(run(tenants().set_admin_token("cli", first, patient())).ok());
  EXPECT_TRUE(run(tenants().set_admin_token("cli", second, patient())).ok());
  EXPECT_EQ(platform_sql().value(
                "SELECT count(*) FROM platform.admin_tokens WHERE name = 'cli' AND hash = sha256('" + second +
                "')"),
            "1");
  EXPECT_EQ(run(tenants().set_admin_token("cli", "secret", patient())).error().code,
            ErrorCode::config_invalid);
}

}  // namespace
}  // namespace rowhouse::tenancy
