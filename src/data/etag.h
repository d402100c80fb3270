// ETags of rows, and the headers that carry them back (RFC 9110, 13.1). Pure.
//
// A plain table's row has "x" + the transaction that wrote it (xmin): it changes with every write and costs
// nothing. Rows of views and partitioned tables have none to give, so theirs is "h" + a hash of the whole
// row.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rowhouse::data {

std::string xmin_etag(std::string_view xmin);          // "\"x731\""
std::string row_text_etag(std::string_view row_json);  // "\"h0123…\""

struct EtagList {
  bool any = false;               // "*"
  std::vector<std::string> tags;  // quoted; weak ones ("W/…") only where they may match

  bool contains(std::string_view etag) const;
  // The transactions of the tags that are of the xmin kind.
  std::vector<std::string> xmins() const;
};

// If-Match compares strongly: weak tags match nothing. Error: invalid_parameter.
Result<EtagList> parse_if_match(std::string_view header);
// If-None-Match compares weakly: W/"x1" is "x1".
Result<EtagList> parse_if_none_match(std::string_view header);

}  // namespace rowhouse::data
