// Envelope encryption of what tenants entrust to us: each tenant has a data key, which is kept wrapped.
//
//   sealed   = 1 · generation of the data key (4 bytes, big-endian) · crypto::seal(data key, tenant +
//   purpose, text) wrapped  = crypto::seal(wrapping key, tenant + generation, data key)
//   platform.tenant_data_keys
//
// `purpose` says what the secret is and where it stands ("storage aws_s3 config"); the same words are needed
// to open it. Tables of sealed secrets are listed in sealed_columns.h. Nothing is cached: opening costs one
// small query. All of it belongs to the executor's thread of the pool; the wrapping keys are shared.
//
// Errors: not_found (no such tenant), config_invalid (the data key is wrapped with a key that this server
// does not have: the message has its fingerprint and says what to set), internal (not sealed for this tenant
// and purpose, or damaged), those of the database.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/call.h"
#include "base/result.h"
#include "base/task.h"
#include "base/uuid.h"
#include "pg/pool.h"
#include "secrets/wrapping_keys.h"

namespace rowhouse::secrets {

inline constexpr std::size_t kDataKeyBytes = 32;
inline constexpr std::size_t kMaxSecretBytes = 64 * 1024;

// A row of platform.tenant_data_keys.
struct WrappedKey {
  std::int32_t generation = 0;
  std::string wrapped;
  std::string fingerprint;  // of the wrapping key
};
// What wrapped_key_from() reads, of `k`. Read beside a sealed column in one statement
// ("JOIN platform.tenant_data_keys k ON (k.tenant_id, k.generation) = (c.tenant_id, c.data_key)"), so that no
// rotation comes in between.
inline constexpr std::string_view kWrappedKeyColumns =
    "k.generation, pg_catalog.encode(k.wrapped, 'hex'), k.wrapping_key";
inline constexpr std::size_t kWrappedKeyColumnCount = 3;
WrappedKey wrapped_key_from(const pg::Rows& rows, std::size_t row, std::size_t first_column);

// A bytea parameter.
std::string bytea_text(std::string_view bytes);

class TenantSecrets {
 public:
  // `keys` outlives this. `platform`: pool on the platform database as platform_service.
  TenantSecrets(pg::Pool& platform, const WrappingKeys& keys) : platform_(platform), keys_(keys) {}

  // For the column of a row that is written next. Makes the tenant's first data key. `text` is wiped.
  Task<Result<std::string>> seal(Uuid tenant, std::string purpose, std::string text, CallOptions options);
  // The same in the caller's transaction: for a tenant whose row nobody else can see yet.
  Task<Result<std::string>> seal_in(pg::Session& session, Uuid tenant, std::string purpose, std::string text,
                                    CallOptions options);

  Task<Result<std::string>> open(Uuid tenant, std::string purpose, std::string sealed, CallOptions options);
  // With the data key that was read together with it.
  Result<std::string> open_with(const WrappedKey& key, const Uuid& tenant, std::string_view purpose,
                                std::string_view sealed) const;

 private:
  using RunStatement = std::function<Task<Result<pg::Rows>>(const pg::Statement&, CallOptions)>;
  Task<Result<std::string>> seal_by(RunStatement run, Uuid tenant, std::string purpose, std::string text,
                                    CallOptions options);
  Task<Result<WrappedKey>> youngest_key(const RunStatement& run, Uuid tenant, CallOptions options);

  pg::Pool& platform_;
  const WrappingKeys& keys_;
};

// For rotation.cc.
std::string seal_with_key(std::string_view data_key, std::int32_t generation, const Uuid& tenant,
                          std::string_view purpose, std::string_view text);
std::string wrap_data_key(const WrappingKeys& keys, const Uuid& tenant, std::int32_t generation,
                          std::string_view data_key);  // with the current one
Result<std::string> unwrap_data_key(const WrappingKeys& keys, const Uuid& tenant, const WrappedKey& key);

}  // namespace rowhouse::secrets
