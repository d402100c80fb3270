#include "storage/azure_store.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "storage/azure_store_impl.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr std::string_view kSha256Header = "x-ms-meta-sha256";
constexpr std::chrono::milliseconds kCopyPoll{200};
constexpr std::string_view kBackslash = "\xef\x81\x9c";  // U+F05C
constexpr std::string_view kDot = "\xef\x80\xae";        // U+F02E
constexpr std::string_view kLiteral = "\xef\x83\xb0";    // U+F0F0
constexpr unsigned kStreamDigests =
    CheckedSource::sha256_digest | CheckedSource::md5_digest | CheckedSource::crc64_digest;

ErrorCode code_of(std::string_view provider_code, int status) {
  if (provider_code == "ContainerNotFound") return ErrorCode::storage_failed;
  if (provider_code == "Md5Mismatch" || provider_code == "Crc64Mismatch") return ErrorCode::checksum_mismatch;
  if (provider_code == "BlobAlreadyExists") return ErrorCode::precondition_failed;
  switch (status) {
    case 404:
      return ErrorCode::not_found;
    case 412:
      return ErrorCode::precondition_failed;
    case 416:
      return ErrorCode::range_not_satisfiable;
    default:
      return ErrorCode::storage_failed;
  }
}

}  // namespace

std::string azure_name(std::string_view key) {
  std::string name;
  while (!key.empty()) {
    const bool ends_segment = key.size() == 1 || key[1] == '/';
    std::size_t taken = 1;
    if (key[0] == '\\') {
      name += kBackslash;
    } else if (key[0] == '.' && ends_segment) {
      name += kDot;
    } else if (key.starts_with(kBackslash) || key.starts_with(kDot) || key.starts_with(kLiteral)) {
      taken = kLiteral.size();
      name += kLiteral;
      name += key.substr(0, taken);
    } else {
      name += key[0];
    }
    key.remove_prefix(taken);
  }
  return name;
}

std::string key_of_azure_name(std::string_view name) {
  std::string key;
  while (!name.empty()) {
    std::size_t taken = 1;
    if (name.starts_with(kBackslash)) {
      taken = kBackslash.size();
      key += '\\';
    } else if (name.starts_with(kDot)) {
      taken = kDot.size();
      key += '.';
    } else if (name.starts_with(kLiteral) && name.size() >= 2 * kLiteral.size()) {
      taken = 2 * kLiteral.size();
      key += name.substr(kLiteral.size(), kLiteral.size());
    } else {
      key += name[0];
    }
    name.remove_prefix(taken);
  }
  return key;
}

std::optional<bool> received_whole(const Answer& answer, const CheckedSource& checked) {
  const std::string_view md5_there = answer.header("Content-MD5");
  if (!md5_there.empty()) return md5_there == to_base64(checked.md5());
  const std::string_view crc_there = answer.header("x-ms-content-crc64");
  if (!crc_there.empty()) return crc_there == crc64_base64(checked.crc64());
  return std::nullopt;
}

Result<std::unique_ptr<ObjectStore>> open_azure(const StoreTools& tools, const AzureConfig& config,
                                                const AzureLimits& limits) {
  TRY(Endpoint endpoint, parse_endpoint(config.endpoint));
  TRY_DO(tools.egress.check_host(endpoint.host, endpoint.port));
  TRY(AzureSigner signer, AzureSigner::create(config.account, config.key));
  std::string identity =
      "azure " + endpoint.origin() + endpoint.path + " " + config.container + " " + config.prefix;
  RemoteStore::Place place{std::move(endpoint), config.prefix, config.cdn_base, std::move(identity)};
  return std::unique_ptr<ObjectStore>(
      std::make_unique<AzureStore>(tools, std::move(place), std::move(signer), config.container, limits));
}

AzureStore::AzureStore(const StoreTools& tools, Place place, AzureSigner signer, std::string container,
                       const AzureLimits& limits)
    : RemoteStore(tools, std::move(place)),
      signer_(std::move(signer)),
      container_(std::move(container)),
      limits_(limits) {}

std::string AzureStore::path_of(std::string_view key) const {
  const std::string path = endpoint().path + "/" + container_;
  return key.empty() ? path : path + "/" + escape_path(name_of(key));
}

Task<Result<net::TransferRequest>> AzureStore::prepare(const StoreRequest& request, CallOptions) {
  const std::string query = escape_query(request.query);
  net::TransferRequest prepared(request.method,
                                endpoint().origin() + request.path + (query.empty() ? "" : "?" + query));
  AzureRequest to_sign;
  to_sign.method = request.method;
  to_sign.path = request.path;
  to_sign.query = request.query;
  to_sign.headers = request.headers;
  to_sign.headers.emplace_back("x-ms-date", http_date(now()));
  to_sign.headers.emplace_back("x-ms-version", kAzureVersion);
  to_sign.content_bytes = request.source != nullptr ? request.source_bytes : request.body.size();
  prepared.headers = to_sign.headers;
  prepared.headers.emplace_back("Authorization", signer_.authorization(to_sign));
  prepared.body = request.body;
  prepared.source = request.source;
  prepared.source_bytes = request.source_bytes;
  co_return prepared;
}

Error AzureStore::failure(const StoreRequest&, const Answer& answer) const {
  std::string code(answer.header("x-ms-error-code"));
  if (code.empty()) code = error_code_of_xml(answer.body);
  return provider_error(code_of(code, answer.status), code, answer.status);
}

ObjectInfo AzureStore::info_of(std::string key, const Answer& head) const {
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

Task<Result<ObjectInfo>> AzureStore::put(std::string key, std::uint64_t bytes, ByteSource& source,
                                         PutOptions put_options, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY_DO(check_put_options(put_options));
  if (bytes > limits_.single_put_bytes) {
    co_return co_await put_in_parts(key, bytes, source, put_options, limits_.part_bytes, options);
  }
  StoreRequest request("PUT", path_of(key));
  request.headers = {{"x-ms-blob-type", "BlockBlob"}, {"x-ms-blob-content-type", put_options.content_type}};
  if (put_options.condition == PutCondition::absent) request.headers.emplace_back("If-None-Match", "*");
  const bool small = bytes <= kPieceBytes;
  CheckedSource checked(source, bytes, kStreamDigests, put_options.sha256);
  Repeat repeat = Repeat::never;
  if (small) {
    CO_TRY(request.body, co_await read_source(checked, bytes));
    request.headers.emplace_back("Content-MD5", to_base64(checked.md5()));
    request.headers.emplace_back(kSha256Header, checked.sha256());
    // An answer that got lost would make a second try find its own object.
    if (put_options.condition == PutCondition::none) repeat = Repeat::when_it_failed;
  } else {
    request.source = &checked;
    request.source_bytes = bytes;
    if (!put_options.sha256.empty()) request.headers.emplace_back(kSha256Header, put_options.sha256);
  }
  CO_TRY(const Answer answer, co_await call(std::move(request), repeat, options));
  ObjectInfo info = info_of(key, answer);
  info.bytes = bytes;
  info.content_type = put_options.content_type;
  info.sha256 = checked.sha256();
  if (!small && !received_whole(answer, checked).value_or(false)) {
    CO_TRY_DO(co_await verify_by_reading(key, info.sha256, options));
  }
  co_return info;
}

Task<Result<std::unique_ptr<Download>>> AzureStore::get(std::string key, std::optional<ByteRange> range,
                                                        CallOptions options) {
  CO_TRY_DO(check_key(key));
  StoreRequest request("GET", path_of(key));
  if (range.has_value()) {
    CO_TRY_DO(check_range(*range));
    request.headers.emplace_back("x-ms-range", range_header(*range));
  }
  CO_TRY(Response response, co_await open(std::move(request), Repeat::when_it_failed, options));
  Answer head;
  head.headers = response->headers();
  if (range.has_value() && response->status() != 206) {
    co_return Error(ErrorCode::storage_failed, "the object storage does not know ranges");
  }
  ObjectInfo info = info_of(key, head);
  if (range.has_value() && range->first >= info.bytes) {
    co_return provider_error(ErrorCode::range_not_satisfiable, "InvalidRange", response->status());
  }
  const std::uint64_t bytes = number_or_zero(head.header("Content-Length"));
  std::string sha256 = range.has_value() ? "" : info.sha256;
  co_return make_download(std::move(response), std::move(info), bytes, std::move(sha256));
}

Task<Result<Answer>> AzureStore::head_of(std::string key, CallOptions options) {
  StoreRequest request("HEAD", path_of(key));
  co_return co_await call(std::move(request), Repeat::when_it_failed, options);
}

Task<Result<ObjectInfo>> AzureStore::stat(std::string key, CallOptions options) {
  CO_TRY_DO(check_key(key));
  CO_TRY(const Answer answer, co_await head_of(key, options));
  co_return info_of(key, answer);
}

Task<Result<ListPage>> AzureStore::list(ListRequest request, CallOptions options) {
  CO_TRY_DO(check_list(request));
  StoreRequest page_request("GET", path_of(""));
  page_request.query = {
      {"restype", "container"}, {"comp", "list"}, {"maxresults", std::to_string(request.limit)}};
  // A last dot is written in another way where a name ends with it: what does not fit is left out below.
  std::string prefix = full_key(request.prefix);
  while (prefix.ends_with('.')) prefix.pop_back();
  if (!prefix.empty()) page_request.query.emplace_back("prefix", azure_name(prefix));
  if (!request.token.empty()) page_request.query.emplace_back("marker", request.token);
  CO_TRY(const Answer answer, co_await call(std::move(page_request), Repeat::when_it_failed, options));
  CO_TRY(AzureList listed, parse_azure_list(answer.body));
  ListPage page;
  page.next_token = std::move(listed.next_marker);
  for (ObjectInfo& object : listed.objects) {
    auto key = own_key(key_of_azure_name(object.key));
    if (!key.has_value() || !key->starts_with(request.prefix)) continue;
    object.key = std::move(*key);
    page.objects.push_back(std::move(object));
  }
  co_return page;
}

Task<Result<void>> AzureStore::remove_one(std::string key, CallOptions options) {
  StoreRequest request("DELETE", path_of(key));
  request.headers.emplace_back("x-ms-delete-snapshots", "include");
  auto removed = co_await call(std::move(request), Repeat::when_it_failed, options);
  if (!removed.ok() && removed.error().code != ErrorCode::not_found) co_return std::move(removed).error();
  co_return Result<void>();
}

Task<Result<ObjectInfo>> AzureStore::copy(std::string from, std::string to, CallOptions options) {
  CO_TRY_DO(check_key(from));
  CO_TRY_DO(check_key(to));
  if (from == to) co_return co_await stat(from, options);
  StoreRequest request("PUT", path_of(to));
  request.headers.emplace_back("x-ms-copy-source", endpoint().origin() + path_of(from));
  CO_TRY(const Answer answer, co_await call(std::move(request), Repeat::when_it_failed, options));
  // Within an account it is done at once; the interface allows it to go on.
  std::string status(answer.header("x-ms-copy-status"));
  while (status == "pending") {
    if (std::chrono::steady_clock::now() + kCopyPoll >= options.deadline) {
      co_return Error(ErrorCode::server_unreachable, "the object storage has not finished the copy in time");
    }
    co_await net::sleep_for(tools().executor, kCopyPoll);
    CO_TRY(const Answer there, co_await head_of(to, options));
    status = std::string(there.header("x-ms-copy-status"));
  }
  if (status != "success") co_return provider_error(ErrorCode::storage_failed, "CopyFailed", answer.status);
  co_return co_await stat(to, options);
}

Result<std::optional<std::string>> AzureStore::sign_link(const LinkRequest& request) {
  TRY_DO(check_link(request));
  const bool get = request.method == LinkMethod::get;
  AzureSas sas;
  sas.container = container_;
  sas.blob = name_of(request.key);
  sas.permissions = get ? "r" : "cw";
  if (endpoint().scheme == "https") sas.protocol = "https";
  sas.expiry = seconds_time(now() + std::chrono::seconds(request.expires_in_s));
  if (get && !request.download_name.empty())
    sas.content_disposition = attachment_header(request.download_name);
  const std::string query = signer_.sas(sas);
  // A CDN hands the query on to the storage account.
  if (get && !cdn_base().empty()) {
    return std::optional<std::string>(cdn_base() + "/" + container_ + "/" +
                                      escape_path(name_of(request.key)) + "?" + query);
  }
  return std::optional<std::string>(endpoint().origin() + path_of(request.key) + "?" + query);
}

}  // namespace rowhouse::storage
