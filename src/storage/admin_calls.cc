#include "storage/admin_calls.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "crypto/crypto.h"
#include "storage/store_xml.h"

namespace rowhouse::storage {
namespace {

constexpr std::string_view kNamePrefix = "rowhouse-";

// As S3 and the admin APIs beside it say it: in JSON under one of these names, or in XML.
std::string code_of(const std::string& body) {
  const auto document = json::parse(body);
  if (!document.ok()) return error_code_of_xml(body);
  const std::string code = text_member(*document, "Code");
  return code.empty() ? text_member(*document, "code") : code;
}

}  // namespace

std::string made_name_of(const Uuid& tenant) { return std::string(kNamePrefix) + tenant.to_string(); }

void add_tenant_of(std::string_view name, std::vector<Uuid>& found) {
  if (!name.starts_with(kNamePrefix)) return;
  const auto tenant = Uuid::parse(name.substr(kNamePrefix.size()));
  if (tenant && std::find(found.begin(), found.end(), *tenant) == found.end()) found.push_back(*tenant);
}

std::string text_member(const json::Value& object, std::string_view name) {
  const json::Value* value = object.find(name);
  return value == nullptr || value->as_string() == nullptr ? "" : *value->as_string();
}

Result<json::Value> json_of(const Answer& answer) {
  auto document = json::parse(answer.body);
  if (!document.ok()) return Error(ErrorCode::storage_failed, "the object storage answered with no JSON");
  return std::move(*document);
}

Task<Result<Answer>> send_admin_request(const StoreTools& tools, net::TransferRequest request,
                                        std::vector<int> accept, CallOptions options) {
  CO_TRY(const auto response, co_await tools.transfers.send(std::move(request), options));
  Answer answer;
  answer.status = response->status();
  answer.headers = response->headers();
  CO_TRY(answer.body, co_await response->read_all(kMaxAnswerBytes, options));
  const bool is_accepted = std::find(accept.begin(), accept.end(), answer.status) != accept.end();
  if ((answer.status >= 200 && answer.status < 300) || is_accepted) co_return answer;
  co_return provider_error(ErrorCode::storage_failed, code_of(answer.body), answer.status);
}

Task<Result<Answer>> send_signed_request(const StoreTools& tools, const Endpoint& endpoint,
                                         const S3Signer& signer, StoreRequest request, CallOptions options) {
  const std::string query = escape_query(request.query);
  net::TransferRequest prepared(request.method,
                                endpoint.origin() + request.path + (query.empty() ? "" : "?" + query));
  S3Request to_sign;
  to_sign.method = request.method;
  to_sign.host = endpoint.authority;
  to_sign.path = request.path;
  to_sign.query = request.query;
  to_sign.headers = request.headers;
  const std::string payload = to_hex(crypto::sha256(request.body));
  prepared.headers = signer.sign(to_sign, payload, tools.clock.now()).headers;
  prepared.body = std::move(request.body);
  co_return co_await send_admin_request(tools, std::move(prepared), std::move(request.accept), options);
}

}  // namespace rowhouse::storage
