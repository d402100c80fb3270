#include "data/cursor.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace rowhouse::data {
namespace {

const std::string kKey(32, 'k');
const Uuid kTenant = *Uuid::parse("0197f3a2-89ab-7cde-8f01-23456789abcd");

CursorScope scope(std::string_view fingerprint) {
  CursorScope result;
  result.key = kKey;
  result.tenant = kTenant;
  result.fingerprint = fingerprint;
  return result;
}

TEST(CursorTest, ThereAndBack) {
  const std::vector<pg::Param> values = {"2026-11-21 05:40:00+00", std::nullopt, "",
                                         std::string("a\0\xff", 3)};
  const auto cursor = encode_cursor(scope("f"), values);
  ASSERT_TRUE(cursor.ok());
  EXPECT_EQ(cursor->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  const auto decoded = decode_cursor(scope("f"), *cursor, 4);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, values);
}

TEST(CursorTest, IsBoundToKeyTenantAndQuery) {
  const auto cursor = encode_cursor(scope("f"), {"1"});
  CursorScope other_tenant = scope("f");
  other_tenant.tenant = Uuid();
  CursorScope other_key = scope("f");
  const std::string key(32, 'K');
  other_key.key = key;
  for (const CursorScope& wrong : {scope("g"), scope(""), other_tenant, other_key}) {
    const auto decoded = decode_cursor(wrong, *cursor, 1);
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.error().code, ErrorCode::invalid_cursor);
  }
  EXPECT_FALSE(decode_cursor(scope("f"), *cursor, 2).ok());
  EXPECT_FALSE(decode_cursor(scope("f"), *cursor, 0).ok());
}

TEST(CursorTest, EveryChangedCharacterIsNoticed) {
  const std::string cursor = encode_cursor(scope("f"), {"some value", std::nullopt}).value();
  for (std::size_t i = 0; i < cursor.size(); ++i) {
    std::string changed = cursor;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(decode_cursor(scope("f"), changed, 2).ok()) << i;
  }
  for (std::size_t length = 0; length < cursor.size(); ++length) {
    EXPECT_FALSE(decode_cursor(scope("f"), cursor.substr(0, length), 2).ok()) << length;
  }
  for (const char* text : {"", "rubbish", "====", "AQ"})
    EXPECT_FALSE(decode_cursor(scope("f"), text, 2).ok()) << text;
  EXPECT_FALSE(decode_cursor(scope("f"), cursor + "A", 2).ok());
  EXPECT_FALSE(decode_cursor(scope("f"), std::string(kMaxCursorBytes + 1, 'A'), 2).ok());
}

TEST(CursorTest, ValuesThatAreTooLongAreAnErrorAtOnce) {
  const auto cursor = encode_cursor(scope("f"), {std::string(kMaxCursorBytes, 'x')});
  ASSERT_FALSE(cursor.ok());
  EXPECT_EQ(cursor.error().code, ErrorCode::invalid_parameter);
}

}  // namespace
}  // namespace rowhouse::data
