// Answers that begin and end a browser session: they set the cookies of identity/browser_cookies.h.
#pragma once

#include "identity/browser_cookies.h"
#include "identity/sessions.h"
#include "net/http_message.h"

namespace rowhouse::http {

using identity::BrowserCookies;

// Sets all three cookies; the answer is not to be stored (adds Cache-Control, too). Any answer will do, a
// redirect as well as a document. The cookies live as long as the refresh token, the access cookie as long as
// the access token.
void begin_browser_session(net::HttpResponse& response, const identity::SignedIn& signed_in,
                           const BrowserCookies& cookies);
// Removes all three.
void end_browser_session(net::HttpResponse& response, const BrowserCookies& cookies);

}  // namespace rowhouse::http
