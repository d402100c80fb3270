#include "tenancy/api_key.h"

#include <gtest/gtest.h>

#include <set>

namespace rowhouse::tenancy {
namespace {

TEST(ApiKeyForm, MadeOnesHaveIt) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    const auto key = make_credential(kTenantKeyPrefix);
    EXPECT_TRUE(has_credential_form(key, kTenantKeyPrefix)) << key;
    EXPECT_FALSE(has_credential_form(key, kAdminTokenPrefix));
    EXPECT_EQ(hint_of_credential(key).size(), kKeyHintCharacters);
    keys.insert(key);
  }
  EXPECT_EQ(keys.size(), 1000U);
}

TEST(ApiKeyForm, OthersDoNot) {
  const auto key = make_credential(kTenantKeyPrefix);
  for (const auto& bad :
       {std::string(), key.substr(1), key + "A", key.substr(0, key.size() - 1), " " + key,
        "TK_" + key.substr(3), "tk_" + std::string(43, '+'), "tk_" + std::string(42, 'A') + "="}) {
    EXPECT_FALSE(has_credential_form(bad, kTenantKeyPrefix)) << bad;
  }
  // Stray bits in the last character would give one key several spellings.
  EXPECT_TRUE(has_credential_form("tk_" + std::string(43, 'A'), kTenantKeyPrefix));
  EXPECT_FALSE(has_credential_form("tk_" + std::string(42, 'A') + "B", kTenantKeyPrefix));
}

TEST(ApiKeyForm, TheHashIsSha256OfTheWholeText) {
  EXPECT_EQ(bytea_text(hash_of_credential("abc")),
            "\\xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace rowhouse::tenancy
