#include "secrets/tenant_secrets.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/seal.h"

namespace rowhouse::secrets {

namespace {

constexpr char kFormat = 1;
constexpr std::size_t kHeaderBytes = 5;
constexpr std::string_view kForeignKeyViolation = "23503";
static_assert(kDataKeyBytes == crypto::kSealKeyBytes && kWrappingKeyBytes == crypto::kSealKeyBytes);

std::string youngest_sql() {
  return "SELECT " + std::string(kWrappedKeyColumns) +
         " FROM platform.tenant_data_keys k WHERE k.tenant_id = $1::uuid ORDER BY k.generation DESC LIMIT 1";
}

std::string one_sql() {
  return "SELECT " + std::string(kWrappedKeyColumns) +
         " FROM platform.tenant_data_keys k WHERE k.tenant_id = $1::uuid AND k.generation = $2::integer";
}

// Whoever comes second at the same time finds the first one's.
constexpr std::string_view kFirstKeySql =
    "INSERT INTO platform.tenant_data_keys (tenant_id, generation, wrapped, wrapping_key) "
    "VALUES ($1::uuid, 1, $2::bytea, $3::text) ON CONFLICT DO NOTHING";

std::string secret_context(const Uuid& tenant, std::string_view purpose) {
  return fmt::format("rowhouse secret 1 {} {}", tenant.to_string(), purpose);
}
std::string key_context(const Uuid& tenant, std::int32_t generation) {
  return fmt::format("rowhouse data key 1 {} {}", tenant.to_string(), generation);
}

std::string header(std::int32_t generation) {
  std::string bytes(1, kFormat);
  for (const int shift : {24, 16, 8, 0}) {
    bytes += static_cast<char>(static_cast<std::uint32_t>(generation) >> shift & 0xffU);
  }
  return bytes;
}

std::optional<std::int32_t> generation_in(std::string_view sealed) {
  if (sealed.size() <= kHeaderBytes || sealed[0] != kFormat) return std::nullopt;
  std::uint32_t generation = 0;
  for (std::size_t i = 1; i < kHeaderBytes; ++i) {
    generation = generation << 8U | static_cast<unsigned char>(sealed[i]);
  }
  return static_cast<std::int32_t>(generation);
}

Error does_not_open() {
  return Error(ErrorCode::internal,
               "a sealed secret does not open: it is damaged, or of another tenant or place");
}

// Leaves nothing behind of a key or a text, however its function ends.
class Wiped {
 public:
  explicit Wiped(std::string& secret) : secret_(secret) {}
  ~Wiped() { crypto::wipe(secret_); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;

 private:
  std::string& secret_;
};

pg::Statement statement(std::string sql, pg::Params params) {
  return pg::Statement(std::move(sql), std::move(params), pg::Access::write);
}

}  // namespace

std::string bytea_text(std::string_view bytes) { return "\\x" + to_hex(bytes); }

WrappedKey wrapped_key_from(const pg::Rows& rows, std::size_t row, std::size_t first_column) {
  WrappedKey key;
  key.generation = static_cast<std::int32_t>(parse_int64(rows.text(row, first_column)).value_or(0));
  key.wrapped = from_hex(rows.text(row, first_column + 1)).value_or("");
  key.fingerprint = rows.text(row, first_column + 2);
  return key;
}

std::string seal_with_key(std::string_view data_key, std::int32_t generation, const Uuid& tenant,
                          std::string_view purpose, std::string_view text) {
  return header(generation) + crypto::seal(data_key, secret_context(tenant, purpose), text);
}

std::string wrap_data_key(const WrappingKeys& keys, const Uuid& tenant, std::int32_t generation,
                          std::string_view data_key) {
  return crypto::seal(keys.current().bytes, key_context(tenant, generation), data_key);
}

Result<std::string> unwrap_data_key(const WrappingKeys& keys, const Uuid& tenant, const WrappedKey& key) {
  const WrappingKeys::Key* wrapping = keys.find(key.fingerprint);
  if (wrapping == nullptr) {
    return Error(
        ErrorCode::config_invalid,
        fmt::format("a secret is sealed under the wrapping key {}, which this server does not have: put "
                    "that key into wrapping_key_previous (or make it wrapping_key again) and start again",
                    key.fingerprint));
  }
  auto data_key = crypto::open_sealed(wrapping->bytes, key_context(tenant, key.generation), key.wrapped);
  if (!data_key || data_key->size() != kDataKeyBytes) return does_not_open();
  return std::move(*data_key);
}

Task<Result<WrappedKey>> TenantSecrets::youngest_key(const RunStatement& run, Uuid tenant,
                                                     CallOptions options) {
  const auto read = statement(youngest_sql(), {tenant.to_string()});
  CO_TRY(const auto found, co_await run(read, options));
  if (found.size() > 0) co_return wrapped_key_from(found, 0, 0);

  constexpr std::int32_t kFirst = 1;
  std::string data_key = crypto::random_bytes(kDataKeyBytes);
  const std::string wrapped = wrap_data_key(keys_, tenant, kFirst, data_key);
  crypto::wipe(data_key);
  const auto insert = statement(std::string(kFirstKeySql),
                                {tenant.to_string(), bytea_text(wrapped), keys_.current().fingerprint});
  const auto inserted = co_await run(insert, options);
  if (!inserted.ok() && inserted.error().detail(pg::kSqlState) == kForeignKeyViolation) {
    co_return Error(ErrorCode::not_found, "there is no such tenant");
  }
  if (!inserted.ok()) co_return inserted.error();
  CO_TRY(const auto again, co_await run(read, options));
  if (again.size() == 0) co_return Error(ErrorCode::not_found, "there is no such tenant");
  co_return wrapped_key_from(again, 0, 0);
}

Task<Result<std::string>> TenantSecrets::seal_by(RunStatement run, Uuid tenant, std::string purpose,
                                                 std::string text, CallOptions options) {
  const Wiped text_goes(text);
  if (text.size() > kMaxSecretBytes) {
    co_return Error(ErrorCode::validation_failed,
                    fmt::format("a secret has at most {} bytes", kMaxSecretBytes));
  }
  CO_TRY(const WrappedKey key, co_await youngest_key(run, tenant, options));
  CO_TRY(std::string data_key, unwrap_data_key(keys_, tenant, key));
  const Wiped key_goes(data_key);
  co_return seal_with_key(data_key, key.generation, tenant, purpose, text);
}

Task<Result<std::string>> TenantSecrets::seal(Uuid tenant, std::string purpose, std::string text,
                                              CallOptions options) {
  RunStatement run = [this](const pg::Statement& wanted, CallOptions call) {
    return platform_.run(nullptr, wanted, call);
  };
  co_return co_await seal_by(std::move(run), tenant, std::move(purpose), std::move(text), options);
}

Task<Result<std::string>> TenantSecrets::seal_in(pg::Session& session, Uuid tenant, std::string purpose,
                                                 std::string text, CallOptions options) {
  RunStatement run = [&session](const pg::Statement& wanted, CallOptions call) {
    return session.query(wanted, call);
  };
  co_return co_await seal_by(std::move(run), tenant, std::move(purpose), std::move(text), options);
}

Result<std::string> TenantSecrets::open_with(const WrappedKey& key, const Uuid& tenant,
                                             std::string_view purpose, std::string_view sealed) const {
  const auto generation = generation_in(sealed);
  if (!generation || *generation != key.generation) return does_not_open();
  TRY(std::string data_key, unwrap_data_key(keys_, tenant, key));
  const Wiped key_goes(data_key);
  auto text = crypto::open_sealed(data_key, secret_context(tenant, purpose), sealed.substr(kHeaderBytes));
  if (!text) return does_not_open();
  return std::move(*text);
}

Task<Result<std::string>> TenantSecrets::open(Uuid tenant, std::string purpose, std::string sealed,
                                              CallOptions options) {
  const auto generation = generation_in(sealed);
  if (!generation) co_return does_not_open();
  const auto read = statement(one_sql(), {tenant.to_string(), std::to_string(*generation)});
  CO_TRY(const auto rows, co_await platform_.run(nullptr, read, options));
  if (rows.size() == 0) co_return does_not_open();
  co_return open_with(wrapped_key_from(rows, 0, 0), tenant, purpose, sealed);
}

}  // namespace rowhouse::secrets
