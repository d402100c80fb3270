#include "storage/remote_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::storage {
namespace {

constexpr std::size_t kMaxFailureBytes = 64 * 1024;
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::size_t kRemovalsAtOnce = 16;
constexpr std::size_t kMaxProviderCodeBytes = 64;
constexpr std::size_t kMaxContentTypeBytes = 255;
constexpr std::size_t kMaxDownloadNameBytes = 1'024;
constexpr std::size_t kSha256HexBytes = 64;
constexpr std::size_t kKeyMarkBytes = 8;
constexpr std::int64_t kMaxLinkSeconds = 604'800;
constexpr std::string_view kStatusDetail = "provider_status";

bool is_passing_status(int status) { return status == 408 || status == 429 || status >= 500; }

bool may_pass(const Error& error) {
  if (error.code == ErrorCode::server_unreachable) return true;
  const auto status = parse_int64(error.detail(kStatusDetail));
  return status.has_value() && *status != 501 && *status != 507 &&
         is_passing_status(static_cast<int>(*status));
}

bool is_sha256(std::string_view text) {
  return text.size() == kSha256HexBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string key_mark(std::string_view key) { return to_hex(crypto::sha256(key).substr(0, kKeyMarkBytes)); }

class HttpDownload final : public Download {
 public:
  HttpDownload(std::unique_ptr<net::TransferResponse> response, ObjectInfo info, std::uint64_t bytes,
               std::string sha256)
      : response_(std::move(response)), info_(std::move(info)), left_(bytes), sha256_(std::move(sha256)) {}

  const ObjectInfo& info() const override { return info_; }

  Task<Result<std::optional<std::string>>> next(CallOptions options) override {
    CO_TRY(auto piece, co_await response_->next(options));
    if (piece.has_value()) {
      if (piece->size() > left_)
        co_return Error(ErrorCode::storage_failed, "the object storage sent too much");
      left_ -= piece->size();
      if (!sha256_.empty()) state_.update(*piece);
      co_return piece;
    }
    if (left_ > 0) co_return Error(ErrorCode::server_unreachable, "the object storage sent too little");
    if (!sha256_.empty() && to_hex(state_.finish()) != std::exchange(sha256_, {})) {
      co_return Error(ErrorCode::checksum_mismatch,
                      "the object does not have the SHA-256 that it was stored with");
    }
    co_return piece;
  }

 private:
  std::unique_ptr<net::TransferResponse> response_;
  const ObjectInfo info_;
  std::uint64_t left_;
  std::string sha256_;
  crypto::Sha256 state_;
};

}  // namespace

std::string_view Answer::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [name](const net::Header& header) {
    return equals_ignoring_case(header.first, name);
  });
  return found != headers.end() ? std::string_view(found->second) : std::string_view();
}

std::string UploadName::text(std::string_view key) const {
  return (condition == PutCondition::absent ? "a" : "n") + sha256 + "." + key_mark(key) + "." + id;
}

Result<UploadName> UploadName::parse(std::string_view text, std::string_view key) {
  const auto fields = split(text, '.');
  // The id is the provider's and may have dots of its own.
  const bool formed = fields.size() >= 3 && !fields[0].empty() &&
                      (fields[0][0] == 'a' || fields[0][0] == 'n') &&
                      (fields[0].size() == 1 || is_sha256(fields[0].substr(1))) && fields[1] == key_mark(key);
  const std::size_t id_at = formed ? fields[0].size() + fields[1].size() + 2 : text.size();
  if (id_at >= text.size()) return Error(ErrorCode::not_found, "there is no such upload");
  UploadName name;
  name.condition = fields[0][0] == 'a' ? PutCondition::absent : PutCondition::none;
  name.sha256 = std::string(fields[0].substr(1));
  name.id = std::string(text.substr(id_at));
  return name;
}

Result<void> check_put_options(const PutOptions& options) {
  const std::string& type = options.content_type;
  const bool printable = std::all_of(type.begin(), type.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (!printable || type.size() > kMaxContentTypeBytes || trim(type).size() != type.size()) {
    return Error(ErrorCode::validation_failed, "the content type is not one")
        .with_field("/content_type", "printable ASCII, at most 255 bytes");
  }
  if (!options.sha256.empty() && !is_sha256(options.sha256)) {
    return Error(ErrorCode::validation_failed, "the SHA-256 is not one")
        .with_field("/sha256", "64 lower-case hexadecimal digits");
  }
  return {};
}

Result<void> check_part_number(int number) {
  if (number >= 1 && number <= kMaxParts) return {};
  return Error(ErrorCode::validation_failed, fmt::format("parts have numbers from 1 to {}", kMaxParts));
}

Result<void> check_parts(const std::vector<Part>& parts) {
  int before = 0;
  for (const Part& part : parts) {
    TRY_DO(check_part_number(part.number));
    if (part.number <= before)
      return Error(ErrorCode::validation_failed, "the parts are not in the order of their numbers");
    before = part.number;
  }
  if (parts.empty()) return Error(ErrorCode::validation_failed, "an upload has at least one part");
  return {};
}

Result<void> check_range(const ByteRange& range) {
  if (!range.last.has_value() || *range.last >= range.first) return {};
  return Error(ErrorCode::range_not_satisfiable, "the range ends before it begins");
}

Result<void> check_list(const ListRequest& request) {
  if (request.limit < 1 || request.limit > kMaxListLimit) {
    return Error(ErrorCode::validation_failed, fmt::format("a page has 1 to {} objects", kMaxListLimit));
  }
  if (request.prefix.size() > kMaxKeyBytes || !is_valid_utf8(request.prefix)) {
    return Error(ErrorCode::validation_failed, "the prefix is too long or not UTF-8");
  }
  return {};
}

Result<void> check_link(const LinkRequest& request) {
  TRY_DO(check_key(request.key));
  if (request.expires_in_s < 1 || request.expires_in_s > kMaxLinkSeconds) {
    return Error(ErrorCode::validation_failed,
                 fmt::format("a link lives for 1 to {} seconds", kMaxLinkSeconds));
  }
  if (request.download_name.size() > kMaxDownloadNameBytes || !is_valid_utf8(request.download_name)) {
    return Error(ErrorCode::validation_failed, "the download's name is too long or not UTF-8");
  }
  PutOptions put_options;
  put_options.content_type = request.content_type;
  return check_put_options(put_options);
}

RemoteStore::RemoteStore(const StoreTools& tools, Place place) : tools_(tools), place_(std::move(place)) {}

std::optional<std::string> RemoteStore::own_key(std::string_view full) const {
  if (!full.starts_with(place_.prefix)) return std::nullopt;
  full.remove_prefix(place_.prefix.size());
  if (full.starts_with(kUploadsFolder)) return std::nullopt;
  return std::string(full);
}

Task<Result<RemoteStore::Response>> RemoteStore::try_once(const StoreRequest& request, CallOptions options) {
  CO_TRY(net::TransferRequest prepared, co_await prepare(request, options));
  CO_TRY(Response response, co_await tools_.transfers.send(std::move(prepared), options));
  const int status = response->status();
  const bool accepted =
      (status >= 200 && status < 300) ||
      std::find(request.accept.begin(), request.accept.end(), status) != request.accept.end();
  if (accepted) co_return std::move(response);
  Answer answer;
  answer.status = status;
  answer.headers = response->headers();
  // Where the explanation breaks off the status alone has to do.
  auto body = co_await response->read_all(kMaxFailureBytes, options);
  if (body.ok()) answer.body = std::move(body).value();
  co_return failure(request, answer).with_detail(std::string(kStatusDetail), std::to_string(status));
}

Task<bool> RemoteStore::pause_before_retry(const Error& error, int attempt, CallOptions options) {
  if (attempt == 1 && error.detail(kStatusDetail) == "401" && renew_credentials()) co_return true;
  if (attempt >= kMaxAttempts || !may_pass(error)) co_return false;
  const std::string random = crypto::random_bytes(1);
  const auto share = static_cast<unsigned char>(random[0]);
  const auto pause = kFirstPause * (1 << attempt) * (256 + share) / 512;
  if (std::chrono::steady_clock::now() + pause >= options.deadline) co_return false;
  co_await net::sleep_for(tools_.executor, pause);
  co_return options.cancel == nullptr || !options.cancel->cancelled();
}

Task<Result<RemoteStore::Response>> RemoteStore::open(StoreRequest request, Repeat repeat,
                                                      CallOptions options) {
  for (int attempt = 1;; ++attempt) {
    auto response = co_await try_once(request, options);
    if (response.ok() || repeat == Repeat::never) co_return std::move(response);
    const bool again = co_await pause_before_retry(response.error(), attempt, options);
    if (!again) co_return std::move(response).error();
  }
}

Task<Result<Answer>> RemoteStore::call(StoreRequest request, Repeat repeat, CallOptions options) {
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> error;
    auto response = co_await try_once(request, options);
    if (response.ok()) {
      Answer answer;
      answer.status = (*response)->status();
      answer.headers = (*response)->headers();
      auto body = co_await (*response)->read_all(kMaxAnswerBytes, options);
      if (body.ok()) {
        answer.body = std::move(body).value();
        co_return answer;
      }
      error = std::move(body).error();
    } else {
      error = std::move(response).error();
    }
    if (repeat == Repeat::never) co_return std::move(*error);
    const bool again = co_await pause_before_retry(*error, attempt, options);
    if (!again) co_return std::move(*error);
  }
}

Task<void> RemoteStore::remove_some(const std::vector<std::string>& keys, std::size_t& next,
                                    std::optional<Error>& error, CallOptions options) {
  while (next < keys.size() && !error.has_value()) {
    const std::string& key = keys[next++];
    auto removed = co_await remove_one(key, options);
    if (!removed.ok() && !error.has_value()) error = std::move(removed).error();
  }
}

Task<Result<void>> RemoteStore::remove(std::vector<std::string> keys, CallOptions options) {
  if (keys.size() > kMaxRemoveKeys) {
    co_return Error(ErrorCode::validation_failed, fmt::format("at most {} keys at once", kMaxRemoveKeys));
  }
  for (const std::string& key : keys) CO_TRY_DO(check_key(key));
  std::size_t next = 0;
  std::optional<Error> error;
  net::TaskGroup group;
  for (std::size_t i = 0; i < std::min(keys.size(), kRemovalsAtOnce); ++i) {
    group.spawn(remove_some(keys, next, error, options));
  }
  co_await group.join();
  if (error.has_value()) co_return std::move(*error);
  co_return Result<void>();
}

Task<Result<ObjectInfo>> RemoteStore::put_in_parts(std::string key, std::uint64_t bytes,
                                                   net::TransferSource& source, PutOptions put_options,
                                                   std::uint64_t part_bytes, CallOptions options) {
  const std::uint64_t fewest = (bytes + kMaxParts - 1) / kMaxParts;
  part_bytes = std::max(part_bytes, (fewest + part_bytes - 1) / part_bytes * part_bytes);
  CheckedSource checked(source, bytes, CheckedSource::sha256_digest, put_options.sha256);
  // The source's own check comes before the last byte; reading everything back would only repeat it.
  put_options.sha256.clear();
  CO_TRY(const std::string upload, co_await begin_upload(key, put_options, options));
  std::string rest;
  std::vector<Part> parts;
  std::optional<Error> error;
  for (std::uint64_t sent = 0; sent < bytes && !error.has_value();) {
    const std::uint64_t size = std::min(part_bytes, bytes - sent);
    SliceSource slice(checked, rest, size);
    auto part = co_await put_part(key, upload, static_cast<int>(parts.size()) + 1, size, slice, options);
    if (part.ok()) {
      parts.push_back(std::move(part).value());
    } else {
      error = std::move(part).error();
    }
    sent += size;
  }
  if (!error.has_value()) {
    auto whole = co_await complete_upload(key, upload, parts, options);
    if (whole.ok()) {
      whole->sha256 = checked.sha256();
      co_return std::move(whole);
    }
    error = std::move(whole).error();
  }
  // Best effort: what remains is no object.
  auto aborted = co_await abort_upload(key, upload, options);
  static_cast<void>(aborted.ok());
  co_return std::move(*error);
}

Task<Result<void>> RemoteStore::verify_by_reading(std::string key, std::string sha256, CallOptions options) {
  CO_TRY(auto download, co_await get(key, std::nullopt, options));
  crypto::Sha256 state;
  Result<void> verdict;
  while (verdict.ok()) {
    auto piece = co_await download->next(options);
    if (!piece.ok()) {
      verdict = std::move(piece).error();
    } else if (piece->has_value()) {
      state.update(**piece);
    } else {
      break;
    }
  }
  if (verdict.ok() && to_hex(state.finish()) != sha256) {
    verdict =
        Error(ErrorCode::checksum_mismatch, "the stored object does not have the SHA-256 of what was sent");
  }
  if (!verdict.ok() && verdict.error().code == ErrorCode::checksum_mismatch) {
    download.reset();
    CO_TRY_DO(co_await remove_one(key, options));
  }
  co_return verdict;
}

std::unique_ptr<Download> make_download(std::unique_ptr<net::TransferResponse> response, ObjectInfo info,
                                        std::uint64_t bytes, std::string sha256) {
  return std::make_unique<HttpDownload>(std::move(response), std::move(info), bytes, std::move(sha256));
}

std::string range_header(const ByteRange& range) {
  return fmt::format("bytes={}-{}", range.first, range.last.has_value() ? std::to_string(*range.last) : "");
}

std::optional<std::uint64_t> bytes_of_content_range(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto bytes = parse_int64(text.substr(slash + 1));
  if (!bytes.has_value() || *bytes < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

std::uint64_t number_or_zero(std::string_view text) {
  const auto number = parse_int64(text);
  return number.has_value() && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

std::string without_quotes(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

Error provider_error(ErrorCode code, std::string_view provider_code, int status) {
  // A code is a word; anything else is the provider's text, which is not passed on.
  const bool is_word = !provider_code.empty() && provider_code.size() <= kMaxProviderCodeBytes &&
                       std::all_of(provider_code.begin(), provider_code.end(), [](char c) {
                         return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                                c == '.' || c == '_';
                       });
  const std::string word = is_word ? std::string(provider_code) : fmt::format("http{}", status);
  std::string message;
  switch (code) {
    case ErrorCode::not_found:
      message = "there is no such object or upload";
      break;
    case ErrorCode::precondition_failed:
      message = "there is an object of that key already";
      break;
    case ErrorCode::range_not_satisfiable:
      message = "the object is shorter than that";
      break;
    case ErrorCode::checksum_mismatch:
      message = "the object storage received other bytes than were sent";
      break;
    default:
      message = fmt::format("the object storage answered {} ({})", word, status);
      break;
  }
  return Error(code, std::move(message)).with_detail("provider_code", word);
}

}  // namespace rowhouse::storage
