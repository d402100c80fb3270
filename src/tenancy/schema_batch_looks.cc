#include "tenancy/schema_batch_looks.h"

#include <optional>
#include <string_view>
#include <utility>

#include "net/executor.h"
#include "tenancy/lint_alike.h"
#include "tenancy/pack_migrator.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kDroppedSql = R"sql(
SELECT n.nspname, pg_catalog.string_agg(c.relname || ' ' || a.attnum, ',' ORDER BY c.relname, a.attnum)
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attisdropped AND a.attnum > 0
 GROUP BY n.nspname
)sql";

// The catalog of thousands of schemas is joined in memory.
constexpr std::string_view kSettings = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'";

class LooksReader {
 public:
  LooksReader(const Cluster& cluster, std::string database, std::vector<SchemaScope> scopes,
              CallOptions options)
      : cluster_(cluster), database_(std::move(database)), scopes_(std::move(scopes)), options_(options) {}

  Task<Result<SchemaLooks>> run(LookFor what) {
    const bool with_bodies = what != LookFor::without_bodies;
    with_gaps_ = what == LookFor::everything;
    std::optional<Result<std::vector<SchemaLook>>> tables, rest;
    net::TaskGroup group;
    group.spawn(store(with_bodies ? LookHalf::tables : LookHalf::columns, tables));
    group.spawn(store(with_bodies ? LookHalf::rest : LookHalf::others, rest));
    co_await group.join();
    if (!tables->ok()) co_return tables->error();
    if (!rest->ok()) co_return rest->error();
    std::map<std::string_view, std::string_view> of_rest;
    for (const SchemaLook& look : **rest) of_rest.emplace(look.schema, look.look);
    SchemaLooks looks;
    for (const SchemaLook& look : **tables) {
      const auto other = of_rest.find(look.schema);
      if (other != of_rest.end()) looks.emplace(look.schema, look.look + " " + std::string(other->second));
    }
    co_return looks;
  }

 private:
  Task<void> store(LookHalf half, std::optional<Result<std::vector<SchemaLook>>>& looks) {
    looks.emplace(co_await read(half));
  }

  Task<Result<std::vector<SchemaLook>>> read(LookHalf half) {
    CO_TRY(auto session, co_await cluster_.migrator(database_, options_));
    CO_TRY_DO(co_await begin_as_owner(session, options_));
    CO_TRY_DO(co_await use_catalog_search_path(session, options_));
    const std::string settings(kSettings);
    CO_TRY_DO(co_await session.script(settings, options_));
    CO_TRY(auto looks, co_await read_looks(session, scopes_, half, options_));
    if (with_gaps_ && half == LookHalf::rest) CO_TRY_DO(co_await add_dropped_columns(session, looks));
    CO_TRY_DO(co_await session.rollback(options_));
    co_return looks;
  }

  Task<Result<void>> add_dropped_columns(pg::Session& session, std::vector<SchemaLook>& looks) {
    const pg::Statement query(std::string(kDroppedSql), pg::Params(), pg::Access::read, pg::Reuse::once);
    CO_TRY(const auto rows, co_await session.query(query, options_));
    std::map<std::string_view, std::string_view> dropped;
    for (std::size_t row = 0; row < rows.size(); ++row) dropped.emplace(rows.text(row, 0), rows.text(row, 1));
    for (SchemaLook& look : looks) {
      if (const auto found = dropped.find(look.schema); found != dropped.end())
        look.look += " " + std::string(found->second);
    }
    co_return Result<void>();
  }

  const Cluster& cluster_;
  const std::string database_;
  const std::vector<SchemaScope> scopes_;
  const CallOptions options_;
  bool with_gaps_ = false;
};

}  // namespace

Task<Result<SchemaLooks>> read_schema_looks(const Cluster& cluster, std::string database,
                                            std::vector<SchemaScope> scopes, LookFor what,
                                            CallOptions options) {
  LooksReader reader(cluster, std::move(database), std::move(scopes), options);
  co_return co_await reader.run(what);
}

}  // namespace rowhouse::tenancy
