#include "objects/object_links.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace rowhouse::objects {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

SignedLink sample() {
  SignedLink link;
  link.tenant = Uuid::parse("0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11").value();
  link.key = "photos/a b\u00fc.jpg";
  link.expires_s = kNow + 60;
  link.download_name = "cat.jpg";
  return link;
}

const ObjectLinks& links() {
  static const ObjectLinks kLinks("https://api.example.com", std::string(32, 'k'));
  return kLinks;
}

TEST(ObjectLinks, MakesAUrlThatHoldsUntilItExpires) {
  const SignedLink link = sample();
  const std::string signature = links().signature(link);
  EXPECT_EQ(
      links().url(link),
      "https://api.example.com/v1/object-links/0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11/photos/a%20b%C3%BC.jpg"
      "?method=get&expires=1800000060&name=cat.jpg&signature=" +
          signature);
  EXPECT_TRUE(links().check(link, signature, at(kNow)).ok());
  EXPECT_TRUE(links().check(link, signature, at(kNow + 59)).ok());
  EXPECT_EQ(links().check(link, signature, at(kNow + 60)).error().code, ErrorCode::forbidden);
}

TEST(ObjectLinks, NothingOfItCanBeChanged) {
  const std::string signature = links().signature(sample());
  const auto refused = [&](auto change) {
    SignedLink link = sample();
    change(link);
    return !links().check(link, signature, at(kNow)).ok();
  };
  EXPECT_FALSE(refused([](SignedLink&) {}));
  EXPECT_TRUE(refused([](SignedLink& link) { link.tenant = Uuid(); }));
  EXPECT_TRUE(refused([](SignedLink& link) { link.key += "x"; }));
  EXPECT_TRUE(refused([](SignedLink& link) { link.expires_s += 1; }));
  EXPECT_TRUE(refused([](SignedLink& link) { link.method = storage::LinkMethod::put; }));
  EXPECT_TRUE(refused([](SignedLink& link) { link.content_type = "text/html"; }));
  EXPECT_TRUE(refused([](SignedLink& link) { link.download_name = ""; }));
  // Fields do not run into each other.
  EXPECT_TRUE(refused([](SignedLink& link) {
    link.content_type = link.download_name;
    link.download_name = "";
  }));
  const ObjectLinks others("https://api.example.com", std::string(32, 'o'));
  EXPECT_FALSE(others.check(sample(), signature, at(kNow)).ok());
  EXPECT_FALSE(links().check(sample(), "", at(kNow)).ok());
}

}  // namespace
}  // namespace rowhouse::objects
