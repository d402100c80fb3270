// The list of rules is written in several files. Private to isolation_rules.cc.
#pragma once

#include <span>

#include "tenancy/isolation_rules.h"

namespace rowhouse::tenancy {

std::span<const IsolationRule> isolation_object_rules();     // views, partitions, functions, triggers, …
std::span<const IsolationRule> isolation_privilege_rules();  // who owns and who may

}  // namespace rowhouse::tenancy
