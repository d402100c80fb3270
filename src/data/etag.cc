#include "data/etag.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/crypto.h"

namespace rowhouse::data {
namespace {

constexpr std::size_t kHashBytes = 12;
constexpr std::size_t kMaxTags = 50;

enum class WeakTags { dropped, accepted };

Result<EtagList> parse(std::string_view header, std::string_view name, WeakTags weak_tags) {
  EtagList list;
  std::string_view rest = trim(header);
  if (rest == "*") {
    list.any = true;
    return list;
  }
  const auto refuse = [&] {
    return Error(ErrorCode::invalid_parameter,
                 std::string(name) + " must be \"*\" or a list of quoted ETags");
  };
  while (true) {
    const bool weak = rest.starts_with("W/");
    if (weak) rest.remove_prefix(2);
    const auto close = rest.starts_with('"') ? rest.find('"', 1) : std::string_view::npos;
    if (close == std::string_view::npos || list.tags.size() == kMaxTags) return refuse();
    const std::string_view tag = rest.substr(0, close + 1);
    if (!weak || weak_tags == WeakTags::accepted) list.tags.emplace_back(tag);
    rest = trim(rest.substr(close + 1));
    if (rest.empty()) return list;
    if (!rest.starts_with(',')) return refuse();
    rest = trim(rest.substr(1));
  }
}

}  // namespace

std::string xmin_etag(std::string_view xmin) { return "\"x" + std::string(xmin) + "\""; }

std::string row_text_etag(std::string_view row_json) {
  return "\"h" + to_hex(crypto::sha256(row_json).substr(0, kHashBytes)) + "\"";
}

bool EtagList::contains(std::string_view etag) const {
  return any || std::find(tags.begin(), tags.end(), etag) != tags.end();
}

std::vector<std::string> EtagList::xmins() const {
  std::vector<std::string> found;
  for (const std::string& tag : tags) {
    if (!tag.starts_with("\"x")) continue;
    std::string digits = tag.substr(2, tag.size() - 3);
    if (digits.find_first_not_of("0123456789") == std::string::npos) found.push_back(std::move(digits));
  }
  return found;
}

Result<EtagList> parse_if_match(std::string_view header) {
  return parse(header, "If-Match", WeakTags::dropped);
}

Result<EtagList> parse_if_none_match(std::string_view header) {
  return parse(header, "If-None-Match", WeakTags::accepted);
}

}  // namespace rowhouse::data
