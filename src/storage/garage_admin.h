// Provisioned storage in Garage: a bucket and a key for each tenant, both called rowhouse-TENANT-ID.
//
// The key may read and write in that bucket and nothing else; Garage draws it, and tells its secret again, so
// nothing has to be remembered (keys that were deleted can never be made again, so a derived one would not
// do). Quota: of the bucket, in bytes. Protocol: the administration API, version 2 (Garage 2.0 and later),
// with a bearer token that may call everything used here; a bucket is emptied through S3 first, since Garage
// deletes empty ones alone.
#pragma once

#include <memory>
#include <string>

#include "storage/admin.h"
#include "storage/open.h"

namespace rowhouse::storage {

struct GarageAdminConfig {
  std::string admin_endpoint;  // "https://garage.internal:3903", without a path
  std::string admin_token;
  std::string endpoint;           // of S3: "https://garage.internal:3900", without a path
  std::string region = "garage";  // as s3_region in Garage's configuration
};

// Errors: validation_failed (an endpoint), address_refused. Everything in `tools` outlives the admin.
Result<std::unique_ptr<ObjectStoreAdmin>> open_garage_admin(const StoreTools& tools,
                                                            GarageAdminConfig config);

}  // namespace rowhouse::storage
