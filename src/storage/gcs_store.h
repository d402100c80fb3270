// Google Cloud Storage: objects of one bucket by the JSON API, version 1.
//
// Access tokens come from the service account's key (OAuth 2.0 JWT bearer, RFC 7523; gcs_signing.h) and are
// kept until shortly before they end. The CRC-32C that comes back is compared with ours; that of an upload
// only when this store has sent all its parts. A version's etag is its generation.
//
// Uploads are resumable sessions: parts in order, each a multiple of 256 KiB but the last. A session ends
// with its last byte, so what is left over of the last part waits in a state object below
// ".rowhouse-uploads/" (never listed), together with the size of the parts, until complete_upload() sends it.
#pragma once

#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

// Connects to nothing. Errors: address_refused, validation_failed (an endpoint that is no URL, a key that is
// no RSA key).
Result<std::unique_ptr<ObjectStore>> open_gcs(const StoreTools& tools, const GcsConfig& config);

}  // namespace rowhouse::storage
