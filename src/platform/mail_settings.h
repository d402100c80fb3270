// The mail server out of the configuration.
#pragma once

#include "base/result.h"
#include "identity/mail_queue.h"
#include "platform/config.h"

namespace rowhouse::platform {

// Without smtp_url: options that send nothing. Error: config_invalid (smtp_from is missing, or the password).
Result<identity::MailOptions> mail_options(const Resolved& resolved);

}  // namespace rowhouse::platform
