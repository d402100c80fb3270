#include "tenancy/pack_drift_memory.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/lint_structure.h"

namespace rowhouse::tenancy {

namespace {

// Where the structure of a schema is kept, and how a row there leads to its schema.
struct CatalogTable {
  enum class Leads { to_schema, to_relation, to_type };
  std::string_view name, owner;
  Leads leads;
};
constexpr CatalogTable kCatalogTables[] = {
    {"pg_namespace", "oid", CatalogTable::Leads::to_schema},
    {"pg_class", "relnamespace", CatalogTable::Leads::to_schema},
    {"pg_proc", "pronamespace", CatalogTable::Leads::to_schema},
    {"pg_type", "typnamespace", CatalogTable::Leads::to_schema},
    {"pg_constraint", "connamespace", CatalogTable::Leads::to_schema},
    {"pg_operator", "oprnamespace", CatalogTable::Leads::to_schema},
    {"pg_collation", "collnamespace", CatalogTable::Leads::to_schema},
    {"pg_statistic_ext", "stxnamespace", CatalogTable::Leads::to_schema},
    {"pg_extension", "extnamespace", CatalogTable::Leads::to_schema},
    {"pg_attribute", "attrelid", CatalogTable::Leads::to_relation},
    {"pg_attrdef", "adrelid", CatalogTable::Leads::to_relation},
    {"pg_index", "indrelid", CatalogTable::Leads::to_relation},
    {"pg_policy", "polrelid", CatalogTable::Leads::to_relation},
    {"pg_trigger", "tgrelid", CatalogTable::Leads::to_relation},
    {"pg_rewrite", "ev_class", CatalogTable::Leads::to_relation},
    {"pg_sequence", "seqrelid", CatalogTable::Leads::to_relation},
    {"pg_inherits", "inhrelid", CatalogTable::Leads::to_relation},
    {"pg_enum", "enumtypid", CatalogTable::Leads::to_type},
};
// What belongs to extensions, which no other catalog says.
constexpr std::string_view kMembers =
    "pg_catalog.pg_depend k WHERE k.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass";

constexpr std::string_view kRecallSql =
    "SELECT d.revision, d.recipe, d.horizon, d.surroundings, s.schema_name, s.role_name, s.catalog_rows, "
    "s.fingerprint FROM platform.drift_databases d "
    "LEFT JOIN platform.drift_schemas s ON s.database_name = d.database_name WHERE d.database_name = $1";

// A server that was set back to an earlier time goes on in another timeline, with the same numbers.
constexpr std::string_view kWhereSql =
    "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()), pg_catalog.concat_ws(' ', "
    "(SELECT system_identifier FROM pg_catalog.pg_control_system()), "
    "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), "
    "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

// The planner does not know how many rows there are; sorting them takes longer than hashing.
constexpr std::string_view kHashSql =
    "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off";

// Numbers of transactions are compared by their distance from now, which is right for 2^31 of them; a row
// that is older counts as recent, and its schema is read once more.
constexpr std::string_view kSince =
    "WITH since AS MATERIALIZED (SELECT pg_catalog.age(($1::xid8)::xid) AS remembered, "
    "pg_catalog.age(($2::xid8)::xid) AS now)";
constexpr std::int64_t kMostTransactions = std::int64_t{1} << 30;

constexpr std::string_view kRememberSql = R"sql(
WITH held AS (
  INSERT INTO platform.drift_databases AS d (database_name, revision, recipe, horizon, surroundings)
  VALUES ($1, $2::bigint + 1, $3, $4::bigint, $5::bigint)
  ON CONFLICT (database_name) DO UPDATE SET
    revision = excluded.revision, recipe = excluded.recipe, horizon = excluded.horizon, surroundings = excluded.surroundings,
    read_at = excluded.read_at
   WHERE d.revision = $2::bigint
  RETURNING d.database_name
), forgotten AS (
  DELETE FROM platform.drift_schemas s USING held h, pg_catalog.jsonb_array_elements_text($6::jsonb) AS f (name)
   WHERE s.database_name = h.database_name AND s.schema_name = f.name
)
INSERT INTO platform.drift_schemas (database_name, schema_name, role_name, catalog_rows, fingerprint)
SELECT h.database_name, r.schema_name, r.role_name, r.catalog_rows, r.fingerprint
  FROM held h CROSS JOIN pg_catalog.jsonb_to_recordset($7::jsonb)
    AS r (schema_name text, role_name text, catalog_rows bigint, fingerprint text)
ON CONFLICT (database_name, schema_name) DO UPDATE SET
  role_name = excluded.role_name, catalog_rows = excluded.catalog_rows, fingerprint = excluded.fingerprint
)sql";

// For each schema. Indexes say whose a row is, so tables are hardly read.
std::string counting_sql() {
  using Leads = CatalogTable::Leads;
  const auto grouped = [](const CatalogTable& table) {
    const std::string owner(table.owner);
    return "SELECT " + owner + " AS id, pg_catalog.count(*) AS rows FROM pg_catalog." +
           std::string(table.name) + " GROUP BY " + owner;
  };
  const auto all_that = [&](Leads leads) {
    std::string sql;
    for (const CatalogTable& table : kCatalogTables) {
      if (table.leads == leads) sql += (sql.empty() ? "" : " UNION ALL ") + grouped(table);
    }
    return sql;
  };
  return "WITH of_relation AS (" + all_that(Leads::to_relation) + "), of_type AS (" +
         all_that(Leads::to_type) + "), of_schema AS (" + all_that(Leads::to_schema) +
         " UNION ALL SELECT 0::oid, pg_catalog.count(*) FROM " + std::string(kMembers) +
         " UNION ALL SELECT c.relnamespace, r.rows FROM of_relation r JOIN pg_catalog.pg_class c ON c.oid = "
         "r.id"
         " UNION ALL SELECT t.typnamespace, r.rows FROM of_type r JOIN pg_catalog.pg_type t ON t.oid = r.id"
         "), counted AS (SELECT id, pg_catalog.sum(rows) AS rows FROM of_schema GROUP BY id) "
         "SELECT n.nspname, c.rows FROM counted c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.id";
}

// They are few, so each finds its schema alone.
std::string recent_sql() {
  std::string sql(kSince);
  sql += ", made (id, age) AS (";
  constexpr std::string_view kIsRecent = "pg_catalog.age(k.xmin) <= (SELECT remembered FROM since)";
  const auto add = [&](const std::string& schema, const std::string& from) {
    sql += "SELECT " + schema + ", pg_catalog.age(k.xmin) FROM " + from + " AND " + std::string(kIsRecent);
  };
  for (const CatalogTable& table : kCatalogTables) {
    std::string schema = "k." + std::string(table.owner);
    if (table.leads == CatalogTable::Leads::to_relation)
      schema = "(SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = " + schema + ")";
    if (table.leads == CatalogTable::Leads::to_type)
      schema = "(SELECT t.typnamespace FROM pg_catalog.pg_type t WHERE t.oid = " + schema + ")";
    add(schema, "pg_catalog." + std::string(table.name) + " k WHERE true");
    sql += " UNION ALL ";
  }
  add("0::oid", std::string(kMembers));
  return sql +
         ") SELECT n.nspname, pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE m.age <= s.now) "
         "FROM made m CROSS JOIN since s LEFT JOIN pg_catalog.pg_namespace n ON n.oid = m.id GROUP BY "
         "n.nspname";
}

std::int64_t number_of(const pg::Rows& rows, std::size_t row, std::size_t column) {
  return parse_int64(rows.text(row, column)).value_or(0);
}

// As names.h makes them: "t_acme_corp_0123456789ab".
bool is_tenant_schema_name(std::string_view name) {
  constexpr std::size_t kIdBytes = 12;
  return name.starts_with("t_") && name.size() > kIdBytes && name[name.size() - kIdBytes - 1] == '_' &&
         name.substr(name.size() - kIdBytes).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Tables for overlong values and those of sessions come and go with others; and so do the schemas of tenants
// that are being made or deleted.
bool is_incidental(std::string_view schema) {
  return schema.starts_with("pg_toast") || schema.starts_with("pg_temp_") || is_tenant_schema_name(schema);
}

}  // namespace

Task<Result<void>> DriftMemory::recall(CallOptions options) {
  pg::Params params;
  params.emplace_back(target_.database);
  const pg::Statement query(std::string(kRecallSql), std::move(params), pg::Access::write);
  CO_TRY(const auto rows, co_await platform_.run(nullptr, query, options));
  if (rows.size() == 0) co_return Result<void>();
  revision_ = number_of(rows, 0, 0);
  recipe_ = rows.text(0, 1);
  horizon_ = number_of(rows, 0, 2);
  surroundings_ = number_of(rows, 0, 3);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 4)) continue;
    Schema& schema = schemas_[std::string(rows.text(row, 4))];
    schema.role = rows.text(row, 5);
    schema.rows = number_of(rows, row, 6);
    schema.fingerprint = rows.text(row, 7);
  }
  co_return Result<void>();
}

Task<Result<void>> DriftMemory::look_where_we_are(pg::Session& session, CallOptions options) {
  const pg::Statement query(std::string(kWhereSql), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  horizon_now_ = number_of(rows, 0, 0);
  recipe_now_ = std::string(rows.text(0, 1)) + " " + fingerprint_recipe();
  co_return Result<void>();
}

Task<Result<AlikeSchemas>> DriftMemory::changed(pg::Session& session, Trust trust, CallOptions options) {
  CO_TRY_DO(co_await look_where_we_are(session, options));
  const bool fits = trust == Trust::what_is_proven && horizon_ > 0 && recipe_ == recipe_now_ &&
                    horizon_ <= horizon_now_ && horizon_now_ - horizon_ < kMostTransactions;
  if (!fits) horizon_ = 0;
  const std::string settings(kHashSql);
  CO_TRY_DO(co_await session.script(settings, options));
  CO_TRY_DO(co_await count_rows(session, options));
  CO_TRY_DO(co_await count_recent_rows(session, options));
  compare_surroundings();
  AlikeSchemas positions;
  for (std::size_t i = 0; i < target_.schemas.size(); ++i) {
    if (!is_proven(target_.schemas[i])) positions.push_back(i);
  }
  if (!positions.empty()) found_ = Found::changes;
  co_return positions;
}

Task<Result<void>> DriftMemory::count_rows(pg::Session& session, CallOptions options) {
  const pg::Statement query(counting_sql(), pg::Params(), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  for (std::size_t row = 0; row < rows.size(); ++row)
    counts_[std::string(rows.text(row, 0))].all += number_of(rows, row, 1);
  co_return Result<void>();
}

Task<Result<void>> DriftMemory::count_recent_rows(pg::Session& session, CallOptions options) {
  pg::Params params;
  params.emplace_back(std::to_string(horizon_ > 0 ? horizon_ : horizon_now_));
  params.emplace_back(std::to_string(horizon_now_));
  const pg::Statement query(recent_sql(), std::move(params), pg::Access::read, pg::Reuse::once);
  CO_TRY(const auto rows, co_await session.query(query, options));
  if (rows.size() > 0) found_ = Found::changes;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    Count& count = counts_[std::string(rows.text(row, 0))];
    count.recent += number_of(rows, row, 1);
    count.unsettled += number_of(rows, row, 2);
  }
  co_return Result<void>();
}

void DriftMemory::compare_surroundings() {
  std::set<std::string_view> ours;
  for (const LintSchema& schema : target_.schemas) ours.insert(schema.schema);
  for (const auto& [name, count] : counts_) {
    if (ours.contains(name) || is_incidental(name)) continue;
    around_.all += count.all;
    around_.recent += count.recent;
    around_.unsettled += count.unsettled;
  }
  if (!around_.is_still(surroundings_)) horizon_ = 0;
}

bool DriftMemory::is_proven(const LintSchema& schema) const {
  if (horizon_ == 0) return false;
  const auto known = schemas_.find(schema.schema);
  const auto count = counts_.find(schema.schema);
  return known != schemas_.end() && known->second.role == schema.runtime_role && count != counts_.end() &&
         count->second.is_still(known->second.rows);
}

bool DriftMemory::is_worth_remembering(const LintSchema& schema, const Fingerprints& fingerprints) const {
  const auto count = counts_.find(schema.schema);
  return fingerprints.contains(schema.schema) && count != counts_.end() && count->second.unsettled == 0;
}

std::string DriftMemory::rows_to_remember(const Fingerprints& fingerprints) const {
  json::Array rows;
  for (const LintSchema& schema : target_.schemas) {
    if (!is_worth_remembering(schema, fingerprints)) continue;
    json::Value row;
    row.set("schema_name", schema.schema);
    row.set("role_name", schema.runtime_role);
    row.set("catalog_rows", counts_.at(schema.schema).all);
    row.set("fingerprint", fingerprints.at(schema.schema));
    rows.push_back(std::move(row));
  }
  return json::serialize(json::Value(std::move(rows)));
}

std::string DriftMemory::schemas_to_forget(const Fingerprints& fingerprints) const {
  std::set<std::string_view> kept;
  for (const LintSchema& schema : target_.schemas) {
    if (is_proven(schema) || is_worth_remembering(schema, fingerprints)) kept.insert(schema.schema);
  }
  json::Array names;
  for (const auto& [name, schema] : schemas_) {
    if (!kept.contains(name)) names.emplace_back(name);
  }
  return json::serialize(json::Value(std::move(names)));
}

Task<Result<void>> DriftMemory::remember(Fingerprints& fingerprints, CallOptions options) {
  if (found_ == Found::changes || schemas_.size() != target_.schemas.size()) {
    pg::Params params;
    params.emplace_back(target_.database);
    params.emplace_back(std::to_string(revision_));
    params.emplace_back(recipe_now_);
    params.emplace_back(std::to_string(horizon_now_));
    params.emplace_back(std::to_string(around_.all - around_.unsettled));
    params.emplace_back(schemas_to_forget(fingerprints));
    params.emplace_back(rows_to_remember(fingerprints));
    const pg::Statement remember(std::string(kRememberSql), std::move(params), pg::Access::write);
    CO_TRY_DO(co_await platform_.run(nullptr, remember, options));
  }
  for (const LintSchema& schema : target_.schemas) {
    if (is_proven(schema)) fingerprints.emplace(schema.schema, schemas_.at(schema.schema).fingerprint);
  }
  co_return Result<void>();
}

}  // namespace rowhouse::tenancy
