"""Moving a tenant to another object store with its data in place: under load, with the server killed in the middle."""

import hashlib
import random
import threading
import time
import uuid

import pytest
import requests

from support.server import Server, wait_until
from support.services.ceph import Ceph

WRITERS = 3
KEYS_OF_EACH = 30
OLD_OBJECTS = 250  # that nobody touches: several batches


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def files(share):
    return sorted(str(path.relative_to(share)) for path in share.rglob("*")
                  if path.is_file() and not any(part.startswith(".rowhouse") for part in path.relative_to(share).parts))


def nfs(share, **members):
    return {"provider": "nfs", "config": {"mount_path": str(share), **members}}


@pytest.fixture(scope="module")
def mounts(work):
    path = work / "mounts"
    path.mkdir()
    return path


@pytest.fixture
def share(mounts):
    path = mounts / f"share-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    return path


def start_server(work, mounts, name, **env):
    return Server(work / name, env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_STORAGE_MOUNT_ROOTS": str(mounts), "ROWHOUSE_WORKERS": "2", **env})


@pytest.fixture(scope="module")
def server(work, mounts):
    running = start_server(work, mounts, "data")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def admin(server):
    return server.admin


def put(tenant, key, data, expect=(200, 201)):
    return tenant.api.call("PUT", f"/v1/objects/{key}", expect, data=data, headers={"Content-Type": "text/plain"})


def get(tenant, key):
    return tenant.api.call("GET", f"/v1/objects/{key}", 200).content


def ended(admin, operation, limit_s=120):
    def look():
        return admin.get(f"/v1/operations/{operation}")["status"] in ("succeeded", "failed", "undone", "cancelled")
    wait_until(look, f"operation {operation} has ended", limit_s)
    return admin.get(f"/v1/operations/{operation}")


def move(admin, tenant, setting, expect_end="succeeded"):
    begun = admin.post(f"/v1/tenants/{tenant.id}/storage/move", setting, 202)
    operation = ended(admin, begun["operation"]["id"])
    assert operation["status"] == expect_end, operation
    return operation


def confirm(admin, tenant, **body):
    begun = admin.post(f"/v1/tenants/{tenant.id}/storage/move/confirm", body, 202)
    operation = ended(admin, begun["operation"]["id"])
    assert operation["status"] == "succeeded", operation
    return operation


# ------------------------------------------------------------------------------------------------ by hand

def test_a_tenant_moves_itself(server, admin, mounts, share):
    new = mounts / f"new-{uuid.uuid4().hex[:8]}"
    new.mkdir()
    (share / "foreign.txt").write_text("was here before")
    tenant = admin.create_tenant("Mover")
    tenant.api.call("POST", "/v1/storage/move", 409, json=nfs(new))
    tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share, prefix="ours/"))
    for i in range(5):
        put(tenant, f"folder/{i}", f"content {i}".encode())
    assert tenant.api.get("/v1/storage")["move"] is None
    tenant.api.call("POST", "/v1/storage/move/confirm", 409)
    tenant.api.refused("POST", "/v1/storage/move", 422, "validation_failed", json=nfs(share, prefix="ours/"))
    tenant.api.refused("POST", "/v1/storage/move", 422, "validation_failed", json={"provider": "provisioned"})
    begun = tenant.api.post("/v1/storage/move", nfs(new), 202)
    assert set(begun["operation"]) == {"id", "kind", "status"} and begun["operation"]["kind"] == "storage.move"
    assert ended(admin, begun["operation"]["id"])["status"] == "succeeded"
    now = tenant.api.get("/v1/storage")
    assert now["config"] == {"mount_path": str(new)}
    assert now["move"] == {"state": "copied", "from": "nfs", "remaining_objects": 0, "remaining_bytes": 0, "open_uploads": 0,
                           "operation": begun["operation"]["id"]}
    assert len(files(new)) == 5 and len(files(share / "ours")) == 5
    # Until it is confirmed nothing else may happen to the storage.
    tenant.api.refused("POST", "/v1/storage/move", 409, "conflict", json=nfs(share))
    tenant.api.refused("PUT", "/v1/storage", 409, "conflict", json=nfs(share))
    tenant.api.refused("DELETE", "/v1/storage", 409, "conflict")
    tenant.api.refused("POST", "/v1/storage/move/confirm", 422, "validation_failed", json={"old_objects": "burn"})
    confirmed = tenant.api.post("/v1/storage/move/confirm", expect=202)
    assert ended(admin, confirmed["operation"]["id"])["status"] == "succeeded"
    assert files(share) == ["foreign.txt"], "what is not ours is left alone"
    assert [get(tenant, f"folder/{i}") for i in range(5)] == [f"content {i}".encode() for i in range(5)]
    assert tenant.api.get("/v1/storage")["move"] is None
    actions = [row[0] for row in server.query("SELECT action FROM platform.audit_log WHERE tenant_id = %s AND action LIKE 'storage.%%' ORDER BY id",
                                              (tenant.id,), "rowhouse_platform")]
    assert actions == ["storage.set", "storage.move_started", "storage.move_switched", "storage.move_confirmed"]


def test_the_command_line_moves_and_confirms(server, admin, mounts, share, tmp_path):
    tenant = admin.create_tenant("Mover by hand")
    tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
    put(tenant, "film", b"a film")
    assert "say where to" in server.cli("storage", "move", "--tenant", tenant.slug, expect=2).stderr
    told = server.cli("storage", "move", "--tenant", tenant.slug, "--provisioned")
    assert "copy objects: done" in told.stderr and "confirm-move" in told.stderr, told.stderr
    assert "to be confirmed" in server.cli("storage", "show", "--tenant", tenant.slug).stdout
    assert files(server.data / "objects" / tenant.id) and files(share)
    server.cli("storage", "confirm-move", "--tenant", tenant.slug)
    assert files(share) == [] and get(tenant, "film") == b"a film"
    back = tmp_path / "back.json"
    back.write_text('{"provider": "nfs", "config": {"mount_path": "%s"}}' % share)
    server.cli("storage", "move", "--tenant", tenant.slug, "--storage-config", str(back))
    server.cli("storage", "confirm-move", "--tenant", tenant.slug, "--keep-old")
    assert not (server.data / "objects" / tenant.id).exists(), "what was made for it goes in any case"
    assert get(tenant, "film") == b"a film" and len(files(share)) == 1


def test_no_secret_of_a_target_is_kept_in_the_clear(server, admin, share):
    secret = "sEcReT-" + uuid.uuid4().hex
    tenant = admin.create_tenant("Mover with a secret")
    tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
    wrong = {"provider": "minio", "config": {"endpoint": "127.0.0.1:1", "access_key": "AKIDEXAMPLE00000", "secret_key": secret,
                                             "bucket": "acme-files", "secure": False}}
    answer = tenant.api.call("POST", "/v1/storage/move", None, json=wrong)
    assert answer.status_code >= 400 and secret not in answer.text
    assert secret not in server.log()
    assert server.query("SELECT count(*) FROM platform.operations WHERE tenant_id = %s AND kind LIKE 'storage.%%'", (tenant.id,),
                        "rowhouse_platform") == [(0,)]


def test_a_deletion_in_the_middle_leaves_nothing_of_ours(server, admin, share):
    tenant = admin.create_tenant("Mover that goes")
    tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
    for i in range(150):
        put(tenant, f"f{i}", b"x")
    admin.post(f"/v1/tenants/{tenant.id}/storage/move", {"provider": "provisioned"}, 202)
    admin.delete(f"/v1/tenants/{tenant.id}")
    assert not (server.data / "objects" / tenant.id).exists()
    assert server.query("SELECT count(*) FROM platform.tenant_storage_configs WHERE tenant_id = %s", (tenant.id,), "rowhouse_platform") == [(0,)]
    assert server.query("SELECT count(*) FROM platform.operations WHERE tenant_id = %s AND finished_at IS NULL", (tenant.id,),
                        "rowhouse_platform") == [(0,)]


# -------------------------------------------------------------------------------------------- under load

class Client(threading.Thread):
    """Writes, reads and deletes its own keys, and remembers for each what may be there: after an answer one content, after none
    (the server was killed) the one before or the one that was being written."""

    def __init__(self, tenant, number):
        super().__init__(daemon=True)
        self.tenant, self.number = tenant, number
        self.may_be = {f"c{number}/k{i}": {None} for i in range(KEYS_OF_EACH)}
        self.stopping = threading.Event()
        self.faults, self.done = [], 0
        self.random = random.Random(number)
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method, key, data=None):
        headers = {"X-Tenant-Key": self.tenant.key, "Content-Type": "text/plain"}
        return self.session.request(method, f"{self.tenant.api.url}/v1/objects/{key}", data=data, headers=headers, timeout=60)

    def run(self):
        while not self.stopping.is_set():
            key = self.random.choice(list(self.may_be))
            try:
                self.step(key)
                self.done += 1
            except requests.RequestException:
                time.sleep(0.05)  # it is being started again

    def step(self, key):
        what = self.random.random()
        if what < 0.5:
            data = self.random.randbytes(self.random.choice([0, 10, 3000, 300_000]))
            self.may_be[key] = self.may_be[key] | {sha256(data)}
            answer = self.call("PUT", key, data)
            if answer.status_code in (200, 201):
                self.may_be[key] = {sha256(data)}
            elif answer.status_code < 500:
                self.faults.append(("PUT", key, answer.status_code, answer.text))
        elif what < 0.6:
            self.may_be[key] = self.may_be[key] | {None}
            answer = self.call("DELETE", key)
            if answer.status_code in (204, 404):
                self.may_be[key] = {None}
            elif answer.status_code < 500:
                self.faults.append(("DELETE", key, answer.status_code, answer.text))
        else:
            answer = self.call("GET", key)
            if answer.status_code in (200, 404):
                self.check(key, sha256(answer.content) if answer.status_code == 200 else None)
            elif answer.status_code < 500:
                self.faults.append(("GET", key, answer.status_code, answer.text))

    def check(self, key, found):
        if found in self.may_be[key]:
            self.may_be[key] = {found}
        else:
            self.faults.append((key, "is", found, "may be", self.may_be[key]))

    def check_all(self):
        for key in self.may_be:
            answer = self.call("GET", key)
            assert answer.status_code in (200, 404), answer.text
            self.check(key, sha256(answer.content) if answer.status_code == 200 else None)
        assert self.faults == []
        return sum(found != {None} for found in self.may_be.values())


def move_under_load(server, tenant, target, kills):
    """Moves while clients work, kills the server `kills` times; nothing that was acknowledged may be lost."""
    old = {f"old/{i}": random.Random(i).randbytes(i * 37) for i in range(OLD_OBJECTS)}
    for key, data in old.items():
        put(tenant, key, data)
    clients = [Client(tenant, number) for number in range(WRITERS)]
    for client in clients:
        client.start()
    wait_until(lambda: all(client.done > 20 for client in clients), "the clients are at work")
    begun = server.admin.post(f"/v1/tenants/{tenant.id}/storage/move", target, 202)["operation"]["id"]
    for nth in range(kills):
        def is_copying(least=nth * 60):
            operation = server.admin.get(f"/v1/operations/{begun}")
            return operation["status"] != "running" or (operation["progress"] or {"done": 0})["done"] > least
        wait_until(is_copying, "the move copies")
        server.kill()
        server.start()
    assert ended(server.admin, begun, 240)["status"] == "succeeded"
    at_the_end = [client.done for client in clients]
    wait_until(lambda: all(client.done > before + 20 for client, before in zip(clients, at_the_end)), "the clients work on")
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(60)
    there = sum(client.check_all() for client in clients)
    for key, data in old.items():
        assert get(tenant, key) == data, key
    usage = tenant.api.get("/v1/object-usage")
    assert usage["objects"] == OLD_OBJECTS + there
    # What a killed server left of a write is given up when its lease has ended; a move waits for that, too.
    confirm(server.admin, tenant)
    for key, data in old.items():
        assert get(tenant, key) == data, key
    assert sum(client.check_all() for client in clients) == there
    return OLD_OBJECTS + there


def test_to_provisioned_storage_under_load_and_kill(work, mounts, share):
    server = start_server(work, mounts, "killed")
    try:
        server.start()
        (share / "foreign").write_text("x")
        tenant = server.admin.create_tenant("Mover under load")
        tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
        objects = move_under_load(server, tenant, {"provider": "provisioned"}, kills=2)
        wait_until(lambda: files(share) == ["foreign"], "the old place is empty of ours", 240)
        ours = server.data / "objects" / tenant.id
        wait_until(lambda: len(files(ours)) == objects, "one file for each object", 240)
        server.stop()
    finally:
        server.clear()


def test_to_s3_under_load(work, mounts, share):
    with Ceph() as ceph:
        server = start_server(work, mounts, "to-s3", ROWHOUSE_EGRESS_ALLOW=",".join(ceph.egress))
        try:
            server.start()
            tenant = server.admin.create_tenant("Mover to S3")
            tenant.api.call("PUT", "/v1/storage", 200, json=nfs(share))
            move_under_load(server, tenant, {"provider": "minio", "config": {**ceph.config, "prefix": "moved/"}}, kills=1)
            wait_until(lambda: files(share) == [], "the old place is empty of ours", 240)
            server.admin.delete(f"/v1/tenants/{tenant.id}")
            server.stop()
        finally:
            server.clear()
