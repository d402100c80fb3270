// Amazon S3 and what speaks like it (MinIO, Ceph, Garage, R2 …).
//
// Protocol: the S3 REST API of 2006-03-01; requests are signed by s3_signing.h. Bodies whose SHA-256 is known
// (small ones always) are signed with it, so the server checks them. Other streams go over plain http as
// STREAMING-AWS4-HMAC-SHA256-PAYLOAD, where the server checks each chunk and nobody in between can change a
// byte; over https as UNSIGNED-PAYLOAD, which every server takes: then the ETag that comes back is compared
// with our MD5, and where it is none (keys of a KMS) the object is read back.
//
// Uploads are multipart ones. A server that does not know If-None-Match on CompleteMultipartUpload (Ceph 16)
// is asked before; there two uploads that end in the same moment can both win.
#pragma once

#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

// Where one request becomes several; for tests alone others than S3's own.
struct S3Limits {
  std::uint64_t single_put_bytes = 5ULL << 30;   // larger: in parts
  std::uint64_t single_copy_bytes = 5ULL << 30;  // larger: copied in parts
  std::uint64_t part_bytes = 64ULL << 20;        // of those, at least
};

// Connects to nothing. Errors: address_refused, validation_failed (an endpoint that is no URL).
Result<std::unique_ptr<ObjectStore>> open_s3(const StoreTools& tools, const S3Config& config,
                                             const S3Limits& limits = {});

}  // namespace rowhouse::storage
