"""A browser session by hand (cookies, CSRF token), and codes of an authenticator app."""

import base64
import hashlib
import hmac
import struct
import time

from .api import Api

BROWSER = "/v1/auth/browser"
NAMES = ("rowhouse_access", "rowhouse_refresh", "rowhouse_csrf")


class Browser(Api):
    """Keeps cookies as a browser does, and sends what a page of ours sends with its requests."""

    def call(self, method, path, expect=None, *, own_page=True, **options):
        headers = dict(options.pop("headers", {}))
        if own_page:
            headers.setdefault("Sec-Fetch-Site", "same-origin")
            if self.csrf_token and method != "GET":
                headers.setdefault("X-CSRF-Token", self.csrf_token)
        return super().call(method, path, expect, headers=headers, **options)

    @property
    def csrf_token(self):
        return self.session.cookies.get("rowhouse_csrf")

    def login(self, person, expect=200, **more):
        body = {"email": person.email, "password": person.password, **more}
        if person.tenant:
            body.setdefault("tenant", person.tenant)
        return self.call("POST", f"{BROWSER}/login", expect, json=body)


def cookies_of(answer):
    """Name → (value, attributes in lower case) of the cookies that an answer sets."""
    found = {}
    for text in answer.raw.headers.getlist("Set-Cookie"):
        pair, *attributes = text.split("; ")
        name, value = pair.split("=", 1)
        assert name not in found, f"{name} twice"
        found[name] = (value, {attribute.split("=")[0].lower(): attribute.partition("=")[2] for attribute in attributes})
    return found


def totp(secret, step):
    """RFC 6238: the code of a secret in base32."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset:offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Authenticator:
    """An app whose clock is up to a step ahead: two codes can be had at once, and none comes twice."""

    def __init__(self, secret):
        self.secret, self.last = secret, 0

    def next(self):
        now = int(time.time()) // 30
        self.last = max(self.last + 1, now)
        assert self.last <= now + 1, "more codes in a moment than there are: use recovery codes"
        return totp(self.secret, self.last)

    def again(self):
        return totp(self.secret, self.last)

    def may_be(self, code):
        """Is it a code of about now?"""
        now = int(time.time()) // 30
        return code in [totp(self.secret, step) for step in range(now - 3, now + 5)]
