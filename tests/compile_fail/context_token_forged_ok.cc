#include "pg/pool.h"

const std::string& use(const rowhouse::pg::ContextToken& token) { return token.text(); }
