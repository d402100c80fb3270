#include "base/error.h"

namespace rowhouse {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
#define ROWHOUSE_ERROR_NAME(name, status, title) \
  case ErrorCode::name:                          \
    return #name;
    ROWHOUSE_ERROR_CODES(ROWHOUSE_ERROR_NAME)
#undef ROWHOUSE_ERROR_NAME
  }
  return "internal";
}

std::string_view error_code_title(ErrorCode code) {
  switch (code) {
#define ROWHOUSE_ERROR_TITLE(name, status, title) \
  case ErrorCode::name:                           \
    return title;
    ROWHOUSE_ERROR_CODES(ROWHOUSE_ERROR_TITLE)
#undef ROWHOUSE_ERROR_TITLE
  }
  return "";
}

int error_code_status(ErrorCode code) {
  switch (code) {
#define ROWHOUSE_ERROR_STATUS(name, status, title) \
  case ErrorCode::name:                            \
    return status;
    ROWHOUSE_ERROR_CODES(ROWHOUSE_ERROR_STATUS)
#undef ROWHOUSE_ERROR_STATUS
  }
  return 500;
}

std::string_view Error::detail(std::string_view key) const {
  for (const auto& [name, value] : details) {
    if (name == key) return value;
  }
  return {};
}

}  // namespace rowhouse
