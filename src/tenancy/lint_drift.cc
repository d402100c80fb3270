#include "tenancy/lint_drift.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/embedded.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "pg/quote.h"
#include "tenancy/catalog.h"
#include "tenancy/lint_snapshot.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

namespace {

// Of each schema that differs; and so many schemas are looked at closely. The others are named alone.
constexpr std::size_t kMaxDifferences = 10;
constexpr std::size_t kMaxExplained = 200;
constexpr std::size_t kRandomBytes = 6;
constexpr std::chrono::seconds kCleanUpPatience{60};

constexpr std::string_view kRowhouseSchema = "rowhouse";

LintFinding finding_in(const LintedSchema& schema, std::string rule) {
  LintFinding finding;
  finding.rule = std::move(rule);
  finding.database = schema.target->database;
  finding.schema = schema.schema->schema;
  return finding;
}

std::string place_of(const LintedSchema& schema) {
  return schema.target->database + "." + schema.schema->schema;
}

bool is_shared_pool(const LintedSchema& schema) {
  return schema.target->kind == DatabaseKind::pool && schema.schema->schema == kSharedSchema;
}

Task<Result<Structure>> structure_of(const Cluster& cluster, const LintedSchema& schema,
                                     CallOptions options) {
  CO_TRY(auto session, co_await catalog_snapshot(cluster, schema.target->database, options));
  const SchemaScope scope = *schema.schema;
  co_return co_await read_structure(session, scope, WithPrivileges::no, options);
}

// Schemas of one pack with the same migrations.
class Group {
 public:
  void add(const LintedSchema& schema) { schemas_.push_back(&schema); }

  // What most schemas look like; among equals, what the pool looks like.
  const LintedSchema& reference() const {
    std::map<std::string, std::size_t> votes;
    for (const LintedSchema* schema : schemas_) votes[schema->hash] += 2;
    for (const LintedSchema* schema : schemas_) {
      if (is_shared_pool(*schema)) ++votes[schema->hash];
    }
    return **std::ranges::max_element(schemas_, {},
                                      [&](const LintedSchema* schema) { return votes[schema->hash]; });
  }
  const std::vector<const LintedSchema*>& schemas() const { return schemas_; }

 private:
  std::vector<const LintedSchema*> schemas_;
};

void add_differences(std::vector<LintFinding>& findings, const LintedSchema& schema,
                     const LintedSchema& reference, const std::vector<StructureDifference>& differences) {
  const std::string compared = " (compared with " + place_of(reference) + ")";
  const std::string no_fix = "Bring it to what " + place_of(reference) + " has.";
  for (const StructureDifference& difference : differences) {
    LintFinding finding = finding_in(schema, "drift");
    finding.object = difference.object;
    finding.message = "it " + difference.message + compared;
    finding.fix = difference.fix.empty() ? no_fix : difference.fix;
    findings.push_back(std::move(finding));
  }
  if (!differences.empty()) return;
  LintFinding finding = finding_in(schema, "drift");
  finding.object = schema.schema->schema;
  finding.message = "the schema is not like the others of its pack" + compared;
  finding.fix = no_fix;
  findings.push_back(std::move(finding));
}

Task<Result<void>> compare_group(const Cluster& cluster, const Group& group,
                                 std::vector<LintFinding>& findings, CallOptions options) {
  const LintedSchema& reference = group.reference();
  std::optional<Structure> expected;
  std::size_t explained = 0;
  for (const LintedSchema* schema : group.schemas()) {
    if (schema->hash == reference.hash) continue;
    std::vector<StructureDifference> differences;
    if (explained++ < kMaxExplained) {
      if (!expected) {
        CO_TRY(auto structure, co_await structure_of(cluster, reference, options));
        expected.emplace(std::move(structure));
      }
      CO_TRY(const Structure actual, co_await structure_of(cluster, *schema, options));
      differences = compare_structures(*expected, actual, *schema->schema, kMaxDifferences);
    }
    add_differences(findings, *schema, reference, differences);
  }
  co_return Result<void>();
}

LintFinding broken_promise(const LintedSchema& schema, const Finding& found) {
  const bool has_own_rule = found.rule == "order-not-indexed" || found.rule == "natural-key-not-unique";
  LintFinding finding = finding_in(schema, has_own_rule ? found.rule : "manifest-broken");
  finding.object = found.object;
  finding.message = has_own_rule ? found.message : found.rule + ": " + found.message;
  // These are written for an author, who names no schema.
  const bool is_sql = found.fix.ends_with(";") && found.fix.find("…") == std::string::npos;
  finding.fix = is_sql ? "SET search_path = " + pg::quote_name(schema.schema->schema) + ";\n" + found.fix
                       : "Bring the schema to what the manifest says: " + found.fix;
  return finding;
}

// Schemas with the same fingerprint keep or break the same promises.
Task<Result<void>> check_promises(const Cluster& cluster, const std::vector<const LintedSchema*>& alike,
                                  const Manifest& manifest, std::vector<LintFinding>& findings,
                                  CallOptions options) {
  const LintedSchema& first = *alike.front();
  CO_TRY(auto session, co_await catalog_snapshot(cluster, first.target->database, options));
  CO_TRY(const Catalog catalog, co_await read_catalog(session, first.schema->schema, options));
  auto broken = find_missing_parts(catalog, manifest);
  for (Finding& finding : find_broken_promises(catalog, manifest)) broken.push_back(std::move(finding));
  for (const Finding& found : broken) {
    for (const LintedSchema* schema : alike) findings.push_back(broken_promise(*schema, found));
  }
  co_return Result<void>();
}

constexpr std::string_view kMigrationsSql =
    "SELECT schema_name, pg_catalog.count(*) FROM rowhouse.pack_migrations GROUP BY schema_name";

// Of these schemas of the target, by name.
Task<Result<void>> read_hashes(pg::Session& session, const LintTarget& target, const AlikeSchemas& positions,
                               std::map<std::string, std::string>& hashes, CallOptions options) {
  std::vector<SchemaScope> scopes;
  for (const std::size_t i : positions) scopes.push_back(target.schemas[i]);
  CO_TRY_DO(co_await use_joins(session, joins_of(scopes.size()), options));
  CO_TRY(const auto fingerprints, co_await read_fingerprints(session, scopes, options));
  for (const SchemaFingerprint& fingerprint : fingerprints) hashes[fingerprint.schema] = fingerprint.hash;
  co_return Result<void>();
}

std::string_view guard_sql(std::string_view guard) {
  const std::string path = "sql/guard/" + std::string(guard) + ".sql";
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.path == path) return file.content;
  }
  return "";
}

Task<Result<Structure>> make_and_read(const Cluster& cluster, const std::string& database, std::string guard,
                                      CallOptions options) {
  CO_TRY_DO(co_await cluster.create_tenant_data_database(database, options));
  CO_TRY(auto session, co_await cluster.administrator(database, options));
  const std::string install = "BEGIN; " + std::string(guard_sql(guard)) + "\n; RESET ROLE; COMMIT";
  CO_TRY_DO(co_await session.script(install, options));
  CO_TRY(auto reader, co_await catalog_snapshot(cluster, database, options));
  SchemaScope scope;
  scope.schema = kRowhouseSchema;
  scope.runtime_role = kRuntimeRole;
  co_return co_await read_structure(reader, scope, WithPrivileges::yes, options);
}

}  // namespace

Task<Result<std::map<std::string, std::int64_t>>> read_migrations(pg::Session& session, CallOptions options) {
  const pg::Statement query(std::string(kMigrationsSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  std::map<std::string, std::int64_t> migrations;
  for (std::size_t row = 0; row < rows.size(); ++row)
    migrations.emplace(rows.text(row, 0), parse_int64(rows.text(row, 1)).value_or(0));
  co_return migrations;
}

Task<Result<std::vector<LintedSchema>>> read_linted_schemas(pg::Session& session, const LintTarget& target,
                                                            const std::vector<AlikeSchemas>& groups,
                                                            CallOptions options) {
  AlikeSchemas first, others;
  for (const AlikeSchemas& group : groups) {
    for (const std::size_t i : representatives(group)) first.push_back(i);
  }
  std::map<std::string, std::string> hashes;
  CO_TRY_DO(co_await read_hashes(session, target, first, hashes, options));
  for (const AlikeSchemas& group : groups) {
    const AlikeSchemas looked_at = representatives(group);
    const std::string& hash = hashes[target.schemas[looked_at.front()].schema];
    const bool is_alike = std::ranges::all_of(
        looked_at, [&](std::size_t i) { return hashes[target.schemas[i].schema] == hash; });
    for (std::size_t k = 0; k + looked_at.size() < group.size(); ++k) {
      if (is_alike) {
        hashes[target.schemas[group[k]].schema] = hash;
      } else {
        others.push_back(group[k]);
      }
    }
  }
  if (!others.empty()) CO_TRY_DO(co_await read_hashes(session, target, others, hashes, options));
  CO_TRY(auto migrations, co_await read_migrations(session, options));
  std::vector<LintedSchema> linted;
  for (const LintSchema& known : target.schemas) {
    LintedSchema schema;
    schema.target = &target;
    schema.schema = &known;
    schema.migrations = migrations[known.schema];
    schema.hash = hashes[known.schema];
    if (!schema.hash.empty()) linted.push_back(std::move(schema));  // the others are not there
  }
  co_return linted;
}

Task<Result<std::vector<LintFinding>>> find_drift(const Cluster& cluster,
                                                  const std::vector<LintedSchema>& schemas,
                                                  const LintInventory& inventory, CallOptions options) {
  std::map<std::pair<std::string, std::int64_t>, Group> groups;
  std::map<std::pair<std::string, std::string>, std::vector<const LintedSchema*>> alike;
  std::map<std::string, std::int64_t> newest;
  for (const LintedSchema& schema : schemas)
    newest[schema.schema->pack] = std::max(newest[schema.schema->pack], schema.migrations);
  for (const LintedSchema& schema : schemas) {
    const std::string& pack = schema.schema->pack;
    groups[std::make_pair(pack, schema.migrations)].add(schema);
    // What is behind cannot keep promises yet.
    if (schema.migrations == newest[pack]) alike[std::make_pair(pack, schema.hash)].push_back(&schema);
  }
  std::vector<LintFinding> findings;
  for (const auto& [key, group] : groups)
    CO_TRY_DO(co_await compare_group(cluster, group, findings, options));
  std::size_t looked_at = 0;
  for (const auto& [key, same] : alike) {
    if (++looked_at > kMaxExplained) break;
    const Manifest& manifest = inventory.manifests.at(key.first);
    CO_TRY_DO(co_await check_promises(cluster, same, manifest, findings, options));
  }
  co_return findings;
}

Task<Result<Structure>> read_shipped_schema(const Cluster& cluster, std::string guard, std::string scratch,
                                            CallOptions options) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  // Named like the databases of pack checks, so that what a dead server leaves is cleared away with theirs.
  const std::string own_name =
      "rowhouse_check_" + std::to_string(now.count()) + "_" + to_hex(crypto::random_bytes(kRandomBytes));
  const std::string database = scratch.empty() ? own_name : scratch;
  auto structure = co_await make_and_read(cluster, database, std::move(guard), options);
  const CallOptions clean_up{deadline_in(kCleanUpPatience), nullptr};
  CO_TRY_DO(co_await cluster.drop_database(database, clean_up));
  co_return structure;
}

Task<Result<std::vector<LintFinding>>> find_changes_of_rowhouse(pg::Session& session,
                                                                const LintTarget& target,
                                                                const Structure& shipped,
                                                                CallOptions options) {
  SchemaScope scope;
  scope.schema = kRowhouseSchema;
  scope.runtime_role = target.runtime_role;
  CO_TRY(const Structure actual, co_await read_structure(session, scope, WithPrivileges::yes, options));
  std::vector<LintFinding> findings;
  for (StructureDifference& difference : compare_structures(shipped, actual, scope, kMaxDifferences)) {
    LintFinding finding;
    finding.rule = "rowhouse-schema-changed";
    finding.schema = kRowhouseSchema;
    finding.object = std::move(difference.object);
    finding.message = "it " + difference.message + ": Rowhouse does not ship it so";
    finding.fix = difference.fix.empty()
                      ? "Restart a node of this version: it brings the schema to what it ships."
                      : std::move(difference.fix);
    findings.push_back(std::move(finding));
  }
  co_return findings;
}

}  // namespace rowhouse::tenancy
