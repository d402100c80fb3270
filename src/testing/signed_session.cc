#include "testing/signed_session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "base/text.h"
#include "base/uuid.h"
#include "crypto/crypto.h"

namespace rowhouse::testing {
namespace {

constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;  // 2000, counted from 1970

void append(std::string& to, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) to += static_cast<char>(value >> shift & 0xFF);
}

std::int64_t half(const Uuid& id, std::size_t first) {
  std::uint64_t value = 0;
  for (std::size_t i = first; i < first + 8; ++i) value = value << 8 | id.bytes()[i];
  return static_cast<std::int64_t>(value);
}

Uuid parsed(std::string_view text) {
  const auto id = Uuid::parse(text);
  EXPECT_TRUE(id.has_value()) << text;
  return id.value_or(Uuid());
}

}  // namespace

std::string RawContext::claims() const {
  std::string bytes;
  for (const std::int64_t part : {tenant_high, tenant_low, principal_high, principal_low}) {
    append(bytes, static_cast<std::uint64_t>(part), 8);
  }
  append(bytes, static_cast<std::uint32_t>(role), 4);
  return "rowhouse_context_" + to_hex(bytes);
}

void RawContext::sign(const pg::ContextKey& key, int backend_pid) {
  std::string message = key.bytes;
  const auto column = [&message](std::uint64_t type, const std::string& bytes) {
    append(message, type, 4);
    append(message, bytes.size(), 4);
    message += bytes;
  };
  const auto number_column = [&column](std::uint64_t type, std::int64_t value, int size) {
    std::string bytes;
    append(bytes, static_cast<std::uint64_t>(value), size);
    column(type, bytes);
  };
  append(message, 4, 4);
  column(25, claims());
  number_column(1184, expires_at_us - kPostgresEpochUs, 8);
  number_column(20, number, 8);
  number_column(23, backend_pid, 4);
  key_id = key.id;
  mac = crypto::sha256(message);
}

std::string RawContext::sql() const {
  return "SELECT rowhouse.set_context('" + std::to_string(key_id) + "', '" + claims() +
         "', 'epoch'::timestamptz + '" + std::to_string(expires_at_us) + " microseconds', '\\x" +
         to_hex(mac) + "')";
}

SignedSession::SignedSession(const pg::ConnectionParameters& parameters, pg::ContextKey key)
    : sql_(parameters), key_(std::move(key)) {
  sql_.run("SET search_path = ''");
}

void SignedSession::act_as(std::string_view principal, pg::ContextRole role) {
  principal_ = principal;
  role_ = role;
}

RawContext SignedSession::context(std::string_view tenant) {
  const Uuid tenant_id = parsed(tenant);
  const Uuid principal_id = parsed(principal_);
  const auto expires_at = std::chrono::system_clock::now() + pg::kContextLifetime;
  RawContext context;
  context.tenant_high = half(tenant_id, 0);
  context.tenant_low = half(tenant_id, 8);
  context.principal_high = half(principal_id, 0);
  context.principal_low = half(principal_id, 8);
  context.role = static_cast<std::int32_t>(role_);
  context.expires_at_us =
      std::chrono::duration_cast<std::chrono::microseconds>(expires_at.time_since_epoch()).count();
  // Where there are no numbers, the context is made all the same.
  const bool is_counted = sql_.failure(pg::kContextNumberSql).empty();
  context.number = is_counted ? parse_int64(sql_.value(pg::kContextNumberSql)).value_or(0) + 1 : 1;
  context.sign(key_, sql_.backend_pid());
  return context;
}

void SignedSession::begin(std::string_view tenant) {
  sql_.run("BEGIN");
  sql_.run(set_context(tenant));
}

std::string SignedSession::value(std::string_view tenant, const std::string& sql) {
  begin(tenant);
  auto value = sql_.value(sql);
  sql_.run("COMMIT");
  return value;
}

std::string SignedSession::failure(std::string_view tenant, const std::string& sql) {
  begin(tenant);
  auto state = sql_.failure(sql);
  sql_.run("COMMIT");
  return state;
}

void SignedSession::run(std::string_view tenant, const std::string& sql) {
  begin(tenant);
  sql_.run(sql);
  sql_.run("COMMIT");
}

}  // namespace rowhouse::testing
