// How a write begins, counts or is given up, and how the store forgets what does not count any more: the part
// that every way of storing an object shares. Private to this folder, but for stop() and sweep().
//
// One per worker, on its executor's thread. What fails in the background stays named in the tenant's
// database and is tried again: by this worker, or by the sweeper of any node.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/executor.h"
#include "objects/object_rows.h"
#include "objects/storage_limit.h"
#include "objects/store_source.h"
#include "observe/log.h"

namespace rowhouse::objects {

class ObjectWrites {
 public:
  using Context = identity::TenantContext;
  using Store = TenantStore;

  ObjectWrites(net::Executor& executor, ObjectRows& rows, StoreSource& stores, observe::Log& log,
               const Clock& clock);
  ~ObjectWrites();  // after stop()
  ObjectWrites(const ObjectWrites&) = delete;
  ObjectWrites& operator=(const ObjectWrites&) = delete;

  // A name that no version ever had.
  std::string new_version() const;
  // Reserves; looks for what is dead before it refuses. `store` becomes the one that the tenant has moved to
  // meanwhile. Error: quota_exceeded, which says what is used.
  Task<Result<void>> begin(const Context& context, Store& store, NewWrite write, CallOptions options);
  Task<Result<void>> grow(const Context& context, std::string id, std::uint64_t more, CallOptions options);
  Task<Error> over_quota(const Context& context, std::uint64_t wanted, CallOptions options);

  struct Finished {
    std::string id, key;
    int store = kFirstStore;  // that it is in
    Content content;
    WriteCondition condition;
  };
  // The bytes are in the store. Errors: precondition_failed, conflict (the write was given up in between);
  // then nothing is left of it.
  Task<Result<StoredObject>> commit(const Context& context, Finished finished, CallOptions options);
  // Takes a write back, also one whose request was cancelled. Fails into the sweeper's hands.
  Task<void> abandon(const Context& context, std::string id);
  // Removes versions of the tenant in the background.
  void remove_soon(const Context& context, std::vector<GarbageRow> garbage);

  // Removes them now, and forgets them.
  Task<Result<void>> remove_listed(const Context& context, std::vector<GarbageRow> garbage,
                                   CallOptions options) {
    return take_out(context, std::move(garbage), options);
  }

  // Takes back what is dead and removes what is due, of one tenant.
  void sweep_soon(const Context& context);  // in the background, until it is done
  Task<Result<ObjectRows::Chores>> sweep(const Context& context, CallOptions options);
  Task<void> stop();

 private:
  Task<Result<void>> reserve(const Context& context, NewWrite write, ObjectRows::Begun& begun,
                             CallOptions options);
  Task<void> remove_now(Context context, std::vector<GarbageRow> garbage);
  Task<void> remove_due(Context context);
  Task<Result<void>> take_out(const Context& context, std::vector<GarbageRow> garbage, CallOptions options);
  Task<Result<void>> take_out_of(const Context& context, int number, std::vector<GarbageRow> garbage,
                                 CallOptions options);
  void look_again(const Context& context);
  Task<void> look_again_now();
  void arm();

  net::Executor& executor_;
  ObjectRows& rows_;
  StoreSource& stores_;
  observe::Log& log_;
  const Clock& clock_;
  struct Untidy {
    Context context;
    int failed_looks = 0;  // one after the other
  };
  std::unordered_map<Uuid, Untidy> untidy_;  // tenants that this worker left something behind for
  std::unique_ptr<net::Timer> timer_;
  net::TaskGroup tasks_;
  CancelSource ending_;
  bool stopped_ = false;
};

}  // namespace rowhouse::objects
