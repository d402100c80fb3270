// Keys as paths of files, one to one, on every file system that somebody may have.
//
// File systems fold case (SMB), normalise Unicode, forbid characters and device names, end names at 255
// bytes, and cannot hold a file and a folder of one name. So the name of a segment is made of small ASCII
// letters, digits and harmless punctuation only, and says itself whether it is a file or a folder:
//
//   A                ^a
//   other bytes      their hexadecimal digits between two '%': "ä?" is "%c3a43f%"
//   file             has a '.' behind its first character, else "!f" is added:    "photo.jpg", "readme!f"
//   folder           has none, else "!d" is added:                                "2024", "v1.2!d"
//   long segments    in pieces of kPieceCharacters; all but the last are folders that end with "!c", all but
//                    the first begin with '_'
//
// '%', '^' and '!' themselves are always escaped, a dot or space at the end, the first letter of a device's
// name ("con", "lpt1.txt"), '~' in names that could be taken for short ones of Windows, and the first dot of
// names that this folder uses itself (".rowhouse-tmp" and others, but not ".rowhouse-control").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rowhouse::storage {

inline constexpr std::size_t kPieceCharacters = 200;

// `key` is valid (check_key). At most three times as long.
std::string path_of_key(std::string_view key);
// The path of the folder that holds keys which begin with `folder_key` and a slash; "" for "".
std::string path_of_folder(std::string_view folder_key);
// nullopt: the path is not one that path_of_key() makes, so somebody else has put it there.
std::optional<std::string> key_of_path(std::string_view path);
// Whether below a folder of this name can be keys with a segment here that begins with `begin`. Names that
// are none of ours cannot.
bool may_hold_keys(std::string_view folder_name, std::string_view begin);
// Whether the name is one of the folders that this folder's drivers keep for themselves.
bool is_own_folder(std::string_view name);
// "" if there is no slash in it.
std::string_view parent_of(std::string_view path);

}  // namespace rowhouse::storage
