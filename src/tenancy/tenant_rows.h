// Deleting all rows of one tenant in a database that it shares with others, and proving that none is left.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "tenancy/context_guard.h"

namespace rowhouse::tenancy {

struct TenantTable {
  std::string id;  // OID, as text
  std::string schema, name;
  std::vector<std::string> parents;  // tables that this one refers to, by id; itself included if it does
};

// The steps in which tables can be emptied: who refers to another comes first. Tables that refer to each
// other in a circle share a step. Pure.
std::vector<std::vector<TenantTable>> deletion_order(std::vector<TenantTable> tables);

// Tables with a column tenant_id in these schemas; partitions are left out, their parents stand for them.
Task<Result<std::vector<TenantTable>>> tables_with_tenants(pg::Session& session,
                                                           std::vector<std::string> schemas,
                                                           CallOptions options);

// Deletes all rows of one tenant in one database. Works as the owner under row security with the tenant's own
// context, so that it can hit nobody else's rows; in batches, so that no transaction gets long.
class RowEraser {
 public:
  // `session`: as tenant_migrator in `database`, outside a transaction, for this alone (its role is changed
  // for good). All must outlive this.
  RowEraser(pg::Session& session, ContextGuard& guard, std::string database, const Uuid& tenant)
      : session_(session), guard_(guard), database_(std::move(database)), tenant_(tenant) {}

  Task<Result<void>> erase(std::vector<std::string> schemas, CallOptions options);

 private:
  Task<Result<void>> empty(const std::vector<TenantTable>& tables, CallOptions options);
  // One transaction in the tenant's name. Returns the number of rows.
  Task<Result<std::uint64_t>> run(const pg::Statement& statement, CallOptions options);

  pg::Session& session_;
  ContextGuard& guard_;
  std::string database_;
  Uuid tenant_;
};

// `session`: as backup_service, which sees every row. The names of tables that still hold rows of the tenant.
Task<Result<std::vector<std::string>>> tables_with_rows_of(pg::Session& session, std::string tenant_id,
                                                           std::vector<std::string> schemas,
                                                           CallOptions options);

}  // namespace rowhouse::tenancy
