"""HTTP clients of the server under test. Every answer is checked for what all answers promise."""

import json
import uuid

import requests

from . import settings

PROBLEM = "application/problem+json"


class Api:
    """One connection (keep-alive) with one credential."""

    def __init__(self, url, headers=None, verify=True):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify
        self.session.headers["Accept"] = "*/*"
        self.session.headers.update(headers or {})

    def call(self, method, path, expect=None, **options):
        """`expect`: status or statuses; the body of another one is shown. None: anything but 500."""
        options.setdefault("timeout", settings.REQUEST_LIMIT_S)
        options.setdefault("allow_redirects", False)
        answer = self.session.request(method, self.url + path, **options)
        seen = f"{method} {path} → {answer.status_code} {answer.text[:2000]}"
        wanted = (expect,) if isinstance(expect, int) else expect
        if wanted is None:
            assert answer.status_code != 500, seen
        else:
            assert answer.status_code in wanted, f"expected {expect}: {seen}"
        assert answer.headers.get("X-Request-Id"), f"no X-Request-Id: {seen}"
        if answer.status_code >= 400 and method != "HEAD":
            check_problem(answer, seen)
        return answer

    def get(self, path, expect=200, **options):
        return self.call("GET", path, expect, **options).json()

    def post(self, path, body=None, expect=(200, 201), **options):
        return self.call("POST", path, expect, json=body, **options).json()

    def patch(self, path, body, expect=200, **options):
        return self.call("PATCH", path, expect, json=body, **options).json()

    def delete(self, path, expect=204, **options):
        return self.call("DELETE", path, expect, **options)

    def refused(self, method, path, status, code, **options):
        """The problem document of a request that must be refused in just this way."""
        problem = self.call(method, path, status, **options).json()
        assert problem["code"] == code, problem
        return problem

    def with_headers(self, **headers):
        return Api(self.url, {**self.session.headers, **headers}, self.session.verify)

    def close(self):
        self.session.close()


def check_problem(answer, seen):
    assert answer.headers["Content-Type"].split(";")[0] == PROBLEM, f"not a problem document: {seen}"
    problem = answer.json()
    for member in ("title", "code", "detail", "request_id"):
        assert isinstance(problem.get(member), str) and problem[member], f"no {member}: {seen}"
    assert problem["status"] == answer.status_code, seen
    assert problem["request_id"] == answer.headers["X-Request-Id"], seen
    for fault in problem.get("errors", []):
        assert set(fault) == {"path", "message"} and fault["message"], seen
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 0, seen
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"], seen
    if answer.status_code == 405:  # may be empty: no method at all
        assert "Allow" in answer.headers, seen


class Tenant:
    """A tenant that a test made: what the control plane said, and a client with its key."""

    def __init__(self, url, created, verify=True):
        self.record = created["tenant"]
        self.id = self.record["id"]
        self.slug = self.record["slug"]
        self.key = created["api_key"]
        self.sample_rows = created.get("sample_rows", 0)
        self.api = Api(url, {"X-Tenant-Key": self.key}, verify)

    def rows(self, resource, query=""):
        """All rows, page by page."""
        found, cursor = [], None
        while True:
            path = f"/v1/data/{resource}?limit=1000" + (f"&{query}" if query else "")
            page = self.api.get(path + (f"&cursor={cursor}" if cursor else ""))
            found += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def count(self, resource, query=""):
        return self.api.get(f"/v1/data/{resource}?limit=1&count=exact" + (f"&{query}" if query else ""))["count"]


class Admin(Api):
    """The control plane."""

    def __init__(self, url, token, verify=True):
        super().__init__(url, {"Authorization": f"Bearer {token}"}, verify)

    def create_tenant(self, name=None, pack="tekup", plan="enterprise", **members):
        body = {"name": name or f"Test {uuid.uuid4().hex[:12]}", "pack": pack, **members}
        if plan:
            body["plan"] = plan
        answer = self.call("POST", "/v1/tenants", 201, json=body)
        tenant = Tenant(self.url, answer.json(), self.session.verify)
        assert answer.headers["Location"] == f"/v1/tenants/{tenant.id}", answer.headers
        return tenant


def text_of(answer):
    """An answer without what differs from request to request, for comparing two."""
    body = answer.text
    request_id = answer.headers.get("X-Request-Id", "")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    for name in ("date", "x-request-id"):
        headers.pop(name, None)
    if request_id:
        body = body.replace(request_id, "REQUEST-ID")
    return json.dumps([answer.status_code, headers, body], sort_keys=True)
