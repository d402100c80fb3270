// Configurations of NFS, SMB and mounted shares.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "storage/config_reader.h"
#include "storage/object_store.h"

namespace rowhouse::storage {

namespace {

// An absolute path in its shortest spelling.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path == "/" || path.ends_with('/')) return false;
  for (const std::string_view segment : split(path.substr(1), '/')) {
    if (segment.empty() || segment == "." || segment == "..") return false;
  }
  return true;
}

std::string canonical(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  std::string result = resolved == nullptr ? path : resolved;
  std::free(resolved);
  return result;
}

// mount_path, if that is how the share is given; the other members must not be there then. The operator's
// directory may lie behind symbolic links; what is below it may not, and the driver looks at each opening.
std::optional<StoreConfig> read_mounted(Members& members, const ConfigLimits& limits,
                                        std::string_view other) {
  const auto path = members.text("mount_path");
  if (!path) return std::nullopt;
  if (members.take(other) != nullptr) members.fault(other, "cannot be given together with mount_path");
  DirectoryConfig config;
  config.prefix = read_prefix(members);
  if (!is_plain_path(*path)) {
    members.fault("mount_path", "must be an absolute path without \".\", \"..\" and \"//\"");
    return config;
  }
  for (const std::string& root : limits.mount_roots) {
    if (*path == root || path->starts_with(root.ends_with('/') ? root : root + "/")) {
      config.root = canonical(root) + path->substr(root.ends_with('/') ? root.size() - 1 : root.size());
      return config;
    }
  }
  members.fault("mount_path", "is not below a directory that the operator allows (storage_mount_roots)");
  return config;
}

bool is_export_path(std::string_view path) {
  const auto fits = [](char c) { return is_printable(c) && !is_one_of(c, "?%#&\\\"'"); };
  return path.size() <= 1'024 && all_of(path, fits) && (path == "/" || is_plain_path(path));
}

std::optional<std::string> read_nfs_query(std::string_view query, NfsConfig& config) {
  for (const std::string_view part : split(query, '&')) {
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = equals < part.size() ? part.substr(equals + 1) : "";
    if (name == "version") {
      if (value != "3") return "has another version than 3";
    } else if (name == "nfsport" || name == "mountport") {
      const auto port = read_port(value);
      if (!port) return fmt::format("has no valid {}", name);
      (name == "nfsport" ? config.nfs_port : config.mount_port) = *port;
    } else {
      return "has another option than version, nfsport and mountport";
    }
  }
  return std::nullopt;
}

std::optional<std::string> read_share_path_of_nfs(std::string_view text, NfsConfig& config) {
  constexpr std::string_view kForm =
      "must be HOST:/EXPORT or nfs://HOST/EXPORT?version=3&nfsport=…&mountport=…";
  constexpr std::string_view kScheme = "nfs://";
  std::size_t slash = 0;
  std::string_view host;
  if (text.starts_with(kScheme)) {
    text.remove_prefix(kScheme.size());
    const std::size_t question = text.find('?');
    if (question != std::string_view::npos) {
      if (auto fault = read_nfs_query(text.substr(question + 1), config)) return fault;
      text = text.substr(0, question);
    }
    slash = text.find('/');
    if (slash == std::string_view::npos) return std::string(kForm);
    host = text.substr(0, slash);
  } else {
    const std::size_t colon = text.find(":/");
    if (colon == std::string_view::npos) return std::string(kForm);
    slash = colon + 1;
    host = text.substr(0, colon);
  }
  const auto host_port = read_host_port(host);
  std::string_view path = text.substr(slash);
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (!host_port || host_port->port != 0 || !is_export_path(path)) return std::string(kForm);
  config.host = host_port->host;
  config.export_path = path;
  return std::nullopt;
}

}  // namespace

StoreConfig read_nfs(Members& members, const ConfigLimits& limits) {
  if (auto mounted = read_mounted(members, limits, "share_path")) return std::move(*mounted);
  NfsConfig config;
  config.prefix = read_prefix(members);
  const std::string share = members.required("share_path");
  if (share.empty()) return config;
  if (const auto fault = read_share_path_of_nfs(share, config)) members.fault("share_path", *fault);
  return config;
}

namespace {

// A name in an SMB path: what Windows allows, and nothing that the library's own addresses use.
bool is_smb_name(std::string_view name) {
  const auto fits = [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && !is_one_of(c, "\\/:*?\"<>|%@;#");
  };
  return !name.empty() && name.size() <= 80 && name != "." && name != ".." && is_valid_utf8(name) &&
         all_of(name, fits);
}

std::optional<std::string> read_share_path_of_smb(std::string text, SmbConfig& config) {
  const std::string form = "must be //HOST[:PORT]/SHARE[/FOLDER]";
  std::replace(text.begin(), text.end(), '\\', '/');
  if (text.starts_with("smb://")) text = text.substr(4);
  if (!text.starts_with("//")) return form;
  if (text.ends_with('/')) text.pop_back();
  const auto parts = split(std::string_view(text).substr(2), '/');
  if (parts.size() < 2) return form;
  const auto host_port = read_host_port(parts[0]);
  if (!host_port || !std::all_of(parts.begin() + 1, parts.end(), is_smb_name)) return form;
  config.host = host_port->host;
  if (host_port->port != 0) config.port = host_port->port;
  config.share = parts[1];
  for (std::size_t i = 2; i < parts.size(); ++i) {
    config.folder += (i == 2 ? "" : "/") + std::string(parts[i]);
  }
  return std::nullopt;
}

}  // namespace

StoreConfig read_smb(Members& members, const ConfigLimits& limits) {
  if (auto mounted = read_mounted(members, limits, "share_path")) return std::move(*mounted);
  SmbConfig config;
  config.prefix = read_prefix(members);
  config.username = members.required("username", 256);
  const auto has_control = [](const std::string& text) {
    return !is_valid_utf8(text) ||
           std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  };
  const std::size_t backslash = config.username.find('\\');
  if (backslash != std::string::npos) {
    config.domain = config.username.substr(0, backslash);
    config.username = config.username.substr(backslash + 1);
  }
  const auto is_bad_name = [&](const std::string& name) {
    return has_control(name) || name.find_first_of("\\/:;%@\"[]|<>+=?*,") != std::string::npos;
  };
  if (is_bad_name(config.username) || is_bad_name(config.domain)) {
    members.fault("username", "must be NAME or DOMAIN\\NAME");
  }
  config.password = members.required("password", 512);
  if (has_control(config.password)) members.fault("password", "has a control character");
  if (const auto protocol = members.text("protocol")) {
    const std::string wanted = to_lower_ascii(*protocol);
    if (wanted == "smb3") {
      config.minimum = SmbConfig::Protocol::smb3;
    } else if (wanted != "smb2") {
      members.fault("protocol", "must be SMB2 or SMB3");
    }
  }
  const std::string share = members.required("share_path");
  if (share.empty()) return config;
  if (const auto fault = read_share_path_of_smb(share, config)) members.fault("share_path", *fault);
  return config;
}

}  // namespace rowhouse::storage
