#include "storage/gcs_store.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/gcs_store_impl.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kBoundaryBytes = 16;
constexpr std::size_t kMaxTokenAnswerBytes = 64 * 1024;
constexpr std::chrono::seconds kTokenMargin{120};
constexpr std::int64_t kMaxTokenSeconds = 86'400;

std::string text_of(const json::Value& object, std::string_view name) {
  const json::Value* member = object.find(name);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

Error bad_answer() {
  return Error(ErrorCode::storage_failed, "the object storage answered something else than the expected JSON")
      .with_detail("provider_code", "BadJson");
}

Result<json::Value> parse_answer(std::string_view body) {
  auto parsed = json::parse(body);
  if (!parsed.ok() || parsed->as_object() == nullptr) return bad_answer();
  return parsed;
}

// Says why in {"error": {"errors": [{"reason": …}], "message": …}}.
std::string reason_of(const json::Value& answer) {
  const json::Value* error = answer.find("error");
  if (error == nullptr) return {};
  if (text_of(*error, "message").find("bucket does not exist") != std::string::npos) return "NoSuchBucket";
  const json::Value* errors = error->find("errors");
  const json::Array* list = errors != nullptr ? errors->as_array() : nullptr;
  return list != nullptr && !list->empty() ? text_of(list->front(), "reason") : std::string();
}

ErrorCode code_of(std::string_view reason, int status) {
  if (reason == "NoSuchBucket") return ErrorCode::storage_failed;
  switch (status) {
    case 404:
    case 410:
      return ErrorCode::not_found;
    case 412:
      return ErrorCode::precondition_failed;
    case 416:
      return ErrorCode::range_not_satisfiable;
    default:
      return ErrorCode::storage_failed;
  }
}

// A body of two parts around what the source gives (RFC 2387).
class RelatedSource final : public net::TransferSource {
 public:
  RelatedSource(std::string head, net::TransferSource& source, std::string foot)
      : head_(std::move(head)), source_(source), foot_(std::move(foot)) {}

  Task<Result<std::optional<std::string>>> next() override {
    if (!head_.empty()) co_return std::optional<std::string>(std::exchange(head_, {}));
    if (!source_ended_) {
      CO_TRY(auto piece, co_await source_.next());
      if (piece.has_value()) co_return piece;
      source_ended_ = true;
    }
    if (!foot_.empty()) co_return std::optional<std::string>(std::exchange(foot_, {}));
    co_return std::optional<std::string>();
  }

 private:
  std::string head_;
  net::TransferSource& source_;
  std::string foot_;
  bool source_ended_ = false;
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_gcs(const StoreTools& tools, const GcsConfig& config) {
  TRY(Endpoint endpoint, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(endpoint.host, endpoint.port));
  TRY(const Endpoint tokens, parse_endpoint(config.token_uri));
  TRY_DO(tools.egress.check_host(tokens.host, tokens.port));
  TRY(GcsSigner signer,
      GcsSigner::create(config.client_email, config.private_key_id, config.private_key_pem));
  std::string identity =
      "gcs " + endpoint.origin() + endpoint.path + " " + config.bucket + " " + config.prefix;
  RemoteStore::Place place{std::move(endpoint), config.prefix, config.cdn_base, std::move(identity)};
  return std::unique_ptr<ObjectStore>(std::make_unique<GcsStore>(tools, std::move(place), std::move(signer),
                                                                 config.token_uri, config.bucket));
}

GcsStore::GcsStore(const StoreTools& tools, Place place, GcsSigner signer, std::string token_uri,
                   std::string bucket)
    : RemoteStore(tools, std::move(place)),
      signer_(std::move(signer)),
      token_uri_(std::move(token_uri)),
      bucket_(std::move(bucket)) {}

std::string GcsStore::objects_path() const {
  return endpoint().path + "/storage/v1/b/" + percent_encode(bucket_) + "/o";
}
std::string GcsStore::object_path(std::string_view key) const {
  return objects_path() + "/" + percent_encode(full_key(key));
}
std::string GcsStore::upload_path() const {
  return endpoint().path + "/upload/storage/v1/b/" + percent_encode(bucket_) + "/o";
}

Task<Result<std::string>> GcsStore::access_token(CallOptions options) {
  if (!token_.empty() && now() + kTokenMargin < token_ends_) co_return token_;
  const WallTime asked = now();
  net::TransferRequest request("POST", token_uri_);
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  const Query form = {{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                      {"assertion", signer_.assertion(token_uri_, asked)}};
  request.body = escape_query(form);
  CO_TRY(Response response, co_await tools().transfers.send(std::move(request), options));
  const int status = response->status();
  CO_TRY(const std::string body, co_await response->read_all(kMaxTokenAnswerBytes, options));
  const auto answer = json::parse(body);
  if (status != 200) {
    const std::string why = answer.ok() ? text_of(*answer, "error") : std::string();
    co_return provider_error(ErrorCode::storage_failed, why, status);
  }
  if (!answer.ok() || text_of(*answer, "access_token").empty()) co_return bad_answer();
  const json::Value* lives = answer->find("expires_in");
  const std::int64_t seconds = lives != nullptr ? lives->as_int64().value_or(0) : 0;
  token_ = text_of(*answer, "access_token");
  token_ends_ = asked + std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kMaxTokenSeconds));
  co_return token_;
}

bool GcsStore::renew_credentials() {
  token_.clear();
  return true;
}

Task<Result<net::TransferRequest>> GcsStore::prepare(const StoreRequest& request, CallOptions options) {
  CO_TRY(const std::string token, co_await access_token(options));
  const std::string query = escape_query(request.query);
  net::TransferRequest prepared(request.method,
                                endpoint().origin() + request.path + (query.empty() ? "" : "?" + query));
  prepared.headers = request.headers;
  prepared.headers.emplace_back("Authorization", "Bearer " + token);
  prepared.body = request.body;
  prepared.source = request.source;
  prepared.source_bytes = request.source_bytes;
  co_return prepared;
}

Error GcsStore::failure(const StoreRequest&, const Answer& answer) const {
  const auto parsed = json::parse(answer.body);
  const std::string reason = parsed.ok() ? reason_of(*parsed) : std::string();
  return provider_error(code_of(reason, answer.status), reason, answer.status);
}

Result<ObjectInfo> GcsStore::info_of(const json::Value& object) const {
  ObjectInfo info;
  info.key = own_key(text_of(object, "name")).value_or("");
  info.bytes = number_or_zero(text_of(object, "size"));
  // The generation: the only name of a version that every answer has.
  info.etag = text_of(object, "generation");
  info.content_type = text_of(object, "contentType");
  const json::Value* metadata = object.find("metadata");
  if (metadata != nullptr) info.sha256 = text_of(*metadata, "sha256");
  info.modified_ms = parse_rfc3339(text_of(object, "updated"));
  if (info.etag.empty()) return bad_answer();
  return info;
}

// Compares what is there with what was sent; a wrong one is removed.
Task<Result<void>> GcsStore::verify(const json::Value& object, std::uint64_t bytes, std::uint32_t crc,
                                    CallOptions options) {
  if (text_of(object, "crc32c") == crc32c_base64(crc) && number_or_zero(text_of(object, "size")) == bytes) {
    co_return Result<void>();
  }
  const std::string name = own_key(text_of(object, "name")).value_or("");
  if (check_key(name).ok()) CO_TRY_DO(co_await remove_one(name, options));
  co_return provider_error(ErrorCode::checksum_mismatch, "crc32c", 200);
}

Task<Result<ObjectInfo>> GcsStore::put(std::string key, std::uint64_t bytes, ByteSource& source,
                                       PutOptions put_options, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  CheckedSource checked(source, bytes, CheckedSource::sha256_digest | CheckedSource::crc32c_digest,
                        put_options.sha256);
  const bool small = bytes <= kPieceBytes;
  std::string small_body;
  if (small) {
    CO_TRY(small_body, co_await read_source(checked, bytes));
  }
  const std::string known_sha256 = small ? checked.sha256() : put_options.sha256;
  json::Value metadata;
  metadata.set("name", full_key(key));
  metadata.set("contentType", put_options.content_type);
  if (small) metadata.set("crc32c", crc32c_base64(checked.crc32c()));  // the service compares
  if (!known_sha256.empty()) {
    json::Value own;
    own.set("sha256", known_sha256);
    metadata.set("metadata", std::move(own));
  }
  const std::string boundary = to_hex(crypto::random_bytes(kBoundaryBytes));
  const std::string part_type =
      put_options.content_type.empty() ? "application/octet-stream" : put_options.content_type;
  std::string head = "--" + boundary + "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" +
                     json::serialize(metadata) + "\r\n--" + boundary + "\r\nContent-Type: " + part_type +
                     "\r\n\r\n";
  std::string foot = "\r\n--" + boundary + "--\r\n";
  StoreRequest request("POST", upload_path());
  request.query = {{"uploadType", "multipart"}, {"name", full_key(key)}};
  if (put_options.condition == PutCondition::absent) request.query.emplace_back("ifGenerationMatch", "0");
  request.headers.emplace_back("Content-Type", "multipart/related; boundary=" + boundary);
  const std::uint64_t whole_bytes = head.size() + bytes + foot.size();
  Repeat repeat = Repeat::never;
  if (small) {
    request.body = head + small_body + foot;
    if (put_options.condition == PutCondition::none) repeat = Repeat::when_it_failed;
  }
  RelatedSource related(std::move(head), checked, std::move(foot));
  if (!small) {
    request.source = &related;
    request.source_bytes = whole_bytes;
  }
  CO_TRY(const Answer answer, co_await call(std::move(request), repeat, options));
  CO_TRY(const json::Value object, parse_answer(answer.body));
  CO_TRY_DO(co_await verify(object, bytes, checked.crc32c(), options));
  CO_TRY(ObjectInfo info, info_of(object));
  info.sha256 = checked.sha256();
  co_return info;
}

Task<Result<std::unique_ptr<Download>>> GcsStore::get(std::string key, std::optional<ByteRange> range,
                                                      CallOptions options) {
  CO_TRY_DO(check_key(key));
  StoreRequest request("GET", object_path(key));
  request.query = {{"alt", "media"}};
  if (range.has_value()) {
    CO_TRY_DO(check_range(*range));
    request.headers.emplace_back("Range", range_header(*range));
  }
  CO_TRY(Response response, co_await open(std::move(request), Repeat::when_it_failed, options));
  Answer head;
  head.headers = response->headers();
  if (range.has_value() && response->status() != 206) {
    co_return Error(ErrorCode::storage_failed, "the object storage does not know ranges");
  }
  ObjectInfo info;
  info.key = key;
  const std::uint64_t bytes = number_or_zero(head.header("Content-Length"));
  info.bytes = bytes_of_content_range(head.header("Content-Range")).value_or(bytes);
  info.etag = std::string(head.header("x-goog-generation"));
  info.content_type = std::string(head.header("Content-Type"));
  info.sha256 = std::string(head.header("x-goog-meta-sha256"));
  info.modified_ms = parse_http_date(head.header("Last-Modified"));
  std::string sha256 = range.has_value() ? "" : info.sha256;
  co_return make_download(std::move(response), std::move(info), bytes, std::move(sha256));
}

Task<Result<ObjectInfo>> GcsStore::stat(std::string key, CallOptions options) {
  CO_TRY_DO(check_key(key));
  StoreRequest request("GET", object_path(key));
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  CO_TRY(const json::Value object, parse_answer(answer.body));
  co_return info_of(object);
}

Task<Result<ListPage>> GcsStore::list(ListRequest request, CallOptions options) {
  CO_TRY_DO(check_list(request));
  StoreRequest page_request("GET", objects_path());
  page_request.query = {{"maxResults", std::to_string(request.limit)},
                        {"fields", "nextPageToken,items(name,size,generation,contentType,updated)"}};
  const std::string prefix = full_key(request.prefix);
  if (!prefix.empty()) page_request.query.emplace_back("prefix", prefix);
  if (!request.token.empty()) page_request.query.emplace_back("pageToken", request.token);
  CO_TRY(const Answer answer, co_await call(std::move(page_request), Repeat::when_it_failed, options));
  CO_TRY(const json::Value listed, parse_answer(answer.body));
  ListPage page;
  page.next_token = text_of(listed, "nextPageToken");
  const json::Value* items = listed.find("items");
  if (items == nullptr || items->as_array() == nullptr) co_return page;
  for (const json::Value& item : *items->as_array()) {
    CO_TRY(ObjectInfo object, info_of(item));
    object.sha256.clear();
    if (!object.key.empty()) page.objects.push_back(std::move(object));
  }
  co_return page;
}

Task<Result<void>> GcsStore::remove_one(std::string key, CallOptions options) {
  StoreRequest request("DELETE", object_path(key));
  auto removed = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!removed.ok() && removed.error().code != ErrorCode::not_found) co_return std::move(removed).error();
  co_return Result<void>();
}

Task<Result<ObjectInfo>> GcsStore::copy(std::string from, std::string to, CallOptions options) {
  CO_TRY_DO(check_key(from));
  CO_TRY_DO(check_key(to));
  if (from == to) co_return co_await stat(from, options);
  // Large objects are copied in several calls.
  for (std::string token;;) {
    StoreRequest request("POST", object_path(from) + "/rewriteTo/b/" + percent_encode(bucket_) + "/o/" +
                                     percent_encode(full_key(to)));
    if (!token.empty()) request.query.emplace_back("rewriteToken", token);
    CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
    CO_TRY(const json::Value progress, parse_answer(answer.body));
    const json::Value* done = progress.find("done");
    if (done != nullptr && done->as_bool() != nullptr && *done->as_bool()) break;
    token = text_of(progress, "rewriteToken");
    if (token.empty()) co_return bad_answer();
  }
  co_return co_await stat(to, options);
}

Result<std::optional<std::string>> GcsStore::sign_link(const LinkRequest& request) {
  TRY_DO(check_link(request));
  const bool get = request.method == LinkMethod::get;
  GcsLink link;
  link.method = get ? "GET" : "PUT";
  link.host = endpoint().authority;
  link.path = endpoint().path + "/" + bucket_ + "/" + escape_path(full_key(request.key));
  link.expires_in_s = request.expires_in_s;
  if (get && !request.download_name.empty()) {
    link.query.emplace_back("response-content-disposition", attachment_header(request.download_name));
  }
  if (!get) link.content_type = request.content_type;
  const std::string query = signer_.sign_url(link, now());
  if (get && !cdn_base().empty()) {
    return std::optional<std::string>(cdn_base() + "/" + escape_path(full_key(request.key)) + "?" + query);
  }
  return std::optional<std::string>(endpoint().origin() + link.path + "?" + query);
}

}  // namespace rowhouse::storage
