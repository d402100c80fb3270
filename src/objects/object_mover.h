// Copies the objects of one tenant from the store that it leaves into the one that it goes to, while they are
// read and written. Private to this folder; storage_moves.h has the operation around it.
//
// A batch: the copies are named, up to kTransfers at once are made and compared with the checksum of the row,
// one statement switches the rows. Passes go on until nothing is left in the former store and no write goes
// on there. May be killed anywhere and run again, also by two at the same time. Errors: those of the stores,
// which name the object; those of the database; operations::paused().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/executor.h"
#include "objects/move_rows.h"
#include "objects/store_source.h"
#include "operations/kind.h"

namespace rowhouse::objects {

class ObjectMover {
 public:
  using Context = identity::TenantContext;
  ObjectMover(net::Executor& executor, session::TenantDatabase& database, StoreSource& stores)
      : executor_(executor), stores_(stores), rows_(database), moves_(database) {}

  struct Way {
    int from = 0, to = 0;
  };
  // Tells `run` how far it is, and adds "objects" and "bytes" to its output.
  Task<Result<void>> copy_all(const Context& context, Way way, operations::Run& run);
  MoveRows& rows() { return moves_; }

 private:
  struct Batch;
  struct Progress;
  Task<Result<void>> pass(const Context& context, Way way, Progress& progress, operations::Run& run);
  Task<Result<void>> copy_batch(const Context& context, Way way, Batch& batch, Progress& progress,
                                CallOptions options);
  Task<void> copy_some(const Context& context, Way way, Batch& batch, CallOptions options);
  Task<Result<std::string>> copy_one(const Context& context, Way way, Object object, CallOptions options);
  Task<Result<std::string>> try_copy(const Context& context, Way way, Object object, CallOptions options);
  Task<Result<void>> settle(const Context& context, Way way, CallOptions options);

  net::Executor& executor_;
  StoreSource& stores_;
  ObjectRows rows_;
  MoveRows moves_;
};

}  // namespace rowhouse::objects
