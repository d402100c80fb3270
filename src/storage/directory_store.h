// Objects as files of a directory of this machine: provisioned storage, or a share that the operator mounted.
//
// blocking_store.h says how objects become files. Every path is opened with openat2(2) below the directory,
// which refuses symbolic links wherever they stand, so that nothing outside can be reached by what somebody
// else puts into a shared directory. File and folder are synced before an object counts as stored; SHA-256
// and content type are extended attributes (user.rowhouse) where the file system has them, else small files
// below
// ".rowhouse-meta".
#pragma once

#include <memory>

#include "storage/config.h"
#include "storage/object_store.h"
#include "storage/open.h"

namespace rowhouse::storage {

// Opens nothing yet; config.root has no symbolic link in it (see std::filesystem::canonical). Calls fail with
// storage_failed while the directory is not there: it is never made, since a share that is not mounted would
// be written to the disk below it. Error: validation_failed.
Result<std::unique_ptr<ObjectStore>> open_directory(const StoreTools& tools, const DirectoryConfig& config);

}  // namespace rowhouse::storage
