// In whose name a transaction runs, and the proof of it that PostgreSQL checks (sql/tenant/000[23], guard/).
//
// A TransactionContext holds claims and the key to sign them. The signature is made for one backend and one
// transaction of it, so it is made by the connection that the transaction runs on, when it is sent.
//
// The signature: SHA-256 over a secret block and a message of fixed length, numbers big-endian:
//   key (64 bytes) ‖ 4 ‖ 25 ‖ 89 ‖ claims (89) ‖ 1184 ‖ 8 ‖ expires at (8, µs since 2000) ‖ 20 ‖ 8 ‖ number
//   (8) ‖ 23 ‖ 4 ‖ backend pid (4)
// The numbers between have 4 bytes each: the message is what record_send() of PostgreSQL makes of the four
// values (how many; then type, length and bytes of each). The claims are what is remembered during the
// transaction:
//   "rowhouse_context_" and in hexadecimal tenant (32 digits), principal (32) and role (8).
// The number is never said. Both sides count: PostgreSQL tells a session where it begins (kContextNumberSql),
// and each context that it is given takes the next one.
// A secret prefix is a sound MAC for messages of one length: Bellare, Canetti, Krawczyk, "Pseudorandom
// functions revisited: the cascade construction" (1996). HMAC would cost PostgreSQL a second hash for each
// request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/uuid.h"

namespace rowhouse::session {
class TenantDatabase;
}
namespace rowhouse::tenancy {
class RowEraser;
}

namespace rowhouse::pg {

inline constexpr std::size_t kContextKeyBytes = 64;

struct ContextKey {
  std::int32_t id = 0;  // the generation; rowhouse.context_keys.id
  std::string bytes;    // kContextKeyBytes, of one database
};

// What the principal is to the row rules of packs (rowhouse.principal_role()): no person at all, a person who
// reaches their own rows, a person who reaches all rows of the tenant.
enum class ContextRole : std::int32_t { service = 0, user_own_rows = 1, user_all_rows = 2 };

class TransactionContext {
 public:
  const Uuid& tenant() const { return tenant_; }
  const Uuid& principal() const { return principal_; }
  ContextRole role() const { return role_; }
  const ContextKey& key() const { return *key_; }

 private:
  // These alone: whoever else wants tenant rows must be handed a context, or go through them.
  friend class session::TenantDatabase;
  friend class tenancy::RowEraser;
  friend class TransactionContextForTests;
  TransactionContext(const Uuid& tenant, const Uuid& principal, ContextRole role,
                     std::shared_ptr<const ContextKey> key)
      : tenant_(tenant), principal_(principal), role_(role), key_(std::move(key)) {}

  Uuid tenant_, principal_;
  ContextRole role_;
  std::shared_ptr<const ContextKey> key_;
};

// The parameters of rowhouse.set_context() in binary form, one after the other.
class SignedContext {
 public:
  static constexpr int kParameters = 4;
  SignedContext(const TransactionContext& context, std::int32_t backend_pid, std::int64_t number,
                WallTime expires_at);

  const char* const* values() const { return values_.data(); }
  const int* lengths() const { return kLengths.data(); }
  const int* formats() const { return kFormats.data(); }

  SignedContext(const SignedContext&) = delete;
  SignedContext& operator=(const SignedContext&) = delete;

 private:
  static constexpr int kClaimsBytes = 89;
  static constexpr int kMacBytes = 32;
  static constexpr std::array<int, kParameters> kLengths{4, kClaimsBytes, 8, kMacBytes};
  static constexpr std::array<int, kParameters> kFormats{1, 1, 1, 1};
  static constexpr std::size_t kBytes = 4 + kClaimsBytes + 8 + kMacBytes;
  std::array<char, kBytes> bytes_;
  std::array<const char*, kParameters> values_;
};

// How long after it was signed a context may be set. Longer than any statement waits in a pipeline, and room
// for clocks that differ; a context that is set lasts until its transaction ends.
inline constexpr std::chrono::seconds kContextLifetime{60};

inline constexpr const char* kSetContextSql = "SELECT rowhouse.set_context($1, $2, $3, $4)";

// Takes a number of the session; its next context has the one after it.
inline constexpr const char* kContextNumberSql = "SELECT rowhouse.context_number()";

}  // namespace rowhouse::pg
