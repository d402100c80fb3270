#include "tenancy/context_keys.h"

#include <gtest/gtest.h>

namespace rowhouse::tenancy {
namespace {

TEST(ContextKeys, DifferByMasterKeyGenerationAndDatabase) {
  const Credentials credentials(std::string(32, 'k')), others(std::string(32, 'o'));
  const auto key = derive_context_key(credentials, 1, "rowhouse_pool_mini");
  EXPECT_EQ(key.id, 1);
  EXPECT_EQ(key.bytes.size(), pg::kContextKeyBytes);
  EXPECT_EQ(derive_context_key(credentials, 1, "rowhouse_pool_mini").bytes, key.bytes);
  EXPECT_NE(derive_context_key(credentials, 2, "rowhouse_pool_mini").bytes, key.bytes);
  EXPECT_NE(derive_context_key(credentials, 1, "rowhouse_pool_mina").bytes, key.bytes);
  EXPECT_NE(derive_context_key(others, 1, "rowhouse_pool_mini").bytes, key.bytes);
}

TEST(ContextKeys, LabelsOfGenerationAndDatabaseCannotRunIntoEachOther) {
  const Credentials credentials(std::string(32, 'k'));
  EXPECT_NE(derive_context_key(credentials, 1, "2 of database x").bytes,
            derive_context_key(credentials, 12, "x").bytes);
}

}  // namespace
}  // namespace rowhouse::tenancy
