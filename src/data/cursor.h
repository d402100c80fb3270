// Opaque cursors: where a page ended, signed.
//
// A cursor is base64url(version ‖ values of the order columns ‖ first 16 bytes of HMAC-SHA256). The signature
// covers the tenant and the query's fingerprint, so that a cursor works for that tenant, resource, filters
// and order alone and nobody can make one. Values are PostgreSQL's own text. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "pg/types.h"

namespace rowhouse::data {

// Longer ones would not fit into a URL everywhere.
inline constexpr std::size_t kMaxCursorBytes = 6'000;

struct CursorScope {
  std::string_view key;  // 32 bytes
  Uuid tenant;
  std::string_view fingerprint;  // of the query
};

// Error: invalid_parameter when the values are too long for a cursor.
Result<std::string> encode_cursor(const CursorScope& scope, const std::vector<pg::Param>& values);
// `count`: how many values the order has. Error: invalid_cursor, always with the same words.
Result<std::vector<pg::Param>> decode_cursor(const CursorScope& scope, std::string_view cursor,
                                             std::size_t count);

}  // namespace rowhouse::data
