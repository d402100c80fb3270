#include "data/cursor.h"

#include <cstdint>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::data {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kSignatureBytes = 16;
constexpr char kNullMark = 'n';
constexpr char kValueMark = 'v';

std::string signature(const CursorScope& scope, std::string_view payload) {
  std::string message = "rowhouse cursor";
  const auto& tenant = scope.tenant.bytes();
  message.append(tenant.begin(), tenant.end());
  message += std::to_string(scope.fingerprint.size());
  message.push_back(':');
  message += scope.fingerprint;
  message += payload;
  return crypto::hmac_sha256(scope.key, message).substr(0, kSignatureBytes);
}

void append_size(std::string& out, std::size_t size) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift & 0xff));
}

// Reads one value at the front of `rest`; false if it is cut off.
bool take_value(std::string_view& rest, pg::Param& value) {
  if (rest.empty()) return false;
  const char mark = rest.front();
  rest.remove_prefix(1);
  if (mark == kNullMark) {
    value.reset();
    return true;
  }
  if (mark != kValueMark || rest.size() < 4) return false;
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(rest[i]);
  rest.remove_prefix(4);
  if (rest.size() < size) return false;
  value = std::string(rest.substr(0, size));
  rest.remove_prefix(size);
  return true;
}

}  // namespace

Result<std::string> encode_cursor(const CursorScope& scope, const std::vector<pg::Param>& values) {
  std::string payload(1, kVersion);
  for (const pg::Param& value : values) {
    payload.push_back(value ? kValueMark : kNullMark);
    if (!value) continue;
    append_size(payload, value->size());
    payload += *value;
  }
  std::string cursor = to_base64url(payload + signature(scope, payload));
  if (cursor.size() > kMaxCursorBytes) {
    return Error(
        ErrorCode::invalid_parameter,
        "the values that the rows are ordered by are too long to continue from; choose another order");
  }
  return cursor;
}

Result<std::vector<pg::Param>> decode_cursor(const CursorScope& scope, std::string_view cursor,
                                             std::size_t count) {
  const auto refuse = [] {
    return Error(
        ErrorCode::invalid_cursor,
        "the cursor does not belong to this query; start again without it, and keep filters and order the "
        "same from page to page");
  };
  if (cursor.size() > kMaxCursorBytes) return refuse();
  const auto bytes = from_base64url(cursor);
  if (!bytes || bytes->size() < 1 + kSignatureBytes) return refuse();
  std::string_view rest = *bytes;
  const std::string_view given = rest.substr(rest.size() - kSignatureBytes);
  rest.remove_suffix(kSignatureBytes);
  if (!crypto::constant_time_equal(given, signature(scope, rest)) || rest.front() != kVersion)
    return refuse();
  rest.remove_prefix(1);
  std::vector<pg::Param> values(count);
  for (pg::Param& value : values) {
    if (!take_value(rest, value)) return refuse();
  }
  if (!rest.empty()) return refuse();
  return values;
}

}  // namespace rowhouse::data
