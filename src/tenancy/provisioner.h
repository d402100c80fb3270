// What a tenant has on the server beyond its registry rows: nothing (pool), a schema, or a database and a
// role.
//
// Every function here is one step: it may be repeated at any time, also after it was cut off anywhere, and
// then does what is still missing. None looks at the registry. Those that make need all before them in this
// order; those that remove need nothing to be there.
#pragma once

#include <string>
#include <vector>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

// Of `tenant` they all need id, slug (for messages), pack_name and placement. It must live until the task has
// ended.
class Provisioner {
 public:
  Provisioner(const Cluster& cluster, PackStore& packs) : cluster_(cluster), packs_(packs) {}

  // ---- schema tier
  Task<Result<void>> create_schema(const Tenant& tenant, CallOptions options);
  Task<Result<void>> drop_schema(const Tenant& tenant, CallOptions options);  // and what is recorded of it

  // ---- database tier
  Task<Result<void>> create_role(const Tenant& tenant, CallOptions options);
  // Clones the template. A template that somebody is connected to (a pack being upgraded) cannot be cloned
  // right now: an error with the SQLSTATE of an object in use.
  Task<Result<void>> create_database(const Tenant& tenant, CallOptions options);
  Task<Result<void>> grant_database(const Tenant& tenant, CallOptions options);
  // From the shared runtime role, which the clone was made for, to the tenant's own.
  Task<Result<void>> hand_over(const Tenant& tenant, CallOptions options);
  // The clone has the keys of the template; it gets its own.
  Task<Result<void>> guard_database(const Tenant& tenant, CallOptions options);
  Task<Result<void>> drop_database(const Tenant& tenant, CallOptions options);
  Task<Result<void>> drop_role(const Tenant& tenant, CallOptions options);

  // ---- both
  // Migrates, protects and grants.
  Task<Result<void>> prepare_schema(const Tenant& tenant, const Bundle& bundle, CallOptions options);

  // ---- pool and schema tier
  // A request that was let in just before the tenant was closed could write after its rows were deleted.
  Task<Result<void>> wait_for_running_requests(const Tenant& tenant, CallOptions options);

  // ---- every tier
  // All rows of the tenant, wherever they are; its schema need not be there any more.
  Task<Result<void>> erase_rows(const Tenant& tenant, CallOptions options);
  // Reads the catalog, and the tables as the backup role, which sees every row. Error: internal, naming what
  // is left.
  Task<Result<void>> prove_nothing_is_left(const Tenant& tenant, CallOptions options);

 private:
  Task<Result<void>> prove_no_rows(const Tenant& tenant, CallOptions options);

  const Cluster& cluster_;
  PackStore& packs_;
};

}  // namespace rowhouse::tenancy
