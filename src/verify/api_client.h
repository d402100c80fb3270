// HTTP as an attacker speaks it, and whether two answers tell anything apart. Blocking.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http_client.h"

namespace rowhouse::verify {

struct ApiAnswer {
  int status = 0;  // 0: no answer; `body` says why
  std::vector<net::Header> headers;
  std::string body;
  bool ok() const { return status >= 200 && status < 300; }
  std::string header(std::string_view name) const;
};

class ApiClient {
 public:
  ApiClient(std::string url, std::string ca_file) : url_(std::move(url)), ca_file_(std::move(ca_file)) {}
  // `body` "" sends none; otherwise as `content_type`.
  ApiAnswer call(const std::string& method, const std::string& path, std::vector<net::Header> headers = {},
                 const std::string& body = "", const std::string& content_type = "application/json");

 private:
  std::string url_, ca_file_;
};

// Everything that an answer says, with the secrets that the caller gave replaced, and without what differs
// between any two answers (time, request id).
std::string comparable(const ApiAnswer& answer, const std::vector<std::string>& secrets);

}  // namespace rowhouse::verify
