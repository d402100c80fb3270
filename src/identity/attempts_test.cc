#include "identity/attempts.h"

#include <gtest/gtest.h>

namespace rowhouse::identity {
namespace {

TEST(AddressKey, PortsAreDropped) {
  EXPECT_EQ(address_key("192.0.2.7:5000"), "192.0.2.7");
  EXPECT_EQ(address_key("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(address_key("[2001:db8:1:2:3:4:5:6]:443"), "20010db800010002/64");
  EXPECT_EQ(address_text("[2001:db8::1]:443"), "2001:db8::1");
  EXPECT_EQ(address_text("192.0.2.7:5000"), "192.0.2.7");
}

TEST(AddressKey, OneCustomersIPv6NetworkIsOneAddress) {
  EXPECT_EQ(address_key("2001:db8:1:2::1"), address_key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(address_key("2001:db8:1:2::1"), address_key("2001:db8:1:3::1"));
  EXPECT_EQ(address_key("::ffff:192.0.2.7"), "192.0.2.7");
}

TEST(AddressKey, WhatIsNoAddressIsLocal) {
  for (const char* peer : {"", "unix", "localhost:80", "[", "[]", "1.2.3", ":::::"}) {
    EXPECT_EQ(address_key(peer), "local") << peer;
    EXPECT_EQ(address_text(peer), "") << peer;
  }
}

}  // namespace
}  // namespace rowhouse::identity
