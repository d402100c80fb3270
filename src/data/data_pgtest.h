// A DataService on a real installation with the packs tekup and "zoo" (a table of every type, a partitioned
// one, a view).
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/data_service.h"
#include "identity/context_pgtest.h"
#include "tenancy/installation_pgtest.h"

namespace rowhouse::data::fixture {

using identity::TenantContext;
using identity::TenantContextForTests;
using testing::patient;

inline constexpr const char* kZooManifest = R"json({
  "name": "zoo", "title": "Zoo", "version": "1.0.0", "description": "A table of every type.",
  "default_tier": "pool", "default_plan": "all", "services": [],
  "features": {"zoo:read": "Read", "zoo:write": "Write", "zoo:never": "In no plan"},
  "limits": {},
  "plans": {"all": {"title": "All", "limits": {}, "features": ["zoo:read", "zoo:write"]}},
  "settings": {},
  "resources": {
    "animals": {"description": "Animals", "natural_key": ["name"], "default_order": ["-seen"],
      "operations": {"read": "zoo:read", "create": "zoo:write", "update": "zoo:write", "delete": "zoo:write",
                     "import": "zoo:write", "export": "zoo:read"}},
    "sightings": {"description": "Sightings", "default_order": ["id"],
      "operations": {"read": "zoo:read", "create": "zoo:write", "update": "zoo:write", "delete": "zoo:write",
                     "import": "zoo:write"}},
    "hosts": {"description": "Hosts, by address", "default_order": ["id"],
      "operations": {"read": "zoo:read", "create": "zoo:write", "update": "zoo:write", "delete": "zoo:write"}},
    "tame_animals": {"description": "Tame animals", "default_order": ["id"], "operations": {"read": "zoo:read"}},
    "locked": {"description": "Guarded by a feature that no plan has", "relation": "animals", "default_order": ["id"],
      "operations": {"read": "zoo:never"}}
  },
  "functions": {
    "animal_count": {"description": "How many", "operation": "zoo:read"},
    "heaviest": {"description": "The heaviest", "operation": "zoo:read"},
    "names_like": {"description": "Names", "operation": "zoo:read"},
    "rename_all": {"description": "Appends to every name", "operation": "zoo:write"},
    "numbers": {"description": "So many numbers", "operation": "zoo:read"}
  },
  "sample_data": [], "metrics": []
})json";

inline constexpr const char* kZooTables = R"sql(
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE animals (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  name varchar(40) NOT NULL,
  weight numeric(8,2),
  ratio double precision,
  legs smallint,
  flies boolean,
  born date,
  seen timestamptz NOT NULL DEFAULT now(),
  feeling mood,
  moods mood[],
  tags text[],
  counts integer[],
  extra jsonb NOT NULL DEFAULT '{}',
  loose json,
  raw bytea,
  address inet,
  doubled numeric GENERATED ALWAYS AS (weight * 2) STORED,
  parent_id uuid,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT animals_name_unique UNIQUE (tenant_id, name),
  CONSTRAINT animals_parent FOREIGN KEY (tenant_id, parent_id) REFERENCES animals (tenant_id, id),
  CONSTRAINT animals_weight_positive CHECK (weight > 0)
);
CREATE INDEX animals_by_seen ON animals (tenant_id, seen, id);
CREATE TABLE sightings (
  tenant_id uuid NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  place text NOT NULL,
  PRIMARY KEY (tenant_id, id)
) PARTITION BY HASH (tenant_id);
CREATE TABLE sightings_0 PARTITION OF sightings FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE sightings_1 PARTITION OF sightings FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE hosts (tenant_id uuid NOT NULL, id inet NOT NULL, name text, PRIMARY KEY (tenant_id, id));
CREATE VIEW tame_animals WITH (security_invoker = true, security_barrier = true) AS
  SELECT tenant_id, id, name, extra FROM animals WHERE feeling = 'happy';
CREATE FUNCTION animal_count() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM animals; END;
CREATE FUNCTION heaviest() RETURNS animals LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT a.* FROM animals a ORDER BY weight DESC NULLS LAST LIMIT 1; END;
CREATE FUNCTION names_like(pattern text, at_most integer DEFAULT 10) RETURNS SETOF text LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT a.name FROM animals a WHERE a.name LIKE pattern ORDER BY 1 LIMIT at_most; END;
CREATE FUNCTION rename_all(suffix text) RETURNS bigint LANGUAGE sql VOLATILE
  BEGIN ATOMIC
    UPDATE animals SET name = name || suffix;
    SELECT count(*) FROM animals WHERE name LIKE '%' || suffix;
  END;
CREATE FUNCTION numbers(last integer) RETURNS SETOF integer LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT generate_series(1, last); END;
)sql";

inline tenancy::Bundle zoo_bundle() {
  tenancy::Bundle bundle;
  bundle.manifest_document = json::parse(kZooManifest).value();
  bundle.manifest = tenancy::parse_manifest(bundle.manifest_document).value();
  bundle.migrations.emplace_back(1, "0001_animals", kZooTables);
  return bundle;
}

class DataTest : public tenancy::fixture::InstallationTest {
 protected:
  static void SetUpTestSuite() {
    InstallationTest::SetUpTestSuite();
    install(zoo_bundle());
    install(tenancy::bundle_from_embedded("tekup").value());
    auto reloaded = run(node().registry.reload_packs(patient()));
    ASSERT_TRUE(reloaded.ok()) << reloaded.error().message;
  }
  static void install(const tenancy::Bundle& bundle) {
    auto installed = run(node().upgrades.install(bundle, tenancy::UpgradeOptions(), "tester", patient()));
    ASSERT_TRUE(installed.ok()) << describe(installed.error());
  }

  void SetUp() override {
    InstallationTest::SetUp();
    session::TenantDatabaseOptions options;
    const auto server = testing::superuser("postgres");
    options.host = server.host;
    options.port = server.port;
    database_ = std::make_unique<session::TenantDatabase>(
        executor(), std::move(options),
        [](const std::string& role) { return cluster().credentials().password_of(role); },
        [](const std::string& database) { return context_key(database); });
    DataOptions data_options;
    data_options.import_batch_rows = 100;
    data_ = std::make_unique<DataService>(*database_, std::string(32, 'k'), data_options);
  }
  void TearDown() override {
    data_.reset();
    database_.reset();
  }

  static TenantContext tenant_of(const std::string& pack, const std::string& plan = "",
                                 tenancy::Tier tier = tenancy::Tier::pool) {
    static int number = 0;
    tenancy::NewTenant wanted = request("Tenant " + std::to_string(++number), tier);
    wanted.pack = pack;
    wanted.plan = plan;
    return TenantContextForTests::make(create(std::move(wanted)).tenant);
  }

  static std::string describe(const Error& error) {
    std::string text = std::string(error_code_name(error.code)) + ": " + error.message;
    for (const FieldError& field : error.fields) text += "\n  " + field.path + " " + field.message;
    return text + "\n  " + std::string(error.detail(pg::kServerMessage));
  }

  // The reply's body; fails the test if there is none.
  static std::string body_of(Result<Reply> reply, int status = 200) {
    if (!reply.ok()) {
      ADD_FAILURE() << describe(reply.error());
      return "null";
    }
    EXPECT_EQ(reply->status, status) << reply->body;
    return reply->body;
  }
  static json::Value json_of(Result<Reply> reply, int status = 200) {
    return json::parse(body_of(std::move(reply), status)).value();
  }
  static void expect_error(const Result<Reply>& reply, ErrorCode code, std::vector<std::string> paths = {}) {
    ASSERT_FALSE(reply.ok()) << reply->body;
    EXPECT_EQ(reply.error().code, code) << describe(reply.error());
    std::vector<std::string> found;
    for (const FieldError& field : reply.error().fields) found.push_back(field.path);
    EXPECT_EQ(found, paths) << describe(reply.error());
  }

  Result<Reply> list(const TenantContext& context, std::string_view resource, std::string_view query = "") {
    return run(data_->list(context, resource, query, patient()));
  }
  Result<Reply> get(const TenantContext& context, std::string_view resource, std::string_view id,
                    std::string_view query = "", std::string_view if_none_match = "") {
    return run(data_->get(context, resource, id, query, if_none_match, patient()));
  }
  Result<Reply> post(const TenantContext& context, std::string_view resource, std::string_view body,
                     WriteOptions write = {}) {
    return run(data_->create(context, resource, body, std::move(write), patient()));
  }
  Result<Reply> patch(const TenantContext& context, std::string_view resource, std::string_view id,
                      std::string_view body, std::string if_match = "") {
    WriteOptions write;
    write.if_match = std::move(if_match);
    return run(data_->update(context, resource, id, body, write, patient()));
  }
  Result<Reply> remove(const TenantContext& context, std::string_view resource, std::string_view id,
                       std::string if_match = "") {
    WriteOptions write;
    write.if_match = std::move(if_match);
    return run(data_->remove(context, resource, id, write, patient()));
  }
  Result<Reply> call(const TenantContext& context, std::string_view function, std::string_view body) {
    return run(data_->call(context, function, body, patient()));
  }
  std::string count(const TenantContext& context, std::string_view resource) {
    const auto value = json_of(list(context, resource, "limit=1&count=exact"));
    return json::serialize(*value.find("count"));
  }
  static std::string id_of(const json::Value& row) { return *row.find("id")->as_string(); }

  std::unique_ptr<session::TenantDatabase> database_;
  std::unique_ptr<DataService> data_;
};

}  // namespace rowhouse::data::fixture
