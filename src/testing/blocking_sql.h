// SQL for tests, one statement after the other on a connection of its own, without an event loop.
//
// For setting a stage and for looking behind the scenes; what is tested itself goes through pg::Pool.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pg/types.h"

struct pg_conn;

namespace rowhouse::testing {

class BlockingSql {
 public:
  // Fails the current test if it cannot connect.
  explicit BlockingSql(const pg::ConnectionParameters& parameters);
  ~BlockingSql();
  BlockingSql(const BlockingSql&) = delete;
  BlockingSql& operator=(const BlockingSql&) = delete;

  using Row = std::vector<std::optional<std::string>>;
  // Runs one or more statements; the rows of the last. An error fails the current test and returns nothing.
  std::vector<Row> run(const std::string& sql);
  // First column of the first row; "" when there is none or it is null.
  std::string value(const std::string& sql);
  // Runs statements that are expected to fail: the SQLSTATE, or "" if they did not.
  std::string failure(const std::string& sql);
  // The same, for its message.
  std::string complaint(const std::string& sql);
  int backend_pid() const;
  // "" if a connection can be made, else why not.
  static std::string cannot_connect(const pg::ConnectionParameters& parameters);

 private:
  pg_conn* connection_;
};

}  // namespace rowhouse::testing
