// JSON: what parses is written and parsed again to the same value, tight and pretty.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/json.h"
#include "base/text.h"

using rowhouse::is_valid_utf8;
namespace json = rowhouse::json;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto value = json::parse(text);
  if (!value.ok()) {
    require(value.error().code == rowhouse::ErrorCode::malformed_json);
    return 0;
  }
  require(is_valid_utf8(text));
  const std::string tight = json::serialize(*value);
  require(is_valid_utf8(tight) && tight.find('\n') == std::string::npos);
  const auto again = json::parse(tight);
  require(again.ok() && *again == *value && json::serialize(*again) == tight);
  const auto from_pretty = json::parse(json::serialize_pretty(*value));
  require(from_pretty.ok() && *from_pretty == *value);
  return 0;
}
