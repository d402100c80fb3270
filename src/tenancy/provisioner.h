// What a tenant has on the server beyond its registry rows: nothing (pool), a schema, or a database and a
// role.
//
// create() may be repeated only after remove(). remove() may be repeated at any time, also when create()
// never ran or ended half way; it ends with a proof, read from the catalog and with the backup role, that
// nothing is left.
#pragma once

#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "tenancy/bundle.h"
#include "tenancy/cluster.h"
#include "tenancy/packs.h"
#include "tenancy/tenant.h"

namespace rowhouse::tenancy {

class Provisioner {
 public:
  Provisioner(const Cluster& cluster, PackStore& packs) : cluster_(cluster), packs_(packs) {}

  // `tenant` and `bundle` must live until the task has ended; so for all tasks here.
  Task<Result<void>> create(const Tenant& tenant, const Bundle& bundle, CallOptions options);
  Task<Result<void>> remove(const Tenant& tenant, CallOptions options);

 private:
  Task<Result<void>> create_schema(const Tenant& tenant, const Bundle& bundle, CallOptions options);
  Task<Result<void>> create_database(const Tenant& tenant, const Bundle& bundle, CallOptions options);
  Task<Result<void>> clone_template(const Tenant& tenant, CallOptions options);
  Task<Result<void>> hand_over_to_own_role(const Tenant& tenant, CallOptions options);
  Task<Result<void>> remove_pool_rows(const Tenant& tenant, CallOptions options);
  Task<Result<void>> remove_schema(const Tenant& tenant, CallOptions options);
  Task<Result<void>> remove_database(const Tenant& tenant, CallOptions options);
  Task<Result<void>> wait_for_running_requests(const Tenant& tenant, CallOptions options);

  const Cluster& cluster_;
  PackStore& packs_;
};

}  // namespace rowhouse::tenancy
