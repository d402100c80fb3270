// A connection for one borrower: multi-statement or slow work, migrations, administration.
//
// With CallOptions::effects each statement is an effect that is watched (base/effects.h), and the session is
// marked. Belongs to the executor's thread.
#pragma once

#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "pg/transaction_context.h"
#include "pg/types.h"

namespace rowhouse::pg {

// A connection of one's own, lent by a pool or opened by connect(). Destroying it in the middle of a
// transaction closes the connection, so that PostgreSQL rolls back; otherwise it is cleaned (session_reset)
// before the next borrower sees it. Must not outlive the Pool that lent it.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  Task<Result<Rows>> query(const Statement& statement, CallOptions options);
  // Several statements without parameters; the last result is dropped. Errors name the failing position if
  // known.
  Task<Result<void>> script(const std::string& sql, CallOptions options);
  // BEGIN, and the context for this transaction unless null.
  Task<Result<void>> begin(const TransactionContext* context, CallOptions options);
  Task<Result<void>> commit(CallOptions options);
  Task<Result<void>> rollback(CallOptions options);

  struct Impl;  // known to src/pg alone

 private:
  friend class Pool;
  friend Task<Result<Session>> connect(net::Executor& executor, ConnectionParameters parameters,
                                       CallOptions options);
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A connection outside any pool, closed with the Session. For start-up, migrations and administration.
Task<Result<Session>> connect(net::Executor& executor, ConnectionParameters parameters, CallOptions options);

}  // namespace rowhouse::pg
