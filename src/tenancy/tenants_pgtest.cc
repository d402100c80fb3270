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
using testing::BlockingSql;
using ::testing::ElementsAre;
using testing::patient;

class TenantsTest : public fixture::InstallationTest {
 protected:
  Result<CreatedTenant> try_create(NewTenant wanted) {
    return run(tenants().create(std::move(wanted), tester(), patient()));
  }
};

// ---------------------------------------------------------------------------------------- create, delete

TEST_F(TenantsTest, APoolTenantIsRowsAlone) {
  const auto before = inventory();
  auto wanted = request("Acme \"& Söhne\"");
  wanted.contact = json::parse(R"({"admin_email": "ann@example.com"})").value();
  wanted.settings = json::parse(R"({"timezone": "Europe/Berlin"})").value();
  wanted.storage = StorageChoice::byos;
  const auto created = create(wanted);
  const auto& tenant = *created.tenant;
  EXPECT_EQ(tenant.slug, "acme-sohne");
  EXPECT_EQ(tenant.name, "Acme \"& Söhne\"");
  EXPECT_EQ(tenant.subdomain, "acme-sohne");
  EXPECT_EQ(tenant.status, TenantStatus::active);
  EXPECT_EQ(tenant.storage, StorageChoice::byos);
  EXPECT_EQ(tenant.plan_name, "basic");
  EXPECT_EQ(tenant.version, 1);
  EXPECT_EQ(*tenant.settings.find("timezone")->as_string(), "Europe/Berlin");
  EXPECT_EQ(*tenant.contact.find("admin_email")->as_string(), "ann@example.com");
  EXPECT_EQ(tenant.placement.database, pool_database_name("mini"));
  EXPECT_EQ(tenant.placement.schema, "app");
  EXPECT_EQ(tenant.placement.role, "tenant_service");
  EXPECT_TRUE(has_credential_form(created.api_key, kTenantKeyPrefix));
  EXPECT_EQ(platform_sql().value("SELECT count(*) FROM platform.api_keys WHERE tenant_id = '" +
                                 tenant.id.to_string() + "' AND hash = " + "sha256('" + created.api_key +
                                 "') AND name = 'default'"),
            "1");
  EXPECT_THAT(actions_of(tenant.id), ElementsAre("tenant.created"));
  EXPECT_THAT(actions_of(tenant.id, "events"), ElementsAre("tenant.created"));
  EXPECT_EQ(
      platform_sql().value(
          "SELECT string_agg(type, ' ') FROM platform.events WHERE type ~ '^operation' AND tenant_id = '" +
          tenant.id.to_string() + "'"),
      "operation.succeeded");
  EXPECT_EQ(platform_sql().value("SELECT host(address) FROM platform.audit_log WHERE tenant_id = '" +
                                 tenant.id.to_string() + "'"),
            "192.0.2.7");

  add_lead(tenant, "one@example.com");
  add_lead(tenant, "two@example.com");
  remove(tenant);
  EXPECT_EQ(inventory(), before);
  EXPECT_THAT(actions_of(tenant.id),
              ElementsAre("tenant.created", "tenant.deletion_started", "tenant.deleted"));
  EXPECT_EQ(run(tenants().get(tenant.slug, patient())).error().code, ErrorCode::not_found);
  EXPECT_EQ(run(tenants().remove(tenant.slug, tester(), patient())).error().code, ErrorCode::not_found);
}

TEST_F(TenantsTest, DeletingAPoolTenantTouchesNobodyElse) {
  const auto kept = create(request("Kept"));
  const auto gone = create(request("Gone"));
  add_lead(*kept.tenant, "kept@example.com");
  BlockingSql sql(testing::superuser(gone.tenant->placement.database));
  const std::string id = "'" + gone.tenant->id.to_string() + "'";
  // More than a batch, rows that refer to each other, a partitioned table, and the answers kept for retries.
  sql.run(
      "INSERT INTO app.leads (tenant_id, email) SELECT " + id +
      ", 'l' || g || '@example.com' FROM "
      "generate_series(1, 6000) g; "
      "INSERT INTO app.notes (tenant_id, lead_id, body) SELECT tenant_id, id, 'note' FROM app.leads WHERE "
      "tenant_id = " +
      id +
      " LIMIT 50; "
      "INSERT INTO app.events (tenant_id, what) SELECT " +
      id +
      ", 'e' FROM generate_series(1, 100); "
      "INSERT INTO rowhouse.idempotency_keys (tenant_id, key, fingerprint) VALUES (" +
      id + ", 'k', '\\x00')");
  remove(*gone.tenant);
  for (const char* table : {"app.leads", "app.notes", "app.events", "rowhouse.idempotency_keys"}) {
    EXPECT_EQ(sql.value(std::string("SELECT count(*) FROM ") + table + " WHERE tenant_id = " + id), "0")
        << table;
  }
  EXPECT_EQ(
      sql.value("SELECT count(*) FROM app.leads WHERE tenant_id = '" + kept.tenant->id.to_string() + "'"),
      "1");
  remove(*kept.tenant);
}

TEST_F(TenantsTest, ASchemaTenantHasASchemaAndLeavesNone) {
  const auto before = inventory();
  const auto created = create(request("Schema Corp", Tier::schema));
  const auto& placement = created.tenant->placement;
  EXPECT_EQ(created.tenant->status, TenantStatus::active);
  EXPECT_EQ(placement.database, pool_database_name("mini"));
  EXPECT_EQ(placement.role, "tenant_service");
  BlockingSql sql(testing::superuser(placement.database));
  EXPECT_EQ(sql.value("SELECT relforcerowsecurity FROM pg_class WHERE oid = to_regclass('" +
                      pg::quote_qualified(placement.schema, "leads") + "')"),
            "t");
  EXPECT_THAT(actions_of(created.tenant->id), ElementsAre("tenant.creation_started", "tenant.created"));
  add_lead(*created.tenant, "a@example.com");
  remove(*created.tenant);
  EXPECT_EQ(inventory(), before);
}

TEST_F(TenantsTest, ADatabaseTenantHasADatabaseAndARoleOfItsOwn) {
  const auto before = inventory();
  const auto started = std::chrono::steady_clock::now();
  const auto created = create(request("Database Corp", Tier::database));
  const auto took = std::chrono::steady_clock::now() - started;
  RecordProperty("create_ms",
                 static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  const auto& placement = created.tenant->placement;
  EXPECT_EQ(placement.database, placement.role);
  EXPECT_EQ(placement.schema, "app");
  const auto other = create(request("Other Corp", Tier::database));

  EXPECT_EQ(BlockingSql::cannot_connect(cluster().as(placement.role, placement.database)), "");
  for (const std::string& database : {other.tenant->placement.database, pool_database_name("mini"),
                                      std::string(kPlatformDatabase), std::string("postgres")}) {
    EXPECT_NE(BlockingSql::cannot_connect(cluster().as(placement.role, database)), "") << database;
  }
  EXPECT_NE(BlockingSql::cannot_connect(cluster().as(kRuntimeRole, placement.database)), "");
  BlockingSql sql(testing::superuser(placement.database));
  EXPECT_EQ(sql.value("SELECT has_table_privilege('tenant_service', 'app.leads', 'SELECT')"), "f");
  EXPECT_EQ(sql.value("SELECT has_table_privilege('" + placement.role + "', 'app.leads', 'SELECT')"), "t");
  EXPECT_EQ(sql.value("SELECT has_table_privilege('" + placement.role +
                      "', 'rowhouse.idempotency_keys', 'SELECT')"),
            "t");
  EXPECT_EQ(
      sql.value(
          "SELECT count(*) FROM pg_database WHERE datname = current_database() AND has_database_privilege("
          "'platform_service', oid, 'CONNECT')"),
      "0");
  // Rows of its own, through row security alone.
  const auto context =
      testing::TransactionContextForTests::make(created.tenant->id, context_key(placement.database));
  auto session =
      run(pg::connect(executor(), cluster().as(placement.role, placement.database), testing::patient()));
  ASSERT_TRUE(session.ok()) << session.error().message;
  ASSERT_TRUE(run(session->begin(&context, testing::patient())).ok());
  ASSERT_TRUE(
      run(session->script("INSERT INTO app.leads (email) VALUES ('a@example.com')", testing::patient()))
          .ok());
  ASSERT_TRUE(run(session->commit(testing::patient())).ok());
  BlockingSql runtime(cluster().as(placement.role, placement.database));
  EXPECT_EQ(runtime.value("SELECT count(*) FROM app.leads"), "0");
  EXPECT_EQ(sql.value("SELECT tenant_id FROM app.leads"), created.tenant->id.to_string());

  remove(*created.tenant);  // although two connections are open
  remove(*other.tenant);
  EXPECT_EQ(inventory(), before);
}

// ------------------------------------------------------------------------------------------------- names

TEST_F(TenantsTest, NamesNeverCollide) {
  const std::string shared(63, 'p');
  const std::vector<std::string> names = {
      "acme-corp",  "acme_corp",  "Acme Corp", "ACME CORP!", "\"; DROP TABLE x; --",
      "O'Brien",    "OBrien",     "🚀",         "🚀🚀",         "株式会社",
      shared + "1", shared + "2", "t",         "T",          "👩‍💻 शक्‍ति"};
  std::vector<std::shared_ptr<const Tenant>> made;
  std::set<std::string> slugs, schemas;
  for (const auto& name : names) {
    auto created = create(request(name, Tier::schema));
    EXPECT_EQ(created.tenant->name, name);
    slugs.insert(created.tenant->slug);
    schemas.insert(created.tenant->placement.schema);
    made.push_back(created.tenant);
  }
  EXPECT_EQ(slugs.size(), names.size());
  EXPECT_EQ(schemas.size(), names.size());
  EXPECT_EQ(made[0]->slug, "acme-corp");
  EXPECT_EQ(made[1]->slug, "acme-corp-2");
  EXPECT_EQ(made[2]->slug, "acme-corp-3");
  EXPECT_EQ(made[11]->slug.size(), 32U);  // cut for the number
  for (const auto& tenant : made) remove(*tenant);
}

Task<void> create_into(TenantService& service, NewTenant wanted,
                       std::vector<Result<CreatedTenant>>& results) {
  auto result = co_await service.create(std::move(wanted), tester(), patient());
  results.push_back(std::move(result));
}

TEST_F(TenantsTest, ManyOfOneNameAtTheSameMoment) {
  std::vector<Result<CreatedTenant>> results;
  net::TaskGroup group;
  for (int i = 0; i < 30; ++i) group.spawn(create_into(tenants(), request("Rush"), results));
  run(group.join());
  std::set<std::string> slugs;
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.error().message;
    slugs.insert(result->tenant->slug);
  }
  EXPECT_EQ(slugs.size(), 30U);
  for (const auto& result : results) remove(*result->tenant);
}

TEST_F(TenantsTest, AnExplicitSlugOrAddressThatIsTakenIsAConflict) {
  auto first = request("First");
  first.slug = "taken";
  first.domain = "taken.example.com";
  first.subdomain = "taken-sub";
  const auto created = create(first);
  const auto refused = [&](auto change) {
    auto wanted = request("Second");
    change(wanted);
    const auto outcome = try_create(wanted);
    EXPECT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().code, ErrorCode::conflict);
    return paths(outcome.error());
  };
  EXPECT_THAT(refused([](NewTenant& wanted) { wanted.slug = "taken"; }), ElementsAre("/slug"));
  EXPECT_THAT(refused([](NewTenant& wanted) { wanted.domain = "TAKEN.example.com"; }),
              ElementsAre("/domain"));
  EXPECT_THAT(refused([](NewTenant& wanted) { wanted.subdomain = "taken-sub"; }), ElementsAre("/subdomain"));
  // A derived slug gives way to somebody's subdomain.
  const auto other = create(request("Taken Sub"));
  EXPECT_EQ(other.tenant->slug, "taken-sub-2");
  remove(*other.tenant);
  remove(*created.tenant);
}

TEST_F(TenantsTest, FaultsAreNamedAllAtOnceAndNothingIsWritten) {
  const auto before = inventory();
  auto bad = request(" \n");
  bad.slug = "No Slug";
  bad.plan = "none";
  bad.settings = json::parse(R"({"x": 1, "timezone": 5})").value();
  const auto outcome = try_create(bad);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::validation_failed);
  EXPECT_THAT(paths(outcome.error()),
              ElementsAre("/name", "/slug", "/plan", "/settings/x", "/settings/timezone"));
  auto unknown = request("Acme");
  unknown.pack = "nothing";
  const auto no_pack = try_create(unknown);
  ASSERT_FALSE(no_pack.ok());
  EXPECT_EQ(no_pack.error().code, ErrorCode::validation_failed);
  EXPECT_THAT(paths(no_pack.error()), ElementsAre("/pack"));
  EXPECT_EQ(inventory(), before);
}

// ---------------------------------------------------------------------------------- failures, left-overs

Task<Result<std::size_t>> failing_loader(std::shared_ptr<const Tenant>, const std::vector<SampleData>&,
                                         CallOptions) {
  co_return Error(ErrorCode::validation_failed, "row 3 is bad");
}

Task<Result<std::size_t>> counting_loader(std::shared_ptr<const Tenant>,
                                          const std::vector<SampleData>& samples, CallOptions) {
  co_return samples.size();
}

TEST_F(TenantsTest, AFailureInTheMiddleLeavesNothingInAnyTier) {
  const auto before = inventory();
  tenants().wire(nullptr, failing_loader, nullptr);
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database}) {
    auto wanted = request("Unlucky", tier);
    wanted.sample_rows = NewTenant::SampleRows::load;
    const auto outcome = try_create(wanted);
    ASSERT_FALSE(outcome.ok());
    EXPECT_EQ(outcome.error().message, "row 3 is bad");
    EXPECT_EQ(inventory(), before) << tier_name(tier);
  }
}

TEST_F(TenantsTest, AFailedCloneLeavesNothing) {
  BlockingSql sql(testing::superuser("postgres"));
  const auto templates = pg::quote_name(template_database_name("mini"));
  sql.run("ALTER DATABASE " + templates + " RENAME TO hidden_template");
  const auto before = inventory();
  const auto outcome = try_create(request("No Template", Tier::database));
  EXPECT_FALSE(outcome.ok());
  EXPECT_EQ(inventory(), before);
  sql.run("ALTER DATABASE hidden_template RENAME TO " + templates);
}

TEST_F(TenantsTest, ABusyTemplateIsWaitedFor) {
  BlockingSql admin(testing::superuser("postgres"));
  const auto name = template_database_name("mini");
  admin.run("ALTER DATABASE " + pg::quote_name(name) + " ALLOW_CONNECTIONS true");
  auto visitor = std::make_unique<BlockingSql>(testing::superuser(name));
  net::TaskGroup group;
  std::vector<Result<CreatedTenant>> results;
  group.spawn(create_into(tenants(), request("Patient", Tier::database), results));
  // The visitor leaves once the clone has been refused at least once (the role is made just before).
  EXPECT_TRUE(eventually(
      [&] { return admin.value("SELECT count(*) FROM pg_roles WHERE rolname ~ '^tenant_patient'") == "1"; }));
  visitor.reset();
  run(group.join());
  ASSERT_TRUE(results.at(0).ok()) << results.at(0).error().message;
  remove(*results.at(0)->tenant);
}

// The connection broke just as the tenant became active, say: what was promised to nobody is taken back.
TEST_F(TenantsTest, ATenantThatBecameActiveUnnoticedIsTakenBackToo) {
  const auto before = inventory();
  const auto make_active = [](std::shared_ptr<const Tenant> tenant, const std::vector<SampleData>&,
                              CallOptions) -> Task<Result<std::size_t>> {
    platform_sql().run("UPDATE platform.tenants SET status = 'active' WHERE id = '" + tenant->id.to_string() +
                       "'");
    co_return std::size_t{0};
  };
  tenants().wire(nullptr, make_active, nullptr);
  auto wanted = request("Half Known", Tier::database);
  wanted.sample_rows = NewTenant::SampleRows::load;
  EXPECT_FALSE(try_create(wanted).ok());
  EXPECT_EQ(inventory(), before);
}

TEST_F(TenantsTest, ATenantIsNotDeletedWhileItIsBeingMade) {
  const auto created = create(request("In The Making"));
  const std::string slug = created.tenant->slug;
  platform_sql().run("UPDATE platform.tenants SET status = 'provisioning' WHERE slug = '" + slug + "'");
  EXPECT_EQ(run(tenants().remove(slug, tester(), patient())).error().code, ErrorCode::conflict);
  platform_sql().run("UPDATE platform.tenants SET status = 'active' WHERE slug = '" + slug + "'");
  remove(*created.tenant);
}

TEST_F(TenantsTest, SampleRowsAreLoadedBeforeTheTenantIsActive) {
  tenants().wire(nullptr, counting_loader, nullptr);
  auto wanted = request("Samples");
  wanted.sample_rows = NewTenant::SampleRows::load;
  const auto created = create(wanted);
  EXPECT_EQ(created.sample_row_count, 1U);
  EXPECT_EQ(created.tenant->status, TenantStatus::active);
  remove(*created.tenant);
}

// Releases before operations left such tenants when they were killed.
TEST_F(TenantsTest, WhatNoOperationBelongsToIsRemoved) {
  const auto before = inventory();
  std::vector<std::shared_ptr<const Tenant>> made;
  for (const Tier tier : {Tier::pool, Tier::schema, Tier::database}) {
    made.push_back(create(request("Cut Off", tier)).tenant);
  }
  add_lead(*made[0], "x@example.com");
  const auto kept = create(request("Kept"));
  // As if the server had died: before its tenants became active, and in the middle of a deletion.
  const std::string ids = "('" + made[0]->id.to_string() + "', '" + made[1]->id.to_string() + "', '" +
                          made[2]->id.to_string() + "')";
  platform_sql().run("DELETE FROM platform.operations WHERE tenant_id IN " + ids);
  platform_sql().run("UPDATE platform.tenants SET status = 'provisioning' WHERE id IN " + ids);
  platform_sql().run("UPDATE platform.tenants SET status = 'deleting' WHERE id = '" +
                     made[2]->id.to_string() + "'");
  BlockingSql(testing::superuser("postgres"))
      .run("DROP DATABASE " + pg::quote_name(made[2]->placement.database));
  EXPECT_EQ(run(tenants().remove(made[0]->slug, tester(), patient())).error().code, ErrorCode::conflict);
  // Too young: another node of that release may be at work on them.
  auto removed = run(tenants().remove_abandoned(TenantService::Abandoned::stale, patient()));
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_EQ(*removed, 0U);
  removed = run(tenants().remove_abandoned(TenantService::Abandoned::all, patient()));
  ASSERT_TRUE(removed.ok()) << removed.error().message;
  EXPECT_EQ(*removed, 3U);
  for (const auto& tenant : made) {
    EXPECT_TRUE(eventually([&] { return status_of(tenant->id).empty(); })) << tenant->slug;
    EXPECT_EQ(actions_of(tenant->id).back(), "tenant.swept");
  }
  EXPECT_EQ(*run(tenants().remove_abandoned(TenantService::Abandoned::all, patient())), 0U);
  remove(*kept.tenant);
  EXPECT_EQ(inventory(), before);
}

TEST_F(TenantsTest, ATenantWithInstancesIsNotDeleted) {
  const auto created = create(request("Vectors"));
  const std::string id = created.tenant->id.to_string();
  platform_sql().run(
      "INSERT INTO platform.instances (id, tenant_id, kind, runtime, name) VALUES (gen_random_uuid(), '" +
      id + "', 'vectors', 'process', 'v')");
  const auto refused = run(tenants().remove(id, tester(), patient()));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_EQ(status_of(created.tenant->id), "active");
  platform_sql().run("DELETE FROM platform.instances WHERE tenant_id = '" + id + "'");
  remove(*created.tenant);
}

}  // namespace
}  // namespace rowhouse::tenancy
