// Azure Blob Storage: block blobs of one container.
//
// Protocol: the Blob service REST API, version 2021-08-06; requests are signed by azure_signing.h. The
// service tells the MD5 or the CRC-64 of what it received; both are compared.
//
// Uploads: the blocks lie at the key itself, uncommitted, with the upload's id in their names; a marker
// object below ".rowhouse-uploads/" (never listed) keeps the options until the upload ends. Azure throws
// uncommitted blocks away a week after the last one, or when the key is written in any other way: of two
// uploads to one key at the same time the first to complete wins, and the other fails with not_found.
#pragma once

#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

struct AzureLimits {
  std::uint64_t single_put_bytes = 5'000ULL << 20;  // larger: in blocks
  std::uint64_t part_bytes = 64ULL << 20;           // of those, at least
};

// Connects to nothing. Errors: address_refused, validation_failed (an endpoint that is no URL, a key that is
// not base64).
Result<std::unique_ptr<ObjectStore>> open_azure(const StoreTools& tools, const AzureConfig& config,
                                                const AzureLimits& limits = {});

}  // namespace rowhouse::storage
