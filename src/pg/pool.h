// Connections of one worker to one database as one role.
//
// Two lanes. The *shared* lane runs short statements: context + statement + Sync in one round trip, one
// implicit transaction, several requests in flight on one connection (libpq pipeline mode). The *exclusive*
// lane lends a whole connection for multi-statement or slow work. A statement that fails never touches the
// requests behind it.
//
// With CallOptions::effects each statement is an effect that is watched (base/effects.h), and sessions are
// marked.
//
// Everything is opened lazily and bounded by PoolOptions; waiting requests queue in order, up to a limit. All
// of it belongs to the executor's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "net/executor.h"
#include "pg/session.h"
#include "pg/transaction_context.h"
#include "pg/types.h"

namespace rowhouse::pg {

struct PoolOptions {
  ConnectionParameters parameters;
  std::size_t read_connections = 4;
  std::size_t read_depth = 4;          // requests in flight on one read connection
  std::size_t write_connections = 16;  // one request in flight each
  std::size_t exclusive_connections = 8;
  std::size_t max_waiting = 2'000;   // further requests: overloaded
  std::size_t max_statements = 256;  // prepared ones per connection
  // Run once on each new connection; must return one row whose first column is true. For example that the
  // role has no BYPASSRLS. Empty: nothing is asked. A pool whose requests have contexts needs a second
  // column, rowhouse.context_number(): where this connection begins to count them.
  std::string session_check;
  // Run on a lent connection before the next borrower gets it; must leave nothing behind that tells of the
  // last one.
  std::string session_reset = "DISCARD ALL";
};

struct PoolStats {
  std::size_t open_connections = 0;
  std::size_t busy_connections = 0;
  std::size_t waiting = 0;
};

class Pool {
 public:
  Pool(net::Executor& executor, PoolOptions options);
  ~Pool();  // closes everything; nobody may be waiting
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // One round trip: sets the context for this transaction alone (unless null), runs the statement, commits.
  // Errors: see error_from_result; overloaded; cancelled; database_unavailable (no connection, or it broke: a
  // write may then have happened or not); internal with kContextRefused.
  Task<Result<Rows>> run(const TransactionContext* context, const Statement& statement, CallOptions options);

  // Lends a connection until the Session is destroyed.
  Task<Result<Session>> acquire(CallOptions options);

  PoolStats stats() const;
  bool in_use() const;  // somebody waits or runs: not to be closed now

  struct Impl;  // known to pool.cc alone

 private:
  Task<Result<Rows>> run_unwatched(const TransactionContext* context, const Statement& statement,
                                   CallOptions options);
  Task<Result<Rows>> run_fenced(const TransactionContext* context, const Statement& statement,
                                CallOptions options);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rowhouse::pg
