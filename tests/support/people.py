"""People of a tenant, signed in: what a test needs to act as one of them."""

import base64
import json
import uuid

from .api import Api


def new_email(name="user"):
    return f"{name}-{uuid.uuid4().hex[:12]}@people.example"


class Person:
    """An account with a password, at a tenant or (tenant None) of the platform."""

    def __init__(self, url, email, password, tenant=None, user=None):
        self.url, self.email, self.password, self.tenant, self.user = url, email, password, tenant, user
        self.id = user["id"] if user else None
        self.signed_in = None

    def login(self, expect=200, **changes):
        body = {"email": self.email, "password": self.password}
        if self.tenant:
            body["tenant"] = self.tenant
        return Api(self.url).call("POST", "/v1/auth/login", expect, json={**body, **changes})

    @property
    def api(self):
        """A connection of its own with this person's access token; signs in the first time."""
        if self.signed_in is None:
            self.signed_in = self.login().json()
        return with_token(self.url, self.signed_in["access_token"])

    def refresh(self, expect=200, token=None):
        answer = Api(self.url).call("POST", "/v1/auth/refresh", expect,
                                    json={"refresh_token": token or self.signed_in["refresh_token"]})
        if answer.status_code == 200:
            self.signed_in = answer.json()
        return answer


def with_token(url, token):
    return Api(url, {"Authorization": f"Bearer {token}"})


def add_person(admin, tenant, role=None, name="user", expect=201):
    """Through the control plane, with the password that the server makes."""
    email = new_email(name)
    body = {"email": email, **({"role": role} if role else {})}
    made = admin.call("POST", f"/v1/tenants/{tenant.slug}/users", expect, json=body).json()
    assert made["account"] == "created" and made["password"], made
    return Person(admin.url, email, made["password"], tenant.slug, made["user"])


def new_platform_admin(admin):
    email = new_email("admin")
    made = admin.post("/v1/platform/users", {"email": email, "platform_admin": True}, 201)
    return Person(admin.url, email, made["password"], None, made["user"])


# JSON Web Tokens, by hand, so that bad ones can be made

def encoded(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts_of(token):
    header, claims, signature = token.split(".")
    return json.loads(decoded(header)), json.loads(decoded(claims)), decoded(signature)


def put_together(header, claims, signature):
    return ".".join((encoded(header), encoded(claims), encoded(signature)))
