#include "tenancy/tenant_rows.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "pg/quote.h"
#include "tenancy/cluster.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::size_t kRowsPerBatch = 5'000;

constexpr std::string_view kTablesSql = R"(
SELECT c.oid::text, n.nspname, c.relname,
       COALESCE((SELECT pg_catalog.string_agg(DISTINCT k.confrelid::text, ',')
                 FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid = c.oid), '')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (pg_catalog.string_to_array($1, ','))
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
ORDER BY n.nspname, c.relname)";

std::string quoted(const TenantTable& table) { return pg::quote_qualified(table.schema, table.name); }

bool refers_to_itself(const TenantTable& table) {
  return std::find(table.parents.begin(), table.parents.end(), table.id) != table.parents.end();
}

// ctid finds the rows of a batch without a sort or a key; that it repeats over partitions does no harm, since
// every row that it can hit here is the tenant's and is to go.
std::string batch_sql(const TenantTable& table) {
  const std::string name = quoted(table);
  return "DELETE FROM " + name + " WHERE tenant_id = $1::uuid AND ctid = ANY (ARRAY(SELECT ctid FROM " +
         name + " WHERE tenant_id = $1::uuid LIMIT " + std::to_string(kRowsPerBatch) + "))";
}

// All rows of several tables at once: references among them are checked at the end of the statement.
std::string circle_sql(const std::vector<TenantTable>& tables) {
  std::string sql;
  for (std::size_t i = 0; i + 1 < tables.size(); ++i) {
    sql += (i == 0 ? "WITH d" : ", d") + std::to_string(i) + " AS (DELETE FROM " + quoted(tables[i]) +
           " WHERE tenant_id = $1::uuid) ";
  }
  return sql + "DELETE FROM " + quoted(tables.back()) + " WHERE tenant_id = $1::uuid";
}

pg::Statement for_tenant(std::string sql, const std::string& tenant_id) {
  pg::Params params;
  params.emplace_back(tenant_id);
  return pg::Statement(std::move(sql), std::move(params), pg::Access::write, pg::Reuse::once);
}

}  // namespace

std::vector<std::vector<TenantTable>> deletion_order(std::vector<TenantTable> tables) {
  std::vector<std::vector<TenantTable>> order;
  while (!tables.empty()) {
    std::set<std::string> referred_to;
    for (const auto& table : tables) {
      for (const auto& parent : table.parents) {
        if (parent != table.id) referred_to.insert(parent);
      }
    }
    const auto free = std::stable_partition(tables.begin(), tables.end(), [&](const TenantTable& table) {
      return referred_to.contains(table.id);
    });
    if (free == tables.end()) {  // what is left are circles and what they refer to
      order.push_back(std::move(tables));
      break;
    }
    for (auto table = free; table != tables.end(); ++table) {
      order.emplace_back().push_back(std::move(*table));
    }
    tables.erase(free, tables.end());
  }
  return order;
}

Task<Result<std::vector<TenantTable>>> tables_with_tenants(pg::Session& session,
                                                           std::vector<std::string> schemas,
                                                           CallOptions options) {
  std::string names;  // schema names of ours hold no comma
  for (const auto& schema : schemas) names += (names.empty() ? "" : ",") + schema;
  const auto statement = for_tenant(std::string(kTablesSql), names);
  CO_TRY(auto rows, co_await session.query(statement, options));
  std::vector<TenantTable> tables;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    auto& table = tables.emplace_back();
    table.id = rows.text(row, 0);
    table.schema = rows.text(row, 1);
    table.name = rows.text(row, 2);
    for (const auto parent : split(rows.text(row, 3), ',')) {
      if (!parent.empty()) table.parents.emplace_back(parent);
    }
  }
  co_return tables;
}

Task<Result<void>> RowEraser::erase(std::vector<std::string> schemas, CallOptions options) {
  const std::string become_owner = "SET ROLE " + pg::quote_name(kOwnerRole);
  CO_TRY_DO(co_await session_.script(become_owner, options));
  CO_TRY(auto tables, co_await tables_with_tenants(session_, std::move(schemas), options));
  const auto order = deletion_order(std::move(tables));
  for (const auto& step : order) CO_TRY_DO(co_await empty(step, options));
  co_return Result<void>();
}

Task<Result<void>> RowEraser::empty(const std::vector<TenantTable>& tables, CallOptions options) {
  if (tables.size() > 1 || refers_to_itself(tables.front())) {
    const auto statement = for_tenant(circle_sql(tables), tenant_.to_string());
    CO_TRY_DO(co_await run(statement, options));
    co_return Result<void>();
  }
  const auto statement = for_tenant(batch_sql(tables.front()), tenant_.to_string());
  for (std::uint64_t deleted = kRowsPerBatch; deleted > 0;) {
    CO_TRY(deleted, co_await run(statement, options));
  }
  co_return Result<void>();
}

// The key is asked for each time: a rotation may come and go while a large tenant is erased.
Task<Result<std::uint64_t>> RowEraser::run(const pg::Statement& statement, CallOptions options) {
  CO_TRY(auto key, co_await guard_.signing_key(database_, options));
  const pg::TransactionContext context(tenant_, Uuid(), pg::ContextRole::service, std::move(key));
  CO_TRY_DO(co_await session_.begin(&context, options));
  CO_TRY(const auto rows, co_await session_.query(statement, options));
  CO_TRY_DO(co_await session_.commit(options));
  co_return rows.affected();
}

Task<Result<std::vector<std::string>>> tables_with_rows_of(pg::Session& session, std::string tenant_id,
                                                           std::vector<std::string> schemas,
                                                           CallOptions options) {
  CO_TRY(const auto tables, co_await tables_with_tenants(session, std::move(schemas), options));
  std::vector<std::string> left;
  for (const auto& table : tables) {
    const std::string name = quoted(table);
    const auto statement =
        for_tenant("SELECT FROM " + name + " WHERE tenant_id = $1::uuid LIMIT 1", tenant_id);
    CO_TRY(auto rows, co_await session.query(statement, options));
    if (rows.size() > 0) left.push_back(name);
  }
  co_return left;
}

}  // namespace rowhouse::tenancy
