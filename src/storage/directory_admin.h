// Provisioned storage in directories of one file system: ROOT/TENANT-ID, mode 0700.
//
// ROOT is made by the operator (or by `up`), never here: a share that is not mounted would be written to the
// disk below it. A removal renames the directory first (".removing-TENANT-ID"), so that whoever still writes
// finds nothing to write to, and then deletes in pieces, without following links. There is no quota beside
// Rowhouse's own count.
#pragma once

#include <memory>
#include <string>

#include "net/blocking_work.h"
#include "net/executor.h"
#include "storage/admin.h"

namespace rowhouse::storage {

// `root`: absolute. Everything else outlives the admin.
std::unique_ptr<ObjectStoreAdmin> open_directory_admin(net::Executor& executor, net::BlockingWork& file_work,
                                                       std::string root);

}  // namespace rowhouse::storage
