// Objects as files of an SMB share: libsmbclient, SMB 2 and 3.
//
// blocking_store.h says how objects become files. The host is looked up and checked by the egress guard, and
// the library is given the address. Objects are read back before they count as stored.
//
// libsmbclient is one big state: all stores of a process share one thread for it, and a server that does not
// answer is given up after kSmbTimeout. The library is loaded when the first SMB store is used: it brings a
// hundred others along, which a server without such tenants does not need in memory.
#pragma once

#include <chrono>
#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

inline constexpr std::chrono::milliseconds kSmbTimeout{10'000};

// Connects to nothing. Errors: address_refused, validation_failed.
Result<std::unique_ptr<ObjectStore>> open_smb(const StoreTools& tools, const SmbConfig& config);

}  // namespace rowhouse::storage
