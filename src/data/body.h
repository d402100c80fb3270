// Bodies of writes: JSON → rows of parameters, with every fault and its place.
//
// A fault's path is a JSON Pointer into the body: "/email", "/3/email". At most kMaxFaults are collected.
// Pure functions, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "pg/types.h"
#include "tenancy/pack.h"

namespace rowhouse::data {

inline constexpr std::size_t kMaxFaults = 50;

class Faults {
 public:
  void add(std::string path, std::string message) {
    if (!full()) fields_.emplace_back(std::move(path), std::move(message));
  }
  void add_all(std::vector<FieldError> fields) {
    for (FieldError& field : fields) add(std::move(field.path), std::move(field.message));
  }
  bool full() const { return fields_.size() == kMaxFaults; }
  bool empty() const { return fields_.empty(); }
  std::vector<FieldError> take() { return std::move(fields_); }
  // validation_failed with everything that was added.
  Error to_error() &&;

 private:
  std::vector<FieldError> fields_;
};

// One row to write: for each column of the resource either nothing or a value (which may be NULL).
struct RowInput {
  std::vector<std::optional<pg::Param>> cells;
};

enum class BodyUse { create, update };
enum class BodyShape { object, array };

struct Body {
  BodyShape shape = BodyShape::object;
  std::vector<RowInput> rows;
};

// An object, or with `create` also an array of up to `max_rows` objects.
// Errors: malformed_json, validation_failed with fields.
Result<Body> parse_body(const tenancy::Resource& resource, std::string_view text, BodyUse use,
                        std::size_t max_rows);

// One row. `prefix`: the path of `value` ("" or "/3").
RowInput read_row(const tenancy::Resource& resource, const json::Value& value, const std::string& prefix,
                  BodyUse use, Faults& faults);

// May a column of this name be written? "" or why not, for members of bodies and for headers of CSV.
std::string column_refusal(const tenancy::Resource& resource, std::string_view name, BodyUse use);

// Adds a fault for each column that a new row needs and `row` does not have.
void require_columns(const tenancy::Resource& resource, const RowInput& row, const std::string& prefix,
                     Faults& faults);

// Converts and checks one value; adds a fault at `path` and returns NULL if it is not valid.
struct Converted;
pg::Param accept_value(const tenancy::Column& column, Converted converted, const std::string& path,
                       Faults& faults);

// A name as a segment of a JSON Pointer (RFC 6901).
std::string pointer_segment(std::string_view name);

// The arguments of a function call, in declaration order; nullopt = not given. Errors as parse_body.
Result<std::vector<std::optional<pg::Param>>> parse_arguments(const tenancy::Function& function,
                                                              std::string_view text);

}  // namespace rowhouse::data
