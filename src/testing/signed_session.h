// Tenant contexts made by hand, to test what PostgreSQL does with them: right ones, and any wrong ones.
//
// The signature is computed here from its description (guard/README.md), not by the code that it tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pg/transaction_context.h"
#include "testing/blocking_sql.h"
#include "testing/postgres.h"

namespace rowhouse::testing {

// What rowhouse.set_context() is told, each part of which can be changed.
struct RawContext {
  std::int32_t key_id = 0;
  std::int64_t tenant_high = 0, tenant_low = 0, principal_high = 0, principal_low = 0;
  std::int32_t role = 0;
  std::int64_t expires_at_us = 0;  // since 1970
  std::int64_t number = 0;         // signed, but not said
  std::string mac;

  std::string claims() const;
  void sign(const pg::ContextKey& key, int backend_pid);
  std::string sql() const;  // SELECT rowhouse.set_context(…)
};

inline constexpr std::string_view kPrincipalOfTests = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0fa1b2";

// A session of a runtime role. It asks for the number of each context.
class SignedSession {
 public:
  explicit SignedSession(const pg::ConnectionParameters& parameters, pg::ContextKey key = context_key());

  // Whom the next contexts name; at first a service (role 0) with kPrincipalOfTests.
  void act_as(std::string_view principal, pg::ContextRole role);

  // A context that this session accepts as its next, unless another one is made; lasting as long as a
  // server's.
  RawContext context(std::string_view tenant);
  std::string set_context(std::string_view tenant) { return context(tenant).sql(); }
  void begin(std::string_view tenant);  // BEGIN and a context

  // As BlockingSql, in a transaction of its own in the name of a tenant.
  std::string value(std::string_view tenant, const std::string& sql);
  std::string failure(std::string_view tenant, const std::string& sql);
  void run(std::string_view tenant, const std::string& sql);

  BlockingSql& sql() { return sql_; }

 private:
  BlockingSql sql_;
  pg::ContextKey key_;
  std::string principal_{kPrincipalOfTests};
  pg::ContextRole role_ = pg::ContextRole::service;
};

}  // namespace rowhouse::testing
