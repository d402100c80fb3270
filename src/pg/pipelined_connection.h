// A connection in libpq's pipeline mode: several requests in flight, each its own implicit transaction.
// Private to src/pg.
//
// A request is one or more segments, each ended by Sync, so that an error never reaches past it:
//   [DEALLOCATE old · Sync] [Parse new · Sync]  set_context(…) · statement · Sync
#pragma once

#include <deque>
#include <list>
#include <string>
#include <unordered_map>

#include "pg/connection.h"

namespace rowhouse::pg {

// Gets the outcome of one request. Must stay valid until then or until abandon().
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void complete(Result<Rows> outcome) = 0;
};

// Detail of an error: the server cancelled this request although somebody else's was meant. It had no effect.
inline constexpr std::string_view kCancelledForAnother = "cancelled_for_another";

class PipelinedConnection final : public Connection {
 public:
  // `finished` is called after requests ended (room is free) and when the connection broke; it may destroy
  // this.
  PipelinedConnection(net::Executor& executor, const ConnectionParameters& parameters,
                      std::size_t max_statements, Deadline deadline, Connected connected,
                      std::function<void()> finished);
  ~PipelinedConnection() override;

  // Contexts that are sent have the numbers after this one, which PostgreSQL has told.
  void count_contexts_from(std::int64_t number);
  // After `deadline` the receiver gets statement_timeout (from check()), whatever the server does.
  void send(const TransactionContext* context, const Statement& statement, Deadline deadline,
            Receiver& receiver);
  // Nobody wants this answer any more. The request still runs to its end unless check() cancels it.
  // False when the answer is already on its way to the receiver.
  bool abandon(const Receiver& receiver);
  // Something happened here that no statement of ours leaves behind (a refused context, a cancelled or
  // forbidden statement): whoever caused it may have left more. Or the numbers of its contexts run out. It
  // ends with the requests that it has.
  bool retired() const { return retired_; }
  std::size_t in_flight() const { return flights_.size(); }
  // How long the oldest request has been running; zero if none.
  std::chrono::milliseconds head_age() const;
  // Ends requests whose deadline has passed, cancels an abandoned one that holds up the line, and gives the
  // connection up when even that does not help. Called now and then; may run receivers.
  void check();

 protected:
  Result<void> prepare_mode() override;
  void on_input() override;
  void on_broken(const Error& error) override;

 private:
  struct Flight {
    Receiver* receiver = nullptr;    // null: abandoned
    std::size_t setup_segments = 0;  // segments before the one with the statement
    bool expects_context = false;
    bool context_refused = false;
    bool cancel_sent = false;
    std::string statement_text;  // set when this flight prepared it
    std::optional<Error> error;
    Rows rows;
    std::chrono::steady_clock::time_point started;
    Deadline deadline;
  };
  struct Prepared {
    std::string name;
    std::list<std::string>::iterator used;
  };

  // Name of the prepared statement for this text; sends what is needed to have it and counts the segments.
  const std::string& prepare(const std::string& sql, Flight& flight);
  void forget(const std::string& sql);
  void prepare_context(Flight& flight);
  bool send_context(const TransactionContext& context, Flight& flight);
  void take(pg_result* result);
  void deliver();
  void end_flight();

  std::size_t max_statements_;
  std::function<void()> finished_;
  std::deque<Flight> flights_;
  std::unordered_map<std::string, Prepared> prepared_;
  std::list<std::string> recently_used_;  // texts, most recent first
  std::uint64_t last_statement_ = 0;
  bool context_prepared_ = false;
  std::int64_t last_context_ = 0;
  std::int64_t contexts_left_ = 0;
  bool retired_ = false;
  std::optional<std::chrono::steady_clock::time_point> last_cancel_;
  std::vector<std::pair<Receiver*, Result<Rows>>> done_;
};

}  // namespace rowhouse::pg
