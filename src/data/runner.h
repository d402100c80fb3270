// Where a statement runs: alone on the shared lane, or inside a transaction. Lets the same write be either.
#pragma once

#include <string>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "identity/tenant_context.h"
#include "session/tenant_database.h"

namespace rowhouse::data {

class Runner {
 public:
  virtual ~Runner() = default;
  // `statement` must live until the task has ended.
  virtual Task<Result<pg::Rows>> run(const pg::Statement& statement, CallOptions options) = 0;
};

class SharedRunner final : public Runner {
 public:
  SharedRunner(session::TenantDatabase& database, const identity::TenantContext& context)
      : database_(database), context_(context) {}
  Task<Result<pg::Rows>> run(const pg::Statement& statement, CallOptions options) override {
    return database_.run(context_, statement, options);
  }

 private:
  session::TenantDatabase& database_;
  const identity::TenantContext& context_;
};

class TransactionRunner final : public Runner {
 public:
  explicit TransactionRunner(session::TenantTransaction& transaction) : transaction_(transaction) {}
  Task<Result<pg::Rows>> run(const pg::Statement& statement, CallOptions options) override {
    return transaction_.query(statement, options);
  }

 private:
  session::TenantTransaction& transaction_;
};

// Ends a transaction whose work is not wanted, so that its connection can be used again. (Dropping the
// transaction undoes it, too, but costs the connection.) If this fails the connection is lost, which undoes
// it as well.
inline Task<void> roll_back(session::TenantTransaction& transaction, CallOptions options) {
  static const std::string kRollback = "ROLLBACK";
  const auto outcome = co_await transaction.script(kRollback, options);
  (void)outcome;
}

}  // namespace rowhouse::data
