#include "storage/digests.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace rowhouse::storage {
namespace {

constexpr std::string_view kNine = "123456789";  // the check value of the catalogues of CRCs

TEST(Digests, CheckValues) {
  EXPECT_EQ(crc32c(kNine), 0xe3069283U);
  EXPECT_EQ(crc64(kNine), 0xae8b14860a799888U);
  EXPECT_EQ(to_hex(md5("")), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(to_hex(md5("abc")), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
}

TEST(Digests, PiecesGiveTheWhole) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text.push_back(static_cast<char>(i * 7));
  for (std::size_t cut = 0; cut <= 64; ++cut) {
    const std::string_view whole = text;
    const std::string_view first = whole.substr(0, cut), second = whole.substr(cut);
    EXPECT_EQ(crc32c(second, crc32c(first)), crc32c(text));
    EXPECT_EQ(crc64(second, crc64(first)), crc64(text));
    EXPECT_EQ(crc32c_combine(crc32c(first), crc32c(second), second.size()), crc32c(text));
  }
}

TEST(Digests, Base64) {
  EXPECT_EQ(to_base64("\xfb\xff\xfe"), "+//+");
  EXPECT_EQ(to_base64("a"), "YQ==");
  EXPECT_EQ(from_base64("YQ=="), "a");
  EXPECT_EQ(from_base64(""), "");
  for (const std::string_view bad : {"YQ", "YQ=", "YR==", "Y===", "-_-_", "YQ==YQ==", " YQ="}) {
    EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(crc32c_base64(0xe3069283U), "4waSgw==");
  EXPECT_EQ(crc64_base64(1), "AQAAAAAAAAA=");
}

}  // namespace
}  // namespace rowhouse::storage
