#include "tenancy/lint_snapshot.h"

#include <optional>
#include <utility>

#include "net/executor.h"

namespace rowhouse::tenancy {

namespace {

constexpr std::string_view kSnapshotSql =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'; "
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'; SET LOCAL search_path = pg_catalog, "
    "pg_temp";

using Looks = std::optional<Result<std::vector<SchemaLook>>>;

Task<void> read_rest(const Cluster& cluster, std::string database, std::vector<SchemaScope> scopes,
                     Looks& looks, CallOptions options) {
  auto session = co_await catalog_snapshot(cluster, std::move(database), options);
  if (!session.ok()) {
    looks.emplace(std::move(session).error());
    co_return;
  }
  looks.emplace(co_await read_looks(*session, std::move(scopes), LookHalf::rest, options));
}

}  // namespace

Task<Result<pg::Session>> catalog_snapshot(const Cluster& cluster, std::string database,
                                           CallOptions options) {
  CO_TRY(auto session, co_await cluster.administrator(database, options));
  const std::string snapshot(kSnapshotSql);
  CO_TRY_DO(co_await session.script(snapshot, options));
  co_return std::move(session);
}

Task<Result<std::vector<AlikeSchemas>>> find_alike(const Cluster& cluster, pg::Session& session,
                                                   const LintTarget& target, CallOptions options) {
  const std::vector<SchemaScope> scopes(target.schemas.begin(), target.schemas.end());
  if (representatives(AlikeSchemas(scopes.size())).size() == scopes.size()) {
    std::vector<AlikeSchemas> each;
    for (std::size_t i = 0; i < scopes.size(); ++i) each.push_back(AlikeSchemas(1, i));
    co_return each;
  }
  Looks rest;
  net::TaskGroup group;
  group.spawn(read_rest(cluster, target.database, scopes, rest, options));
  const auto tables = co_await read_looks(session, scopes, LookHalf::tables, options);
  co_await group.join();
  if (!tables.ok()) co_return tables.error();
  if (!rest->ok()) co_return rest->error();
  co_return group_by_look(scopes, *tables, **rest);
}

}  // namespace rowhouse::tenancy
