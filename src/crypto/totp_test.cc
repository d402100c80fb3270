#include "crypto/totp.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace rowhouse::crypto {
namespace {

constexpr std::string_view kSecret = "12345678901234567890";

std::chrono::system_clock::time_point at(std::int64_t seconds) {
  return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
}

// RFC 6238, appendix B, the rows of SHA-1.
TEST(Totp, IsWhatTheStandardSays) {
  const std::array<std::pair<std::int64_t, const char*>, 6> vectors{{{59, "94287082"},
                                                                     {1111111109, "07081804"},
                                                                     {1111111111, "14050471"},
                                                                     {1234567890, "89005924"},
                                                                     {2000000000, "69279037"},
                                                                     {20000000000, "65353130"}}};
  for (const auto& [seconds, code] : vectors) {
    EXPECT_EQ(totp_code(kSecret, seconds / 30, 8), code) << seconds;
  }
}

TEST(Totp, AStepIsThirtySeconds) {
  EXPECT_EQ(totp_step_at(at(29)), 0);
  EXPECT_EQ(totp_step_at(at(30)), 1);
  EXPECT_EQ(totp_step_at(at(1111111109)), 0x23523EC);
}

// RFC 4226, appendix D.
TEST(Totp, HasSixDigits) {
  EXPECT_EQ(totp_code(kSecret, 0), "755224");
  EXPECT_EQ(totp_code(kSecret, 1), "287082");
  EXPECT_EQ(totp_code(kSecret, 9), "520489");
}

TEST(Totp, TakesTheStepsBesideThisOne) {
  const auto now = at(30 * 1'000 + 7);
  for (const std::int64_t step : {999, 1'000, 1'001}) {
    EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, step), now, std::nullopt), step);
  }
  for (const std::int64_t step : {998, 1'002}) {
    EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, step), now, std::nullopt), std::nullopt) << step;
  }
}

TEST(Totp, EachStepIsGoodOnceAndNoneBeforeIt) {
  const auto now = at(30 * 1'000);
  EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, 1'000), now, 999), 1'000);
  EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, 1'000), now, 1'000), std::nullopt);
  EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, 999), now, 1'000), std::nullopt);
  EXPECT_EQ(find_totp_step(kSecret, totp_code(kSecret, 1'001), now, 1'000), 1'001);
}

TEST(Totp, WhatIsNoCodeIsNone) {
  const auto now = at(30 * 1'000);
  const std::string code = totp_code(kSecret, 1'000);
  const std::string one_more = code + "0";
  const std::string another_secret = totp_code("another secret of 20", 1'000);
  for (const std::string& bad :
       {std::string(), code.substr(1), one_more, " " + code.substr(1), another_secret}) {
    EXPECT_EQ(find_totp_step(kSecret, bad, now, std::nullopt), std::nullopt) << bad;
  }
}

// RFC 4648, section 10.
TEST(Totp, Base32) {
  EXPECT_EQ(to_base32(""), "");
  EXPECT_EQ(to_base32("f"), "MY");
  EXPECT_EQ(to_base32("fo"), "MZXQ");
  EXPECT_EQ(to_base32("foo"), "MZXW6");
  EXPECT_EQ(to_base32("foob"), "MZXW6YQ");
  EXPECT_EQ(to_base32("fooba"), "MZXW6YTB");
  EXPECT_EQ(to_base32("foobar"), "MZXW6YTBOI");
}

TEST(Totp, TheAddressForAppsHoldsNamesThatCannotBreakIt) {
  EXPECT_EQ(totp_uri("foobar", "Row & House", "ada?secret=x@rows.example"),
            "otpauth://totp/"
            "Row%20%26%20House:ada%3Fsecret%3Dx%40rows.example?secret=MZXW6YTBOI&issuer=Row%20%26%20House"
            "&algorithm=SHA1&digits=6&period=30");
}

}  // namespace
}  // namespace rowhouse::crypto
