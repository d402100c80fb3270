#include "tenancy/grant.h"

#include <gmock/gmock.h>

namespace rowhouse::tenancy {
namespace {

using testing::ElementsAre;

std::shared_ptr<const Permissions> may(const std::vector<std::string>& patterns) {
  return std::make_shared<const Permissions>(Permissions::from(patterns).value());
}

std::shared_ptr<const Networks> in(const std::vector<std::string>& texts) {
  return std::make_shared<const Networks>(Networks::from(texts).value());
}

std::string fault_of(const std::string& network) {
  const auto list = Networks::from({network});
  return list.ok() ? "" : list.error().fields.at(0).path + " " + list.error().fields.at(0).message;
}

TEST(Networks, HoldAddressesOfBothFamilies) {
  const auto list = in({"10.0.0.0/8", "192.168.7.9", "2001:db8::/33", "::1"});
  EXPECT_THAT(list->texts(), ElementsAre("10.0.0.0/8", "192.168.7.9/32", "2001:db8::/33", "::1/128"));
  for (const char* inside : {"10.255.0.1:5", "192.168.7.9:65535", "[2001:db8:7fff::1]:80", "[::1]:1",
                             "[::ffff:10.0.0.1]:80", "10.0.0.1:1"}) {
    EXPECT_TRUE(list->contains_peer(inside)) << inside;
  }
  for (const char* outside : {"11.0.0.1:5", "192.168.7.8:1", "[2001:db8:8000::1]:80", "[::2]:1", "-", "",
                              "[::ffff:11.0.0.1]:80", "[10.0.0.1", "10.0.0:1", "localhost:80"}) {
    EXPECT_FALSE(list->contains_peer(outside)) << outside;
  }
}

TEST(Networks, OfAllAddressesKeepTheFamiliesApart) {
  EXPECT_TRUE(in({"0.0.0.0/0"})->contains_peer("203.0.113.7:1"));
  EXPECT_FALSE(in({"0.0.0.0/0"})->contains_peer("[2001:db8::1]:1"));
  EXPECT_TRUE(in({"::/0"})->contains_peer("[2001:db8::1]:1"));
  EXPECT_FALSE(in({"::/0"})->contains_peer("203.0.113.7:1"));
  EXPECT_FALSE(Networks::from({}).value().contains_peer("203.0.113.7:1"));
}

TEST(Networks, RefuseWhatIsNone) {
  for (const char* wrong :
       {"", "/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0/8", "010.0.0.1",
        "2001:db8::/129", "fe80::1%eth0", "all", "10.0.0.1 ", "1.2.3.4:80"}) {
    EXPECT_NE(fault_of(wrong), "") << wrong;
  }
  EXPECT_EQ(fault_of("10.1.2.3/8"), "/0 has bits behind the prefix; the network is 10.0.0.0/8");
  EXPECT_FALSE(Networks::from(std::vector<std::string>(Networks::kMaxNetworks + 1, "10.0.0.1")).ok());
}

TEST(Networks, CoverThoseInside) {
  EXPECT_TRUE(in({"10.0.0.0/8", "::1"})->covers(*in({"10.1.0.0/16", "10.2.3.4", "::1"})));
  EXPECT_FALSE(in({"10.1.0.0/16"})->covers(*in({"10.0.0.0/8"})));
  EXPECT_FALSE(in({"10.1.0.0/16"})->covers(*in({"10.1.0.1", "10.2.0.1"})));
  EXPECT_FALSE(in({"::/0"})->covers(*in({"10.1.0.0/16"})));
}

TEST(Grant, EndsAndIsBound) {
  const WallTime now = WallTime(std::chrono::hours(24));
  Grant grant;
  EXPECT_FALSE(grant.has_expired(now));
  EXPECT_TRUE(grant.admits("-"));
  grant.expires_at = now;
  grant.networks = in({"10.0.0.0/8"});
  EXPECT_TRUE(grant.has_expired(now));
  EXPECT_FALSE(grant.has_expired(now - std::chrono::milliseconds(1)));
  EXPECT_TRUE(grant.admits("10.0.0.1:1"));
  EXPECT_FALSE(grant.admits("11.0.0.1:1"));
}

TEST(Grant, NobodyGivesMoreThanTheyHave) {
  const WallTime end = WallTime(std::chrono::hours(24));
  Grant own, wanted;
  EXPECT_TRUE(check_within(own, wanted).ok());
  own.permissions = may({"lead:read", "key:*"});
  const auto path = [&] {
    const auto outcome = check_within(own, wanted);
    return outcome.ok() ? std::string() : outcome.error().fields.at(0).path;
  };
  EXPECT_EQ(path(), "/scopes");
  wanted.permissions = may({"lead:read", "key:manage"});
  EXPECT_EQ(path(), "");
  own.expires_at = end;
  EXPECT_EQ(path(), "/expires_at");
  wanted.expires_at = end + std::chrono::milliseconds(1);
  EXPECT_EQ(path(), "/expires_at");
  wanted.expires_at = end;
  EXPECT_EQ(path(), "");
  own.networks = in({"10.0.0.0/8"});
  EXPECT_EQ(path(), "/allowed_networks");
  wanted.networks = in({"0.0.0.0/0"});
  EXPECT_EQ(path(), "/allowed_networks");
  wanted.networks = in({"10.9.0.0/16"});
  EXPECT_EQ(path(), "");
}

}  // namespace
}  // namespace rowhouse::tenancy
