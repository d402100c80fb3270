#include "storage/s3_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/s3_store_impl.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kMd5HexBytes = 32;
constexpr std::string_view kSha256Header = "X-Amz-Meta-Sha256";

// XML 1.0 has no way to write these two characters, U+FFFE and U+FFFF.
bool fits_xml(std::string_view key) {
  return key.find("\xef\xbf\xbe") == std::string_view::npos &&
         key.find("\xef\xbf\xbf") == std::string_view::npos;
}

ErrorCode code_of(std::string_view provider_code, int status) {
  if (provider_code == "XAmzContentSHA256Mismatch" || provider_code == "BadDigest" ||
      provider_code == "InvalidDigest") {
    return ErrorCode::checksum_mismatch;
  }
  if (provider_code == "NoSuchBucket") return ErrorCode::storage_failed;
  if (provider_code == "ConditionalRequestConflict") return ErrorCode::precondition_failed;
  switch (status) {
    case 404:
      return ErrorCode::not_found;
    case 412:
      return ErrorCode::precondition_failed;
    case 416:
      return ErrorCode::range_not_satisfiable;
    case 507:
      return ErrorCode::disk_full;
    default:
      return ErrorCode::storage_failed;
  }
}

}  // namespace

bool is_md5_etag(std::string_view etag) { return etag.size() == kMd5HexBytes && from_hex(etag).has_value(); }

Result<std::unique_ptr<ObjectStore>> open_s3(const StoreTools& tools, const S3Config& config,
                                             const S3Limits& limits) {
  TRY(Endpoint endpoint, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(endpoint.host, endpoint.port));
  std::string identity = "s3 " + endpoint.origin() + " " + config.bucket + " " + config.prefix;
  RemoteStore::Place place{std::move(endpoint), config.prefix, config.cdn_base, std::move(identity)};
  return std::unique_ptr<ObjectStore>(std::make_unique<S3Store>(tools, std::move(place), config, limits));
}

S3Store::S3Store(const StoreTools& tools, Place place, const S3Config& config, const S3Limits& limits)
    : RemoteStore(tools, std::move(place)),
      signer_(config.access_key, config.secret_key, config.region),
      bucket_(config.bucket),
      addressing_(config.addressing),
      limits_(limits) {
  host_ =
      addressing_ == S3Config::Addressing::host ? bucket_ + "." + endpoint().authority : endpoint().authority;
}

std::string S3Store::path_of(std::string_view key) const {
  const std::string bucket = addressing_ == S3Config::Addressing::path ? "/" + bucket_ : "";
  if (key.empty()) return endpoint().path + (bucket.empty() ? "/" : bucket);
  return endpoint().path + bucket + "/" + escape_path(full_key(key));
}

Task<Result<net::TransferRequest>> S3Store::prepare(const StoreRequest& request, CallOptions) {
  const std::string query = escape_query(request.query);
  net::TransferRequest prepared(
      request.method, endpoint().scheme + "://" + host_ + request.path + (query.empty() ? "" : "?" + query));
  const std::string payload =
      request.source != nullptr ? request.body_sha256 : to_hex(crypto::sha256(request.body));
  S3Request to_sign;
  to_sign.method = request.method;
  to_sign.host = host_;
  to_sign.path = request.path;
  to_sign.query = request.query;
  to_sign.headers = request.headers;
  S3Signature signature = signer_.sign(to_sign, payload, now());
  // Only send_stream() makes sources of that kind.
  if (payload == kStreamingPayload) static_cast<S3ChunkedSource*>(request.source)->begin(signature);
  prepared.headers = std::move(signature.headers);
  prepared.body = request.body;
  prepared.source = request.source;
  prepared.source_bytes = request.source_bytes;
  co_return prepared;
}

Error S3Store::failure(const StoreRequest&, const Answer& answer) const {
  const std::string code = error_code_of_xml(answer.body);
  return provider_error(code_of(code, answer.status), code, answer.status);
}

ObjectInfo S3Store::info_of(std::string key, const Answer& head) const {
  ObjectInfo info;
  info.key = std::move(key);
  const auto whole = bytes_of_content_range(head.header("Content-Range"));
  info.bytes = whole.value_or(number_or_zero(head.header("Content-Length")));
  info.etag = without_quotes(head.header("ETag"));
  info.content_type = std::string(head.header("Content-Type"));
  info.sha256 = std::string(head.header(kSha256Header));
  info.modified_ms = parse_http_date(head.header("Last-Modified"));
  return info;
}

unsigned S3Store::digests_of_stream() const {
  const bool unsigned_payload = endpoint().scheme == "https";
  return CheckedSource::sha256_digest | (unsigned_payload ? CheckedSource::md5_digest : 0U);
}

Task<Result<Answer>> S3Store::send_stream(StoreRequest request, CheckedSource& checked, std::uint64_t bytes,
                                          CallOptions options) {
  S3ChunkedSource chunked(checked, signer_);
  request.source = &checked;
  request.source_bytes = bytes;
  if (request.body_sha256.empty()) {
    request.body_sha256 = endpoint().scheme == "https" ? kUnsignedPayload : kStreamingPayload;
  }
  if (request.body_sha256 == kStreamingPayload) {
    request.source = &chunked;
    request.source_bytes = S3ChunkedSource::encoded_bytes(bytes);
    request.headers.emplace_back("Content-Encoding", "aws-chunked");
    request.headers.emplace_back("X-Amz-Decoded-Content-Length", std::to_string(bytes));
  }
  co_return co_await call(std::move(request), Repeat::never, options);
}

Task<Result<Answer>> S3Store::put_small(StoreRequest request, CheckedSource& checked, std::uint64_t bytes,
                                        PutCondition condition, CallOptions options) {
  CO_TRY(request.body, co_await read_source(checked, bytes));
  request.headers.emplace_back(kSha256Header, checked.sha256());
  // An answer that got lost would make a second try find its own object.
  const Repeat repeat = condition == PutCondition::none ? Repeat::when_it_failed : Repeat::never;
  co_return co_await call(std::move(request), repeat, options);
}

Task<Result<ObjectInfo>> S3Store::put(std::string key, std::uint64_t bytes, ByteSource& source,
                                      PutOptions put_options, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  if (bytes > limits_.single_put_bytes) {
    co_return co_await put_in_parts(key, bytes, source, put_options, limits_.part_bytes, options);
  }
  StoreRequest request("PUT", path_of(key));
  if (!put_options.content_type.empty())
    request.headers.emplace_back("Content-Type", put_options.content_type);
  if (put_options.condition == PutCondition::absent) request.headers.emplace_back("If-None-Match", "*");
  const bool small = bytes <= kPieceBytes;
  const bool known = small || !put_options.sha256.empty();
  CheckedSource checked(source, bytes, known ? CheckedSource::sha256_digest : digests_of_stream(),
                        put_options.sha256);
  Answer answer;
  if (small) {
    CO_TRY(answer, co_await put_small(std::move(request), checked, bytes, put_options.condition, options));
  } else {
    request.body_sha256 = put_options.sha256;
    if (known) request.headers.emplace_back(kSha256Header, put_options.sha256);
    CO_TRY(answer, co_await send_stream(std::move(request), checked, bytes, options));
  }
  ObjectInfo info;
  info.key = key;
  info.bytes = bytes;
  info.etag = without_quotes(answer.header("ETag"));
  info.content_type = put_options.content_type;
  info.sha256 = checked.sha256();
  info.modified_ms = parse_http_date(answer.header("Date"));
  const bool server_checked = known || endpoint().scheme != "https";
  if (!server_checked && info.etag != to_hex(checked.md5())) {
    CO_TRY_DO(co_await verify_by_reading(key, info.sha256, options));
  }
  co_return info;
}

Task<Result<std::unique_ptr<Download>>> S3Store::get(std::string key, std::optional<ByteRange> range,
                                                     CallOptions options) {
  CO_TRY_DO(check_key(key));
  StoreRequest request("GET", path_of(key));
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
  ObjectInfo info = info_of(key, head);
  const std::uint64_t bytes = number_or_zero(head.header("Content-Length"));
  std::string sha256 = range.has_value() ? "" : info.sha256;
  co_return make_download(std::move(response), std::move(info), bytes, std::move(sha256));
}

Task<Result<ObjectInfo>> S3Store::stat(std::string key, CallOptions options) {
  CO_TRY_DO(check_key(key));
  StoreRequest request("HEAD", path_of(key));
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  co_return info_of(key, answer);
}

Task<Result<ListPage>> S3Store::list(ListRequest request, CallOptions options) {
  CO_TRY_DO(check_list(request));
  StoreRequest page_request("GET", path_of(""));
  page_request.query = {
      {"list-type", "2"}, {"encoding-type", "url"}, {"max-keys", std::to_string(request.limit)}};
  const std::string prefix = full_key(request.prefix);
  if (!prefix.empty()) page_request.query.emplace_back("prefix", prefix);
  if (!request.token.empty()) page_request.query.emplace_back("continuation-token", request.token);
  CO_TRY(const Answer answer, co_await call(std::move(page_request), Repeat::when_it_failed, options));
  CO_TRY(S3List listed, parse_s3_list(answer.body));
  ListPage page;
  page.next_token = std::move(listed.next_token);
  for (ObjectInfo& object : listed.objects) {
    auto key = own_key(object.key);
    if (!key.has_value()) continue;
    object.key = std::move(*key);
    page.objects.push_back(std::move(object));
  }
  co_return page;
}

Task<Result<void>> S3Store::remove_one(std::string key, CallOptions options) {
  StoreRequest request("DELETE", path_of(key));
  auto removed = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!removed.ok() && removed.error().code != ErrorCode::not_found) co_return std::move(removed).error();
  co_return Result<void>();
}

Task<Result<void>> S3Store::remove(std::vector<std::string> keys, CallOptions options) {
  const bool fit = std::all_of(keys.begin(), keys.end(), fits_xml);
  if (keys.size() < 2 || keys.size() > kMaxRemoveKeys || !fit) {
    co_return co_await RemoteStore::remove(std::move(keys), options);
  }
  std::vector<std::string> full;
  for (const std::string& key : keys) {
    CO_TRY_DO(check_key(key));
    full.push_back(full_key(key));
  }
  StoreRequest request("POST", path_of(""));
  request.query = {{"delete", ""}};
  request.body = delete_xml(full);
  request.headers.emplace_back("Content-Type", "application/xml");
  request.headers.emplace_back("Content-MD5", to_base64(md5(request.body)));
  auto answer = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!answer.ok()) {
    // Google's S3 face and some gateways have no such request.
    const std::string_view status = answer.error().detail("provider_status");
    if (status == "501" || status == "405") co_return co_await RemoteStore::remove(std::move(keys), options);
    co_return std::move(answer).error();
  }
  CO_TRY(const std::string code, error_of_delete_result(answer->body));
  if (!code.empty()) co_return provider_error(ErrorCode::storage_failed, code, answer->status);
  co_return Result<void>();
}

Task<Result<ObjectInfo>> S3Store::copy(std::string from, std::string to, CallOptions options) {
  CO_TRY_DO(check_key(to));
  CO_TRY(ObjectInfo source, co_await stat(from, options));
  if (from == to) co_return source;
  if (source.bytes > limits_.single_copy_bytes) {
    co_return co_await copy_in_parts(from, to, std::move(source), options);
  }
  StoreRequest request("PUT", path_of(to));
  request.headers.emplace_back("X-Amz-Copy-Source", "/" + bucket_ + "/" + escape_path(full_key(from)));
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  // A copy may fail after its "200 OK" was sent.
  const std::string code = error_code_of_xml(answer.body);
  if (!code.empty()) co_return provider_error(code_of(code, answer.status), code, answer.status);
  co_return co_await stat(to, options);
}

Result<std::optional<std::string>> S3Store::sign_link(const LinkRequest& request) {
  TRY_DO(check_link(request));
  const bool get = request.method == LinkMethod::get;
  S3Request to_sign;
  to_sign.method = get ? "GET" : "PUT";
  to_sign.host = host_;
  to_sign.path = path_of(request.key);
  if (get && !request.download_name.empty()) {
    to_sign.query.emplace_back("response-content-disposition", attachment_header(request.download_name));
  }
  if (!get && !request.content_type.empty())
    to_sign.headers.emplace_back("Content-Type", request.content_type);
  const std::string query = signer_.presign(to_sign, request.expires_in_s, now());
  // The CDN stands before the bucket: its origin sees the path, host and query that were signed.
  if (get && !cdn_base().empty()) {
    return std::optional<std::string>(cdn_base() + "/" + escape_path(full_key(request.key)) + "?" + query);
  }
  return std::optional<std::string>(endpoint().scheme + "://" + host_ + to_sign.path + "?" + query);
}

}  // namespace rowhouse::storage
