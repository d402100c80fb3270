#include "platform/mail_settings.h"

#include <utility>

#include "platform/secrets.h"

namespace rowhouse::platform {

Result<identity::MailOptions> mail_options(const Resolved& resolved) {
  const MailSettings& settings = resolved.config.mail;
  identity::MailOptions options;
  if (settings.url.empty()) return options;
  const auto from = mail::parse_mailbox(settings.from);
  if (!from) return Error(ErrorCode::config_invalid, "smtp_url needs smtp_from: the sender of the mails");
  options.from = *from;
  options.server.url = settings.url;
  options.server.user = settings.user;
  options.server.tls = settings.tls;
  options.server.ca_file = settings.ca_file;
  TRY(options.server.password, find_secret(resolved, "smtp_password", "smtp_password_file"));
  if (settings.user.empty() != options.server.password.empty()) {
    return Error(ErrorCode::config_invalid,
                 "smtp_user and its password (smtp_password or smtp_password_file) belong together");
  }
  return options;
}

}  // namespace rowhouse::platform
