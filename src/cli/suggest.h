// "Did you mean …?": the known word that is nearest to a misspelt one. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rowhouse::cli {

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

// nullopt when nothing is near enough to be worth saying (more than a third of the letters differ).
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

// ". Did you mean --listen?" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace rowhouse::cli
