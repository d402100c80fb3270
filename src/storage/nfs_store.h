// Objects as files of an NFS export, without mounting it: libnfs, version 3 over TCP.
//
// blocking_store.h says how objects become files. The host is looked up and checked by the egress guard, and
// libnfs is given the address. Writes are committed (COMMIT) and read back before an object counts as stored.
// Symbolic links are never followed. A conditional create is a hard link (atomic on the server).
//
// libnfs can do one call at a time for each connection: a store has a few, made when they are needed.
#pragma once

#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

// Connects to nothing. Errors: address_refused, validation_failed.
Result<std::unique_ptr<ObjectStore>> open_nfs(const StoreTools& tools, const NfsConfig& config);

}  // namespace rowhouse::storage
