// Canary rows: rows of a throw-away tenant whose every value that can bears the tenant's mark.
//
// The mark is twelve hexadecimal digits, the last group of each uuid among them, so that one search through
// any text finds a row that got out. Values that a CHECK constraint wants otherwise are found by asking
// PostgreSQL which of several candidates it accepts; two rows of each table are planted, so that a row can
// refer to two others.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "verify/inventory.h"
#include "verify/sql_client.h"

namespace rowhouse::verify {

using Random = std::mt19937_64;

struct CanaryRow {
  std::map<std::string, Cell> values;  // every column, as text
};

class Canaries {
 public:
  Canaries(const Uuid& tenant, Random& random);

  const Uuid& tenant() const { return tenant_; }
  const std::string& mark() const { return mark_; }
  // Whether any row got into this text: its mark, or its large numbers.
  bool shows_in(std::string_view text) const;
  std::string uuid();  // a new one that bears the mark

  // Plants two rows in every table of `inventory` that has a tenant_id, those that others refer to first.
  // Returns the faults: tables that no row could be planted in, and why.
  std::vector<std::string> plant(SqlClient& administrator, const Inventory& inventory);

  // By OID of the table; null if nothing was planted there.
  const std::vector<CanaryRow>* rows_of(const std::string& table) const;
  const std::map<std::string, std::vector<CanaryRow>>& rows() const { return rows_; }
  // Order in which rows can be inserted.
  const std::vector<std::string>& order() const { return order_; }

 private:
  friend class Planter;
  Uuid tenant_;
  std::string mark_, number_mark_, month_;  // month_: of its dates, so that two tenants' differ
  Random& random_;
  std::map<std::string, std::vector<CanaryRow>> rows_;
  std::vector<std::string> order_;
};

// Tables with a tenant_id (partitions left out), those that others refer to first; in a circle, any.
std::vector<const RelationInfo*> planting_order(const Inventory& inventory);

}  // namespace rowhouse::verify
