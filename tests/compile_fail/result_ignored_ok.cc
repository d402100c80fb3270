#include "base/result.h"

rowhouse::Result<int> count();

int caller() {
  auto rows = count();
  return rows.ok() ? rows.value() : 0;
}
