#include "base/text.h"
#include "http/documents.h"
#include "http/routes/routes.h"
#include "http/schemas.h"

namespace rowhouse::http {
namespace {

using identity::TenantContext;

net::HttpResponse render(data::Reply reply) {
  net::HttpResponse response(reply.status);
  if (!reply.body.empty()) response.headers.emplace_back("Content-Type", "application/json");
  if (!reply.etag.empty()) response.headers.emplace_back("ETag", std::move(reply.etag));
  if (!reply.location.empty()) response.headers.emplace_back("Location", std::move(reply.location));
  if (reply.replayed) response.headers.emplace_back("Idempotency-Replayed", "true");
  response.body = std::move(reply.body);
  return response;
}

// The handlers of one worker. Each: parse, one call of the service, render.
class DataRoutes {
 public:
  DataRoutes(const Dependencies& dependencies, const ApiOptions& options)
      : data_(dependencies.data), options_(options) {}

  Reply list(Call& call, const TenantContext& context) const {
    CO_TRY(auto reply, co_await data_.list(context, call.parameters[0], call.request.query, call.options));
    co_return render(std::move(reply));
  }

  Reply get(Call& call, const TenantContext& context) const {
    const std::string_view if_none_match = call.request.header("If-None-Match").value_or("");
    CO_TRY(auto reply, co_await data_.get(context, call.parameters[0], call.parameters[1], call.request.query,
                                          if_none_match, call.options));
    co_return render(std::move(reply));
  }

  Reply create(Call& call, const TenantContext& context) const {
    CO_TRY(data::WriteOptions write, write_options(call, {"on_conflict"}));
    CO_TRY(const std::string body, co_await read_json_text(call.request, options_.max_json_bytes));
    CO_TRY(auto reply, co_await data_.create(context, call.parameters[0], body, write, call.options));
    co_return render(std::move(reply));
  }

  Reply update(Call& call, const TenantContext& context) const {
    CO_TRY(data::WriteOptions write, write_options(call, {}));
    CO_TRY(const std::string body, co_await read_json_text(call.request, options_.max_json_bytes));
    CO_TRY(auto reply,
           co_await data_.update(context, call.parameters[0], call.parameters[1], body, write, call.options));
    co_return render(std::move(reply));
  }

  Reply remove(Call& call, const TenantContext& context) const {
    CO_TRY(data::WriteOptions write, write_options(call, {}));
    CO_TRY(auto reply,
           co_await data_.remove(context, call.parameters[0], call.parameters[1], write, call.options));
    co_return render(std::move(reply));
  }

  Reply call_function(Call& call, const TenantContext& context) const {
    std::string body;  // none: no arguments
    if (call.request.header("Content-Type") || call.request.header("Transfer-Encoding") ||
        call.request.header("Content-Length").value_or("0") != "0") {
      CO_TRY(body, co_await read_json_text(call.request, options_.max_json_bytes));
    }
    CO_TRY(auto reply, co_await data_.call(context, call.parameters[0], body, call.options));
    co_return render(std::move(reply));
  }

  Reply import_rows(Call& call, const TenantContext& context) const {
    const std::string type = media_type(call.request);
    if (type != "text/csv" && type != "application/x-ndjson") {
      co_return Error(ErrorCode::unsupported_media_type, "the body must be text/csv or application/x-ndjson");
    }
    const data::RowFormat format = type == "text/csv" ? data::RowFormat::csv : data::RowFormat::ndjson;
    call.request.body->set_limit(options_.max_import_bytes);
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(auto reply, co_await data_.import_rows(context, call.parameters[0], format, call.request.query,
                                                  *call.request.body, call.options));
    net::HttpResponse response(reply.status);
    response.headers.emplace_back("Content-Type", "application/json");
    response.stream = std::move(reply.body);
    co_return response;
  }

  Reply export_rows(Call& call, const TenantContext& context) const {
    CO_TRY(const data::Parameters parameters, data::parse_parameters(call.request.query));
    std::string format_name = "csv";
    std::string rest;  // the query without `format`, which is not the data module's
    for (const auto& [name, value] : parameters) {
      if (name == "format") {
        format_name = value;
        continue;
      }
      rest += (rest.empty() ? "" : "&") + percent_encode(name) + "=" + percent_encode(value);
    }
    if (format_name != "csv" && format_name != "ndjson") {
      co_return Error(ErrorCode::invalid_parameter, "format must be csv or ndjson");
    }
    const data::RowFormat format = format_name == "csv" ? data::RowFormat::csv : data::RowFormat::ndjson;
    call.options.deadline = deadline_in(options_.long_request_timeout);
    CO_TRY(auto source, co_await data_.export_rows(context, call.parameters[0], format, rest, call.options));
    net::HttpResponse response(200);
    response.headers.emplace_back("Content-Type",
                                  format_name == "csv" ? "text/csv; charset=utf-8" : "application/x-ndjson");
    response.headers.emplace_back("Content-Disposition",
                                  "attachment; filename=\"" + call.parameters[0] + "." + format_name + "\"");
    response.stream = std::move(source);
    co_return response;
  }

  Reply own_tenant(Call&, const TenantContext& context) const {
    co_return json_response(200, own_tenant_document(context));
  }

 private:
  static Result<data::WriteOptions> write_options(const Call& call,
                                                  std::initializer_list<std::string_view> known) {
    data::WriteOptions write;
    TRY(const auto parameters, read_query(call.request, known));
    for (const auto& [name, value] : parameters) {
      using OnConflict = data::WriteOptions::OnConflict;
      if (value == "update") {
        write.on_conflict = OnConflict::update;
      } else if (value == "ignore") {
        write.on_conflict = OnConflict::ignore;
      } else if (value != "error") {
        return Error(ErrorCode::invalid_parameter, "on_conflict must be error, update or ignore");
      }
    }
    write.idempotency_key = call.request.header("Idempotency-Key").value_or("");
    write.if_match = call.request.header("If-Match").value_or("");
    return write;
  }

  data::DataService& data_;
  const ApiOptions& options_;
};

}  // namespace

void add_data_routes(Router& router, const Dependencies& dependencies, const ApiOptions& options) {
  using net::Method;
  using tenancy::Verb;
  // Shared by the handlers below, which live as long as the router.
  const auto routes = std::make_shared<DataRoutes>(dependencies, options);
  const auto on = [&](RouteInfo info, auto member) {
    router.add(std::move(info), TenantHandler([routes, member](Call& call, const TenantContext& context) {
                 return ((*routes).*member)(call, context);
               }));
  };
  const auto info = [](Method method, const char* path, Guard guard, const char* id, const char* title) {
    return RouteInfo(method, path, guard, id, title).in("Data");
  };
  on(info(Method::get, "/v1/data/{resource}", Guard::resource(Verb::read), "listRows", "List rows"),
     &DataRoutes::list);
  on(info(Method::post, "/v1/data/{resource}", Guard::resource(Verb::create), "createRows",
          "Create one row or many")
         .returns(201),
     &DataRoutes::create);
  on(info(Method::get, "/v1/data/{resource}/{id}", Guard::resource(Verb::read), "getRow", "Get a row"),
     &DataRoutes::get);
  on(info(Method::patch, "/v1/data/{resource}/{id}", Guard::resource(Verb::update), "updateRow",
          "Change a row"),
     &DataRoutes::update);
  on(info(Method::remove, "/v1/data/{resource}/{id}", Guard::resource(Verb::remove), "deleteRow",
          "Delete a row")
         .returns(204),
     &DataRoutes::remove);
  on(info(Method::post, "/v1/rpc/{function}", Guard::function(), "callFunction", "Call a function"),
     &DataRoutes::call_function);
  on(info(Method::post, "/v1/import/{resource}", Guard::resource(Verb::import_rows), "importRows",
          "Import rows"),
     &DataRoutes::import_rows);
  on(info(Method::get, "/v1/export/{resource}", Guard::resource(Verb::export_rows), "exportRows",
          "Export rows"),
     &DataRoutes::export_rows);
  on(RouteInfo(Method::get, "/v1/tenant", Guard::tenant("tenant:read"), "getOwnTenant",
               "The tenant of the key")
         .in("Tenant")
         .returns(200, ref("OwnTenant")),
     &DataRoutes::own_tenant);
}

}  // namespace rowhouse::http
