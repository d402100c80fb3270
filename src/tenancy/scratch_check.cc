#include "tenancy/scratch_check.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "pg/quote.h"
#include "tenancy/catalog.h"
#include "tenancy/pack_migrator.h"
#include "tenancy/pack_names.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

namespace {

using namespace std::chrono_literals;
using Findings = std::vector<Finding>;

// Clearing up goes on when the caller's time is over.
constexpr auto kCleanUpPatience = 60s;
constexpr std::string_view kOtherSchema = "rowhouse_other_schema";
constexpr std::size_t kMaxForeignChanges = 20;
constexpr std::size_t kRandomBytes = 6;

// The name tells when the check began. Who checks is connected all the time, but for the moments in which the
// database is made and dropped: one that is not new and has no session belongs to a process that is dead.
constexpr std::string_view kNewNameSql =
    "SELECT 'rowhouse_check_' || pg_catalog.floor(pg_catalog.date_part('epoch', pg_catalog.now()))::bigint "
    "|| '_'";
constexpr std::string_view kLeftoversSql = R"sql(
SELECT d.datname FROM pg_catalog.pg_database d
 WHERE d.datname ~ '^rowhouse_check_[0-9]{9,12}_[0-9a-f]+$'
   AND pg_catalog.split_part(d.datname, '_', 3)::bigint
       < pg_catalog.date_part('epoch', pg_catalog.now()) - 300
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
)sql";

// Everything outside the schemas $1 and $2 that a migration could make, change or drop; a change shows as
// another version (the transaction that wrote the row).
constexpr std::string_view kSurroundingsSql = R"sql(
WITH inside AS (
  SELECT oid FROM pg_catalog.pg_namespace
   WHERE nspname IN ($1, $2, 'pg_catalog', 'information_schema', 'pg_toast')
), outside_class AS (
  SELECT c.oid, c.xmin FROM pg_catalog.pg_class c WHERE c.relnamespace NOT IN (SELECT oid FROM inside)
), entry (class_id, id, version) AS (
  SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_namespace
   WHERE oid NOT IN (SELECT oid FROM inside)
   UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, oid, xmin FROM outside_class
   UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_proc
              WHERE pronamespace NOT IN (SELECT oid FROM inside)
   UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_type
              WHERE typnamespace NOT IN (SELECT oid FROM inside) AND typrelid = 0 AND typcategory <> 'A'
   UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_operator
              WHERE oprnamespace NOT IN (SELECT oid FROM inside)
   UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_constraint
              WHERE connamespace NOT IN (SELECT oid FROM inside)
   UNION ALL SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_policy
              WHERE polrelid IN (SELECT oid FROM outside_class)
   UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_rewrite
              WHERE ev_class IN (SELECT oid FROM outside_class)
   UNION ALL SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_trigger
              WHERE tgrelid IN (SELECT oid FROM outside_class) AND NOT tgisinternal
   UNION ALL SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_extension
   UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_language
   UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_cast WHERE oid >= 16384
   UNION ALL SELECT 'pg_catalog.pg_default_acl'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_default_acl
   UNION ALL SELECT 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_publication
   UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_foreign_server
   UNION ALL SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_event_trigger
   UNION ALL SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_largeobject_metadata
   UNION ALL SELECT 'pg_catalog.pg_database'::pg_catalog.regclass, oid, xmin FROM pg_catalog.pg_database
              WHERE datname = pg_catalog.current_database()
)
SELECT class_id::text || ' ' || id, version::text, pg_catalog.pg_describe_object(class_id, id, 0) FROM entry
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e  -- the extension is reported, not its parts
                    WHERE e.classid = class_id AND e.objid = id AND e.deptype = 'e')
 UNION ALL
SELECT 'column ' || a.attrelid || ' ' || a.attnum, a.xmin::text,
       'column ' || a.attname || ' of ' || a.attrelid::pg_catalog.regclass
  FROM pg_catalog.pg_attribute a WHERE a.attrelid IN (SELECT oid FROM outside_class) AND a.attnum > 0
 UNION ALL
SELECT 'setting ' || s.setdatabase || ' ' || s.setrole, s.xmin::text, 'settings of a role or database'
  FROM pg_catalog.pg_db_role_setting s
)sql";

struct Surrounding {
  std::string version, description;
};
using Surroundings = std::map<std::string, Surrounding>;

Task<Result<Surroundings>> read_surroundings(pg::Session& session, std::string schema, std::string other,
                                             CallOptions options) {
  pg::Params params;
  params.emplace_back(std::move(schema));
  params.emplace_back(std::move(other));
  const pg::Statement query(std::string(kSurroundingsSql), std::move(params), pg::Access::read,
                            pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  Surroundings surroundings;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Surrounding entry;
    entry.version = rows.text(row, 1);
    entry.description = rows.text(row, 2);
    surroundings.emplace(std::string(rows.text(row, 0)), std::move(entry));
  }
  co_return surroundings;
}

void add_changes(Findings& findings, const Surroundings& before, const Surroundings& after,
                 std::string_view when) {
  const auto add = [&](const Surrounding& entry, std::string_view what) {
    if (findings.size() >= kMaxForeignChanges) return;
    findings.emplace_back(
        "outside-schema", entry.description,
        "a migration " + std::string(what) + " something outside the pack's schema" + std::string(when),
        "Leave names unqualified, and make nothing but tables, views, functions and types.");
  };
  for (const auto& [key, entry] : after) {
    const auto found = before.find(key);
    if (found == before.end()) {
      add(entry, "makes");
    } else if (found->second.version != entry.version) {
      add(entry, "changes");
    }
  }
  for (const auto& [key, entry] : before) {
    if (!after.contains(key)) add(entry, "drops");
  }
}

// Header row of a CSV file; column names hold neither commas nor line breaks.
std::vector<std::string> header_of(std::string_view csv) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (csv.starts_with(kByteOrderMark)) csv.remove_prefix(kByteOrderMark.size());
  std::string_view line = csv.substr(0, csv.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string> names;
  for (std::string_view cell : split(line, ',')) {
    if (cell.size() >= 2 && cell.starts_with('"') && cell.ends_with('"'))
      cell = cell.substr(1, cell.size() - 2);
    names.emplace_back(cell);
  }
  return names;
}

void check_sample(Findings& findings, const std::string& file, const SampleData& sample,
                  const CatalogRelation& relation) {
  const auto add = [&](std::string rule, std::string message) {
    findings.emplace_back(std::move(rule), file, std::move(message), "Correct the header row of the file.");
  };
  const auto header = header_of(sample.csv);
  for (const std::string& name : header) {
    const Column* column = relation.find_column(name);
    if (name == kTenantColumn) {
      add("sample-data-tenant-id", "the file has a column tenant_id, which is never given");
    } else if (column == nullptr) {
      add("sample-data-column",
          "the file has a column " + name + ", which " + relation.name + " does not have");
    } else if (column->generated) {
      add("sample-data-column", "the column " + name + " is made by the database and cannot be given");
    }
  }
  for (const Column& column : relation.columns) {
    if (column.nullable || column.has_default || column.generated || column.name == kTenantColumn) continue;
    if (std::ranges::find(header, column.name) == header.end()) {
      add("sample-data-column", "the column " + column.name + " is missing, and it has no default");
    }
  }
}

void check_samples(Findings& findings, const Catalog& catalog, const Bundle& bundle) {
  for (std::size_t i = 0; i < bundle.samples.size(); ++i) {
    const SampleData& sample = bundle.samples[i];
    const auto resource = std::ranges::find(bundle.manifest.resources, sample.resource, &Resource::name);
    if (resource == bundle.manifest.resources.end()) continue;
    const auto relation = catalog.relations.find(resource->relation);
    if (relation == catalog.relations.end() || !relation->second.is_table()) continue;
    check_sample(findings, bundle.manifest.sample_data[i].file, sample, relation->second);
  }
}

void append(Findings& findings, Findings more) {
  for (Finding& finding : more) findings.push_back(std::move(finding));
}

// What an author would read twice: a rule that is broken before and after protection.
void drop_duplicates(Findings& findings) {
  Findings unique;
  for (Finding& finding : findings) {
    const auto same = [&](const Finding& other) {
      return other.rule == finding.rule && other.object == finding.object;
    };
    if (std::ranges::none_of(unique, same)) unique.push_back(std::move(finding));
  }
  findings = std::move(unique);
}

bool is_failure(const Finding& finding) { return finding.rule.starts_with("migration-"); }

Task<Result<SchemaContract>> look_at_contract(pg::Session& session, CallOptions options) {
  CO_TRY_DO(co_await begin_as_owner(session, options));
  CO_TRY(auto contract, co_await read_contract(session, std::string(kSharedSchema), options));
  CO_TRY_DO(co_await session.rollback(options));
  co_return contract;
}

Finding unwanted_contract(const PackMigration& migration) {
  return Finding("contract-not-asked-for", migration.name,
                 "the migration takes away what an earlier version had (its first line says so)",
                 "Upgrade with --contract once nobody uses the old any more.");
}

// What is released at once, then one new migration after the other, each compared with what was there before
// it.
Task<Result<MigratedSchema>> migrate_step_by_step(pg::Session& session, const Bundle& bundle,
                                                  ScratchUpgrade upgrade, Findings& breaking,
                                                  CallOptions options) {
  const std::string schema(kSharedSchema);
  const std::string runtime(kRuntimeRole);
  if (upgrade.released == 0 || upgrade.released >= bundle.migrations.size())
    co_return co_await migrate_schema(session, schema, runtime, bundle, OnFinding::collect, options);
  Bundle part = bundle;
  part.migrations.erase(part.migrations.begin() + static_cast<std::ptrdiff_t>(upgrade.released),
                        part.migrations.end());
  CO_TRY(auto all, co_await migrate_schema(session, schema, runtime, part, OnFinding::collect, options));
  for (std::size_t i = upgrade.released; i < bundle.migrations.size() && all.findings.empty(); ++i) {
    const PackMigration& migration = bundle.migrations[i];
    CO_TRY(const SchemaContract before, co_await look_at_contract(session, options));
    part.migrations.push_back(migration);
    CO_TRY(auto one, co_await migrate_schema(session, schema, runtime, part, OnFinding::collect, options));
    CO_TRY(const SchemaContract after, co_await look_at_contract(session, options));
    all.migrations_run += one.migrations_run;
    append(all.findings, std::move(one.findings));
    if (!is_contract(migration)) {
      append(breaking, find_breaking_changes(migration, before, after));
    } else if (upgrade.contract == Contract::refused) {
      breaking.push_back(unwanted_contract(migration));
    }
  }
  co_return all;
}

// The first schema: the rules. Then one of another name: does it work there, and leave everything else alone?
Task<Result<Findings>> check_in(pg::Session& session, const Bundle& bundle, ScratchUpgrade upgrade,
                                CallOptions options) {
  const std::string schema(kSharedSchema);
  const std::string other(kOtherSchema);
  const std::string runtime(kRuntimeRole);

  CO_TRY(const auto untouched, co_await read_surroundings(session, schema, other, options));
  Findings breaking;
  CO_TRY(auto first, co_await migrate_step_by_step(session, bundle, upgrade, breaking, options));
  CO_TRY(const auto after_first, co_await read_surroundings(session, schema, other, options));
  Findings findings;
  add_changes(findings, untouched, after_first, "");
  const bool failed = std::ranges::any_of(first.findings, is_failure);
  append(findings, std::move(first.findings));
  if (failed) co_return findings;  // what is not there cannot be checked

  CO_TRY_DO(co_await begin_as_owner(session, options));
  CO_TRY(auto broken, co_await check_schema(session, schema, bundle.manifest, options));
  CO_TRY(const Catalog catalog, co_await read_catalog(session, schema, options));
  CO_TRY_DO(co_await session.rollback(options));
  append(findings, std::move(broken));
  check_samples(findings, catalog, bundle);

  CO_TRY(const auto before_second, co_await read_surroundings(session, other, other, options));
  CO_TRY(const auto second,
         co_await migrate_schema(session, other, runtime, bundle, OnFinding::collect, options));
  CO_TRY(const auto after_second, co_await read_surroundings(session, other, other, options));
  for (const Finding& finding : second.findings) {
    if (!is_failure(finding)) continue;
    findings.emplace_back("schema-named", finding.object,
                          "the migration does not run in a schema of another name: " + finding.message,
                          "Leave names unqualified: the search path is the pack's schema.");
  }
  Findings changes;
  if (findings.empty()) add_changes(changes, before_second, after_second, ", or names its schema");
  append(findings, std::move(changes));
  append(findings, std::move(breaking));  // last: the other schema is looked at when nothing else is wrong
  co_return findings;
}

Task<Result<Findings>> check_in_database(const Cluster& cluster, const std::string& database,
                                         const Bundle& bundle, ScratchUpgrade upgrade, CallOptions options) {
  CO_TRY_DO(co_await cluster.create_tenant_data_database(database, options));
  CO_TRY(auto session, co_await cluster.migrator(database, options));
  co_return co_await check_in(session, bundle, upgrade, options);
}

}  // namespace

Task<Result<void>> sweep_scratch_databases(const Cluster& cluster, CallOptions options) {
  CO_TRY(auto administrator, co_await cluster.administrator(kMaintenanceDatabase, options));
  const pg::Statement query(std::string(kLeftoversSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto leftovers, co_await administrator.query(query, options));
  for (std::size_t row = 0; row < leftovers.size(); ++row) {
    CO_TRY_DO(co_await cluster.drop_database(leftovers.text(row, 0), options));
  }
  co_return Result<void>();
}

Task<Result<std::string>> new_scratch_name(const Cluster& cluster, CallOptions options) {
  CO_TRY_DO(co_await sweep_scratch_databases(cluster, options));
  CO_TRY(auto administrator, co_await cluster.administrator(kMaintenanceDatabase, options));
  const pg::Statement query(std::string(kNewNameSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await administrator.query(query, options));
  co_return std::string(rows.text(0, 0)) + to_hex(crypto::random_bytes(kRandomBytes));
}

Task<Result<Findings>> check_in_scratch(const Cluster& cluster, std::string database, const Bundle& bundle,
                                        ScratchUpgrade upgrade, CallOptions options) {
  auto findings = co_await check_in_database(cluster, database, bundle, upgrade, options);
  const CallOptions clean_up{deadline_in(kCleanUpPatience), nullptr};
  CO_TRY_DO(co_await cluster.drop_database(database, clean_up));
  if (findings.ok()) drop_duplicates(*findings);
  co_return findings;
}

Task<Result<Findings>> check_in_scratch(const Cluster& cluster, std::string database, const Bundle& bundle,
                                        CallOptions options) {
  return check_in_scratch(cluster, std::move(database), bundle, ScratchUpgrade(), options);
}

Task<Result<Findings>> check_in_scratch_database(const Cluster& cluster, const Bundle& bundle,
                                                 CallOptions options) {
  CO_TRY(std::string database, co_await new_scratch_name(cluster, options));
  co_return co_await check_in_scratch(cluster, std::move(database), bundle, ScratchUpgrade(), options);
}

}  // namespace rowhouse::tenancy
