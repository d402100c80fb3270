// Resumable uploads, and links to objects that need no credential. docs/objects.md.
#include <utility>

#include "base/text.h"
#include "http/body_reader.h"
#include "http/object_documents.h"
#include "http/routes/objects.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::TenantContext;

class UploadRoutes {
 public:
  UploadRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : uploads_(dependencies.objects.uploads()), options_(options) {}

  Reply begin(Call& call, const TenantContext& context) const {
    CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
    objects::NewObject object;
    std::optional<std::uint64_t> bytes;
    BodyReader reader(body);
    reader.text("key", object.key);
    reader.require("key");
    reader.text("content_type", object.content_type);
    reader.text("sha256", object.sha256);
    reader.number("bytes", [&](std::int64_t value) {
      bytes = static_cast<std::uint64_t>(value);
      return value >= 1 && *bytes <= options_.max_object_bytes ? "" : "is out of range";
    });
    CO_TRY_DO(reader.done());
    object.sha256 = to_lower_ascii(object.sha256);
    CO_TRY(const auto begun, co_await uploads_.begin(context, std::move(object), bytes, call.options));
    net::HttpResponse response = json_response(201, begun_upload_document(begun));
    response.headers.emplace_back("Location", "/v1/object-uploads/" + begun.upload.id);
    co_return response;
  }

  Reply list(Call& call, const TenantContext& context) const {
    CO_TRY(const auto uploads, co_await uploads_.list(context, call.options));
    json::Array data;
    for (const objects::Upload& upload : uploads) data.push_back(upload_document(upload));
    co_return json_response(200, json::Object{{"data", std::move(data)}});
  }

  Reply get(Call& call, const TenantContext& context) const {
    const std::string& id = call.parameters[0];
    CO_TRY(const auto found, co_await uploads_.find(context, id, call.options));
    co_return json_response(200, begun_upload_document(found));
  }

  Reply put_part(Call& call, const TenantContext& context) const {
    take_long(call, options_);
    const std::string& id = call.parameters[0];
    objects::UploadPart part;
    const auto number = parse_int64(call.parameters[1]);
    part.number = number && *number >= 1 && *number <= storage::kMaxParts ? static_cast<int>(*number) : 0;
    CO_TRY(part.sha256, sent_sha256(call.request));
    CO_TRY(const auto bytes, body_bytes(call.request));
    if (!bytes) co_return Error(ErrorCode::malformed_request, "a part needs Content-Length");
    part.bytes = *bytes;
    call.request.body->set_limit(options_.max_object_bytes);
    CO_TRY(const auto arrived,
           co_await uploads_.put_part(context, id, std::move(part), *call.request.body, call.options));
    co_return json_response(200, part_document(arrived));
  }

  Reply complete(Call& call, const TenantContext& context) const {
    take_long(call, options_);
    std::string sha256;
    if (call.request.header("Content-Type")) {
      CO_TRY(const json::Value body, co_await read_json(call.request, options_.max_json_bytes));
      BodyReader reader(body);
      reader.text("sha256", sha256);
      CO_TRY_DO(reader.done());
    }
    const std::string& id = call.parameters[0];
    CO_TRY(auto condition, write_condition(call.request));
    using Kind = objects::WriteCondition::Kind;
    if (condition.kind == Kind::version && condition.version.empty()) {
      co_return Error(ErrorCode::invalid_parameter, "If-Match of an upload must be an ETag");
    }
    sha256 = to_lower_ascii(sha256);
    CO_TRY(const auto stored,
           co_await uploads_.complete(context, id, std::move(sha256), std::move(condition), call.options));
    co_return stored_response(stored);
  }

  Reply abort(Call& call, const TenantContext& context) const {
    const std::string& id = call.parameters[0];
    CO_TRY_DO(co_await uploads_.abort(context, id, call.options));
    co_return net::HttpResponse(204);
  }

 private:
  objects::ObjectUploads& uploads_;
  const ApiOptions& options_;
};

// What follows /v1/object-links/: the signature is the credential.
class LinkRoutes {
 public:
  LinkRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : objects_(dependencies.objects),
        links_(dependencies.object_links),
        authenticator_(dependencies.authenticator),
        registry_(dependencies.registry),
        database_ready_(dependencies.database_ready),
        options_(options) {}

  Reply get(Call& call) const {
    take_long(call, options_);
    CO_TRY(const auto link, read_link(call, storage::LinkMethod::get));
    CO_TRY(const auto tenant, co_await tenant_of(link, call.options));
    CO_TRY(const TenantContext context, context_of(ObjectTask::read_by_link, tenant));
    std::string key = link.key;
    std::string name = link.download_name;
    auto reply = co_await send_object(objects_, call, context, std::move(key), std::move(name));
    if (reply.ok()) reply->log_tenant = tenant->slug;
    co_return reply;
  }

  Reply put(Call& call) const {
    CO_TRY(const auto link, read_link(call, storage::LinkMethod::put));
    const std::string_view sent = call.request.header("Content-Type").value_or("");
    if (!link.content_type.empty() && sent != link.content_type) {
      co_return Error(ErrorCode::unsupported_media_type, "the link is for " + link.content_type);
    }
    CO_TRY(const auto tenant, co_await tenant_of(link, call.options));
    CO_TRY(const TenantContext context, context_of(ObjectTask::write_by_link, tenant));
    std::string key = link.key;
    std::string type = link.content_type;
    auto reply = co_await receive_object(objects_, call, context, options_, std::move(key), std::move(type));
    if (reply.ok()) reply->log_tenant = tenant->slug;
    co_return reply;
  }

 private:
  using ObjectTask = identity::Authenticator::ObjectTask;

  Result<TenantContext> context_of(ObjectTask task, std::shared_ptr<const tenancy::Tenant> tenant) const {
    auto context = authenticator_.for_objects(task, std::move(tenant));
    if (!context.ok() && context.error().code == ErrorCode::credential_unknown) return not_valid();
    return context;
  }

  // One answer for all that is not ours, so that nothing is learnt about tenants.
  static Error not_valid() { return Error(ErrorCode::forbidden, "the link is not valid"); }

  Result<objects::SignedLink> read_link(const Call& call, storage::LinkMethod method) const {
    TRY(const auto parameters, read_query(call.request, {"method", "expires", "type", "name", "signature"}));
    objects::SignedLink link;
    link.method = method;
    std::string signature, said;
    for (const auto& [name, value] : parameters) {
      if (name == "expires") link.expires_s = parse_int64(value).value_or(0);
      if (name == "type") link.content_type = value;
      if (name == "name") link.download_name = value;
      if (name == "signature") signature = value;
      if (name == "method") said = value;
    }
    const auto tenant = Uuid::parse(call.parameters[0]);
    if (!tenant || said != objects::link_method_name(method)) return not_valid();
    link.tenant = *tenant;
    link.key = call.parameters[1];
    TRY_DO(links_.check(link, signature, std::chrono::system_clock::now()));
    return link;
  }

  Task<Result<std::shared_ptr<const tenancy::Tenant>>> tenant_of(const objects::SignedLink& link,
                                                                 CallOptions options) const {
    if (!database_ready_()) {
      co_return Error(ErrorCode::database_unavailable, "the database is being restarted");
    }
    const std::string id = link.tenant.to_string();
    auto tenant = co_await registry_.find_tenant(id, options);
    if (!tenant.ok() && tenant.error().code == ErrorCode::not_found) co_return not_valid();
    co_return tenant;
  }

  objects::ObjectService& objects_;
  const objects::ObjectLinks& links_;
  identity::Authenticator& authenticator_;
  tenancy::Registry& registry_;
  const std::function<bool()>& database_ready_;
  const ApiOptions& options_;
};

json::Value bytes_schema() { return json::Object{{"type", "string"}, {"format", "binary"}}; }

RouteInfo info_of(net::Method method, const char* path, Guard guard, const char* id, const char* title) {
  return RouteInfo(method, path, guard, id, title).in("Objects");
}

void add_link_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  const auto links = std::make_shared<LinkRoutes>(dependencies, options);
  const json::Value text = string_schema();
  router.add(info_of(Method::get, "/v1/object-links/{tenant}/{object...}", Guard::open(), "followGetLink",
                     "Get an object by a link")
                 .about("As POST /v1/objects/link made it. Answers as getObject does.")
                 .query("method", "get", text)
                 .query("expires", "Unix time", text)
                 .query("name", "What browsers save it as", text)
                 .query("signature", "Of all the others, the tenant and the key", text)
                 .returns(200, bytes_schema())
                 .response_type("application/octet-stream")
                 .with_etag(),
             OpenHandler([links](Call& call) { return links->get(call); }));
  router.add(info_of(Method::put, "/v1/object-links/{tenant}/{object...}", Guard::open(), "followPutLink",
                     "Store an object by a link")
                 .about("As POST /v1/objects/link made it. Answers as putObject does.")
                 .query("method", "put", text)
                 .query("expires", "Unix time", text)
                 .query("type", "Content-Type that must be sent", text)
                 .query("signature", "Of all the others, the tenant and the key", text)
                 .takes(bytes_schema())
                 .content_type("*/*")
                 .returns(201, ref("Object"))
                 .also(200)
                 .with_etag(),
             OpenHandler([links](Call& call) { return links->put(call); }));
}

}  // namespace

void add_object_upload_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  const auto routes = std::make_shared<UploadRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const Guard write = Guard::tenant("object:write");
  on(info_of(Method::post, "/v1/object-uploads", write, "beginObjectUpload", "Begin a resumable upload")
         .about("For large objects: parts of one size, each a request of its own, over a day if need be.")
         .takes(ref("ObjectUploadCreate"))
         .returns(201, ref("ObjectUpload"))
         .with_location(),
     &UploadRoutes::begin);
  on(info_of(Method::get, "/v1/object-uploads", write, "listObjectUploads", "List uploads under way")
         .returns(200, ref("ObjectUploads")),
     &UploadRoutes::list);
  on(info_of(Method::get, "/v1/object-uploads/{upload}", write, "getObjectUpload",
             "See which parts have arrived")
         .returns(200, ref("ObjectUpload")),
     &UploadRoutes::get);
  on(info_of(Method::put, "/v1/object-uploads/{upload}/parts/{part}", write, "putObjectPart", "Send a part")
         .about("With Content-Length. A part may be sent again.")
         .header("X-Checksum-SHA256", "SHA-256 that the part must have, hexadecimal")
         .takes(bytes_schema())
         .content_type("*/*")
         .returns(200, ref("ObjectPart")),
     &UploadRoutes::put_part);
  on(info_of(Method::post, "/v1/object-uploads/{upload}/complete", write, "completeObjectUpload",
             "Make the object out of its parts")
         .header("If-Match", "ETag of the version to replace")
         .header("If-None-Match", "*: only if there is none yet")
         .takes(ref("ObjectUploadComplete"))
         .returns(201, ref("Object"))
         .also(200)
         .with_etag(),
     &UploadRoutes::complete);
  on(info_of(Method::remove, "/v1/object-uploads/{upload}", write, "abortObjectUpload", "Give an upload up")
         .returns(204),
     &UploadRoutes::abort);
  add_link_routes(router, dependencies, options);
}

}  // namespace rowhouse::http
