"""Writing through the data API: one and many, If-Match, upsert, Idempotency-Key, what is atomic and what races."""

import concurrent.futures
import uuid

import pytest

from support.api import Api

LEADS = "/v1/data/leads"


def lead(**members):
    return {"name": "Somebody", "email": f"{uuid.uuid4().hex}@example.com", **members}


def test_create_one(tenant):
    answer = tenant.api.call("POST", LEADS, 201, json=lead(name="Ada"))
    row = answer.json()
    assert answer.headers["Location"] == f"{LEADS}/{row['id']}"
    read = tenant.api.call("GET", f"{LEADS}/{row['id']}", 200)
    assert read.json() == row and read.headers["ETag"] == answer.headers["ETag"]


def test_create_with_an_id_of_ones_own(tenant):
    wanted = str(uuid.uuid4())
    assert tenant.api.post(LEADS, lead(id=wanted), 201)["id"] == wanted
    tenant.api.refused("POST", LEADS, 409, "conflict", json=lead(id=wanted))
    assert tenant.count("leads") == 1


def test_create_many(tenant):
    batch = [lead(name=f"N{i}") for i in range(1000)]
    rows = tenant.api.post(LEADS, batch, 201)["data"]
    assert [row["name"] for row in rows] == [row["name"] for row in batch], "in the order of the request"
    assert tenant.count("leads") == 1000
    assert len({row["id"] for row in rows}) == 1000


def test_batch_rows_with_different_members(tenant):
    rows = tenant.api.post(LEADS, [lead(value=5), lead(status="WON"), lead(custom_fields={"a": 1}), {"name": "Bare"}],
                           201)["data"]
    assert [row["value"] for row in rows] == [5, 0, 0, 0]
    assert [row["status"] for row in rows] == ["NEW", "WON", "NEW", "NEW"], "what a row leaves out is its default"
    assert rows[2]["custom_fields"] == {"a": 1} and rows[3]["email"] is None


def test_update(tenant):
    row = tenant.api.post(LEADS, lead(), 201)
    answer = tenant.api.call("PATCH", f"{LEADS}/{row['id']}", 200, json={"status": "WON", "phone": "5", "value": 12.5})
    changed = answer.json()
    assert changed == {**row, "status": "WON", "phone": "5", "value": 12.5, "version": 2,
                       "status_since": changed["status_since"], "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > row["updated_at"]
    assert tenant.api.call("GET", f"{LEADS}/{row['id']}", 200).headers["ETag"] == answer.headers["ETag"]
    assert tenant.api.patch(f"{LEADS}/{row['id']}", {"phone": None})["phone"] is None


def test_etags_of_writes(tenant):
    created = tenant.api.call("POST", LEADS, 201, json=lead())
    path, first = created.headers["Location"], created.headers["ETag"]
    second = tenant.api.call("PATCH", path, 200, json={"value": 1}, headers={"If-Match": first}).headers["ETag"]
    assert second != first
    for stale in (first, '"rubbish"', f'"a", {first}'):
        tenant.api.refused("PATCH", path, 412, "precondition_failed", json={"value": 2}, headers={"If-Match": stale})
        tenant.api.refused("DELETE", path, 412, "precondition_failed", headers={"If-Match": stale})
    assert tenant.api.get(path)["value"] == 1
    tenant.api.call("PATCH", path, 200, json={"value": 3}, headers={"If-Match": "*"})
    current = tenant.api.call("GET", path, 200).headers["ETag"]
    tenant.api.call("PATCH", path, 200, json={"value": 4}, headers={"If-Match": f'"a", {current}'})
    current = tenant.api.call("GET", path, 200).headers["ETag"]
    tenant.api.delete(path, headers={"If-Match": current})
    tenant.api.refused("GET", path, 404, "not_found")
    tenant.api.refused("DELETE", path, 404, "not_found")
    tenant.api.refused("PATCH", path, 404, "not_found", json={"value": 1})


def test_only_one_of_many_updates_of_a_version_wins(tenant):
    created = tenant.api.call("POST", LEADS, 201, json=lead())
    path, etag = created.headers["Location"], created.headers["ETag"]

    def change(number):
        api = Api(tenant.api.url, {"X-Tenant-Key": tenant.key})
        return api.call("PATCH", path, (200, 412), json={"value": number}, headers={"If-Match": etag}).status_code

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(change, range(1, 13)))
    assert sorted(statuses) == [200] + [412] * 11
    assert tenant.api.get(path)["version"] == 2


def test_delete_cascades_and_restricts(admin):
    tenant = admin.create_tenant()
    row = tenant.api.post(LEADS, lead(), 201)
    tenant.api.post("/v1/data/activities", {"lead_id": row["id"], "kind": "NOTE", "subject": "x",
                                            "occurred_at": "2026-01-01T00:00:00Z"}, 201)
    tenant.api.delete(f"{LEADS}/{row['id']}")
    assert tenant.count("activities") == 0
    images = admin.create_tenant(pack="deeplens", tier="pool", sample_data=True)
    kept = images.api.get("/v1/data/images?limit=1")["data"][0]["collection_id"]
    images.api.refused("DELETE", f"/v1/data/image_collections/{kept}", 409, "conflict")
    assert images.api.get(f"/v1/data/image_collections/{kept}")["id"] == kept


def test_upsert(tenant):
    first = tenant.api.post(LEADS, lead(email="one@example.com", value=1), 201)
    tenant.api.refused("POST", LEADS, 409, "conflict", json=lead(email="one@example.com"))
    tenant.api.refused("POST", LEADS + "?on_conflict=error", 409, "conflict", json=lead(email="one@example.com"))
    changed = tenant.api.call("POST", LEADS + "?on_conflict=update", (200, 201),
                              json={"name": "Renamed", "email": "one@example.com", "phone": "9"}).json()
    assert changed["id"] == first["id"] and changed["name"] == "Renamed" and changed["phone"] == "9"
    assert changed["value"] == 1, "what the body leaves out stays"
    tenant.api.call("POST", LEADS + "?on_conflict=ignore", (200, 201), json={"name": "Ignored", "email": "one@example.com"})
    assert tenant.api.get(f"{LEADS}/{first['id']}")["name"] == "Renamed"
    batch = [lead(email="two@example.com"), {"name": "Again", "email": "one@example.com"}, lead(email="three@example.com")]
    tenant.api.call("POST", LEADS + "?on_conflict=update", (200, 201), json=batch)
    assert {row["email"]: row["name"] for row in tenant.rows("leads")} == {
        "one@example.com": "Again", "two@example.com": "Somebody", "three@example.com": "Somebody"}
    tenant.api.refused("POST", LEADS + "?on_conflict=replace", 400, "invalid_parameter", json=lead())
    tenant.api.refused("POST", LEADS + "?nothing=1", 400, "invalid_parameter", json=lead())


def test_upsert_needs_a_natural_key(tenant):
    row = tenant.api.post(LEADS, lead(), 201)
    activity = {"lead_id": row["id"], "kind": "NOTE", "subject": "x", "occurred_at": "2026-01-01T00:00:00Z"}
    tenant.api.refused("POST", "/v1/data/activities?on_conflict=update", 400, "invalid_parameter", json=activity)
    assert tenant.count("activities") == 0


def test_upserts_of_one_key_at_once(tenant):
    def upsert(number):
        api = Api(tenant.api.url, {"X-Tenant-Key": tenant.key})
        return api.call("POST", LEADS + "?on_conflict=update", (200, 201),
                        json={"name": f"N{number}", "email": "raced@example.com"}).json()["id"]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert len(set(pool.map(upsert, range(30)))) == 1
    assert tenant.count("leads") == 1


# Idempotency-Key


def test_a_repeated_request_is_answered_from_memory(tenant):
    for body, rows in ((lead(), 1), ([lead(), lead()], 2)):
        before = tenant.count("leads")
        headers = {"Idempotency-Key": f"key {uuid.uuid4()}"}
        first = tenant.api.call("POST", LEADS, 201, json=body, headers=headers)
        for _ in range(3):
            again = tenant.api.call("POST", LEADS, 201, json=body, headers=headers)
            assert again.content == first.content and again.headers["Idempotency-Replayed"] == "true"
            assert again.headers.get("Location") == first.headers.get("Location")
        assert "Idempotency-Replayed" not in first.headers
        assert tenant.count("leads") == before + rows


def test_a_key_stands_for_one_request(tenant):
    headers = {"Idempotency-Key": "mine"}
    row = tenant.api.call("POST", LEADS, 201, json=lead(), headers=headers).json()
    tenant.api.refused("POST", LEADS, 422, "idempotency_key_reused", json=lead(), headers=headers)
    tenant.api.refused("POST", LEADS + "?on_conflict=update", 422, "idempotency_key_reused", json=lead(), headers=headers)
    tenant.api.refused("PATCH", f"{LEADS}/{row['id']}", 422, "idempotency_key_reused", json={"value": 1}, headers=headers)
    assert tenant.count("leads") == 1


def test_keys_of_other_tenants_are_other_keys(admin):
    one, two = admin.create_tenant(), admin.create_tenant()
    headers = {"Idempotency-Key": "common"}
    body = lead()
    first = one.api.post(LEADS, body, 201, headers=headers)
    second = two.api.post(LEADS, body, 201, headers=headers)
    assert first["id"] != second["id"]
    two.api.refused("POST", LEADS, 422, "idempotency_key_reused", json=lead(), headers=headers)


def test_a_failed_request_does_not_use_its_key_up(tenant):
    headers = {"Idempotency-Key": "retry"}
    tenant.api.refused("POST", LEADS, 422, "validation_failed", json={"name": ""}, headers=headers)
    tenant.api.call("POST", LEADS, 201, json=lead(), headers=headers)
    assert tenant.count("leads") == 1


def test_update_and_delete_with_keys(tenant):
    row = tenant.api.post(LEADS, lead(), 201)
    path = f"{LEADS}/{row['id']}"
    for _ in range(2):
        changed = tenant.api.call("PATCH", path, 200, json={"value": 5}, headers={"Idempotency-Key": "change"}).json()
        assert changed["version"] == 2
    for _ in range(2):
        tenant.api.call("DELETE", path, 204, headers={"Idempotency-Key": "delete"})
    tenant.api.refused("DELETE", path, 404, "not_found")


@pytest.mark.parametrize("body", [lead(), [lead(), lead()]], ids=["one", "two"])
def test_twenty_requests_with_one_key(tenant, body):
    headers = {"Idempotency-Key": "twenty"}

    def create(_):
        api = Api(tenant.api.url, {"X-Tenant-Key": tenant.key})
        return api.call("POST", LEADS, (201, 409), json=body, headers=headers)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(create, range(20)))
    good = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in good}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in good) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_conflict"
    assert tenant.count("leads") == (2 if isinstance(body, list) else 1)


@pytest.mark.parametrize("key", ["x" * 256, "caf\u00e9".encode("latin-1"), "tab\there"], ids=["long", "not ASCII", "control"])
def test_keys_of_a_bad_form(tenant, key):
    answer = tenant.api.call("POST", LEADS, 400, json=lead(), headers={"Idempotency-Key": key})
    assert answer.json()["code"] in ("invalid_parameter", "malformed_request")
    assert tenant.count("leads") == 0


def test_many_writers_lose_nothing(tenant):
    def write(number):
        api = Api(tenant.api.url, {"X-Tenant-Key": tenant.key})
        return [api.post(LEADS, lead(name=f"W{number}-{i}"), 201)["id"] for i in range(25)]

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        made = [row for rows in pool.map(write, range(12)) for row in rows]
    assert sorted(made) == sorted(row["id"] for row in tenant.rows("leads"))


@pytest.mark.parametrize("tier", ["schema", "database"])
def test_other_tiers_write_alike(admin, tier):
    tenant = admin.create_tenant(tier=tier)
    row = tenant.api.post(LEADS, lead(), 201, headers={"Idempotency-Key": "k"})
    changed = tenant.api.patch(f"{LEADS}/{row['id']}", {"value": 7})
    assert changed["version"] == 2
    batch = [lead(), lead(name="")]
    tenant.api.refused("POST", LEADS, 422, "validation_failed", json=batch)
    assert tenant.count("leads") == 1
    tenant.api.delete(f"{LEADS}/{row['id']}")
    assert tenant.count("leads") == 0
