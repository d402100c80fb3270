// The index of a tenant's objects while they are moved from one store to another. Private to this folder.
//
// `from`, `to`: numbers of stores. A copy is named in object_garbage before it is made (due: infinity, so
// that nobody but the move takes it away), and the statement that switches a row takes the name out again and
// writes down the old one. A version is never written twice under one name, and a copy is only given up when
// no row has its version any more: so whoever runs any of this late, or twice, loses nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "objects/object_rows.h"

namespace rowhouse::objects {

// What is still in the store that is being left.
struct MoveRest {
  std::int64_t objects = 0;
  std::int64_t bytes = 0;
  std::int64_t writes = 0;   // that will end by themselves
  std::int64_t uploads = 0;  // resumable ones
};

class MoveRows {
 public:
  using Context = identity::TenantContext;
  explicit MoveRows(session::TenantDatabase& database) : database_(database) {}

  // From here on no write begins in a store below this one.
  Task<Result<void>> raise_fence(const Context& context, int to, CallOptions options);
  Task<Result<MoveRest>> rest(const Context& context, int from, CallOptions options);
  // In the order of their keys, behind `after`.
  Task<Result<std::vector<Object>>> next(const Context& context, int from, std::string after, int limit,
                                         CallOptions options);
  Task<Result<void>> name_copies(const Context& context, int to, const std::vector<Object>& objects,
                                 CallOptions options);
  Task<Result<void>> name_upload(const Context& context, int to, std::string store_key, std::string upload,
                                 CallOptions options);
  // Those that still have the version that was copied; their sha256 is stored where none was known.
  struct Switched {
    std::int64_t objects = 0, bytes = 0;
  };
  Task<Result<Switched>> switch_rows(const Context& context, int from, int to,
                                     const std::vector<Object>& objects, CallOptions options);
  // Copies that nobody needs become garbage; answers uploads in parts that died.
  Task<Result<std::vector<GarbageRow>>> settle_copies(const Context& context, int to, CallOptions options);
  // An upload that was answered there is no longer.
  Task<Result<void>> forget_upload(const Context& context, int to, std::string store_key,
                                   CallOptions options);

  // What was left in a store that nothing is in any more, may go. False: something is in it.
  Task<Result<bool>> release_old(const Context& context, int from, CallOptions options);
  Task<Result<std::vector<GarbageRow>>> old_copies(const Context& context, int from, CallOptions options);
  Task<Result<std::int64_t>> count_old(const Context& context, int from, CallOptions options);
  // They stay where they are.
  Task<Result<void>> drop_old(const Context& context, int from, CallOptions options);

 private:
  Task<Result<pg::Rows>> run(const Context& context, std::string_view sql, pg::Params params,
                             pg::Access access, CallOptions options);
  session::TenantDatabase& database_;
};

}  // namespace rowhouse::objects
