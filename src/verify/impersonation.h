// Tenant contexts for an attacker: good ones, as the server signs them, and every kind of bad one.
//
// The only place of this module that holds keys. A context is a statement to run as the first of a
// transaction.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/uuid.h"
#include "pg/transaction_context.h"
#include "tenancy/cluster.h"
#include "verify/sql_client.h"

namespace rowhouse::verify {

// What is wrong with a token. `none`: it is good.
enum class Forgery {
  none,
  wrong_mac,
  wrong_key_id,
  wrong_key,     // signed with the key of another database
  wrong_tenant,  // signed for one tenant, says another
  expired,
  other_backend,  // signed for another backend
  old_number,     // a number that this session has used
};

// Whom a context names beside the tenant; by default nobody, as a service.
struct Person {
  Uuid id;
  pg::ContextRole role = pg::ContextRole::service;
};

class Impersonation {
 public:
  explicit Impersonation(const tenancy::Cluster& cluster) : cluster_(cluster) {}

  // Reads with which key `database` checks contexts; `administrator` is connected there.
  Result<void> learn(const std::string& database, SqlClient& administrator);

  // "SELECT rowhouse.set_context(…)" for the next context of `client`, which is asked for its number.
  std::string statement(const std::string& database, SqlClient& client, const Uuid& tenant,
                        Forgery forgery = Forgery::none);
  // A good one, of a user of the tenant.
  std::string statement(const std::string& database, SqlClient& client, const Uuid& tenant,
                        const Person& person);

 private:
  struct Wanted {
    Uuid tenant;
    Person person;
    Forgery forgery = Forgery::none;
  };
  std::string statement(const std::string& database, SqlClient& client, const Wanted& wanted);

  const tenancy::Cluster& cluster_;
  std::map<std::string, std::int32_t> generations_;  // by database
};

}  // namespace rowhouse::verify
