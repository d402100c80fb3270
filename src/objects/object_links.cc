#include "objects/object_links.h"

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::objects {
namespace {

// "/" stays: it separates segments of the path as it does in keys.
std::string encode_key(std::string_view key) {
  std::string path;
  for (const std::string_view segment : split(key, '/')) {
    path += '/';
    path += percent_encode(segment);
  }
  return path;
}

}  // namespace

std::string_view link_method_name(storage::LinkMethod method) {
  return method == storage::LinkMethod::get ? "get" : "put";
}

std::string ObjectLinks::signature(const SignedLink& link) const {
  std::string text;
  const auto add = [&](std::string_view field) {
    text += std::to_string(field.size());
    text += ':';
    text += field;
  };
  add("object link 1");
  add(link_method_name(link.method));
  add(link.tenant.to_string());
  add(link.key);
  add(std::to_string(link.expires_s));
  add(link.content_type);
  add(link.download_name);
  return to_base64url(crypto::hmac_sha256(key_, text));
}

std::string ObjectLinks::url(const SignedLink& link) const {
  std::string url = base_url_;
  url += kLinkPath;
  url += '/';
  url += link.tenant.to_string();
  url += encode_key(link.key);
  url += "?method=";
  url += link_method_name(link.method);
  url += "&expires=" + std::to_string(link.expires_s);
  if (!link.content_type.empty()) url += "&type=" + percent_encode(link.content_type);
  if (!link.download_name.empty()) url += "&name=" + percent_encode(link.download_name);
  url += "&signature=" + signature(link);
  return url;
}

Result<void> ObjectLinks::check(const SignedLink& link, std::string_view given, WallTime now) const {
  if (!crypto::constant_time_equal(signature(link), given)) {
    return Error(ErrorCode::forbidden, "the link is not valid");
  }
  const auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (now_s >= link.expires_s) return Error(ErrorCode::forbidden, "the link has expired");
  return {};
}

}  // namespace rowhouse::objects
