#include "verify/impersonation.h"

#include <fmt/format.h>

#include "base/text.h"
#include "crypto/crypto.h"
#include "tenancy/context_keys.h"

namespace rowhouse::verify {
namespace {

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift & 0xFF));
}

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000, counted from 1970

struct Claims {
  Uuid tenant;
  Person person;
  std::int64_t expires_at = 0, number = 0;
  std::int32_t backend = 0;
};

std::string hex_of(const Uuid& id) {
  const auto& bytes = id.bytes();
  return to_hex(std::string(bytes.begin(), bytes.end()));
}

std::string text_of(const Claims& claims) {
  return "rowhouse_context_" + hex_of(claims.tenant) + hex_of(claims.person.id) +
         fmt::format("{:08x}", static_cast<std::uint32_t>(claims.person.role));
}

// As record_send() of PostgreSQL writes the values of a row.
std::string mac_of(const std::string& key, const Claims& claims) {
  const std::string text = text_of(claims);
  std::string message = key;
  append_big_endian(message, 4, 4);
  append_big_endian(message, 25, 4);
  append_big_endian(message, text.size(), 4);
  message += text;
  append_big_endian(message, 1184, 4);
  append_big_endian(message, 8, 4);
  append_big_endian(message, static_cast<std::uint64_t>(claims.expires_at - kPostgresEpochUs), 8);
  append_big_endian(message, 20, 4);
  append_big_endian(message, 8, 4);
  append_big_endian(message, static_cast<std::uint64_t>(claims.number), 8);
  append_big_endian(message, 23, 4);
  append_big_endian(message, 4, 4);
  append_big_endian(message, static_cast<std::uint32_t>(claims.backend), 4);
  return crypto::sha256(message);
}

std::int64_t microseconds_from_now(std::chrono::seconds distance) {
  const auto when = std::chrono::system_clock::now() + distance;
  return std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch()).count();
}

}  // namespace

Result<void> Impersonation::learn(const std::string& database, SqlClient& administrator) {
  const SqlAnswer answer = administrator.run("SELECT max(id) FROM rowhouse.context_keys");
  const auto generation = parse_int64(answer.value());
  if (!answer.ok() || !generation) {
    return Error(ErrorCode::internal,
                 "cannot tell which key signs contexts of " + database + ": " + answer.words);
  }
  generations_[database] = static_cast<std::int32_t>(*generation);
  return {};
}

std::string Impersonation::statement(const std::string& database, SqlClient& client, const Uuid& tenant,
                                     Forgery forgery) {
  return statement(database, client, Wanted{tenant, Person(), forgery});
}

std::string Impersonation::statement(const std::string& database, SqlClient& client, const Uuid& tenant,
                                     const Person& person) {
  return statement(database, client, Wanted{tenant, person, Forgery::none});
}

std::string Impersonation::statement(const std::string& database, SqlClient& client, const Wanted& wanted) {
  const Forgery forgery = wanted.forgery;
  const std::int32_t generation = generations_[database];
  const std::string key_database = forgery == Forgery::wrong_key ? database + "_other" : database;
  const pg::ContextKey key = tenancy::derive_context_key(cluster_.credentials(), generation, key_database);
  Claims claims;
  claims.tenant = wanted.tenant;
  claims.person = wanted.person;
  claims.backend = client.backend_pid() + (forgery == Forgery::other_backend ? 1 : 0);
  claims.expires_at = microseconds_from_now(std::chrono::seconds(forgery == Forgery::expired ? -30 : 30));
  claims.number = client.take_context_number() + (forgery == Forgery::old_number ? 0 : 1);
  std::string mac = mac_of(key.bytes, claims);
  if (forgery == Forgery::wrong_mac) mac[7] = static_cast<char>(mac[7] ^ 1);
  if (forgery == Forgery::wrong_tenant) claims.tenant = Uuid::make_v7(std::chrono::system_clock::now());
  return fmt::format(
      "SELECT rowhouse.set_context({}, '{}', 'epoch'::timestamptz + '{} microseconds', '\\x{}'::bytea)",
      generation + (forgery == Forgery::wrong_key_id ? 1 : 0), text_of(claims), claims.expires_at,
      to_hex(mac));
}

}  // namespace rowhouse::verify
