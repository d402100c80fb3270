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
