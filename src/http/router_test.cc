#include "http/router.h"

#include <gtest/gtest.h>

namespace rowhouse::http {
namespace {

OpenHandler nothing() {
  return [](Call&) -> Reply { co_return net::HttpResponse(200); };
}

Router sample() {
  Router router;
  router.add(RouteInfo(net::Method::get, "/v1/things", Guard::open(), "listThings", ""), nothing());
  router.add(RouteInfo(net::Method::post, "/v1/things", Guard::open(), "createThing", ""), nothing());
  router.add(RouteInfo(net::Method::get, "/v1/things/{thing}", Guard::open(), "getThing", ""), nothing());
  router.add(RouteInfo(net::Method::remove, "/v1/things/{thing}/keys/{key}", Guard::open(), "deleteKey", ""),
             nothing());
  return router;
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = sample();
  const auto match = router.match(net::Method::post, "/v1/things");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->info.operation_id, "createThing");
}

TEST(Router, DecodesParameters) {
  const Router router = sample();
  const auto match = router.match(net::Method::remove, "/v1/things/a%2Fb+c/keys/%C3%A9");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.parameters, (std::vector<std::string>{"a/b+c", "\u00e9"}));
}

TEST(Router, AnswersHeadAsGet) {
  EXPECT_NE(sample().match(net::Method::head, "/v1/things/1").route, nullptr);
}

TEST(Router, TellsWhichMethodsAPathOffers) {
  const auto match = sample().match(net::Method::patch, "/v1/things");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allowed, "GET, POST");
}

TEST(Router, KnowsNothingElse) {
  const Router router = sample();
  for (const char* path : {"/", "", "/v1", "/v1/things/", "/v1/things//keys/1", "/v1/thing", "/v1/things/%ff",
                           "/v1/things/%zz", "v1/things", "/V1/things"}) {
    const auto match = router.match(net::Method::get, path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allowed, "") << path;
  }
}

TEST(Router, TakesTheRestOfAPath) {
  Router router;
  router.add(RouteInfo(net::Method::get, "/v1/files/{file...}", Guard::open(), "getFile", ""), nothing());
  router.add(RouteInfo(net::Method::post, "/v1/files/remove", Guard::open(), "removeFiles", ""), nothing());
  router.add(RouteInfo(net::Method::get, "/v1/of/{who}/{file...}", Guard::open(), "getTheirs", ""),
             nothing());
  const auto rest = [&](std::string_view path) {
    const auto match = router.match(net::Method::get, path);
    return match.route == nullptr ? std::string("none") : match.parameters.back();
  };
  EXPECT_EQ(rest("/v1/files/a"), "a");
  EXPECT_EQ(rest("/v1/files/a/b%20c+d/e"), "a/b c+d/e");
  EXPECT_EQ(rest("/v1/files/a%2Fb"), "a/b");
  EXPECT_EQ(rest("/v1/files/a//b/"), "a//b/") << "what a key may be is not the router's to say";
  EXPECT_EQ(rest("/v1/files/remove"), "remove");
  EXPECT_EQ(rest("/v1/files/"), "none");
  EXPECT_EQ(rest("/v1/files"), "none");
  EXPECT_EQ(rest("/v1/files/a/%ff"), "none");
  const auto theirs = router.match(net::Method::get, "/v1/of/ada/x/y");
  ASSERT_NE(theirs.route, nullptr);
  EXPECT_EQ(theirs.parameters, (std::vector<std::string>{"ada", "x/y"}));
  const auto posted = router.match(net::Method::post, "/v1/files/remove");
  ASSERT_NE(posted.route, nullptr);
  EXPECT_EQ(posted.route->info.operation_id, "removeFiles");
}

TEST(RouterDeathTest, RefusesAHandlerOfAnotherAudience) {
  Router router;
  EXPECT_DEATH(
      router.add(RouteInfo(net::Method::get, "/v1/x", Guard::platform("tenants:read"), "x", ""), nothing()),
      "does not fit the audience");
}

TEST(RouterDeathTest, RefusesTheSameRouteTwice) {
  Router router = sample();
  EXPECT_DEATH(router.add(RouteInfo(net::Method::get, "/v1/things", Guard::open(), "again", ""), nothing()),
               "twice");
}

}  // namespace
}  // namespace rowhouse::http
