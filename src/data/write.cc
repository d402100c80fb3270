#include "data/write.h"

#include "base/text.h"
#include "data/row_json.h"

namespace rowhouse::data {
namespace {

using tenancy::Resource;

std::size_t id_index(const Resource& resource) {
  return static_cast<std::size_t>(resource.find_column("id") - resource.columns.data());
}

// Where Returning::rows says, with on_conflict=update, whether the row is new: behind all columns and xmin.
std::size_t is_new_index(const Resource& resource) { return resource.columns.size() + 1; }

Error changed_meanwhile(const Resource& resource) {
  return Error(ErrorCode::precondition_failed,
               "the row of " + resource.name + " is no longer the one that If-Match names; read it again");
}

// Nothing was written: because there is no such row, or because it is another version of it?
Task<Result<Reply>> explain_nothing(Runner& runner, Target target, const std::string& id,
                                    CallOptions options) {
  const pg::Statement statement = build_exists(target.resource, target.schema, id);
  CO_TRY(const pg::Rows rows, co_await runner.run(statement, options));
  if (rows.size() == 0) co_return no_such_row(target.resource);
  co_return changed_meanwhile(target.resource);
}

// For rows without xmin: locks the row, then compares the hash. The lock lasts until the transaction ends.
Task<Result<void>> check_row_text(Runner& runner, Target target, const std::string& id,
                                  const EtagList& if_match, CallOptions options) {
  const auto columns = all_columns(target.resource);
  const pg::Statement statement = build_get(target.resource, target.schema, columns, id, RowLock::for_update);
  CO_TRY(const pg::Rows rows, co_await runner.run(statement, options));
  if (rows.size() == 0) co_return no_such_row(target.resource);
  if (!if_match.contains(render_full_row(target.resource, rows, 0).etag)) {
    co_return changed_meanwhile(target.resource);
  }
  co_return Result<void>();
}

bool compares_xmin(const Target& target, const std::optional<EtagList>& if_match) {
  return if_match && !if_match->any && version_source(target.resource) == VersionSource::xmin;
}

void describe_row(Reply& reply, const Resource& resource, const pg::Rows& rows, std::size_t row) {
  RenderedRow rendered = render_full_row(resource, rows, row);
  reply.body = std::move(rendered.json);
  reply.etag = std::move(rendered.etag);
}

// on_conflict=ignore found the row there: that row is the answer.
Task<Result<Reply>> existing_row(Runner& runner, Target target, const RowInput& row, CallOptions options) {
  const pg::Statement statement = build_get_by_key(target.resource, target.schema, row);
  CO_TRY(const pg::Rows rows, co_await runner.run(statement, options));
  if (rows.size() == 0) {
    co_return Error(ErrorCode::conflict, "another request was removing the row; try again");
  }
  Reply reply;
  describe_row(reply, target.resource, rows, 0);
  co_return reply;
}

}  // namespace

Error no_such_row(const Resource& resource) {
  return Error(ErrorCode::not_found, "there is no row with this id in " + resource.name);
}

std::string location_of(const Resource& resource, std::string_view id) {
  return "/v1/data/" + resource.name + "/" + percent_encode(id);
}

RenderedRow render_full_row(const Resource& resource, const pg::Rows& rows, std::size_t row) {
  RenderedRow rendered;
  const RowRenderer renderer(all_columns(resource));
  renderer.append_row(rendered.json, rows, row);
  rendered.etag = version_source(resource) == VersionSource::xmin
                      ? xmin_etag(rows.text(row, resource.columns.size()))
                      : row_text_etag(rendered.json);
  return rendered;
}

bool create_needs_transaction(const Body& body, OnConflict on_conflict) {
  return split_rows(body.rows, on_conflict).size() > 1;
}

bool change_needs_transaction(const Target& target, const std::optional<EtagList>& if_match) {
  return if_match && !if_match->any && version_source(target.resource) == VersionSource::row_text;
}

Task<Result<Reply>> create_rows(Runner& runner, Target target, const Body& body, OnConflict on_conflict,
                                CallOptions options) {
  const bool is_array = body.shape == BodyShape::array;
  const RowRenderer renderer(all_columns(target.resource));
  Reply reply;
  std::string list;
  std::size_t written = 0;
  std::size_t created = 0;
  for (const auto& [start, count] : split_rows(body.rows, on_conflict)) {
    const auto part = std::span(body.rows).subspan(start, count);
    InsertStatement insert = build_insert(target.resource, target.schema, part, on_conflict, Returning::rows);
    auto outcome = co_await runner.run(insert.statement, options);
    if (!outcome.ok()) {
      const ParameterOrigin* origin = refused_parameter(outcome.error(), insert.origins);
      const std::string prefix = !is_array               ? ""
                                 : origin != nullptr     ? "/" + std::to_string(start + origin->row)
                                 : body.rows.size() == 1 ? "/0"
                                                         : "";
      co_return explain_write(std::move(outcome).error(), target.resource, origin, prefix);
    }
    for (std::size_t row = 0; row < outcome->size(); ++row) {
      if (is_array) {
        if (written > 0) list.push_back(',');
        renderer.append_row(list, *outcome, row);
      } else {
        describe_row(reply, target.resource, *outcome, row);
        reply.location = location_of(target.resource, outcome->text(row, id_index(target.resource)));
      }
      ++written;
      const bool was_there =
          on_conflict == OnConflict::update && outcome->text(row, is_new_index(target.resource)) == "f";
      created += was_there ? 0 : 1;
    }
  }
  reply.status = created > 0 ? 201 : 200;
  if (is_array) {
    reply.body = "{\"data\":[" + list + "]}";
  } else if (written == 0) {
    CO_TRY(reply, co_await existing_row(runner, target, body.rows[0], options));
  }
  co_return reply;
}

Task<Result<Reply>> update_row(Runner& runner, Target target, const std::string& id, const RowInput& row,
                               const std::optional<EtagList>& if_match, CallOptions options) {
  if (change_needs_transaction(target, if_match)) {
    CO_TRY_DO(co_await check_row_text(runner, target, id, *if_match, options));
  }
  std::vector<std::string> xmins;
  const bool conditional = compares_xmin(target, if_match);
  if (conditional) xmins = if_match->xmins();
  const InsertStatement update =
      build_update(target.resource, target.schema, id, row, conditional ? &xmins : nullptr);
  auto outcome = co_await runner.run(update.statement, options);
  if (!outcome.ok()) {
    if (is_refused_id(outcome.error(), update.origins)) co_return no_such_row(target.resource);
    const ParameterOrigin* origin = refused_parameter(outcome.error(), update.origins);
    co_return explain_write(std::move(outcome).error(), target.resource, origin, "");
  }
  if (outcome->size() == 0) {
    if (!conditional) co_return no_such_row(target.resource);
    co_return co_await explain_nothing(runner, target, id, options);
  }
  Reply reply;
  describe_row(reply, target.resource, *outcome, 0);
  co_return reply;
}

Task<Result<Reply>> remove_row(Runner& runner, Target target, const std::string& id,
                               const std::optional<EtagList>& if_match, CallOptions options) {
  if (change_needs_transaction(target, if_match)) {
    CO_TRY_DO(co_await check_row_text(runner, target, id, *if_match, options));
  }
  std::vector<std::string> xmins;
  const bool conditional = compares_xmin(target, if_match);
  if (conditional) xmins = if_match->xmins();
  const pg::Statement statement =
      build_remove(target.resource, target.schema, id, conditional ? &xmins : nullptr);
  auto outcome = co_await runner.run(statement, options);
  if (!outcome.ok()) {
    if (is_refused_id(outcome.error(), {})) co_return no_such_row(target.resource);
    co_return explain_remove(std::move(outcome).error(), target.resource);
  }
  if (outcome->affected() == 0) {
    if (!conditional) co_return no_such_row(target.resource);
    co_return co_await explain_nothing(runner, target, id, options);
  }
  Reply reply;
  reply.status = 204;
  co_return reply;
}

}  // namespace rowhouse::data
