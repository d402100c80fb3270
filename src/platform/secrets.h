// Secrets that the configuration names: in an environment variable, in the configuration file, or in a file
// of their own.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/config.h"

namespace rowhouse::platform {

// The first line of a file without surrounding spaces. Error: config_invalid, naming path and cause.
Result<std::string> read_secret_file(const std::string& path);

// The secret option, or the content of the file that the file option names; whichever comes from the stronger
// source (a flag before the environment, …); "" if neither is set.
Result<std::string> find_secret(const Resolved& resolved, std::string_view option,
                                std::string_view file_option);

// Writes a file with mode 0600 in one step: a crash leaves the old one or the new one. Error: disk_full or
// data_directory_invalid, naming the path.
Result<void> replace_secret_file(const std::string& path, std::string_view secret);

// Where `up` keeps its admin token and the command line looks for it.
std::string admin_token_path(const Config& config);

// The admin token for `up`: configured, or the one in admin_token_path(), made there the first time.
Result<std::string> own_admin_token(const Resolved& resolved);

// 32 bytes out of 64 hexadecimal digits. Error: config_invalid, saying how to make one.
Result<std::string> configured_master_key(const Resolved& resolved);

}  // namespace rowhouse::platform
