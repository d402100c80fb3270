// The index of a tenant's objects, its quota and its garbage: every change is one statement, and each of them
// leaves bytes of object_usage = objects + reservations. Private to this folder.
//
// `limit`: bytes that the plan allows, -1 for any number. Errors: those of TenantDatabase::run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "identity/tenant_context.h"
#include "objects/object_model.h"
#include "session/tenant_database.h"

namespace rowhouse::objects {

// The name of a version in the store.
std::string store_key(std::string_view key, std::string_view version);

struct NewWrite {
  std::string id;  // becomes the version
  int store = 1;   // number of the store that it goes to
  std::string key;
  std::string content_type = kDefaultContentType;
  std::uint64_t reserved = 0;
  std::string upload;  // of the store; "" = in one piece
  std::optional<std::uint64_t> declared;
  std::string sha256;
  enum class Kind { request, resumable } kind = Kind::request;
  std::int64_t lease_s = 0;
};

struct Content {
  std::uint64_t bytes = 0;
  std::string sha256;  // hexadecimal or ""
  std::string content_type;
};

struct Committed {
  enum class Outcome { created, replaced, condition_failed, write_gone } outcome = Outcome::write_gone;
  std::int64_t modified_ms = 0;
  std::string garbage;  // store key that is to be removed now; "" if none
  int garbage_store = 1;
};

struct WriteRow {
  Upload upload;  // without parts
  int store = 1;
  std::string store_upload;
  std::string sha256;
};
struct PartRow {
  UploadPart part;
  std::string etag;
};

struct GarbageRow {
  int store = 1;  // number of the store that it is in
  std::string store_key;
  std::string upload;  // "" if none
};

class ObjectRows {
 public:
  using Context = identity::TenantContext;
  explicit ObjectRows(session::TenantDatabase& database) : database_(database) {}

  // Reserves. `left`: the tenant has moved away from the store; open its present one.
  enum class Begun { reserved, over_limit, left };
  Task<Result<Begun>> begin(const Context& context, NewWrite write, std::int64_t limit, CallOptions options);
  // `more` bytes for a write under way. Errors: not_found (the write is gone).
  enum class Growth { done, over_limit };
  Task<Result<Growth>> grow(const Context& context, std::string id, std::uint64_t more, std::int64_t limit,
                            CallOptions options);
  // The name of the upload at the store, once it is known.
  Task<Result<void>> set_upload(const Context& context, std::string id, std::string upload,
                                CallOptions options);
  // False: the write is gone.
  Task<Result<bool>> renew(const Context& context, std::string id, std::int64_t lease_s, CallOptions options);
  // The write becomes the object; not more bytes than were reserved.
  Task<Result<Committed>> commit(const Context& context, std::string id, Content content,
                                 WriteCondition condition, CallOptions options);
  // Gives the reservation back and names what may be in the store as garbage; nothing if it is gone.
  Task<Result<void>> abandon(const Context& context, std::string id, CallOptions options);

  Task<Result<std::optional<Object>>> find(const Context& context, std::string key, CallOptions options);
  Task<Result<ObjectPage>> list(const Context& context, ListObjects request, CallOptions options);
  Task<Result<Usage>> usage(const Context& context, CallOptions options);
  // What was removed; `version`: only that one, "" for whatever is there (one key alone).
  Task<Result<std::vector<GarbageRow>>> remove(const Context& context, std::vector<std::string> keys,
                                               std::string version, CallOptions options);

  // Resumable uploads. A part's bytes are reserved before it is sent.
  Task<Result<std::optional<WriteRow>>> find_upload(const Context& context, std::string id,
                                                    CallOptions options);
  Task<Result<std::vector<Upload>>> list_uploads(const Context& context, int limit, CallOptions options);
  Task<Result<std::vector<PartRow>>> parts(const Context& context, std::string id, CallOptions options);
  enum class PartPlace { reserved, over_limit, over_declared, gone };
  Task<Result<PartPlace>> reserve_part(const Context& context, std::string id, UploadPart part,
                                       std::int64_t limit, std::int64_t lease_s, CallOptions options);
  Task<Result<void>> record_part(const Context& context, std::string id, PartRow part, CallOptions options);

  // Gives up writes whose lease has ended; how many.
  Task<Result<std::size_t>> give_up_dead(const Context& context, CallOptions options);
  Task<Result<std::vector<GarbageRow>>> due_garbage(const Context& context, CallOptions options);
  Task<Result<void>> forget_garbage(const Context& context, int store, std::vector<std::string> store_keys,
                                    CallOptions options);
  Task<Result<void>> postpone_garbage(const Context& context, int store, std::vector<std::string> store_keys,
                                      CallOptions options);
  struct Chores {
    bool dead_writes = false, garbage = false, later = false;
  };
  Task<Result<Chores>> chores(const Context& context, CallOptions options);

 private:
  Task<Result<pg::Rows>> run(const Context& context, std::string_view sql, pg::Params params,
                             pg::Access access, CallOptions options);
  session::TenantDatabase& database_;
};

}  // namespace rowhouse::objects
