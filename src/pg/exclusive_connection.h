// A connection that runs one thing at a time, for one borrower. Private to src/pg.
#pragma once

#include "pg/connection.h"

namespace rowhouse::pg {

class ExclusiveConnection final : public Connection {
 public:
  using Done = std::function<void(Result<Rows>)>;

  ExclusiveConnection(net::Executor& executor, const ConnectionParameters& parameters, Deadline deadline,
                      Connected connected);

  // One at a time. When the deadline passes the statement is cancelled on the server, and the connection
  // given up if that does not end it. `done` may destroy this.
  void query(const Statement& statement, Deadline deadline, Done done);
  void script(const std::string& sql, Deadline deadline, Done done);
  // Sets the context of the transaction that is open, under this number of the session.
  void set_context(const TransactionContext& context, std::int64_t number, Deadline deadline, Done done);
  // The caller no longer wants the answer: cancels; `done` still comes.
  void cancel();

  bool busy() const { return static_cast<bool>(done_); }
  // Outside any transaction and not busy: fit for the next borrower.
  bool idle() const;
  bool in_failed_transaction() const;

 protected:
  void on_input() override;
  void on_broken(const Error& error) override;

 private:
  void begin(int sent, Deadline deadline, Done done);
  void finish(Result<Rows> outcome);

  Done done_;
  Rows rows_;
  std::optional<Error> error_;
  std::unique_ptr<net::Timer> timer_;
};

}  // namespace rowhouse::pg
