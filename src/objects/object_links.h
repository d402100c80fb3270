// Links that work without a credential until they expire: what is signed is the tenant, the key, the method,
// the end and what else the link says.
//
//   /v1/object-links/TENANT-ID/KEY?method=get&expires=UNIX&name=NAME&signature=BASE64URL     (name: of a get)
//   /v1/object-links/TENANT-ID/KEY?method=put&expires=UNIX&type=TYPE&signature=BASE64URL     (type: of a put)
//
// HMAC with SHA-256 over the fields, each with its length before it, so that no two sets of fields give the
// same text. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/uuid.h"
#include "storage/object_store.h"

namespace rowhouse::objects {

inline constexpr std::string_view kLinkPath = "/v1/object-links";
inline constexpr std::int64_t kMaxLinkSeconds = 604'800;
inline constexpr std::string_view kLinkKeyPurpose = "object links";

struct SignedLink {
  Uuid tenant;
  storage::LinkMethod method = storage::LinkMethod::get;
  std::string key;
  std::int64_t expires_s = 0;  // Unix time
  std::string content_type;    // of a put; "" = whatever is sent
  std::string download_name;   // of a get; "" = the last segment of the key
};

class ObjectLinks {
 public:
  // `base_url`: "https://api.example.com"; `key`: derived for kLinkKeyPurpose.
  ObjectLinks(std::string base_url, std::string key) : base_url_(std::move(base_url)), key_(std::move(key)) {}

  std::string url(const SignedLink& link) const;
  std::string signature(const SignedLink& link) const;
  // Errors: forbidden (the signature is not ours, or the link has expired).
  Result<void> check(const SignedLink& link, std::string_view signature, WallTime now) const;

 private:
  std::string base_url_;
  std::string key_;
};

std::string_view link_method_name(storage::LinkMethod method);  // "get", "put"

}  // namespace rowhouse::objects
