// Object storage as the configuration describes it: where tenants' endpoints may be, and what the platform
// makes for tenants itself.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/egress.h"
#include "net/http_transfer.h"
#include "platform/config.h"
#include "platform/node.h"
#include "storage/admin.h"
#include "storage/ceph_admin.h"
#include "storage/garage_admin.h"
#include "storage/minio_admin.h"
#include "storage/open.h"
#include "tenancy/cluster.h"

namespace rowhouse::platform {

// The same for every worker of a node. Immutable.
struct StorageSetup {
  net::EgressPolicy egress;      // for what tenants bring along
  net::EgressPolicy own_egress;  // the same, and the platform's own object storage
  net::TransferOptions transfers;
  ProvisioningSettings::Kind kind = ProvisioningSettings::Kind::none;  // never automatic
  std::string directory;
  storage::CephAdminConfig gateway;  // one of these three, by `kind`
  storage::MinioAdminConfig minio;
  storage::GarageAdminConfig garage;
};

// `up` makes its own directory; any other must be there. Error: config_invalid, naming the option.
Result<StorageSetup> storage_setup(const Resolved& resolved, ServerKind kind);

// Of one worker; null when nothing is provisioned. What is handed over outlives it.
std::unique_ptr<storage::ObjectStoreAdmin> open_store_admin(const StorageSetup& setup,
                                                            const storage::StoreTools& tools,
                                                            const tenancy::Credentials& credentials);

}  // namespace rowhouse::platform
