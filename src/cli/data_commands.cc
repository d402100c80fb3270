#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <optional>
#include <ostream>

#include "base/text.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/interrupts.h"
#include "cli/output_file.h"
#include "cli/table.h"
#include "cli/transfer_progress.h"

namespace rowhouse::cli {
namespace {

constexpr std::string_view kData = "/v1/data";

// ---- reading

std::vector<std::pair<std::string, std::string>> list_query(const Invocation& invocation) {
  std::vector<std::pair<std::string, std::string>> query;
  for (const std::string& filter : invocation.values("filter")) {
    const std::size_t equals = filter.find('=');
    query.emplace_back(filter.substr(0, equals),
                       equals == std::string::npos ? "" : filter.substr(equals + 1));
  }
  for (const char* option : {"select", "order", "limit", "cursor", "format"}) {
    query.emplace_back(option, invocation.value(option));
  }
  if (invocation.has("count")) query.emplace_back("count", "exact");
  return query;
}

Result<void> check_filters(const Invocation& invocation) {
  for (const std::string& filter : invocation.values("filter")) {
    const std::size_t equals = filter.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == filter.size()) {
      return usage_error(fmt::format("--filter {}: write COLUMN=OPERATOR.VALUE, as status=eq.NEW", filter));
    }
  }
  return {};
}

// Any array of objects as a table: its columns are the members of the first.
void print_rows(const Terminal& terminal, const json::Array& rows) {
  Table table;
  const json::Object* first = rows.empty() ? nullptr : rows.front().as_object();
  if (first == nullptr && !rows.empty()) {
    for (const json::Value& row : rows) terminal.out << printable(text_of(row)) << '\n';
    return;
  }
  if (first != nullptr) {
    for (const auto& [name, value] : *first) {
      table.column(name, value.as_number() != nullptr ? Align::right : Align::left);
    }
    for (const json::Value& row : rows) {
      std::vector<std::string> cells;
      for (const auto& [name, value] : *first) cells.push_back(text_of(row, name));
      table.row(std::move(cells));
    }
  }
  table.print(terminal, "There are no rows.");
}

void print_value(const Terminal& terminal, const json::Value& value) {
  const json::Value* data = value.find("data");
  if (data != nullptr && data->as_array() != nullptr) {
    print_rows(terminal, *data->as_array());
  } else if (value.as_object() != nullptr) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (const auto& [name, member] : *value.as_object()) fields.emplace_back(name, text_of(member));
    print_fields(terminal, fields);
  } else {
    terminal.out << printable(text_of(value)) << '\n';
  }
}

ExitCode show_answer(Invocation& invocation, const ApiReply& reply) {
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_value(invocation.terminal(), reply.body);
  const std::string etag = reply.header("ETag");
  if (!etag.empty() && invocation.terminal().err_is_terminal)
    invocation.terminal().err << "ETag: " << etag << '\n';
  return ExitCode::ok;
}

Result<ExitCode> list_rows(Invocation& invocation) {
  TRY_DO(check_filters(invocation));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply,
      client.call("GET", path_of(kData, {invocation.argument(0)}) + query_of(list_query(invocation))));
  if (invocation.json()) return print_json(invocation.terminal(), reply.body);
  print_value(invocation.terminal(), reply.body);
  const std::string count = text_of(reply.body, "count");
  if (!count.empty()) invocation.terminal().err << fmt::format("{} rows in all.\n", count);
  const std::string cursor = text_of(reply.body, "next_cursor");
  if (!cursor.empty()) invocation.terminal().err << "There are more: --cursor " << cursor << '\n';
  return ExitCode::ok;
}

Result<ExitCode> get_row(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const auto query = query_of({{"select", invocation.value("select")}});
  TRY(const auto reply,
      client.call("GET", path_of(kData, {invocation.argument(0), invocation.argument(1)}) + query));
  return show_answer(invocation, reply);
}

// ---- writing

Result<json::Value> json_argument(const Invocation& invocation, std::size_t index) {
  const std::string& argument = invocation.argument(index);
  TRY(const auto text, read_text_argument(invocation.terminal(), argument.empty() ? "{}" : argument));
  auto parsed = json::parse(text);
  if (!parsed.ok()) return usage_error(parsed.error().message);
  return std::move(*parsed);
}

std::vector<net::Header> write_headers(const Invocation& invocation) {
  std::vector<net::Header> headers;
  if (invocation.has("idempotency-key"))
    headers.emplace_back("Idempotency-Key", invocation.value("idempotency-key"));
  if (invocation.has("if-match")) headers.emplace_back("If-Match", invocation.value("if-match"));
  return headers;
}

Result<ExitCode> create_row(Invocation& invocation) {
  TRY(const auto body, json_argument(invocation, 1));
  TRY(const auto client, ApiClient::create(invocation));
  const auto query = query_of({{"on_conflict", invocation.value("on-conflict")}});
  TRY(const auto reply,
      client.call("POST", path_of(kData, {invocation.argument(0)}) + query, body, write_headers(invocation)));
  return show_answer(invocation, reply);
}

Result<ExitCode> update_row(Invocation& invocation) {
  TRY(const auto body, json_argument(invocation, 2));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("PATCH", path_of(kData, {invocation.argument(0), invocation.argument(1)}),
                                    body, write_headers(invocation)));
  return show_answer(invocation, reply);
}

Result<ExitCode> delete_row(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply,
      client.call("DELETE", path_of(kData, {invocation.argument(0), invocation.argument(1)}), {},
                  write_headers(invocation)));
  invocation.terminal().err << "Deleted.\n";
  return ExitCode::ok;
}

Result<ExitCode> call_function(Invocation& invocation) {
  TRY(const auto body, json_argument(invocation, 1));
  TRY(const auto client, ApiClient::create(invocation));
  TRY(const auto reply, client.call("POST", path_of("/v1/rpc", {invocation.argument(0)}), body));
  return show_answer(invocation, reply);
}

// ---- streams

std::string format_of(const Invocation& invocation, const std::string& path) {
  if (invocation.has("format")) return invocation.value("format");
  return path.ends_with(".ndjson") || path.ends_with(".jsonl") ? "ndjson" : "csv";
}

ExitCode report_import(const Invocation& invocation, const json::Value& report) {
  const Terminal& terminal = invocation.terminal();
  const std::string rejected = text_of(report, "rejected");
  const ExitCode code = rejected.empty() || rejected == "0" ? ExitCode::ok : ExitCode::failed;
  if (invocation.json()) {
    print_json(terminal, report);
    return code;
  }
  terminal.out << fmt::format("Inserted {}, updated {}, duplicates {}, rejected {}.\n",
                              text_of(report, "inserted"), text_of(report, "updated"),
                              text_of(report, "duplicates"), rejected);
  const json::Value* rows = report.find("rows");
  if (rows == nullptr || rows->as_array() == nullptr) return code;
  Table table;
  table.column("ROW", Align::right);
  for (const char* title : {"STATUS", "FIELD", "WHY"}) table.column(title);
  for (const json::Value& row : *rows->as_array()) {
    const json::Value* errors = row.find("errors");
    if (errors == nullptr || errors->as_array() == nullptr || errors->as_array()->empty()) {
      if (text_of(row, "status") == "rejected")
        table.row({text_of(row, "row"), "rejected", "", text_of(row, "message")});
      continue;
    }
    for (const json::Value& error : *errors->as_array()) {
      table.row(
          {text_of(row, "row"), text_of(row, "status"), text_of(error, "path"), text_of(error, "message")});
    }
  }
  if (table.size() > 0) table.print(terminal, "");
  return code;
}

Result<ExitCode> import_rows(Invocation& invocation) {
  TRY(const auto client, ApiClient::create(invocation));
  const std::string path = invocation.argument(1).empty() ? "-" : invocation.argument(1);
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return usage_error(fmt::format("cannot read {}", path));
  }
  std::istream& source = path == "-" ? invocation.terminal().in : file;
  TransferProgress progress(invocation.terminal(), std::nullopt);
  net::ClientRequest request;
  request.method = "POST";
  request.headers.emplace_back("Content-Type",
                               format_of(invocation, path) == "ndjson" ? "application/x-ndjson" : "text/csv");
  request.body_source = [&](char* buffer, std::size_t capacity) {
    source.read(buffer, static_cast<std::streamsize>(capacity));
    const auto bytes = static_cast<std::size_t>(source.gcount());
    progress.add(bytes);
    return bytes;
  };
  const auto query = query_of(
      {{"on_conflict", invocation.value("on-conflict")}, {"on_error", invocation.value("on-error")}});
  auto reply = client.transfer(std::move(request), path_of("/v1/import", {invocation.argument(0)}) + query);
  progress.finish();
  if (!reply.ok()) return std::move(reply).error();
  if (reply->body.is_null()) {
    return Error(ErrorCode::internal,
                 "the server's report ended early; look at the rows before you import again");
  }
  return report_import(invocation, reply->body);
}

Result<ExitCode> export_rows(Invocation& invocation) {
  TRY_DO(check_filters(invocation));
  TRY(const auto client, ApiClient::create(invocation));
  const bool to_file = invocation.has("output");
  OutputFile file;
  if (to_file) TRY_DO(file.open(invocation.value("output")));
  std::ostream& target = to_file ? file.stream() : invocation.terminal().out;
  TransferProgress progress(invocation.terminal(), std::nullopt);
  net::ClientRequest request;
  request.body_sink = [&](std::string_view piece) {
    target.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (to_file) progress.add(piece.size());
    return static_cast<bool>(target);
  };
  const Interrupts interrupts;  // Ctrl-C must not leave half a file behind
  request.while_waiting = [&interrupts] { return !interrupts.arrived(); };
  auto reply = client.transfer(
      std::move(request), path_of("/v1/export", {invocation.argument(0)}) + query_of(list_query(invocation)));
  if (to_file) progress.finish();
  target.flush();
  if (!target) return Error(ErrorCode::disk_full, "the rows could not be written completely");
  if (!reply.ok()) return std::move(reply).error();
  if (to_file) TRY_DO(file.keep());
  return ExitCode::ok;
}

// ---- the table

Argument resource_argument() { return {"RESOURCE", "a resource of the tenant's pack, as leads"}; }
Argument id_argument() { return {"ID", "the row's id"}; }
Argument json_text_argument(Argument::Presence presence) {
  return {"JSON", "the JSON itself, a file that holds it, or - for standard input", presence,
          Completion::file};
}

std::vector<Option> reading_options() {
  return {{"filter",
           "COLUMN=OPERATOR.VALUE",
           "Only such rows, as status=eq.NEW or email=ilike.*@example.com",
           {},
           Completion::none,
           Option::Count::many},
          {"select", "COLUMNS", "Only these columns, separated by commas"},
          {"order", "COLUMNS", "By these columns; -created_at is descending"}};
}

Option if_match_option() {
  return {"if-match", "ETAG", "Only if the row is still as it was when its ETag was this"};
}

Command data_command(std::string verb, std::string summary, std::vector<Argument> arguments,
                     std::vector<Option> options, std::vector<Example> examples,
                     std::function<Result<ExitCode>(Invocation&)> function) {
  Command command;
  command.name = "data " + verb;
  command.summary = std::move(summary);
  command.arguments = std::move(arguments);
  command.options = std::move(options);
  command.options.push_back(
      {"tenant", "TENANT", "Refuse to go on unless the key belongs to this tenant (slug or id)"});
  command.examples = std::move(examples);
  command.talks = Talks::to_data_plane;
  command.run = std::move(function);
  return command;
}

Command list_command() {
  auto options = reading_options();
  options.push_back({"limit", "N", "How many (1 to 1000; default 50)"});
  options.push_back({"cursor", "CURSOR", "Continue a list where the previous page ended"});
  options.push_back({"count", "", "Count all rows that match"});
  options.push_back(json_option());
  return data_command(
      "list", "List a tenant's rows", {resource_argument()}, options,
      {{"rowhouse data list leads --filter status=eq.NEW --order -created_at --limit 5", "the newest ones"}},
      list_rows);
}

Command import_command() {
  return data_command(
      "import", "Import rows from CSV or NDJSON",
      {resource_argument(),
       {"FILE", "the file; - or nothing reads standard input", Argument::Presence::optional,
        Completion::file}},
      {{"format", "FORMAT", "csv or ndjson (default: by the file's name, otherwise csv)", {"csv", "ndjson"}},
       {"on-conflict",
        "WHAT",
        "Rows whose natural key is there already: ignore (default), update or error",
        {"ignore", "update", "error"}},
       {"on-error", "WHAT", "Rows that are not valid: skip (default) or abort", {"skip", "abort"}},
       json_option()},
      {{"rowhouse data import routers routers.csv",
        "reports each rejected row; exit status 1 if there was one"}},
      import_rows);
}

Command export_command() {
  auto options = reading_options();
  options.push_back({"format", "FORMAT", "csv (default) or ndjson", {"csv", "ndjson"}});
  options.push_back(
      {"output", "FILE", "Write to this file instead of standard output", {}, Completion::file});
  return data_command("export", "Export rows as CSV or NDJSON", {resource_argument()}, options,
                      {{"rowhouse data export leads --output leads.csv", "one consistent snapshot"}},
                      export_rows);
}

}  // namespace

std::vector<Command> data_commands() {
  const Option idempotency = {"idempotency-key", "KEY",
                              "Repeating the command with the same key does nothing twice"};
  return {
      list_command(),
      data_command("get", "Show one row", {resource_argument(), id_argument()},
                   {{"select", "COLUMNS", "Only these columns, separated by commas"}, json_option()},
                   {{"rowhouse data get leads 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "by id"}}, get_row),
      data_command(
          "create", "Create one row or many, all or nothing",
          {resource_argument(), json_text_argument(Argument::Presence::required)},
          {idempotency,
           {"on-conflict",
            "WHAT",
            "If the natural key is there already: error (default), update or ignore",
            {"error", "update", "ignore"}},
           json_option()},
          {{"rowhouse data create leads '{\"name\": \"Ada\", \"email\": \"ada@example.com\"}'", "one row"},
           {"rowhouse data create leads rows.json", "an array of rows"}},
          create_row),
      data_command(
          "update", "Change a row",
          {resource_argument(), id_argument(), json_text_argument(Argument::Presence::required)},
          {if_match_option(), json_option()},
          {{"rowhouse data update leads 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11 '{\"status\": \"CONTACTED\"}'",
            "only what is named changes"}},
          update_row),
      data_command("delete", "Delete a row", {resource_argument(), id_argument()}, {if_match_option()},
                   {{"rowhouse data delete leads 0193b1d2-7c3a-7d52-9a60-3f8f1f0d3b11", "by id"}},
                   delete_row),
      import_command(),
      export_command(),
      data_command(
          "call", "Call a function of the pack",
          {{"FUNCTION", "its name, as lead_counts"}, json_text_argument(Argument::Presence::optional)},
          {json_option()}, {{"rowhouse data call lead_counts", "without arguments"}}, call_function)};
}

}  // namespace rowhouse::cli
