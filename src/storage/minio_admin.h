// Provisioned storage in MinIO: a bucket, a user and a policy for each tenant, all called rowhouse-TENANT-ID.
//
// The user's access key is that name; its secret is derived, not drawn, so a repetition gives the same. The
// policy allows objects of this one bucket and nothing else. It is made first and removed last, so that the
// list of policies is the list of all that is ours. Quota: of the bucket, in bytes ("hard"). Protocol: the
// admin API, version 3, as madmin-go speaks it, and S3 for the bucket, signed with AWS Signature Version 4; a
// bucket is removed with everything in it by MinIO's own header x-minio-force-delete. The admin's user needs
// the policy consoleAdmin, or s3:* with admin:CreatePolicy, DeletePolicy, GetPolicy, ListUserPolicies,
// AttachUserOrGroupPolicy, CreateUser, DeleteUser and SetBucketQuota.
#pragma once

#include <memory>
#include <string>

#include "storage/admin.h"
#include "storage/ceph_admin.h"
#include "storage/open.h"

namespace rowhouse::storage {

struct MinioAdminConfig {
  std::string endpoint;  // "https://minio.internal:9000", without a path
  std::string region = "us-east-1";
  std::string access_key, secret_key;  // of the admin
};

// Errors: validation_failed (the endpoint), address_refused. Everything in `tools` outlives the admin.
Result<std::unique_ptr<ObjectStoreAdmin>> open_minio_admin(const StoreTools& tools, MinioAdminConfig config,
                                                           DeriveSecret derive);

}  // namespace rowhouse::storage
