// What a Session holds. Private to src/pg.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "pg/exclusive_connection.h"
#include "pg/session.h"

namespace rowhouse::pg {

// To open a connection, whoever wants it.
inline constexpr std::chrono::seconds kConnectTimeout{5};

struct Session::Impl {
  using GiveBack = std::function<void(std::unique_ptr<ExclusiveConnection>)>;
  // `lender`: called by the session's destructor; empty for a connection that is closed with its session.
  Impl(std::unique_ptr<ExclusiveConnection> own, GiveBack lender)
      : connection(std::move(own)), give_back(std::move(lender)) {}

  std::unique_ptr<ExclusiveConnection> connection;
  GiveBack give_back;
};

}  // namespace rowhouse::pg
