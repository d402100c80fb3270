"""Objects (files) of tenants through /v1/objects, on provisioned storage: a directory of the server's own."""

import concurrent.futures
import hashlib
import os
import threading
import urllib.parse

import pytest
import requests

from support import settings
from support.api import Api
from support.server import Server, wait_until

BASIC_BYTES = 100_000_000


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def server(work):
    """One pack is enough here."""
    running = Server(work / "data", env={"ROWHOUSE_PACKS": "tekup"})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture
def files(admin):
    """A tenant with provisioned storage."""
    return admin.create_tenant(storage="provisioned", plan="basic")


def put(tenant, key, data, expect=(200, 201), **headers):
    return tenant.api.call("PUT", f"/v1/objects/{key}", expect, data=data, headers={"Content-Type": "text/plain", **headers})


def stored_files(server, tenant):
    """What is really in the tenant's directory, without what the driver keeps for itself."""
    root = server.data / "objects" / tenant.id
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")
                  if path.is_file() and not any(part.startswith(".rowhouse") for part in path.relative_to(root).parts))


def wait_for(condition):
    """What was replaced or given up is removed in the background."""
    wait_until(condition, "what is removed in the background is gone")


def test_put_get_head_delete(files):
    data = os.urandom(300_000)
    made = put(files, "photos/2026/a%20b%C3%BC.bin", data)
    assert made.status_code == 201
    document = made.json()
    assert document["key"] == "photos/2026/a bü.bin" and document["bytes"] == len(data)
    assert document["sha256"] == sha256(data) == made.headers["X-Checksum-SHA256"]
    assert made.headers["ETag"] == f'"{document["version"]}"'

    got = files.api.call("GET", "/v1/objects/photos/2026/a%20b%C3%BC.bin", 200)
    assert got.content == data and got.headers["Content-Length"] == str(len(data))
    assert "Transfer-Encoding" not in got.headers
    assert got.headers["Content-Type"] == "text/plain" and got.headers["ETag"] == made.headers["ETag"]
    assert got.headers["X-Checksum-SHA256"] == sha256(data)
    head = files.api.call("HEAD", "/v1/objects/photos/2026/a%20b%C3%BC.bin", 200)
    assert head.headers["Content-Length"] == str(len(data)) and head.content == b""

    again = put(files, "photos/2026/a%20b%C3%BC.bin", b"new")
    assert again.status_code == 200 and again.headers["ETag"] != made.headers["ETag"]
    assert files.api.call("GET", "/v1/objects/photos/2026/a%20b%C3%BC.bin", 200).content == b"new"
    files.api.delete("/v1/objects/photos/2026/a%20b%C3%BC.bin")
    files.api.refused("GET", "/v1/objects/photos/2026/a%20b%C3%BC.bin", 404, "not_found")
    files.api.refused("DELETE", "/v1/objects/photos/2026/a%20b%C3%BC.bin", 404, "not_found")


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 9_000_001])
def test_sizes_with_and_without_a_length(files, size):
    data = os.urandom(size)
    put(files, "known", data)
    put(files, "chunked", iter([data[at:at + 100_000] for at in range(0, size, 100_000)]))
    for key in ("known", "chunked"):
        got = files.api.call("GET", f"/v1/objects/{key}", 200)
        assert got.content == data and got.headers["X-Checksum-SHA256"] == sha256(data), key


def test_ranges(files):
    data = bytes(range(256)) * 2_000
    put(files, "r", data)
    for header, part in (("bytes=0-0", data[:1]), ("bytes=100-199", data[100:200]), ("bytes=-5", data[-5:]), ("bytes=511000-", data[511000:])):
        got = files.api.call("GET", "/v1/objects/r", 206, headers={"Range": header})
        assert got.content == part and got.headers["Content-Length"] == str(len(part))
        first = data.find(part) if header != "bytes=0-0" else 0
        assert got.headers["Content-Range"].endswith(f"/{len(data)}"), first
    beyond = files.api.call("GET", "/v1/objects/r", 416, headers={"Range": f"bytes={len(data)}-"})
    assert beyond.headers["Content-Range"] == f"bytes */{len(data)}" and beyond.json()["code"] == "range_not_satisfiable"
    assert files.api.call("GET", "/v1/objects/r", 200, headers={"Range": "bytes=0-1,3-4"}).content == data
    etag = files.api.call("HEAD", "/v1/objects/r", 200).headers["ETag"]
    assert files.api.call("GET", "/v1/objects/r", 206, headers={"Range": "bytes=0-1", "If-Range": etag}).content == data[:2]
    assert files.api.call("GET", "/v1/objects/r", 200, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).content == data


def test_conditions(files):
    etag = put(files, "c", b"one", 201, **{"If-None-Match": "*"}).headers["ETag"]
    put(files, "c", b"two", 412, **{"If-None-Match": "*"})
    files.api.call("GET", "/v1/objects/c", 304, headers={"If-None-Match": etag})
    files.api.refused("GET", "/v1/objects/c", 412, "precondition_failed", headers={"If-Match": '"other"'})
    put(files, "c", b"two", 412, **{"If-Match": '"other"'})
    newer = put(files, "c", b"two", 200, **{"If-Match": etag}).headers["ETag"]
    put(files, "c", b"three", 412, **{"If-Match": etag})
    put(files, "none", b"x", 412, **{"If-Match": "*"})
    files.api.refused("DELETE", "/v1/objects/c", 412, "precondition_failed", headers={"If-Match": etag})
    files.api.call("DELETE", "/v1/objects/c", 204, headers={"If-Match": newer})


def test_checksums_that_do_not_agree_store_nothing(server, files):
    for size in (10, 5_000_000):
        data = os.urandom(size)
        problem = put(files, "bad", data, 422, **{"X-Checksum-SHA256": sha256(b"other")}).json()
        assert problem["code"] == "checksum_mismatch"
        put(files, f"good{size}", data, 201, **{"X-Checksum-SHA256": sha256(data).upper()})
    put(files, "bad", b"x", 400, **{"X-Checksum-SHA256": "rubbish"})
    files.api.refused("GET", "/v1/objects/bad", 404, "not_found")
    wait_for(lambda: len(stored_files(server, files)) == 2)
    assert files.api.get("/v1/object-usage")["reserved"] == 0


def test_html_of_tenants_does_not_run_here(files):
    put(files, "page.html", b"<script>alert(1)</script>", **{"Content-Type": "text/html"})
    got = files.api.call("GET", "/v1/objects/page.html", 200)
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in got.headers["Content-Security-Policy"] and got.headers["X-Content-Type-Options"] == "nosniff"


def test_lists(files):
    keys = sorted(["a", "b/1", "b/2", "b/c/3", "b0", "z%_"], key=str.encode)
    for key in keys:
        put(files, urllib.parse.quote(key), key.encode())

    def listed(query):
        found, cursor = [], ""
        while cursor is not None:
            page = files.api.get(f"/v1/objects?{query}&limit=2" + (f"&cursor={cursor}" if cursor else ""))
            found += page["folders"] + [object["key"] for object in page["data"]]
            cursor = page["next_cursor"]
        return sorted(found, key=str.encode)

    assert listed("") == keys
    assert listed("prefix=b/") == ["b/1", "b/2", "b/c/3"]
    assert listed("delimiter=/") == ["a", "b/", "b0", "z%_"]
    assert listed("prefix=b/&delimiter=/") == ["b/1", "b/2", "b/c/"]
    assert files.api.get("/v1/objects?limit=1")["data"][0]["sha256"] == sha256(b"a")
    for wrong in ("limit=0", "limit=1001", "delimiter=x", "unknown=1"):
        files.api.refused("GET", f"/v1/objects?{wrong}", 400, "invalid_parameter")
    files.api.refused("GET", "/v1/objects?cursor=!", 400, "invalid_cursor")
    assert files.api.post("/v1/objects/remove", {"keys": ["a", "b/1", "never"]}, 200) == {"removed": 2}
    assert listed("") == keys[2:]


def test_copies(files):
    put(files, "from", b"content")
    made = files.api.call("POST", "/v1/objects/copy", 201, json={"from": "from", "to": "to/it"})
    assert made.json()["sha256"] == sha256(b"content")
    assert files.api.call("GET", "/v1/objects/to/it", 200).content == b"content"
    files.api.refused("POST", "/v1/objects/copy", 404, "not_found", json={"from": "nothing", "to": "to"})
    files.api.refused("POST", "/v1/objects/copy", 412, "precondition_failed", json={"from": "from", "to": "to/it"},
                      headers={"If-None-Match": "*"})


def test_quota_is_exact_under_parallel_uploads(server, files):
    size = 9_000_000
    data = os.urandom(size)

    def upload(number):
        api = Api(server.url, {"X-Tenant-Key": files.key})
        try:
            return api.call("PUT", f"/v1/objects/many/{number}", (201, 422), data=data if number % 2 else iter([data])).status_code
        finally:
            api.close()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(upload, range(16)))
    stored = codes.count(201)
    assert stored * size <= BASIC_BYTES and stored >= 5, codes
    usage = files.api.get("/v1/object-usage")
    assert usage == {"bytes": stored * size, "objects": stored, "reserved": 0, "limit": BASIC_BYTES}
    rest = BASIC_BYTES - stored * size
    problem = put(files, "rest", b"x" * (rest + 1), 422).json()
    assert problem["code"] == "quota_exceeded" and "100,000,000" in problem["detail"] and "basic" in problem["detail"]
    put(files, "rest", b"x" * rest, 201)
    put(files, "more", b"x", 422)
    wait_for(lambda: len(stored_files(server, files)) == stored + 1)


def test_resumable_upload(files):
    part = 8 << 20
    data = os.urandom(2 * part + 1_000)
    begun = files.api.post("/v1/object-uploads", {"key": "big.bin", "content_type": "video/mp4", "bytes": len(data)}, 201)
    path = f"/v1/object-uploads/{begun['id']}"
    assert begun["part_min_bytes"] <= part and part % begun["part_alignment"] == 0

    def send(number, expect=200, **headers):
        return files.api.call("PUT", f"{path}/parts/{number}", expect, data=data[(number - 1) * part:number * part], headers=headers)

    assert send(1).json()["sha256"] == sha256(data[:part])
    assert send(2, 422, **{"X-Checksum-SHA256": sha256(b"")}).json()["code"] == "checksum_mismatch"
    assert [one["number"] for one in files.api.get(path)["parts"]] == [1]
    files.api.refused("POST", f"{path}/complete", 422, "validation_failed", json={})
    files.api.refused("GET", "/v1/objects/big.bin", 404, "not_found")
    send(3), send(2)
    assert [one["key"] for one in files.api.get("/v1/object-uploads")["data"]] == ["big.bin"]
    made = files.api.call("POST", f"{path}/complete", 201, json={"sha256": sha256(data)})
    assert made.json()["sha256"] == sha256(data) and made.json()["bytes"] == len(data)
    assert files.api.call("GET", "/v1/objects/big.bin", 200).content == data
    files.api.refused("POST", f"{path}/complete", 404, "not_found", json={})
    dropped = files.api.post("/v1/object-uploads", {"key": "dropped", "bytes": 5_000_000}, 201)
    assert files.api.get("/v1/object-usage")["reserved"] == 5_000_000
    files.api.delete(f"/v1/object-uploads/{dropped['id']}")
    assert files.api.get("/v1/object-usage")["reserved"] == 0


def test_links(server, admin, files):
    put(files, "linked/a b.txt", b"by link")

    def link(**body):
        answer = files.api.post("/v1/objects/link", body, 200)
        return answer["url"][answer["url"].index("/v1/"):]

    got = server.anonymous.call("GET", link(key="linked/a b.txt", download_name="mine.txt"), 200)
    assert got.content == b"by link" and 'filename="mine.txt"' in got.headers["Content-Disposition"]
    stored = server.anonymous.call("PUT", link(key="by-link.txt", method="put", content_type="text/plain"), 201, data=b"put by link",
                                   headers={"Content-Type": "text/plain"})
    assert stored.json()["key"] == "by-link.txt"
    assert files.api.call("GET", "/v1/objects/by-link.txt", 200).content == b"put by link"

    url = link(key="linked/a b.txt")
    other = admin.create_tenant(storage="provisioned")
    put(other, "linked/a b.txt", b"of the other")
    for wrong in (url.replace(files.id, other.id), url.replace("a%20b", "a"), url.replace("method=get", "method=put"), url[:-2] + "AA",
                  url.replace("expires=", "expires=9"), url.split("&signature")[0], url.replace(files.id, "x")):
        assert server.anonymous.refused("GET", wrong, 403, "forbidden")["detail"] == "the link is not valid"
    server.anonymous.refused("PUT", url, 403, "forbidden", data=b"x")
    server.anonymous.refused("PUT", link(key="k", method="put", content_type="text/plain"), 415, "unsupported_media_type", data=b"x",
                             headers={"Content-Type": "text/html"})
    short = link(key="linked/a b.txt", expires_in=1)
    wait_for(lambda: server.anonymous.call("GET", short).status_code == 403)
    files.api.refused("POST", "/v1/objects/link", 404, "not_found", json={"key": "nothing"})
    files.api.refused("POST", "/v1/objects/link", 422, "validation_failed", json={"key": "a", "expires_in": 604_801})
    admin.post(f"/v1/tenants/{files.id}/suspend")
    server.anonymous.refused("GET", url, 403, "tenant_suspended")


def test_scopes(server, admin, files):
    put(files, "k", b"x")

    def key(*scopes):
        made = admin.post(f"/v1/tenants/{files.id}/keys", {"name": "-".join(scopes).replace(":", " "), "scopes": list(scopes)}, 201)
        return server.with_key(made["secret"])

    reader, writer = key("object:read"), key("object:write")
    assert reader.call("GET", "/v1/objects/k", 200).content == b"x"
    reader.refused("PUT", "/v1/objects/k", 403, "permission_missing", data=b"y")
    reader.refused("DELETE", "/v1/objects/k", 403, "permission_missing")
    reader.refused("POST", "/v1/objects/link", 403, "permission_missing", json={"key": "k", "method": "put"})
    writer.call("PUT", "/v1/objects/k", 200, data=b"y")
    writer.refused("GET", "/v1/objects/k", 403, "permission_missing")
    writer.refused("POST", "/v1/objects/copy", 403, "permission_missing", json={"from": "k", "to": "l"})


def test_without_storage(tenant):
    assert tenant.api.get("/v1/objects") == {"data": [], "folders": [], "next_cursor": None}
    tenant.api.refused("PUT", "/v1/objects/k", 409, "storage_not_configured", data=b"x")
    tenant.api.refused("GET", "/v1/objects/k", 404, "not_found")


def test_bad_keys(files):
    for key in ("a/../b", "a/./b", "a%2F%2Fb", "%01", "a%00b", "k" * 769, "a/"):
        answer = files.api.session.send(prepared(files, key), timeout=settings.REQUEST_LIMIT_S)
        assert answer.status_code == 422 and answer.json()["code"] == "validation_failed", (key, answer.text)


def prepared(tenant, key):
    """A request whose path nobody tidies up."""
    request = requests.Request("PUT", tenant.api.url + "/v1/objects/x", data=b"x").prepare()
    request.headers.update(tenant.api.session.headers)
    request.url = tenant.api.url + "/v1/objects/" + key
    return request


def test_a_deleted_tenant_leaves_no_file(server, admin):
    gone, kept = (admin.create_tenant(storage="provisioned") for _ in range(2))
    for tenant in (gone, kept):
        put(tenant, "f", b"x")
    admin.delete(f"/v1/tenants/{gone.id}")
    assert not (server.data / "objects" / gone.id).exists()
    assert kept.api.call("GET", "/v1/objects/f", 200).content == b"x"


def test_kill_in_the_middle_of_an_upload(new_server):
    """kill -9 while bytes stream: nothing counts, and what was reserved comes back."""
    server = new_server("killed")
    server.start()
    tenant = server.admin.create_tenant(storage="provisioned", plan="basic")
    put(tenant, "kept", b"before")
    sent = threading.Event()

    def pieces():
        for number in range(60):
            if number == 30:
                sent.set()
                stop.wait(settings.REQUEST_LIMIT_S)
            yield os.urandom(1_000_000)

    stop = threading.Event()

    def upload():
        try:
            requests.put(f"{server.url}/v1/objects/kept", data=Sized(pieces(), 60_000_000), headers={"X-Tenant-Key": tenant.key},
                         timeout=settings.REQUEST_LIMIT_S)
        except requests.RequestException:
            pass

    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    assert sent.wait(settings.REQUEST_LIMIT_S)
    wait_for(lambda: tenant.api.get("/v1/object-usage")["reserved"] == 60_000_000)
    server.kill()
    stop.set()
    thread.join(settings.REQUEST_LIMIT_S)
    server.start()
    api = Api(server.url, {"X-Tenant-Key": tenant.key})
    assert api.call("GET", "/v1/objects/kept", 200).content == b"before"
    assert api.get("/v1/object-usage") == {"bytes": 6, "objects": 1, "reserved": 60_000_000, "limit": BASIC_BYTES}
    # Its lease lasts two minutes; what the test does not wait for is set back.
    server.query("UPDATE rowhouse.object_writes SET lease_until = now() RETURNING id", database="rowhouse_pool_tekup")
    api.call("PUT", "/v1/objects/large", 201, data=os.urandom(90_000_000))
    assert api.get("/v1/object-usage") == {"bytes": 90_000_006, "objects": 2, "reserved": 0, "limit": BASIC_BYTES}
    server.stop()


class Sized:
    """An iterator with a length, so that requests says Content-Length."""

    def __init__(self, pieces, size):
        self.pieces, self.size = pieces, size

    def __len__(self):
        return self.size

    def __iter__(self):
        return iter(self.pieces)


def test_command_line(server, files, work):
    source, target = work / "cli.bin", work / "cli.out"
    data = os.urandom(1_000_000)
    source.write_bytes(data)

    def rowhouse(*words, expect=0):
        return server.cli("object", *words, expect=expect, env={"ROWHOUSE_TENANT_KEY": files.key}).stdout

    assert sha256(data) in rowhouse("put", "cli/a b.bin", str(source), "--type", "image/png")
    rowhouse("get", "cli/a b.bin", "--output", str(target))
    assert target.read_bytes() == data
    listed = rowhouse("list", "cli/")
    assert "cli/a b.bin" in listed and "image/png" in listed
    assert "/v1/object-links/" in rowhouse("link", "cli/a b.bin")
    assert '"bytes": 1000000' in rowhouse("usage", "--json")
    rowhouse("delete", "cli/a b.bin")
    rowhouse("get", "cli/a b.bin", expect=3)
    rowhouse("get", "cli/a b.bin", "--output", str(target), expect=3)
    assert target.read_bytes() == data, "what is not there leaves the file as it was"
    rowhouse("get", "cli/a b.bin", "--output", str(work / "other.out"), expect=3)
    assert [path.name for path in work.iterdir() if path.name.startswith((".rowhouse-", "other"))] == []
