#include "crypto/seal.h"

#include <gtest/gtest.h>

#include "crypto/crypto.h"

namespace rowhouse::crypto {
namespace {

const std::string kKey = derive_key("0123456789abcdef", "seal test");

TEST(Seal, OpensWithTheSameKeyAndContext) {
  const std::string sealed = seal(kKey, "totp ada", "secret");
  EXPECT_EQ(sealed.find("secret"), std::string::npos);
  EXPECT_EQ(open_sealed(kKey, "totp ada", sealed), "secret");
  EXPECT_EQ(open_sealed(kKey, "", seal(kKey, "", "")), "");
}

TEST(Seal, IsAnotherTextEachTime) { EXPECT_NE(seal(kKey, "c", "secret"), seal(kKey, "c", "secret")); }

TEST(Seal, OpensForNobodyElse) {
  const std::string sealed = seal(kKey, "totp ada", "secret");
  EXPECT_EQ(open_sealed(derive_key("0123456789abcdef", "other"), "totp ada", sealed), std::nullopt);
  EXPECT_EQ(open_sealed(kKey, "totp eve", sealed), std::nullopt);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_EQ(open_sealed(kKey, "totp ada", changed), std::nullopt) << i;
    EXPECT_EQ(open_sealed(kKey, "totp ada", sealed.substr(0, i)), std::nullopt) << i;
  }
}

}  // namespace
}  // namespace rowhouse::crypto
