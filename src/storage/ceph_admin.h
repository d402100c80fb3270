// Provisioned storage in a Ceph Object Gateway: a user, a key and a bucket for each tenant.
//
// User and bucket are called rowhouse-TENANT-ID. The user may make no buckets of its own (max-buckets -1):
// its bucket is made with the admin's key and then linked to it, so that its key opens this one bucket alone.
// The key is derived, not drawn, so a repetition gives the same. Quota: of the user, in KiB. Protocol: "Admin
// Operations" of the Ceph Object Gateway (16.2 and later), signed with AWS Signature Version 4; quotas go by
// query parameters, since a JSON body is answered 501. The admin's user needs the capabilities users=* and
// buckets=*.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "storage/admin.h"
#include "storage/open.h"

namespace rowhouse::storage {

struct CephAdminConfig {
  std::string endpoint;  // "https://rgw.internal:7480", without a path
  std::string region = "us-east-1";
  std::string access_key, secret_key;  // of the admin
};
// So many secret bytes for a purpose, always the same.
using DeriveSecret = std::function<std::string(std::string_view purpose, std::size_t bytes)>;

// Errors: validation_failed (the endpoint), address_refused. Everything in `tools` outlives the admin.
Result<std::unique_ptr<ObjectStoreAdmin>> open_ceph_admin(const StoreTools& tools, CephAdminConfig config,
                                                          DeriveSecret derive);

}  // namespace rowhouse::storage
