#include "storage/object_store.h"

#include <fmt/format.h>

#include "base/text.h"

namespace rowhouse::storage {

namespace {

Error bad_key(std::string what) {
  return Error(ErrorCode::validation_failed, "the key is not valid: " + what).with_field("/key", what);
}

// C0, DEL and C1, the last as UTF-8 has them (C2 80 to C2 9F).
bool has_control_character(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace

Result<void> check_key(std::string_view key) {
  if (key.empty()) return bad_key("it is empty");
  if (key.size() > kMaxKeyBytes) return bad_key(fmt::format("it is longer than {} bytes", kMaxKeyBytes));
  if (!is_valid_utf8(key)) return bad_key("it is not UTF-8");
  if (has_control_character(key)) return bad_key("it has a control character");
  for (const std::string_view segment : split(key, '/')) {
    if (segment.empty()) return bad_key("it begins or ends with a slash, or has two in a row");
    if (segment == "." || segment == "..") return bad_key("\".\" and \"..\" cannot be segments");
  }
  return {};
}

}  // namespace rowhouse::storage
