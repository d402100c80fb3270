// One libpq connection on an event loop. Private to src/pg: pool.h is the face.
//
// A Connection is owned by whoever made it and may be destroyed at any moment: its callbacks are never called
// after that. A callback may destroy the connection it comes from.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/call.h"
#include "base/result.h"
#include "net/executor.h"
#include "pg/transaction_context.h"
#include "pg/types.h"

struct pg_conn;

namespace rowhouse::pg {

class Connection {
 public:
  using Connected = std::function<void(Result<void>)>;

  Connection(net::Executor& executor, const ConnectionParameters& parameters, Deadline deadline,
             Connected connected);
  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool broken() const { return broken_; }
  // The context, signed for this backend as the one that has this number there.
  SignedContext sign(const TransactionContext& context, std::int64_t number) const;
  // Asks the server to cancel what this connection runs at the moment the request arrives.
  void request_cancel();

 protected:
  // Called once the connection is established, before `connected`: puts libpq into the right mode.
  virtual Result<void> prepare_mode() { return {}; }
  // Input was read: take results.
  virtual void on_input() = 0;
  // The connection is lost; called once, from the event loop and never from inside another call. `broken()`
  // is true.
  virtual void on_broken(const Error& error) = 0;

  pg_conn* native() const { return connection_; }
  net::Executor& executor() const { return executor_; }
  // Sends what libpq has buffered, now and when the socket takes more.
  void flush();
  void fail(std::string_view what);
  // Posted work looks here whether the connection still is.
  std::weak_ptr<int> alive() const { return alive_; }

 private:
  void poll_connect();
  void finish_connect(Result<void> outcome);
  void arm_read();
  void on_readable();

  net::Executor& executor_;
  pg_conn* connection_ = nullptr;
  std::unique_ptr<net::FdWatch> watch_;
  std::unique_ptr<net::Timer> connect_timer_;
  Connected connected_;
  bool waiting_to_write_ = false;
  bool broken_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

// What becomes of the error with which PostgreSQL answered a signed context.
Error context_refused(const Error& answer);

// Error for a connection that cannot be made or was lost. `text` is libpq's; it never holds the password.
Error connection_error(std::string_view text);
Error cancelled_error();  // the caller went away

// libpq's parallel arrays of keywords and values; kept alive while PQconnectStartParams reads them.
class ConnectKeywords {
 public:
  explicit ConnectKeywords(const ConnectionParameters& parameters);
  const char* const* keywords() const { return keyword_pointers_.data(); }
  const char* const* values() const { return value_pointers_.data(); }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
  std::vector<const char*> keyword_pointers_, value_pointers_;
};

}  // namespace rowhouse::pg
