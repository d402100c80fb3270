// A report as one page for people: no scripts, nothing loaded, fit for printing.
#pragma once

#include <string>

#include "base/json.h"

namespace rowhouse::verify {

// `report`: a document as Report::document() makes it, with its signature. Everything in it is escaped.
std::string report_html(const json::Value& report);

}  // namespace rowhouse::verify
