"""Reading through the data API: filters, select, order, limits, cursors, counts, ETags, functions."""

import decimal
import uuid

import pytest

LEADS = "/v1/data/leads"


def names(page):
    return [row["name"] for row in page["data"]]


@pytest.fixture(scope="module")
def rows(admin):
    """Six leads that every operator can tell apart."""
    tenant = admin.create_tenant("Filters")
    made = [
        {"name": "Ada", "email": "ada@example.com", "status": "NEW", "value": 10, "company": "A_B",
         "custom_fields": {"priority": "high", "tags": ["x", "y"]}, "created_at": "2026-01-01T00:00:00Z"},
        {"name": "Ben", "email": "ben@example.com", "status": "WON", "value": 20, "company": "AxB",
         "custom_fields": {"priority": "low", "n": 1}, "created_at": "2026-01-02T00:00:00Z"},
        {"name": "Cy, Jr.", "email": "cy@example.com", "status": "WON", "value": 30, "company": "100%",
         "custom_fields": {}, "created_at": "2026-01-03T00:00:00.5Z"},
        {"name": "Dée \"D\"", "email": "dee@example.com", "status": "LOST", "value": 40, "company": "back\\slash",
         "custom_fields": {"deep": {"a": {"b": 1}}}, "created_at": "2026-01-04T00:00:00Z"},
        {"name": "eve", "email": None, "status": "NEW", "value": 20.5, "company": "",
         "custom_fields": {}, "created_at": "2026-01-05T00:00:00Z"},
        {"name": "Fox", "email": None, "status": "NEW", "value": 0, "company": None,
         "custom_fields": {}, "created_at": "2026-01-06T00:00:00Z"},
    ]
    answer = tenant.api.post(LEADS, made, 201)
    assert [row["name"] for row in answer["data"]] == [row["name"] for row in made]
    tenant.ids = {row["name"]: row["id"] for row in answer["data"]}
    for name in ("Ada", "Ben"):
        tenant.api.post("/v1/data/activities", {"lead_id": tenant.ids[name], "kind": "CALL", "subject": f"Call {name}",
                                                "completed": name == "Ada", "due_at": "2026-02-01T00:00:00Z"}, 201)
    return tenant


DEE = 'Dée "D"'
ALL = ["Ada", "Ben", "Cy, Jr.", DEE, "eve", "Fox"]


@pytest.mark.parametrize("parameters, expected", [
    ({"status": "eq.WON"}, ["Ben", "Cy, Jr."]),
    ({"status": "neq.WON"}, ["Ada", DEE, "eve", "Fox"]),
    ({"value": "lt.20"}, ["Ada", "Fox"]),
    ({"value": "lte.20"}, ["Ada", "Ben", "Fox"]),
    ({"value": "gt.20"}, ["Cy, Jr.", DEE, "eve"]),
    ({"value": "gte.20.5"}, ["Cy, Jr.", DEE, "eve"]),
    ({"created_at": "gt.2026-01-03T00:00:00.5Z"}, [DEE, "eve", "Fox"]),
    ({"created_at": "lte.2026-01-03T01:00:00+01:00"}, ["Ada", "Ben"]),
    ({"name": "like.E*"}, []),
    ({"name": "ilike.E*"}, ["eve"]),
    ({"name": "like.*d*"}, ["Ada"]),
    ({"company": "like.A_B"}, ["Ada"]),
    ({"company": "like.100%"}, ["Cy, Jr."]),
    ({"company": "like.back\\slash"}, [DEE]),
    ({"company": "eq."}, ["eve"]),
    ({"name": 'in.(Ada,"Cy, Jr.",nobody)'}, ["Ada", "Cy, Jr."]),
    ({"name": 'in.("Dée \\"D\\"")'}, [DEE]),
    ({"name": "in.()"}, []),
    ({"value": "in.(10,20.500)"}, ["Ada", "eve"]),
    ({"email": "is.null"}, ["eve", "Fox"]),
    ({"email": "is.not_null"}, ["Ada", "Ben", "Cy, Jr.", DEE]),
    ({"email": "not.is.null"}, ["Ada", "Ben", "Cy, Jr.", DEE]),
    ({"email": "eq.null"}, []),
    ({"custom_fields": 'contains.{"priority": "high"}'}, ["Ada"]),
    ({"custom_fields": 'contains.{"tags": ["y"]}'}, ["Ada"]),
    ({"custom_fields": 'contains.{"deep": {"a": {}}}'}, [DEE]),
    ({"custom_fields": 'contained.{"priority": "low", "n": 1, "more": 2}'}, ["Ben", "Cy, Jr.", "eve", "Fox"]),
    ({"custom_fields": "eq.{}"}, ["Cy, Jr.", "eve", "Fox"]),
    ({"status": "not.eq.WON"}, ["Ada", DEE, "eve", "Fox"]),
    ({"status": "not.in.(WON,LOST)"}, ["Ada", "eve", "Fox"]),
    ({"status": "eq.NEW", "value": "gt.5"}, ["Ada", "eve"]),
    ({"name": "eq.' OR 1=1 --"}, []),
    ({"name": "eq.Dée \"D\""}, [DEE]),
], ids=lambda value: str(value)[:60] if isinstance(value, dict) else None)
def test_filters(rows, parameters, expected):
    page = rows.api.get(LEADS, params={**parameters, "order": "created_at", "count": "exact"})
    assert names(page) == expected
    assert page["count"] == len(expected)
    assert page["next_cursor"] is None


def test_two_filters_on_one_column(rows):
    page = rows.api.get(LEADS + "?value=gte.10&value=lt.30&order=value")
    assert names(page) == ["Ada", "Ben", "eve"]


def test_boolean_filters(rows):
    for condition, subjects in (("is.true", ["Call Ada"]), ("eq.false", ["Call Ben"]), ("not.is.true", ["Call Ben"])):
        page = rows.api.get("/v1/data/activities", params={"completed": condition})
        assert [row["subject"] for row in page["data"]] == subjects, condition


def test_array_containment(admin):
    tenant = admin.create_tenant(pack="deeplens", plan=None, tier="pool")
    path = "/v1/data/image_collections"
    tenant.api.post(path, [{"name": "one", "tags": ["sea", "a,b"]}, {"name": "two", "tags": ["sea"]}], 201)
    for condition, expected in (('contains.["sea"]', ["one", "two"]), ('contains.["a,b"]', ["one"]),
                                ('contained.["sea","land"]', ["two"]), ('contains.["sky"]', [])):
        assert names(tenant.api.get(path, params={"tags": condition, "order": "name"})) == expected, condition


def test_select(rows):
    page = rows.api.get(LEADS + "?select=name,value&order=value&limit=2")
    assert [list(row) for row in page["data"]] == [["name", "value"]] * 2
    one = rows.api.get(f"{LEADS}/{rows.ids['Ada']}?select=email")
    assert one == {"email": "ada@example.com"}


@pytest.mark.parametrize("order, expected", [
    ("name", None),
    ("value", ["Fox", "Ada", "Ben", "eve", "Cy, Jr.", DEE]),
    ("-value", [DEE, "Cy, Jr.", "eve", "Ben", "Ada", "Fox"]),
    ("value.desc", [DEE, "Cy, Jr.", "eve", "Ben", "Ada", "Fox"]),
    ("status,-value", [DEE, "eve", "Ada", "Fox", "Cy, Jr.", "Ben"]),
    ("created_at", ALL),
    ("-created_at", ALL[::-1]),
])
def test_order(rows, order, expected):
    found = names(rows.api.get(LEADS, params={"order": order}))
    assert found == expected if expected else sorted(found) == sorted(ALL)


def test_order_of_null(rows):
    for order, nulls_at in (("email", slice(4, 6)), ("email.asc.nullsfirst", slice(0, 2)), ("-email", slice(0, 2)),
                            ("email.desc.nullslast", slice(4, 6))):
        emails = [row["email"] for row in rows.api.get(LEADS, params={"order": order})["data"]]
        assert emails[nulls_at] == [None, None], (order, emails)


def test_default_order_and_limit(admin, tenant):
    batch = [{"name": f"N{i:03}", "created_at": f"2026-01-01T00:00:{i % 60:02}Z"} for i in range(120)]
    tenant.api.post(LEADS, batch, 201)
    page = tenant.api.get(LEADS)
    assert len(page["data"]) == 50
    moments = [row["created_at"] for row in page["data"]]
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize("query", ["", "order=value", "order=-value", "order=email", "order=-email", "order=status,-value",
                                   "order=email.desc.nullslast,value", "status=eq.NEW&order=value", "order=-id",
                                   "order=custom_fields.desc", "select=name"])
def test_cursors_walk_every_row_once(admin, walked, query):
    whole = walked.api.get(f"{LEADS}?limit=1000&{query}", expect=None)
    if "code" in whole:
        assert whole["code"] == "invalid_parameter" and "custom_fields" in query, whole
        return
    for limit in (1, 7, 50):
        if limit == 1 and query not in ("", "order=email"):
            continue
        found, cursor = [], ""
        while True:
            page = walked.api.get(f"{LEADS}?limit={limit}&{query}{cursor}")
            found += page["data"]
            if page["next_cursor"] is None:
                break
            assert len(page["data"]) == limit
            cursor = "&cursor=" + page["next_cursor"]
        assert found == whole["data"], (query, limit)


@pytest.fixture(scope="module")
def walked(admin):
    """80 leads with many ties and NULLs."""
    tenant = admin.create_tenant("Walked")
    tenant.api.post(LEADS, [{"name": f"N{i % 5}", "value": i % 4, "status": ("NEW", "WON")[i % 2],
                             "email": f"n{i}@example.com" if i % 3 else None,
                             "created_at": f"2026-01-01T00:00:0{i % 3}Z"} for i in range(80)], 201)
    assert tenant.count("leads") == 80
    return tenant


def test_cursor_survives_writes(tenant):
    tenant.api.post(LEADS, [{"name": f"A{i}"} for i in range(10)], 201)
    first = tenant.api.get(LEADS + "?order=name&limit=5")
    tenant.api.delete(f"{LEADS}/{first['data'][4]['id']}")
    tenant.api.post(LEADS, {"name": "A0a"}, 201)
    second = tenant.api.get(f"{LEADS}?order=name&limit=10&cursor={first['next_cursor']}")
    assert names(first) + names(second) == [f"A{i}" for i in range(10)]


def test_cursor_is_bound(admin, walked):
    page = walked.api.get(LEADS + "?limit=5&order=value&status=eq.NEW")
    cursor = page["next_cursor"]
    same = "limit=9&order=value&status=eq.NEW&count=exact&select=name"
    assert len(walked.api.get(f"{LEADS}?{same}&cursor={cursor}")["data"]) == 9
    other = admin.create_tenant("Other reader")
    middle = len(cursor) // 2
    changed = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1:]
    cases = {
        "another order": (walked, "limit=5&order=-value&status=eq.NEW", cursor),
        "another filter": (walked, "limit=5&order=value&status=eq.WON", cursor),
        "no filter": (walked, "limit=5&order=value", cursor),
        "another tenant": (other, "limit=5&order=value&status=eq.NEW", cursor),
        "changed": (walked, "limit=5&order=value&status=eq.NEW", changed),
        "cut": (walked, "limit=5&order=value&status=eq.NEW", cursor[:-3]),
        "rubbish": (walked, "limit=5&order=value&status=eq.NEW", "rubbish"),
        "long": (walked, "limit=5&order=value&status=eq.NEW", "A" * 7000),
    }
    for what, (tenant, query, text) in cases.items():
        answer = tenant.api.call("GET", f"{LEADS}?{query}&cursor={text}", 400)
        assert answer.json()["code"] in ("invalid_cursor", "invalid_parameter"), (what, answer.text)
    walked.api.refused("GET", f"/v1/data/open_leads?limit=5&order=value&status=eq.NEW&cursor={cursor}", 400,
                       "invalid_cursor")


def test_count_only_on_request(rows):
    assert "count" not in rows.api.get(LEADS)
    assert rows.api.get(LEADS + "?count=exact&limit=1")["count"] == 6


def test_values_come_back_as_they_went_in(tenant):
    sent = {"name": "Zoë 🦊 \u2028 \"quoted\" \\ / \b\f\n\r\t", "email": "zoe@example.com", "value": 12345678.9,
            "custom_fields": {"a": [1, 2.50, "x", None, True], "b": {"c": "ü"}, "big": 12345678901234567890},
            "created_at": "2026-02-03T04:05:06.789012+02:00", "assigned_to": str(uuid.uuid4()).upper()}
    row = tenant.api.post(LEADS, sent, 201)
    again = tenant.api.get(f"{LEADS}/{row['id']}")
    assert row == again
    assert row["name"] == sent["name"]
    assert row["custom_fields"] == sent["custom_fields"]
    assert row["created_at"] == "2026-02-03T02:05:06.789012Z"
    assert row["assigned_to"] == sent["assigned_to"].lower()
    raw = tenant.api.call("GET", f"{LEADS}/{row['id']}").text
    assert '"value":12345678.90' in raw.replace(" ", "")
    assert decimal.Decimal(str(row["value"])) == decimal.Decimal("12345678.9")
    assert row["status"] == "NEW" and row["version"] == 1 and row["phone"] is None
    assert "tenant_id" not in row


def test_etags_of_reads(rows):
    path = f"{LEADS}/{rows.ids['Ben']}"
    answer = rows.api.call("GET", path, 200)
    etag = answer.headers["ETag"]
    assert etag.startswith('"') and etag.endswith('"')
    assert rows.api.call("GET", path, 200).headers["ETag"] == etag
    for header in (etag, "*", f'"other", {etag}', "W/" + etag):
        unchanged = rows.api.call("GET", path, 304, headers={"If-None-Match": header})
        assert unchanged.content == b"" and unchanged.headers["ETag"] == etag
    assert rows.api.call("GET", path, 200, headers={"If-None-Match": '"other"'}).json()["name"] == "Ben"


def test_etags_of_views_and_partitions(admin):
    network = admin.create_tenant(pack="isp-monitor", plan=None, sample_data=True)
    for resource in ("router_overview", "poll_results"):
        row = network.api.get(f"/v1/data/{resource}?limit=1")["data"][0]
        answer = network.api.call("GET", f"/v1/data/{resource}/{row['id']}", 200)
        assert answer.json() == row
        network.api.call("GET", f"/v1/data/{resource}/{row['id']}", 304,
                         headers={"If-None-Match": answer.headers["ETag"]})


def test_views_follow_their_tables(rows):
    found = rows.api.get("/v1/data/open_leads?order=name&select=name,open_activities")["data"]
    assert {row["name"]: row["open_activities"] for row in found} == {"Ada": 0, "eve": 0, "Fox": 0}
    rows.api.refused("POST", "/v1/data/open_leads", 405, "method_not_allowed", json={"name": "x"})
    rows.api.refused("DELETE", f"/v1/data/open_leads/{rows.ids['Ada']}", 405, "method_not_allowed")


def test_functions(rows, crm):
    counts = rows.api.post("/v1/rpc/lead_counts", {}, 200)["data"]
    assert {row["status"]: row["count"] for row in counts} == {"NEW": 3, "WON": 2, "LOST": 1}
    assert all(set(row) == {"status", "count", "average_days_in_status"} for row in counts)
    assert all(isinstance(row["average_days_in_status"], (int, float)) for row in counts)
    whole = crm.api.post("/v1/rpc/leads_by_source", {}, 200)["data"]
    assert sum(row["leads"] for row in whole) == crm.count("leads") == 60
    part = crm.api.post("/v1/rpc/leads_by_source", {"from_date": "2026-09-01", "to_date": "2026-09-30"}, 200)["data"]
    expected = crm.count("leads", "created_at=gte.2026-09-01&created_at=lt.2026-10-01")
    assert 0 < sum(row["leads"] for row in part) == expected < 60
    nothing = crm.api.call("POST", "/v1/rpc/lead_counts", 200, headers={"Content-Type": "application/json"})
    assert nothing.json()["data"], "no body: no arguments"
    crm.api.refused("POST", "/v1/rpc/nothing", 404, "unknown_resource", json={})
    crm.api.refused("POST", "/v1/rpc/pg_sleep", 404, "unknown_resource", json={"seconds": 1})
    for body, path in (({"from_date": 5}, "/from_date"), ({"fromdate": "2026-01-01"}, "/fromdate"),
                       ({"from_date": "2026-02-31"}, "/from_date"), ([], "")):
        problem = crm.api.refused("POST", "/v1/rpc/leads_by_source", 422, "validation_failed", json=body)
        assert [fault["path"] for fault in problem["errors"]] == [path], problem


def test_function_with_one_row(admin):
    network = admin.create_tenant(pack="isp-monitor", plan=None, sample_data=True)
    summary, = network.api.post("/v1/rpc/topology_summary", {}, 200)["data"]
    assert summary["routers"] == network.count("routers") == 500 and summary["links"] == network.count("links")
    router = network.rows("poll_results", "select=router_id")[0]["router_id"]
    summary, = network.api.post("/v1/rpc/poll_summary", {"router": router}, 200)["data"]
    assert summary["polls"] == network.count("poll_results", f"router_id=eq.{router}") > 0
    network.api.refused("POST", "/v1/rpc/poll_summary", 422, "validation_failed", json={})


def test_own_tenant(crm):
    answer = crm.api.call("GET", "/v1/tenant", 200)
    me = answer.json()
    assert answer.headers["X-Tenant-ID"] == me["id"] == crm.id
    assert answer.headers["X-Tenant-Name"] == me["name"] == "Shared CRM"
    assert me["pack"] == "tekup" and me["plan"] and "placement" not in me
    named = crm.api.with_headers(**{"X-Tenant-ID": crm.slug})
    assert named.get("/v1/tenant")["id"] == crm.id
    data = crm.api.call("GET", LEADS, 200)
    assert data.headers["X-Tenant-ID"] == crm.id
