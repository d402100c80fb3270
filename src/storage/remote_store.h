// What the stores behind HTTP have in common: requests with retries, errors, downloads, uploads of large
// objects in parts. For the drivers of this folder alone.
//
// A driver says how a request is signed (prepare) and what its provider's errors mean (failure). Requests
// that may be repeated are, after answers 408, 429 and 5xx and broken connections, with growing random
// pauses; not those that read from a source, and not past the deadline.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/checked_source.h"
#include "storage/object_store.h"
#include "storage/open.h"
#include "storage/url.h"

namespace rowhouse::storage {

inline constexpr std::size_t kMaxAnswerBytes = 8 * 1024 * 1024;  // a page of 1,000 long keys has 2 MB
// Below it lie the drivers' own objects; never listed.
inline constexpr std::string_view kUploadsFolder = ".rowhouse-uploads/";

struct StoreRequest {
  StoreRequest(std::string request_method, std::string request_path)
      : method(std::move(request_method)), path(std::move(request_path)) {}
  std::string method;
  std::string path;  // escaped, from the host's root
  Query query;
  std::vector<net::Header> headers;
  std::string body;
  std::string body_sha256;  // hexadecimal, of a source's bytes when known before
  net::TransferSource* source = nullptr;
  std::uint64_t source_bytes = 0;
  std::vector<int> accept;  // statuses beside 2xx that are no errors
};

struct Answer {
  int status = 0;
  std::vector<net::Header> headers;
  std::string body;
  std::string_view header(std::string_view name) const;  // "" if there is none
};

// What an upload's name holds, beside the provider's id: what begin_upload() was told, and of which key it
// is.
struct UploadName {
  PutCondition condition = PutCondition::none;
  std::string sha256;
  std::string id;
  std::string text(std::string_view key) const;
  static Result<UploadName> parse(std::string_view text,
                                  std::string_view key);  // not_found: also of another key
};

Result<void> check_put_options(const PutOptions& options);
Result<void> check_part_number(int number);
Result<void> check_parts(const std::vector<Part>& parts);  // of complete_upload: some, with growing numbers
Result<void> check_range(const ByteRange& range);
Result<void> check_list(const ListRequest& request);
Result<void> check_link(const LinkRequest& request);

class RemoteStore : public ObjectStore {
 public:
  struct Place {
    Endpoint endpoint;
    std::string prefix, cdn_base, identity;
  };

  Task<Result<void>> remove(std::vector<std::string> keys, CallOptions options) override;
  const std::string& identity() const override { return place_.identity; }

 protected:
  enum class Repeat { never, when_it_failed };
  RemoteStore(const StoreTools& tools, Place place);

  virtual Task<Result<net::TransferRequest>> prepare(const StoreRequest& request, CallOptions options) = 0;
  virtual Error failure(const StoreRequest& request, const Answer& answer) const = 0;
  // Asked after a 401: may the request be tried once more with fresh credentials?
  virtual bool renew_credentials() { return false; }
  // Removing what is not there is no error.
  virtual Task<Result<void>> remove_one(std::string key, CallOptions options) = 0;

  using Response = std::unique_ptr<net::TransferResponse>;
  Task<Result<Response>> open(StoreRequest request, Repeat repeat, CallOptions options);
  Task<Result<Answer>> call(StoreRequest request, Repeat repeat, CallOptions options);

  // Uploads in parts of a size that fits; aborts when it fails.
  Task<Result<ObjectInfo>> put_in_parts(std::string key, std::uint64_t bytes, net::TransferSource& source,
                                        PutOptions put_options, std::uint64_t part_bytes,
                                        CallOptions options);
  // Reads the object back, for where the provider cannot tell; one that is wrong is removed. Error:
  // checksum_mismatch.
  Task<Result<void>> verify_by_reading(std::string key, std::string sha256, CallOptions options);

  std::string full_key(std::string_view key) const { return place_.prefix + std::string(key); }
  // nullopt: an object of the driver's own, or one outside the prefix.
  std::optional<std::string> own_key(std::string_view full) const;
  const Endpoint& endpoint() const { return place_.endpoint; }
  const std::string& cdn_base() const { return place_.cdn_base; }
  WallTime now() const { return tools_.clock.now(); }
  const StoreTools& tools() const { return tools_; }

 private:
  Task<Result<Response>> try_once(const StoreRequest& request, CallOptions options);
  Task<bool> pause_before_retry(const Error& error, int attempt, CallOptions options);
  Task<void> remove_some(const std::vector<std::string>& keys, std::size_t& next, std::optional<Error>& error,
                         CallOptions options);

  const StoreTools tools_;
  const Place place_;
};

// The body of a GET. `bytes`: how many must come; `sha256`: of them, hexadecimal, or "" when not known.
std::unique_ptr<Download> make_download(std::unique_ptr<net::TransferResponse> response, ObjectInfo info,
                                        std::uint64_t bytes, std::string sha256);

// "bytes=0-9".
std::string range_header(const ByteRange& range);
// Validates; bytes of the whole object from "bytes 0-9/200", nullopt if it says none.
std::optional<std::uint64_t> bytes_of_content_range(std::string_view text);
std::uint64_t number_or_zero(std::string_view text);
std::string without_quotes(std::string_view etag);

// "the object storage refused or failed …", with the provider's code (or the status where there is none).
Error provider_error(ErrorCode code, std::string_view provider_code, int status);

}  // namespace rowhouse::storage
