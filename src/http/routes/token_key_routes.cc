// The keys that access tokens are signed with, for operators.
#include "http/body_reader.h"
#include "http/routes/people.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::PlatformContext;
using identity::SigningKeyInfo;
using identity::SigningKeys;

std::string_view state_name(SigningKeyInfo::State state) {
  switch (state) {
    case SigningKeyInfo::State::announced:
      return "announced";
    case SigningKeyInfo::State::signing:
      return "signing";
    case SigningKeyInfo::State::accepted:
      return "accepted";
  }
  return "";
}

json::Value key_list(const SigningKeys& keys) {
  json::Array data;
  for (const SigningKeyInfo& key : keys.list()) {
    json::Value entry;
    entry.set("kid", key.kid);
    entry.set("state", state_name(key.state));
    entry.set("not_before", to_rfc3339(key.not_before));
    entry.set("retired_at", key.retired_at ? json::Value(to_rfc3339(*key.retired_at)) : json::Value());
    data.push_back(std::move(entry));
  }
  return list_document(std::move(data));
}

Result<SigningKeys::Rotation> read_rotation(const json::Value& body) {
  auto rotation = SigningKeys::Rotation::overlapping;
  BodyReader reader(body);
  reader.flag("retire_now", [&](bool at_once) {
    rotation = at_once ? SigningKeys::Rotation::now : SigningKeys::Rotation::overlapping;
  });
  TRY_DO(reader.done());
  return rotation;
}

Task<Result<net::HttpResponse>> rotate(SigningKeys& keys, Call& call, const PlatformContext& context) {
  auto rotation = SigningKeys::Rotation::overlapping;
  if (!media_type(call.request).empty()) {
    CO_TRY(const json::Value body, co_await read_json(call.request, kMaxPeopleBodyBytes));
    CO_TRY(rotation, read_rotation(body));
  }
  CO_TRY_DO(co_await keys.rotate(rotation, acting(call, context.principal()), call.options));
  co_return json_response(201, key_list(keys));
}

Task<Result<net::HttpResponse>> list(SigningKeys& keys) { co_return json_response(200, key_list(keys)); }

}  // namespace

void add_token_key_routes(Router& router, const Dependencies& dependencies, const ApiOptions&) {
  using net::Method;
  SigningKeys& keys = dependencies.signing_keys;  // outlives the router
  router.add(RouteInfo(Method::get, "/v1/token-keys", Guard::platform("platform:read"), "listTokenKeys",
                       "List the keys of access tokens")
                 .in("Accounts")
                 .returns(200, ref("TokenKeyList")),
             PlatformHandler([&keys](Call&, const PlatformContext&) { return list(keys); }));
  router.add(
      RouteInfo(Method::post, "/v1/token-keys", Guard::platform("token-keys:manage"), "rotateTokenKey",
                "Rotate the key of access tokens")
          .in("Accounts")
          .about("The new key is published five minutes before it signs, and the one before is accepted "
                 "until its last token has expired: nobody has to sign in again. `retire_now` is for a "
                 "key that has leaked: every access token is refused at once, and clients refresh.")
          .takes(ref("TokenKeyRotate"))
          .returns(201, ref("TokenKeyList")),
      PlatformHandler(
          [&keys](Call& call, const PlatformContext& context) { return rotate(keys, call, context); }));
}

}  // namespace rowhouse::http
