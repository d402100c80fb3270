"""Everything that must be refused: with which status, which code, at which place; and that nothing was written."""

import json
import uuid

import pytest

from support.raw import Connection

LEADS = "/v1/data/leads"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def target(admin):
    tenant = admin.create_tenant("Target")
    tenant.lead = tenant.api.post(LEADS, {"name": "Kept", "email": "kept@example.com"}, 201)
    return tenant


@pytest.fixture(autouse=True)
def nothing_written(target):
    before = target.rows("leads")
    yield
    assert target.rows("leads") == before


@pytest.mark.parametrize("path, code, named", [
    ("/v1/data/nothing", "unknown_resource", "nothing"),
    ("/v1/data/Leads", "unknown_resource", "Leads"),
    ("/v1/data/pg_class", "unknown_resource", "pg_class"),
    ("/v1/data/app.leads", "unknown_resource", "app.leads"),
    ("/v1/data/%22leads%22", "unknown_resource", None),
    ("/v1/data/leads%00", None, None),
    ("/v1/data/nothing/" + str(uuid.uuid4()), "unknown_resource", "nothing"),
    ("/v1/data/leads/" + str(uuid.uuid4()), "not_found", None),
    ("/v1/data/leads/not-a-uuid", "not_found", None),
    ("/v1/data/leads/" + "9" * 3000, "not_found", None),
    ("/v1/data/leads/x/y", "unknown_route", None),
    ("/v1/data/", None, None),
    ("/v1/nothing", "unknown_route", None),
    ("/", None, None),
    ("/v1/../v1/tenant/..", None, None),
])
def test_unknown_things(target, path, code, named):
    problem = target.api.call("GET", path, (404, 400) if code is None else 404).json()
    assert code is None or problem["code"] == code, problem
    assert named is None or named in problem["detail"], problem


@pytest.mark.parametrize("query, code, parameter", [
    ("nothing=eq.1", "unknown_column", "nothing"),
    ("tenant_id=eq.1", "unknown_column", "tenant_id"),
    ("xmin=eq.1", "unknown_column", "xmin"),
    ("select=name,nothing", "unknown_column", "select"),
    ("select=tenant_id", "unknown_column", "select"),
    ("select=*", "unknown_column", "select"),
    ("select=count(*)", "unknown_column", "select"),
    ("order=nothing", "unknown_column", "order"),
    ("order=name.sideways", "invalid_parameter", "order"),
    ("order=name,name", "invalid_parameter", "order"),
    ("order=name;drop", "unknown_column", "order"),
    ("name=Ada", "unknown_operator", "name"),
    ("name=equals.Ada", "unknown_operator", "name"),
    ("name=", "unknown_operator", "name"),
    ("name=not.not.eq.1", "unknown_operator", "name"),
    ("value=eq.many", "invalid_parameter", "value"),
    ("value=in.(1,x)", "invalid_parameter", "value"),
    ("value=in.1", "invalid_parameter", "value"),
    ("value=like.1*", "invalid_parameter", "value"),
    ("name=in.(%22a", "invalid_parameter", "name"),
    ("version=eq.99999999999", "invalid_parameter", "version"),
    ("version=eq.1.5", "invalid_parameter", "version"),
    ("created_at=gt.now", "invalid_parameter", "created_at"),
    ("created_at=gt.2026-13-01", "invalid_parameter", None),
    ("assigned_to=eq.me", "invalid_parameter", "assigned_to"),
    ("name=is.empty", "invalid_parameter", "name"),
    ("name=is.true", "invalid_parameter", "name"),
    ("custom_fields=contains.{", "invalid_parameter", "custom_fields"),
    ("custom_fields=gt.{}", "invalid_parameter", "custom_fields"),
    ("name=contains.x", "invalid_parameter", "name"),
    ("limit=0", "invalid_parameter", "limit"),
    ("limit=1001", "invalid_parameter", "limit"),
    ("limit=-1", "invalid_parameter", "limit"),
    ("limit=ten", "invalid_parameter", "limit"),
    ("limit=99999999999999999999", "invalid_parameter", "limit"),
    ("limit=1&limit=2", "invalid_parameter", "limit"),
    ("count=some", "invalid_parameter", "count"),
    ("cursor=", "invalid_parameter", "cursor"),
    ("name=eq.%00", "invalid_parameter", None),
    ("name=eq.%FF", "invalid_parameter", None),
    ("name=eq.%E0%80%80", "invalid_parameter", None),
    ("name=eq.%ED%A0%80", "invalid_parameter", None),
    ("&".join(["name=neq.x"] * 40), "invalid_parameter", "name"),
    ("&".join(["name=neq.x"] * 120), "invalid_parameter", None),
])
def test_queries(target, query, code, parameter):
    problem = target.api.refused("GET", f"{LEADS}?{query}", 400, code)
    if parameter:
        assert parameter in [fault["path"] for fault in problem["errors"]], problem
    export = target.api.call("GET", f"/v1/export/leads?format=csv&{query}", 400)
    assert export.json()["code"] in (code, "invalid_parameter")


@pytest.mark.parametrize("query", ["name=eq.%", "name=eq.%2", "name=eq.%zz", "%=eq.x"])
def test_broken_escapes(server, target, query):
    with Connection(server) as connection:  # a decent client would mend them
        connection.send(f"GET {LEADS}?{query} HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {target.key}\r\n\r\n")
        status, _, body = connection.answer()
        assert (status, json.loads(body)["code"]) == (400, "invalid_parameter"), body


def test_query_of_one_row_offers_select_alone(target):
    path = f"{LEADS}/{target.lead['id']}"
    for query in ("name=eq.Kept", "limit=1", "order=name"):
        target.api.refused("GET", f"{path}?{query}", 400, "invalid_parameter")
    target.api.refused("GET", f"{path}?select=nothing", 400, "unknown_column")


DEEP = "[" * 200 + "]" * 200


@pytest.mark.parametrize("body", [
    b"", b"{", b"{]", b"nope", b'{"name": "x"} x', b'{"name": "x"},', b'{"name": "x",}', b"{'name': 'x'}",
    b'{"name": "x", "name": "y"}', b'{"custom_fields": {"a": 1, "a": 2}, "name": "x"}', b'{"name": "\xff"}',
    b'{"name": "\xed\xa0\x80"}', b'{"name": "\\ud800"}', b'{"name": "a\x00b"}', b'{"name": "tab\there"}',
    b'{"name": "x", "value": NaN}', b'{"name": "x", "value": 01}', b'{"name": "x", "value": 1.}', b"\xef\xbb",
    b'{"name": "x", "custom_fields": {"a": ' + DEEP.encode() + b"}}", DEEP.encode(), b"[" * 100000,
    b'{"name": "x" /* comment */}', "{\"name\": \"x\"}".encode("utf-16"),
], ids=lambda body: repr(body[:40]))
@pytest.mark.parametrize("method", ["POST", "PATCH", "RPC"])
def test_malformed_json(target, method, body):
    if method == "RPC" and body == b"":
        assert target.api.call("POST", "/v1/rpc/leads_by_source", 200, data=body, headers=JSON), "means no arguments"
        return
    path = {"POST": LEADS, "PATCH": f"{LEADS}/{target.lead['id']}", "RPC": "/v1/rpc/leads_by_source"}[method]
    verb = "POST" if method == "RPC" else method
    target.api.refused(verb, path, 400, "malformed_json", data=body, headers=JSON)


# member → what is wrong with it
FAULTS = [
    ({"name": 5}, "/name"),
    ({"name": None}, "/name"),
    ({"name": ["x"]}, "/name"),
    ({"name": ""}, "/name"),
    ({"name": "   "}, "/name"),
    ({"name": "x" * 256}, "/name"),
    ({"name": "nul\u0000here"}, "/name"),
    ({"email": "no address"}, "/email"),
    ({"email": "Upper@Example.com"}, "/email"),
    ({"email": "x" * 300 + "@example.com"}, "/email"),
    ({"value": "ten"}, "/value"),
    ({"value": -1}, "/value"),
    ({"value": 1e30}, "/value"),
    ({"value": 10000000000.5}, "/value"),
    ({"value": True}, "/value"),
    ({"status": "SLEEPING"}, "/status"),
    ({"status": "x" * 21}, "/status"),
    ({"custom_fields": None}, "/custom_fields"),
    ({"custom_fields": [1]}, "/custom_fields"),
    ({"custom_fields": "text"}, "/custom_fields"),
    ({"custom_fields": {"a": "\u0000"}}, "/custom_fields"),
    ({"custom_fields": {"a": "x" * 70000}}, "/custom_fields"),
    ({"assigned_to": "me"}, "/assigned_to"),
    ({"assigned_to": 7}, "/assigned_to"),
    ({"last_activity_at": "yesterday"}, "/last_activity_at"),
    ({"last_activity_at": "2026-02-30T00:00:00Z"}, "/last_activity_at"),
    ({"last_activity_at": 1700000000}, "/last_activity_at"),
    ({"version": 7}, "/version"),
    ({"updated_at": "2026-01-01T00:00:00Z"}, "/updated_at"),
    ({"tenant_id": str(uuid.uuid4())}, "/tenant_id"),
    ({"tenant_id": None}, "/tenant_id"),
    ({"nothing": 1}, "/nothing"),
    ({"a/b~c": 1}, "/a~1b~0c"),
    ({"": 1}, "/"),
]


@pytest.mark.parametrize("members, path", FAULTS, ids=lambda value: str(value)[:50])
def test_values(target, members, path):
    # PostgreSQL's own verdicts (a CHECK, a calendar date) come one at a time and may name more than one column.
    def judge(problem, where):
        paths = [fault["path"] for fault in problem["errors"]]
        assert where in paths, problem
        assert path.strip("/").split("~")[0] in problem["detail"] + json.dumps(problem["errors"]), problem

    whole = {"name": "New one", "email": f"{uuid.uuid4().hex}@example.com", **members}
    judge(target.api.refused("POST", LEADS, 422, "validation_failed", json=whole), path)
    judge(target.api.refused("PATCH", f"{LEADS}/{target.lead['id']}", 422, "validation_failed", json=members), path)
    batch = [{"name": "First"}, {"name": "Second"}, whole, {"name": "Last"}]
    problem = target.api.refused("POST", LEADS, 422, "validation_failed", json=batch)
    assert "/2" + path in [fault["path"] for fault in problem["errors"]], problem


def test_all_faults_at_once(target):
    body = [{"name": 1, "value": "x"}, {"name": "fine"}, {"email": 5, "nothing": 1}, "text"]
    problem = target.api.refused("POST", LEADS, 422, "validation_failed", json=body)
    assert {fault["path"] for fault in problem["errors"]} == {
        "/0/name", "/0/value", "/2/email", "/2/nothing", "/2/name", "/3"}


def test_shapes_of_bodies(target):
    for body in ([], "text", 5, None, True, [[]], [None]):
        target.api.refused("POST", LEADS, 422, "validation_failed", json=body if body is not None else None,
                           **({"data": "null", "headers": JSON} if body is None else {}))
    target.api.refused("POST", LEADS, 422, "validation_failed", json=[{"name": "x"}] * 1001)
    one = f"{LEADS}/{target.lead['id']}"
    for body in ({}, [], [{"name": "x"}], "text", {"id": target.lead["id"]}):
        target.api.refused("PATCH", one, 422, "validation_failed", json=body)


def test_a_conflict_in_a_batch_leaves_nothing(target):
    for clash, code in (({"name": "Twin", "email": "kept@example.com"}, "conflict"),
                        ({"name": "Twin", "id": target.lead["id"]}, "conflict")):
        batch = [{"name": "First"}, {"name": "Second"}, clash]
        target.api.refused("POST", LEADS, 409, code, json=batch)
    twins = [{"name": "A", "email": "twin@example.com"}, {"name": "B", "email": "twin@example.com"}]
    target.api.refused("POST", LEADS, 409, "conflict", json=twins)


def test_references_that_lead_nowhere(target):
    activity = {"lead_id": str(uuid.uuid4()), "kind": "CALL", "subject": "x", "due_at": "2026-01-01T00:00:00Z"}
    problem = target.api.call("POST", "/v1/data/activities", (409, 422), json=activity).json()
    assert "/lead_id" in [fault["path"] for fault in problem["errors"]], problem
    broken = {"lead_id": target.lead["id"], "kind": "CALL", "subject": "x"}
    problem = target.api.refused("POST", "/v1/data/activities", 422, "validation_failed", json=broken)
    assert "activities_due_or_occurred" in json.dumps(problem), "a rule about two columns is named"
    assert target.count("activities") == 0


def test_too_large(target):
    body = json.dumps({"name": "x", "custom_fields": {"a": "x" * (9 << 20)}})
    target.api.refused("POST", LEADS, 413, "body_too_large", data=body, headers=JSON)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml",
                                        "multipart/form-data; boundary=x"])
def test_media_types(target, media_type):
    for method, path in (("POST", LEADS), ("PATCH", f"{LEADS}/{target.lead['id']}"), ("POST", "/v1/rpc/lead_counts")):
        target.api.refused(method, path, 415, "unsupported_media_type", data=b'{"name": "x"}',
                           headers={"Content-Type": media_type})
    target.api.refused("POST", "/v1/import/leads", 415, "unsupported_media_type", data=b"name\nx\n",
                       headers={"Content-Type": media_type})


def test_methods(target):
    for method, path in (("PUT", LEADS), ("PATCH", LEADS), ("DELETE", LEADS), ("POST", f"{LEADS}/{target.lead['id']}"),
                         ("GET", "/v1/rpc/lead_counts"), ("GET", "/v1/import/leads"), ("POST", "/v1/export/leads"),
                         ("POST", "/v1/tenant"), ("BREW", LEADS)):
        target.api.refused(method, path, 405, "method_not_allowed", json={"name": "x"})


@pytest.mark.parametrize("headers, status, code", [
    ({"X-Tenant-Key": ""}, 401, "credential_missing"),
    ({"X-Tenant-Key": "tk_unknown"}, 401, "credential_unknown"),
    ({"X-Tenant-Key": "tk_" + "A" * 43}, 401, "credential_unknown"),
    ({"X-Tenant-Key": "x" * 5000}, 401, "credential_unknown"),
    ({"X-Tenant-Key": "tk_' OR true --"}, 401, "credential_unknown"),
    ({"X-Tenant-Key": None}, 401, "credential_missing"),
])
def test_credentials(target, headers, status, code):
    for method, path, body in (("GET", LEADS, None), ("POST", LEADS, {"name": "x"}), ("GET", "/v1/tenant", None),
                               ("GET", "/v1/data/nothing", None), ("POST", "/v1/rpc/lead_counts", {})):
        problem = target.api.call(method, path, status, json=body, headers=headers).json()
        assert problem["code"] in (code, "credential_missing", "credential_unknown"), problem


def test_another_tenant_is_named(target, admin):
    other = admin.create_tenant("Other")
    for named in (other.id, other.slug, str(uuid.uuid4()), "nobody"):
        for method, path in (("GET", LEADS), ("POST", LEADS), ("GET", "/v1/tenant")):
            target.api.refused(method, path, 403, "tenant_mismatch", headers={"X-Tenant-ID": named},
                               json={"name": "x"} if method == "POST" else None)
    assert other.count("leads") == 0


def test_features_of_the_plan(admin):
    small = admin.create_tenant("Small", plan="basic")
    lead = small.api.post(LEADS, {"name": "x"}, 201)
    problem = small.api.refused("DELETE", f"{LEADS}/{lead['id']}", 403, "feature_missing")
    assert "lead:delete" in problem["detail"]
    problem = small.api.refused("GET", "/v1/export/leads?format=csv", 403, "feature_missing")
    assert "export:csv" in problem["detail"]
    admin.patch(f"/v1/tenants/{small.id}", {"plan": "professional"})
    small.api.delete(f"{LEADS}/{lead['id']}")
