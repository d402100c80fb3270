// Resumable uploads: a large object in parts, each a request of its own, over a day and over restarts of
// either side.
//
// The bytes of a part are reserved before it is sent, or those of the whole at the beginning where they are
// declared. A part that failed is sent again; one that arrived may be replaced. After kUploadLife without a
// part the upload is given up and taken back. Errors: as object_service.h says, and not_found for an upload
// that is not there (any more).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "net/http_message.h"
#include "objects/content.h"
#include "objects/object_model.h"
#include "objects/object_writes.h"

namespace rowhouse::objects {

inline constexpr std::chrono::hours kUploadLife{24};

// What the tenant's store asks of parts.
struct PartRules {
  std::uint64_t min_bytes = 0;  // of all but the last
  std::uint64_t alignment = 1;  // their size is a multiple
  bool parallel = false;        // may they be sent at the same time and in any order?
};

struct BegunUpload {
  Upload upload;
  PartRules rules;
};

class ObjectUploads {
 public:
  using Context = identity::TenantContext;
  ObjectUploads(ObjectRows& rows, ObjectWrites& writes, StoreSource& stores)
      : rows_(rows), writes_(writes), stores_(stores) {}

  // `object.condition` is looked at by complete().
  Task<Result<BegunUpload>> begin(const Context& context, NewObject object,
                                  std::optional<std::uint64_t> declared, CallOptions options);
  Task<Result<UploadPart>> put_part(const Context& context, std::string id, UploadPart part,
                                    net::BodyReader& body, CallOptions options);
  Task<Result<BegunUpload>> find(const Context& context, std::string id, CallOptions options);
  Task<Result<std::vector<Upload>>> list(const Context& context, CallOptions options);
  // `sha256`: of the whole; where the store cannot tell it, the object is read once more before it counts.
  Task<Result<StoredObject>> complete(const Context& context, std::string id, std::string sha256,
                                      WriteCondition condition, CallOptions options);
  Task<Result<void>> abort(const Context& context, std::string id, CallOptions options);

 private:
  Task<Result<WriteRow>> row_of(const Context& context, std::string id, CallOptions options);
  Task<Result<storage::ObjectInfo>> complete_in_store(storage::ObjectStore& store, const WriteRow& row,
                                                      std::vector<storage::Part> parts, std::uint64_t bytes,
                                                      CallOptions options);
  ObjectRows& rows_;
  ObjectWrites& writes_;
  StoreSource& stores_;
};

}  // namespace rowhouse::objects
