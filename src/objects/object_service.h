// Objects (files) of tenants: stored, read, listed, copied, removed, counted.
//
// An object costs two statements to store (reserve, commit) and one to find, beside the store's own requests;
// a page of a list is one index scan, wherever it begins. Writes: reserve the bytes → store a version of a
// new name → switch the index → remove what was replaced. So a reader sees the old or the new object as a
// whole, the plan's quota holds exactly under parallel uploads, and what dies in the middle is taken back
// (write_lease.h, object_sweeper.h). While an object is replaced, both versions count.
//
// Errors: validation_failed (key, content type, checksum), not_found, precondition_failed, quota_exceeded,
// checksum_mismatch, range_not_satisfiable, storage_not_configured, storage_failed, body_too_large, those of
// the database and of the store. Nothing is stored and nothing counts after an error. Rights are checked by
// whoever calls. One per worker, on its executor's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http_message.h"
#include "objects/object_model.h"
#include "objects/object_rows.h"
#include "objects/object_uploads.h"
#include "objects/object_writes.h"
#include "objects/store_source.h"

namespace rowhouse::objects {

class ObjectService {
 public:
  using Context = identity::TenantContext;

  ObjectService(net::Executor& executor, session::TenantDatabase& database, StoreSource& stores,
                observe::Log& log, const Clock& clock);

  // `bytes`: the body's length, where it is known before (then it streams through; otherwise it is kept part
  // by part, 8 MiB at a time). `body` must live until the task has ended.
  Task<Result<StoredObject>> put(const Context& context, NewObject object, std::optional<std::uint64_t> bytes,
                                 net::BodyReader& body, CallOptions options);
  Task<Result<Object>> stat(const Context& context, std::string key, CallOptions options);
  // Exactly this version. Error: not_found (it was replaced or deleted since: look again).
  Task<Result<OpenObject>> open(const Context& context, Object object,
                                std::optional<storage::ByteRange> range, CallOptions options);
  Task<Result<ObjectPage>> list(const Context& context, ListObjects request, CallOptions options);
  Task<Result<Usage>> usage(const Context& context, CallOptions options);
  // One object; `version`: only if it still is that one, "" for whatever is there. Errors: not_found,
  // precondition_failed.
  Task<Result<void>> remove(const Context& context, std::string key, std::string version,
                            CallOptions options);
  // Those that are there; how many that were. At most storage::kMaxRemoveKeys.
  Task<Result<std::size_t>> remove_many(const Context& context, std::vector<std::string> keys,
                                        CallOptions options);
  Task<Result<StoredObject>> copy(const Context& context, std::string from, std::string to,
                                  WriteCondition condition, CallOptions options);
  // A URL at the provider, for a get; nullopt where it has none. Error: not_found.
  Task<Result<std::optional<std::string>>> provider_link(const Context& context, std::string key,
                                                         std::int64_t expires_in_s, std::string download_name,
                                                         CallOptions options);

  ObjectUploads& uploads() { return uploads_; }
  ObjectWrites& writes() { return writes_; }
  // Ends what runs in the background.
  Task<void> stop() { return writes_.stop(); }

 private:
  using Store = ObjectWrites::Store;
  Task<Result<void>> check_early(const Context& context, const NewObject& object, CallOptions options);
  // Each of these has a reservation and either ends it by commit() or gives it back.
  Task<Result<StoredObject>> put_text(const Context& context, Store store, NewObject object, std::string text,
                                      std::string sha256, CallOptions options);
  Task<Result<StoredObject>> put_stream(const Context& context, Store store, NewObject object,
                                        std::uint64_t bytes, net::BodyReader& body, CallOptions options);
  Task<Result<StoredObject>> put_unknown(const Context& context, Store store, NewObject object,
                                         net::BodyReader& body, CallOptions options);
  Task<Result<Content>> send_parts(const Context& context, Store store, std::string id, NewObject object,
                                   std::uint64_t bytes, net::BodyReader& body, CallOptions options);
  Task<Result<Content>> send_unknown(const Context& context, Store store, std::string id, NewObject object,
                                     std::string first, BodyParts& parts, std::size_t part_bytes,
                                     CallOptions options);
  Task<Result<void>> copy_bytes(const Context& context, Object source, Store target, std::string name,
                                std::string id, CallOptions options);
  Task<Result<StoredObject>> finish(const Context& context, Store store, std::string id, NewObject object,
                                    Result<Content> content, CallOptions options);

  net::Executor& executor_;
  StoreSource& stores_;
  ObjectRows rows_;
  ObjectWrites writes_;
  ObjectUploads uploads_;
};

// Keys and media types as callers write them. Error: validation_failed.
Result<void> check_object_key(std::string_view key);
Result<void> check_new_object(const NewObject& object);

}  // namespace rowhouse::objects
