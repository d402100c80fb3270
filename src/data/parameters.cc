#include "base/text.h"
#include "data/data_service.h"

namespace rowhouse::data {
namespace {

constexpr std::size_t kMaxParameters = 100;

Result<std::string> decode(std::string_view text) {
  auto decoded = percent_decode(text);
  if (!decoded) return Error(ErrorCode::invalid_parameter, "the query has a '%' that is no valid escape");
  if (!is_valid_utf8(*decoded)) return Error(ErrorCode::invalid_parameter, "the query is not valid UTF-8");
  if (decoded->find('\0') != std::string::npos) {
    return Error(ErrorCode::invalid_parameter, "the query contains a NUL character");
  }
  return std::move(*decoded);
}

}  // namespace

Result<Parameters> parse_parameters(std::string_view query) {
  Parameters parameters;
  if (query.empty()) return parameters;
  while (true) {
    const auto end = query.find('&');
    const std::string_view part = query.substr(0, end);
    if (!part.empty()) {
      if (parameters.size() == kMaxParameters) {
        return Error(ErrorCode::invalid_parameter,
                     "the query has more than " + std::to_string(kMaxParameters) + " parameters");
      }
      const auto equals = part.find('=');
      TRY(std::string name, decode(part.substr(0, equals)));
      std::string value;
      if (equals != std::string_view::npos) {
        TRY(value, decode(part.substr(equals + 1)));
      }
      parameters.emplace_back(std::move(name), std::move(value));
    }
    if (end == std::string_view::npos) return parameters;
    query.remove_prefix(end + 1);
  }
}

}  // namespace rowhouse::data
