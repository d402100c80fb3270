// An ObjectStore over a FileSystem: what directory, NFS and SMB have in common.
//
// Layout below the prefix's folder:
//
//   images/2024/photo.jpg           an object: file_paths.h turns its key into this path
//   .rowhouse-tmp/ID                an object on its way
//   .rowhouse-uploads/ID/00001.SHA  a part of an upload; "info" beside it is what begin_upload() was told
//   .rowhouse-meta/ab/HASH-…        SHA-256 and content type of an object, where files have no attributes
//
// An object is written to a temporary, made last, read back where the way there is a network, and published
// by one rename: whatever dies before leaves a temporary that nobody sees, and that any store of this
// directory sweeps away after a day. Completing an upload joins its parts in a temporary of that kind and
// removes the parts last, so it can be done again after a crash. Folders that became empty are removed.
//
// Metadata names the file's time and size, so what belongs to another version of an object never passes for
// its own: at worst SHA-256 and content type are not known.
//
// Blocking calls run on BlockingWork in steps of one piece. Where a FileSystem can do only one call at a time
// there may be several ("lanes"), and calls wait for their turn without holding a thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/blocking_work.h"
#include "net/executor.h"
#include "storage/file_system.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

struct BlockingStoreOptions {
  enum class Sharing { many_calls, one_call } sharing = Sharing::many_calls;
  enum class Verify { trust, read_back } verify = Verify::trust;
  std::string identity;
  std::string prefix;  // "" or ends with "/"
};

// Temporaries older than this are swept, uploads after seven times as long.
inline constexpr std::int64_t kTemporaryLifetimeMs = 24LL * 60 * 60 * 1000;

std::unique_ptr<ObjectStore> make_blocking_store(net::Executor& executor, net::BlockingWork& work,
                                                 const Clock& clock,
                                                 std::vector<std::unique_ptr<FileSystem>> lanes,
                                                 BlockingStoreOptions options);

}  // namespace rowhouse::storage
