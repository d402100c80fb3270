// Objects in and out: what keys and links do alike.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "http/object_documents.h"
#include "http/problem.h"
#include "http/routes/objects.h"

namespace rowhouse::http {
namespace {

constexpr std::string_view kChecksumHeader = "X-Checksum-SHA256";
constexpr std::size_t kSha256Digits = 64;
// A version that was replaced between the look at the index and the store: look again.
constexpr int kMaxLooks = 3;
// Whatever a tenant stores, it runs nothing in our origin.
constexpr std::string_view kObjectPolicy = "default-src 'none'; sandbox";

// The bytes of an object on their way to the client.
class ObjectBody final : public net::BodySource {
 public:
  ObjectBody(objects::OpenObject object, std::uint64_t bytes, CallOptions options)
      : object_(std::move(object)), bytes_(bytes), options_(options) {}
  Task<Result<std::optional<std::string>>> next() override { return object_.download->next(options_); }
  std::optional<std::uint64_t> length() const override { return bytes_; }

 private:
  objects::OpenObject object_;
  std::uint64_t bytes_;
  CallOptions options_;
};

// For a HEAD: only how long it would be.
class NoBody final : public net::BodySource {
 public:
  explicit NoBody(std::uint64_t bytes) : bytes_(bytes) {}
  Task<Result<std::optional<std::string>>> next() override { co_return std::optional<std::string>(); }
  std::optional<std::uint64_t> length() const override { return bytes_; }

 private:
  std::uint64_t bytes_;
};

void add_object_headers(net::HttpResponse& response, const objects::Object& object, const std::string& name) {
  auto& headers = response.headers;
  headers.emplace_back("Content-Type", object.content_type);
  headers.emplace_back("ETag", object_etag(object.version));
  headers.emplace_back("Last-Modified", http_date(object.modified_ms));
  headers.emplace_back("Accept-Ranges", "bytes");
  if (!object.sha256.empty()) headers.emplace_back(kChecksumHeader, object.sha256);
  const std::string_view shown = name.empty() ? file_name_of(object.key) : std::string_view(name);
  headers.emplace_back("Content-Disposition", content_disposition(object.content_type, shown));
  headers.emplace_back("Content-Security-Policy", kObjectPolicy);
  headers.emplace_back("Cache-Control", "private, no-cache");
}

// Of which version the request wants nothing, or a part alone.
struct Wanted {
  bool not_modified = false;
  std::optional<storage::ByteRange> range;
};

Result<Wanted> wanted_of(const net::HttpRequest& request, const objects::Object& object) {
  Wanted wanted;
  const std::string etag = object_etag(object.version);
  const auto match = request.header("If-Match");
  if (match && !etag_listed(*match, etag, WeakEtags::differ)) {
    return Error(ErrorCode::precondition_failed, "the object is another version than If-Match names");
  }
  const auto none_match = request.header("If-None-Match");
  if (none_match && etag_listed(*none_match, etag, WeakEtags::count)) {
    wanted.not_modified = true;
    return wanted;
  }
  const auto range = request.header("Range");
  const auto if_range = request.header("If-Range");
  if (range && (!if_range || trim(*if_range) == etag)) {
    TRY(wanted.range, read_range(*range, object.bytes));
  }
  return wanted;
}

}  // namespace

void take_long(Call& call, const ApiOptions& options) {
  call.options.deadline = deadline_in(options.long_request_timeout);
}

Result<std::optional<std::uint64_t>> body_bytes(const net::HttpRequest& request) {
  std::optional<std::uint64_t> bytes;
  const auto header = request.header("Content-Length");
  if (header) {
    const auto number = parse_int64(*header);
    if (!number || *number < 0) return Error(ErrorCode::malformed_request, "Content-Length is no number");
    bytes = static_cast<std::uint64_t>(*number);
  } else if (!request.header("Transfer-Encoding")) {
    bytes = 0;
  }
  return bytes;
}

Result<std::string> sent_sha256(const net::HttpRequest& request) {
  const auto header = request.header(kChecksumHeader);
  if (!header) return std::string();
  std::string text = to_lower_ascii(trim(*header));
  if (text.size() != kSha256Digits || !from_hex(text)) {
    return Error(ErrorCode::invalid_parameter, "X-Checksum-SHA256 must be 64 hexadecimal digits");
  }
  return text;
}

net::HttpResponse stored_response(const objects::StoredObject& stored) {
  const bool created = stored.outcome == objects::StoredObject::Outcome::created;
  net::HttpResponse response = json_response(created ? 201 : 200, object_document(stored.object));
  response.headers.emplace_back("ETag", object_etag(stored.object.version));
  if (!stored.object.sha256.empty()) response.headers.emplace_back(kChecksumHeader, stored.object.sha256);
  return response;
}

Reply send_object(objects::ObjectService& service, Call& call, const identity::TenantContext& context,
                  std::string key, std::string name) {
  const bool head = call.request.method == net::Method::head;
  for (int look = 1;; ++look) {
    CO_TRY(objects::Object object, co_await service.stat(context, key, call.options));
    const auto wanted = wanted_of(call.request, object);
    if (!wanted.ok() && wanted.error().code == ErrorCode::range_not_satisfiable) {
      net::HttpResponse problem = problem_response(wanted.error(), call.request.request_id);
      problem.headers.emplace_back("Content-Range", "bytes */" + std::to_string(object.bytes));
      co_return problem;
    }
    if (!wanted.ok()) co_return wanted.error();
    net::HttpResponse response(wanted->range ? 206 : 200);
    add_object_headers(response, object, name);
    if (wanted->not_modified) {
      response.status = 304;
      co_return response;
    }
    std::uint64_t bytes = object.bytes;
    if (wanted->range) {
      const auto& range = *wanted->range;
      bytes = *range.last - range.first + 1;
      response.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.first) + "-" +
                                                         std::to_string(*range.last) + "/" +
                                                         std::to_string(object.bytes));
    }
    if (head || bytes == 0) {
      response.stream = std::make_unique<NoBody>(bytes);
      co_return response;
    }
    auto opened = co_await service.open(context, std::move(object), wanted->range, call.options);
    if (!opened.ok()) {
      if (opened.error().code == ErrorCode::not_found && look < kMaxLooks) continue;
      co_return std::move(opened).error();
    }
    response.stream = std::make_unique<ObjectBody>(std::move(*opened), bytes, call.options);
    co_return response;
  }
}

Task<Result<objects::WriteCondition>> settle_condition(objects::ObjectService& service,
                                                       const identity::TenantContext& context,
                                                       objects::WriteCondition condition, std::string key,
                                                       CallOptions options) {
  const bool any = condition.kind == objects::WriteCondition::Kind::version && condition.version.empty();
  if (!any) co_return condition;
  const auto object = co_await service.stat(context, std::move(key), options);
  if (!object.ok() && object.error().code == ErrorCode::not_found) {
    co_return Error(ErrorCode::precondition_failed, "there is no object with this key yet");
  }
  if (!object.ok()) co_return object.error();
  condition.version = object->version;
  co_return condition;
}

Reply receive_object(objects::ObjectService& service, Call& call, const identity::TenantContext& context,
                     const ApiOptions& options, std::string key, std::string content_type) {
  take_long(call, options);
  objects::NewObject object;
  CO_TRY(object.condition, write_condition(call.request));
  CO_TRY(object.condition, co_await settle_condition(service, context, object.condition, key, call.options));
  CO_TRY(object.sha256, sent_sha256(call.request));
  CO_TRY(const auto bytes, body_bytes(call.request));
  object.key = std::move(key);
  if (content_type.empty()) content_type = call.request.header("Content-Type").value_or("");
  if (!content_type.empty()) object.content_type = std::move(content_type);
  call.request.body->set_limit(options.max_object_bytes);
  if (bytes && *bytes > options.max_object_bytes) {
    co_return Error(ErrorCode::body_too_large,
                    "an object is at most " + std::to_string(options.max_object_bytes) + " bytes");
  }
  CO_TRY(const auto stored,
         co_await service.put(context, std::move(object), bytes, *call.request.body, call.options));
  co_return stored_response(stored);
}

}  // namespace rowhouse::http
