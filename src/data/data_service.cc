#include "data/data_service.h"

#include "base/text.h"
#include "data/cursor.h"
#include "data/export.h"
#include "data/function_call.h"
#include "data/idempotency.h"
#include "data/import.h"
#include "data/row_json.h"
#include "data/sql_builder.h"
#include "data/values.h"
#include "data/write_flow.h"

namespace rowhouse::data {
namespace {

using identity::TenantContext;
using tenancy::Resource;
using tenancy::Verb;

std::string_view verb_name(Verb verb) {
  switch (verb) {
    case Verb::read:
      return "reading";
    case Verb::create:
      return "creating";
    case Verb::update:
      return "changing";
    case Verb::remove:
      return "deleting";
    case Verb::import_rows:
      return "importing";
    case Verb::export_rows:
      return "exporting";
  }
  return {};
}

// The methods that the path of a verb offers for this resource, for the header Allow of a 405.
std::string offered_methods(const Resource& resource, Verb verb) {
  using Offer = std::pair<Verb, std::string_view>;
  static const std::vector<Offer> of_list = {{Verb::read, "GET"}, {Verb::create, "POST"}};
  static const std::vector<Offer> of_row = {
      {Verb::read, "GET"}, {Verb::update, "PATCH"}, {Verb::remove, "DELETE"}};
  static const std::vector<Offer> of_none;
  const bool is_row = verb == Verb::update || verb == Verb::remove;
  const bool is_list = verb == Verb::read || verb == Verb::create;
  std::string methods;
  for (const auto& [offered, method] : is_row ? of_row : is_list ? of_list : of_none) {
    if (!resource.operations.contains(offered)) continue;
    methods += (methods.empty() ? "" : ", ") + std::string(method);
  }
  return methods;
}

Result<void> require_verb(const TenantContext& context, const Resource& resource, Verb verb) {
  auto found = resource.operations.find(verb);
  if (found == resource.operations.end() && verb == Verb::export_rows) {
    found = resource.operations.find(Verb::read);
  }
  if (found == resource.operations.end()) {
    return Error(ErrorCode::method_not_allowed,
                 resource.name + " does not offer " + std::string(verb_name(verb)) + " rows")
        .with_detail("allow", offered_methods(resource, verb));
  }
  return context.require(found->second);
}

Result<Target> find_resource(const TenantContext& context, std::string_view name) {
  const auto& resources = context.pack().resources;
  const auto found = resources.find(name);
  if (found == resources.end()) {
    return Error(ErrorCode::unknown_resource, "the pack " + context.pack().manifest.name +
                                                  " has no resource \"" + std::string(name) + "\"");
  }
  return Target(found->second, context.tenant().placement.schema);
}

Result<Target> find_target(const TenantContext& context, std::string_view name, Verb verb) {
  TRY(Target target, find_resource(context, name));
  TRY_DO(require_verb(context, target.resource, verb));
  return target;
}

// An id that cannot be one names no row, just as one that is another tenant's.
Result<void> check_id(const Resource& resource, std::string_view id) {
  const Converted converted = convert_text(*resource.find_column("id"), id);
  if (!converted.ok() || !is_valid_utf8(id)) return no_such_row(resource);
  return {};
}

// A natural key is needed to find the row that is there; telling new rows from old ones needs more (see
// write_sql.cc).
Result<void> require_natural_key(const Resource& resource, OnConflict on_conflict) {
  if (on_conflict == OnConflict::error) return {};
  const bool is_plain = version_source(resource) == VersionSource::xmin;
  if (!resource.natural_key.empty() && (is_plain || on_conflict == OnConflict::ignore)) return {};
  const std::string why = resource.natural_key.empty() ? "the resource has no natural key"
                                                       : "only plain tables offer on_conflict=update";
  return Error(ErrorCode::invalid_parameter, "\"on_conflict\": " + why + ": " + resource.name)
      .with_field("on_conflict", why);
}

// What on_conflict asks for beyond creating: ignore shows a row that was there, update changes it.
Result<void> check_on_conflict(const TenantContext& context, const Resource& resource,
                               OnConflict on_conflict) {
  if (on_conflict == OnConflict::error) return {};
  TRY_DO(require_natural_key(resource, on_conflict));
  return require_verb(context, resource, on_conflict == OnConflict::update ? Verb::update : Verb::read);
}

Result<std::optional<EtagList>> optional_if_match(const std::string& header) {
  if (header.empty()) return std::optional<EtagList>();
  TRY(EtagList list, parse_if_match(header));
  return std::optional<EtagList>(std::move(list));
}

// A text in memory as a body, in one piece.
class TextReader final : public net::BodyReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}
  Task<Result<std::optional<std::string_view>>> read() override {
    co_return std::exchange(text_, std::nullopt);
  }
  void set_limit(std::uint64_t) override {}

 private:
  std::optional<std::string_view> text_;
};

Task<Result<void>> read_into(Import& import, net::BodyReader& body, CallOptions options) {
  CO_TRY_DO(co_await import.start(options));
  while (true) {
    CO_TRY(const auto piece, co_await body.read());
    if (!piece) break;
    CO_TRY_DO(co_await import.feed(*piece, options));
  }
  co_return co_await import.finish(options);
}

}  // namespace

struct DataService::Impl {
  Impl(session::TenantDatabase& tenant_database, std::string key, DataOptions data_options)
      : database(tenant_database), cursor_key(std::move(key)), options(data_options) {}

  Task<Result<Reply>> render_list(const TenantContext& context, Target target, const Query& query,
                                  const pg::Rows& rows, const ListStatement& list, CallOptions call_options);
  CursorScope cursor_scope(const TenantContext& context, const std::string& query_fingerprint) const {
    CursorScope scope;
    scope.key = cursor_key;
    scope.tenant = context.tenant().id;
    scope.fingerprint = query_fingerprint;
    return scope;
  }

  session::TenantDatabase& database;
  std::string cursor_key;
  DataOptions options;
};

DataService::DataService(session::TenantDatabase& database, std::string cursor_key, DataOptions options)
    : impl_(std::make_unique<Impl>(database, std::move(cursor_key), options)) {}
DataService::~DataService() = default;

Task<Result<Reply>> DataService::Impl::render_list(const TenantContext& context, Target target,
                                                   const Query& query, const pg::Rows& rows,
                                                   const ListStatement& list, CallOptions call_options) {
  const std::size_t shown = std::min(rows.size(), query.limit);
  Reply reply;
  reply.body = "{\"data\":";
  const RowRenderer renderer(query.select);
  renderer.append_rows(reply.body, rows, shown);
  reply.body += ",\"next_cursor\":";
  if (rows.size() > query.limit) {
    std::vector<pg::Param> last;
    for (const std::size_t column : list.order_columns) last.push_back(rows.value(shown - 1, column));
    const std::string query_fingerprint = data::fingerprint(target.resource, query);
    CO_TRY(const std::string cursor, encode_cursor(cursor_scope(context, query_fingerprint), last));
    reply.body += "\"" + cursor + "\"";
  } else {
    reply.body += "null";
  }
  if (query.count == Count::exact) {
    const pg::Statement count = build_count(target.resource, target.schema, query);
    auto counted = co_await database.run(context, count, call_options);
    if (!counted.ok()) co_return explain_read(std::move(counted).error(), query);
    reply.body += ",\"count\":";
    reply.body += counted->text(0, 0);
  }
  reply.body += "}";
  co_return reply;
}

Task<Result<Reply>> DataService::list(const TenantContext& context, std::string_view resource,
                                      std::string_view query_text, CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::read));
  CO_TRY(const Parameters parameters, parse_parameters(query_text));
  CO_TRY(const Query query, parse_query(parameters, target.resource, impl_->options, QueryUse::list));
  std::vector<pg::Param> after;
  if (!query.cursor.empty()) {
    const std::string query_fingerprint = fingerprint(target.resource, query);
    CO_TRY(after,
           decode_cursor(impl_->cursor_scope(context, query_fingerprint), query.cursor, query.order.size()));
  }
  const ListStatement list_statement =
      build_list(target.resource, target.schema, query, query.cursor.empty() ? nullptr : &after);
  auto rows = co_await impl_->database.run(context, list_statement.statement, options);
  if (!rows.ok()) co_return explain_read(std::move(rows).error(), query);
  co_return co_await impl_->render_list(context, target, query, *rows, list_statement, options);
}

Task<Result<Reply>> DataService::get(const TenantContext& context, std::string_view resource,
                                     std::string_view id, std::string_view query_text,
                                     std::string_view if_none_match, CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::read));
  CO_TRY(const Parameters parameters, parse_parameters(query_text));
  CO_TRY(const Query query, parse_query(parameters, target.resource, impl_->options, QueryUse::one_row));
  std::optional<EtagList> known;
  if (!if_none_match.empty()) {
    CO_TRY(known, parse_if_none_match(if_none_match));
  }
  CO_TRY_DO(check_id(target.resource, id));
  // The hash of a row without xmin is that of the whole row, whatever was selected.
  const bool by_xmin = version_source(target.resource) == VersionSource::xmin;
  const auto columns = by_xmin ? query.select : all_columns(target.resource);
  const pg::Statement statement =
      build_get(target.resource, target.schema, columns, std::string(id), RowLock::none);
  auto rows = co_await impl_->database.run(context, statement, options);
  if (!rows.ok()) {
    if (is_refused_id(rows.error(), {})) co_return no_such_row(target.resource);
    co_return std::move(rows).error();
  }
  if (rows->size() == 0) co_return no_such_row(target.resource);
  Reply reply;
  const RowRenderer renderer(columns);
  renderer.append_row(reply.body, *rows, 0);
  reply.etag = by_xmin ? xmin_etag(rows->text(0, columns.size())) : row_text_etag(reply.body);
  if (known && known->contains(reply.etag)) {
    reply.status = 304;
    reply.body.clear();
  } else if (!by_xmin) {
    std::vector<std::size_t> positions;
    for (const tenancy::Column* column : query.select) {
      positions.push_back(static_cast<std::size_t>(column - target.resource.columns.data()));
    }
    reply.body.clear();
    RowRenderer(query.select, positions).append_row(reply.body, *rows, 0);
  }
  co_return reply;
}

Task<Result<Reply>> DataService::create(const TenantContext& context, std::string_view resource,
                                        std::string_view body_text, WriteOptions write, CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::create));
  CO_TRY_DO(check_on_conflict(context, target.resource, write.on_conflict));
  CO_TRY_DO(check_idempotency_key(write.idempotency_key));
  CO_TRY(const Body body,
         parse_body(target.resource, body_text, BodyUse::create, impl_->options.max_batch_rows));
  CreateWork work(target, body, write.on_conflict);
  const std::string print = request_fingerprint("POST", resource, "", body_text, write);
  const Lane lane = create_needs_transaction(body, write.on_conflict) ? Lane::transaction : Lane::shared;
  auto reply =
      co_await carry_out(impl_->database, context, work, lane, write.idempotency_key, print, options);
  if (reply.ok() || body.rows.size() == 1 || !is_row_fault(reply.error()) ||
      !reply.error().detail(pg::kParameter).empty()) {
    co_return reply;
  }
  co_return co_await locate_faults(impl_->database, context, target, body, write.on_conflict,
                                   std::move(reply).error(), options);
}

Task<Result<Reply>> DataService::update(const TenantContext& context, std::string_view resource,
                                        std::string_view id, std::string_view body_text, WriteOptions write,
                                        CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::update));
  CO_TRY(const auto if_match, optional_if_match(write.if_match));
  CO_TRY_DO(check_idempotency_key(write.idempotency_key));
  CO_TRY(const Body body, parse_body(target.resource, body_text, BodyUse::update, 1));
  CO_TRY_DO(check_id(target.resource, id));
  UpdateWork work(target, std::string(id), body.rows.front(), if_match);
  const std::string print = request_fingerprint("PATCH", resource, id, body_text, write);
  const Lane lane = change_needs_transaction(target, if_match) ? Lane::transaction : Lane::shared;
  co_return co_await carry_out(impl_->database, context, work, lane, write.idempotency_key, print, options);
}

Task<Result<Reply>> DataService::remove(const TenantContext& context, std::string_view resource,
                                        std::string_view id, WriteOptions write, CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::remove));
  CO_TRY(const auto if_match, optional_if_match(write.if_match));
  CO_TRY_DO(check_idempotency_key(write.idempotency_key));
  CO_TRY_DO(check_id(target.resource, id));
  RemoveWork work(target, std::string(id), if_match);
  const std::string print = request_fingerprint("DELETE", resource, id, "", write);
  const Lane lane = change_needs_transaction(target, if_match) ? Lane::transaction : Lane::shared;
  co_return co_await carry_out(impl_->database, context, work, lane, write.idempotency_key, print, options);
}

Task<Result<Reply>> DataService::call(const TenantContext& context, std::string_view function_name,
                                      std::string_view body, CallOptions options) {
  const auto& functions = context.pack().functions;
  const auto found = functions.find(function_name);
  if (found == functions.end()) {
    co_return Error(ErrorCode::unknown_resource, "the pack " + context.pack().manifest.name +
                                                     " has no function \"" + std::string(function_name) +
                                                     "\"");
  }
  const tenancy::Function& function = found->second;
  CO_TRY_DO(context.require(function.operation));
  CO_TRY(const auto arguments, parse_arguments(function, body));
  const CallStatement statement = build_call(function, context.tenant().placement.schema, arguments);
  auto rows = co_await impl_->database.run(context, statement.statement, options);
  if (!rows.ok()) co_return explain_call(std::move(rows).error(), statement);
  co_return render_call(function, *rows);
}

Task<Result<DataService::ImportReply>> DataService::import_rows(const TenantContext& context,
                                                                std::string_view resource, RowFormat format,
                                                                std::string_view query, net::BodyReader& body,
                                                                CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::import_rows));
  CO_TRY(const Parameters parameters, parse_parameters(query));
  CO_TRY(const ImportOptions import_options,
         parse_import_options(parameters, target.resource, impl_->options));
  CO_TRY_DO(require_natural_key(target.resource, import_options.on_conflict));
  if (import_options.on_conflict == OnConflict::update) {
    CO_TRY_DO(require_verb(context, target.resource, Verb::update));
  }
  body.set_limit(impl_->options.max_import_bytes);
  CO_TRY(session::TenantTransaction transaction, co_await impl_->database.begin(context, options));
  Import import(transaction, target, format, import_options);
  auto outcome = co_await read_into(import, body, options);
  if (!outcome.ok()) {
    co_await roll_back(transaction, options);
    co_return std::move(outcome).error();
  }
  CO_TRY_DO(co_await transaction.commit(options));
  ImportReply reply;
  reply.body = ImportReport::stream(import.take_report());
  co_return std::move(reply);
}

Task<Result<std::size_t>> DataService::import_text(const TenantContext& context, std::string_view resource,
                                                   std::string_view csv, CallOptions options) {
  CO_TRY(const Target target, find_resource(context, resource));
  ImportOptions import_options;
  import_options.on_error = OnError::abort;
  import_options.batch_rows = impl_->options.import_batch_rows;
  import_options.max_row_bytes = impl_->options.max_import_row_bytes;
  CO_TRY(session::TenantTransaction transaction, co_await impl_->database.begin(context, options));
  Import import(transaction, target, RowFormat::csv, import_options);
  TextReader reader(csv);
  auto outcome = co_await read_into(import, reader, options);
  if (!outcome.ok()) {
    co_await roll_back(transaction, options);
    co_return std::move(outcome).error();
  }
  CO_TRY_DO(co_await transaction.commit(options));
  co_return static_cast<std::size_t>(import.take_report().inserted());
}

Task<Result<std::unique_ptr<net::BodySource>>> DataService::export_rows(const TenantContext& context,
                                                                        std::string_view resource,
                                                                        RowFormat format,
                                                                        std::string_view query_text,
                                                                        CallOptions options) {
  CO_TRY(const Target target, find_target(context, resource, Verb::export_rows));
  CO_TRY(const Parameters parameters, parse_parameters(query_text));
  CO_TRY(Query query, parse_query(parameters, target.resource, impl_->options, QueryUse::export_rows));
  co_return co_await open_export(impl_->database, context, target, std::move(query), format,
                                 impl_->options.export_batch_rows, options);
}

}  // namespace rowhouse::data
