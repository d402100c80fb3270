// The bytes of one object out of one store and into another, in constant memory.
//
// What arrives is counted and hashed; the last piece is handed on only when length and checksum agree, so the
// target never has an object that is not the one meant. Errors: checksum_mismatch (the source has other
// bytes), storage_failed (it has fewer or more), not_found (it has none), those of the two stores. After an
// error nothing is left at the target but an upload in parts, which was noted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "storage/object_store.h"

namespace rowhouse::objects {

struct StoreTransfer {
  std::shared_ptr<storage::ObjectStore> from, to;
  std::string from_key, to_key;
  std::uint64_t bytes = 0;
  std::string sha256;  // hexadecimal; "" = not known
  std::string content_type;
  // Where an upload in parts is written down before its first part is sent.
  std::function<Task<Result<void>>(std::string upload)> note_upload;
};

// The content's SHA-256, hexadecimal.
Task<Result<std::string>> run_transfer(StoreTransfer transfer, CallOptions options);

}  // namespace rowhouse::objects
