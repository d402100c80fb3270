// Objects of a tenant by key, and what is done with many of them. docs/objects.md.
#include <utility>

#include "base/text.h"
#include "http/body_reader.h"
#include "http/object_documents.h"
#include "http/routes/objects.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::TenantContext;

constexpr int kDefaultPage = 100;
constexpr std::int64_t kDefaultLinkSeconds = 900;

// The handlers of one worker. Each: parse, one call of the service, render.
class ObjectRoutes {
 public:
  ObjectRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : objects_(dependencies.objects), links_(dependencies.object_links), options_(options) {}

  Reply get(Call& call, const TenantContext& context) const {
    take_long(call, options_);
    std::string key = call.parameters[0];
    auto reply = co_await send_object(objects_, call, context, std::move(key), std::string());
    // What a browser's session reads is not for other sites to embed; links are.
    if (reply.ok()) reply->headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
    co_return reply;
  }

  Reply put(Call& call, const TenantContext& context) const {
    std::string key = call.parameters[0];
    co_return co_await receive_object(objects_, call, context, options_, std::move(key), std::string());
  }

  Reply remove(Call& call, const TenantContext& context) const {
    CO_TRY(auto condition, write_condition(call.request));
    using Kind = objects::WriteCondition::Kind;
    if (condition.kind == Kind::absent) {
      co_return Error(ErrorCode::invalid_parameter, "If-None-Match means nothing for a deletion");
    }
    const std::string& key = call.parameters[0];
    CO_TRY_DO(co_await objects_.remove(context, key, condition.version, call.options));
    co_return net::HttpResponse(204);
  }

  Reply list(Call& call, const TenantContext& context) const {
    CO_TRY(const auto parameters, read_query(call.request, {"prefix", "delimiter", "limit", "cursor"}));
    objects::ListObjects request;
    request.limit = kDefaultPage;
    for (const auto& [name, value] : parameters) {
      if (name == "prefix") request.prefix = value;
      if (name == "cursor") request.cursor = value;
      if (name == "limit") {
        const auto limit = parse_int64(value);
        if (!limit || *limit < 1 || *limit > storage::kMaxListLimit) {
          co_return Error(ErrorCode::invalid_parameter,
                          "limit must be a number from 1 to " + std::to_string(storage::kMaxListLimit));
        }
        request.limit = static_cast<int>(*limit);
      }
      if (name != "delimiter" || value.empty()) continue;
      if (value != "/") co_return Error(ErrorCode::invalid_parameter, "delimiter must be /");
      request.folders = objects::ListObjects::Folders::grouped;
    }
    CO_TRY(const auto page, co_await objects_.list(context, std::move(request), call.options));
    co_return json_response(200, object_page_document(page));
  }

  Reply usage(Call& call, const TenantContext& context) const {
    CO_TRY(const auto usage, co_await objects_.usage(context, call.options));
    co_return json_response(200, usage_document(usage));
  }

  Reply remove_many(Call& call, const TenantContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    std::optional<std::vector<std::string>> keys;
    BodyReader reader(body);
    reader.texts("keys", keys);
    reader.require("keys");
    if (keys && (keys->empty() || keys->size() > storage::kMaxRemoveKeys)) {
      reader.fault("keys", "must be 1 to " + std::to_string(storage::kMaxRemoveKeys) + " keys");
    }
    CO_TRY_DO(reader.done());
    CO_TRY(const std::size_t removed, co_await objects_.remove_many(context, std::move(*keys), call.options));
    co_return json_response(200, json::Object{{"removed", static_cast<std::int64_t>(removed)}});
  }

  Reply copy(Call& call, const TenantContext& context) const {
    CO_TRY_DO(context.require("object:read"));
    take_long(call, options_);
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    std::string from, to;
    BodyReader reader(body);
    reader.text("from", from);
    reader.text("to", to);
    reader.require("from");
    reader.require("to");
    CO_TRY_DO(reader.done());
    CO_TRY(auto condition, write_condition(call.request));
    CO_TRY(condition, co_await settle_condition(objects_, context, condition, to, call.options));
    CO_TRY(const auto stored, co_await objects_.copy(context, std::move(from), std::move(to),
                                                     std::move(condition), call.options));
    co_return stored_response(stored);
  }

  Reply link(Call& call, const TenantContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    CO_TRY(const LinkWish wish, read_link(body));
    CO_TRY_DO(objects::check_object_key(wish.link.key));
    const bool reads = wish.link.method == storage::LinkMethod::get;
    if (!reads) CO_TRY_DO(context.require("object:write"));
    std::optional<std::string> url;
    // Bytes that are put count against the plan, so those links are always ours.
    if (reads && wish.via_provider) {
      CO_TRY(url, co_await objects_.provider_link(context, wish.link.key, wish.expires_in_s,
                                                  wish.link.download_name, call.options));
    } else if (reads) {
      CO_TRY_DO(co_await objects_.stat(context, wish.link.key, call.options));
    }
    objects::SignedLink link = wish.link;
    const WallTime end = std::chrono::system_clock::now() + std::chrono::seconds(wish.expires_in_s);
    link.tenant = context.tenant().id;
    link.expires_s = std::chrono::duration_cast<std::chrono::seconds>(end.time_since_epoch()).count();
    if (!url) url = links_.url(link);
    co_return json_response(200, json::Object{{"url", std::move(*url)},
                                              {"method", reads ? "GET" : "PUT"},
                                              {"expires_at", to_rfc3339(end)}});
  }

 private:
  struct LinkWish {
    objects::SignedLink link;
    std::int64_t expires_in_s = kDefaultLinkSeconds;
    bool via_provider = true;
  };
  static Result<LinkWish> read_link(const json::Value& body) {
    LinkWish wish;
    BodyReader reader(body);
    reader.text("key", wish.link.key);
    reader.require("key");
    reader.text("content_type", wish.link.content_type);
    reader.text("download_name", wish.link.download_name);
    reader.choice("method", [&](const std::string& value) {
      if (value == "put") wish.link.method = storage::LinkMethod::put;
      return value == "get" || value == "put" ? "" : "must be get or put";
    });
    reader.choice("via", [&](const std::string& value) {
      wish.via_provider = value == "any";
      return value == "any" || value == "rowhouse" ? "" : "must be any or rowhouse";
    });
    reader.number("expires_in", [&](std::int64_t value) {
      wish.expires_in_s = value;
      return value >= 1 && value <= objects::kMaxLinkSeconds ? "" : "must be 1 to 604800 seconds";
    });
    const bool puts = wish.link.method == storage::LinkMethod::put;
    if (puts && !wish.link.download_name.empty()) reader.fault("download_name", "is for links that get");
    if (!puts && !wish.link.content_type.empty()) reader.fault("content_type", "is for links that put");
    TRY_DO(reader.done());
    return wish;
  }

  objects::ObjectService& objects_;
  const objects::ObjectLinks& links_;
  const ApiOptions& options_;
};

json::Value bytes_schema() { return json::Object{{"type", "string"}, {"format", "binary"}}; }

constexpr const char* kChecksumText = "SHA-256 of the content, hexadecimal";

}  // namespace

void add_object_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<ObjectRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Objects");
  };
  const json::Value text = string_schema();
  on(info(Method::get, "/v1/objects/{object...}", Guard::tenant("object:read"), "getObject", "Get an object")
         .about("Streams the bytes; HEAD answers the headers alone.")
         .header("Range", "bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT: answered 206")
         .header("If-Range", "ETag: of any other version the whole is sent")
         .header("If-Match", "ETag that the object must have")
         .header("If-None-Match", "ETag of the version that the caller has: answered 304")
         .returns(200, bytes_schema())
         .response_type("application/octet-stream")
         .response_header("X-Checksum-SHA256", kChecksumText)
         .response_header("Content-Disposition", "Name under which a browser saves the file")
         .with_etag(),
     &ObjectRoutes::get);
  on(info(Method::put, "/v1/objects/{object...}", Guard::tenant("object:write"), "putObject",
          "Store an object")
         .about("Replaces what is there as a whole, or changes nothing. Counts against the plan's storage.")
         .header("X-Checksum-SHA256", "SHA-256 that the content must have, hexadecimal")
         .header("If-Match", "ETag of the version to replace, or *")
         .header("If-None-Match", "*: only if there is none yet")
         .takes(bytes_schema())
         .content_type("*/*")
         .returns(201, ref("Object"))
         .also(200)
         .response_header("X-Checksum-SHA256", kChecksumText)
         .with_etag(),
     &ObjectRoutes::put);
  on(info(Method::remove, "/v1/objects/{object...}", Guard::tenant("object:delete"), "deleteObject",
          "Delete an object")
         .header("If-Match", "ETag of the version to delete")
         .returns(204),
     &ObjectRoutes::remove);
  on(info(Method::get, "/v1/objects", Guard::tenant("object:read"), "listObjects", "List objects")
         .about("In the order of the keys' bytes, at the same cost for every page.")
         .query("prefix", "Only keys that begin so", text)
         .query("delimiter", "/: what follows the next / after the prefix is one folder", text)
         .query("limit", "Entries of a page, 1 to 1000",
                json::Object{{"type", "integer"}, {"default", kDefaultPage}})
         .query("cursor", "`next_cursor` of the page before, with the same prefix and delimiter", text)
         .returns(200, ref("ObjectPage")),
     &ObjectRoutes::list);
  on(info(Method::get, "/v1/object-usage", Guard::tenant("object:read"), "getObjectUsage",
          "What objects use of the plan")
         .returns(200, ref("ObjectUsage")),
     &ObjectRoutes::usage);
  on(info(Method::post, "/v1/objects/remove", Guard::tenant("object:delete"), "deleteObjects",
          "Delete many objects")
         .about("What is not there is no error.")
         .takes(ref("ObjectsRemove"))
         .returns(200, ref("ObjectsRemoved")),
     &ObjectRoutes::remove_many);
  on(info(Method::post, "/v1/objects/copy", Guard::tenant("object:write"), "copyObject", "Copy an object")
         .about("Within the tenant. Needs object:read as well.")
         .header("If-Match", "ETag of the version to replace, or *")
         .header("If-None-Match", "*: only if there is none yet")
         .takes(ref("ObjectCopy"))
         .returns(201, ref("Object"))
         .also(200)
         .with_etag(),
     &ObjectRoutes::copy);
  on(info(Method::post, "/v1/objects/link", Guard::tenant("object:read"), "linkObject",
          "Make a link that needs no credential")
         .about("A put needs object:write as well. A link cannot be taken back before it expires.")
         .takes(ref("ObjectLinkRequest"))
         .returns(200, ref("ObjectLink")),
     &ObjectRoutes::link);
}

}  // namespace rowhouse::http
