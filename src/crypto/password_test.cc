#include "crypto/password.h"

#include <gtest/gtest.h>

namespace rowhouse::crypto {
namespace {

constexpr PasswordCost kCheap{64 * 1024, 1};

TEST(Password, IsRecognisedAndNothingElseIs) {
  const std::string hash = hash_password("correct horse", kCheap);
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$")) << hash;
  EXPECT_TRUE(verify_password(hash, "correct horse"));
  EXPECT_FALSE(verify_password(hash, "correct hors"));
  EXPECT_FALSE(verify_password(hash, "Correct horse"));
  EXPECT_FALSE(verify_password(hash, std::string_view("correct horse\0", 14)));
  EXPECT_FALSE(verify_password(hash, ""));
}

TEST(Password, AKnownHashOfAnotherProgramIsRead) {
  // The reference implementation: echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -l 32 -e
  EXPECT_TRUE(
      verify_password("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
                      "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
                      "password"));
}

TEST(Password, EachHashHasItsOwnSalt) {
  EXPECT_NE(hash_password("twice", kCheap), hash_password("twice", kCheap));
}

TEST(Password, WhatIsNoHashFitsNothing) {
  for (const std::string& hash :
       {std::string(), std::string("secret"), std::string("$argon2id$"), std::string(500, '$'),
        std::string("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(verify_password(hash, "secret")) << hash;
    EXPECT_TRUE(needs_rehash(hash, kCheap)) << hash;
  }
}

TEST(Password, AnotherCostAsksForARehash) {
  const std::string hash = hash_password("secret", kCheap);
  EXPECT_FALSE(needs_rehash(hash, kCheap));
  EXPECT_TRUE(needs_rehash(hash, PasswordCost{128 * 1024, 1}));
  EXPECT_TRUE(needs_rehash(hash, PasswordCost{64 * 1024, 2}));
}

TEST(Password, WithoutMemoryThereIsNoHash) {
  constexpr PasswordCost kHuge{1ULL << 60, 1};
  EXPECT_EQ(hash_password("secret", kHuge), "");
}

}  // namespace
}  // namespace rowhouse::crypto
