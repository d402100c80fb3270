// Cursors: what was encoded is decoded to the same values; nothing else is ever accepted.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "data/cursor.h"

using namespace rowhouse;        // NOLINT
using namespace rowhouse::data;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Values out of the input: 0xff separates them, a part that begins with 0xfe is NULL.
std::vector<pg::Param> values_of(std::string_view text) {
  std::vector<pg::Param> values;
  for (const std::string_view part : split(text, '\xff')) {
    if (values.size() == 8) break;
    values.push_back(part.starts_with('\xfe') ? pg::Param() : pg::Param(part));
  }
  return values;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const std::string key(32, 'k');
  CursorScope scope;
  scope.key = key;
  scope.fingerprint = "6:things;2:id+>";
  const auto values = values_of(text);
  // Taken as a cursor: nobody can guess a signature.
  for (std::size_t count = 0; count < 3; ++count) require(!decode_cursor(scope, text, count).ok());
  const auto cursor = encode_cursor(scope, values);
  if (!cursor.ok()) {
    require(size > kMaxCursorBytes / 2);
    return 0;
  }
  require(cursor->size() <= kMaxCursorBytes);
  const auto decoded = decode_cursor(scope, *cursor, values.size());
  require(decoded.ok() && *decoded == values);
  require(!decode_cursor(scope, *cursor, values.size() + 1).ok());
  CursorScope other = scope;
  other.fingerprint = text;
  if (text != scope.fingerprint) require(!decode_cursor(other, *cursor, values.size()).ok());
  if (size > 0) {
    std::string changed = *cursor;
    char& c = changed[data[0] % changed.size()];
    c = c == 'A' ? 'B' : 'A';
    require(!decode_cursor(scope, changed, values.size()).ok());
    require(!decode_cursor(scope, cursor->substr(0, data[size - 1] % cursor->size()), values.size()).ok());
  }
  return 0;
}
