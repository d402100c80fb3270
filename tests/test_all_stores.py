"""The closing test of object storage: the same files through /v1/objects into every kind of store, and nothing of ours left in the end.

Each store is the real service (support/services), seen from its own side by support/places.py. A tenant is made with it on the command
line; ROWHOUSE_FILES files (200, under sanitizers 60) go in over several connections, are read back, listed, deleted; the tenant is
deleted; then the store must be what it was before, with the customer's own files in it.

    make object-stores                                 10,000 files, then one object of 5 GiB for each store
    ROWHOUSE_FILES=1000 /usr/bin/python3 -m pytest -s tests/test_all_stores.py -k azure
"""

import concurrent.futures
import contextlib
import json
import os
import random
import uuid

import pytest

from support import object_load, settings
from support.api import Tenant
from support.object_load import Files, PeakMemory, SparseFile, at_once, in_batches
from support.places import AzurePlace, GcsPlace, Mount, MountPlace, ProvisionedBucket, ProvisionedDirectory, S3Place, SharePlace
from support.server import Server, wait_until
from support.services.azurite import Azurite
from support.services.ceph import Ceph
from support.services.ganesha import Ganesha
from support.services.gcs import Gcs
from support.services.samba import Samba

FILES = int(os.environ.get("ROWHOUSE_FILES", "60" if settings.SANITIZED else "200"))
BIG_BYTES = 5 << 30 if os.environ.get("ROWHOUSE_BIG") else (48 if settings.SANITIZED else 160) << 20
MAX_GROWTH_BYTES = 64 << 20
CONNECTIONS = 8
REMOVAL_LIMIT_S = 120 + FILES // 4  # for hangs; Azurite looks through all of its blobs for each that is deleted
# A server that attacks itself in between needs memory of its own.
QUIET = {"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_WORKERS": "2", "ROWHOUSE_VERIFY_EVERY": "0"}
PAGE = 97  # no divisor of anything
PLACES = ["s3", "azure", "gcs", "nfs", "smb", "mounted", "provisioned-directory", "provisioned-ceph"]
# What the customer has there before: beside ours, inside folders that we use, and something that looks like ours.
FOREIGN = {"theirs.bin": b"not ours", "team/folder 1/theirs.bin": b"x" * 70_000, "team/theirs/0": b"", "folder 1/0/their own.bin": b"beside"}


@pytest.fixture(scope="module")
def services():
    """All at once: the slowest takes as long as all of them."""
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor() as pool:
        started = {kind: pool.submit(kind) for kind in (Ceph, Azurite, Gcs, Ganesha, Samba)}
        concurrent.futures.wait(started.values())
        for one in started.values():
            if one.exception() is None:
                stack.enter_context(one.result())
        yield {kind: one.result() for kind, one in started.items()}


@pytest.fixture(scope="module")
def places(services, work):
    mounts = work / "mounts"
    mounts.mkdir()
    made = [S3Place("s3", services[Ceph], "team/"), AzurePlace("azure", services[Azurite]), GcsPlace("gcs", services[Gcs], "team/"),
            SharePlace("nfs", services[Ganesha]), SharePlace("smb", services[Samba]), MountPlace("mounted", Mount(mounts / "share"), "team/")]
    return {place.name: place for place in made}


@pytest.fixture(scope="module")
def server(work, places):
    egress = ",".join(entry for place in places.values() for entry in place.egress)
    roots = ",".join(entry for place in places.values() for entry in place.roots)
    running = Server(work / "data", env={**QUIET, "ROWHOUSE_EGRESS_ALLOW": egress, "ROWHOUSE_STORAGE_MOUNT_ROOTS": roots})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def gateway_server(work, services):
    """One server has one kind of provisioned storage."""
    running = Server(work / "gateway", env={**QUIET, **ProvisionedBucket(services[Ceph]).settings()})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(params=PLACES)
def where(request, server, places, services):
    """A server and a place that its tenants can keep files in."""
    if request.param == "provisioned-ceph":
        return request.getfixturevalue("gateway_server"), ProvisionedBucket(services[Ceph])
    if request.param == "provisioned-directory":
        return server, ProvisionedDirectory(server.data / "objects")
    return server, places[request.param]


@pytest.fixture(scope="module")
def files():
    return Files(FILES)


@contextlib.contextmanager
def tenant_at(server, place):
    """Made and deleted on the command line. Afterwards the place is what it was before."""
    foreign = {f"{uuid.uuid4().hex[:8]}-{name}" if "/" not in name else name: data for name, data in FOREIGN.items()}
    if place.storage == "provisioned":
        foreign = {name: data for name, data in foreign.items() if "/" not in name}
    for name, data in foreign.items():
        place.put(name, data)
    before = left(place, [])
    words = ["tenant", "create", f"Stores {uuid.uuid4().hex[:8]}", "--pack", "tekup", "--plan", "enterprise", "--storage", place.storage]
    stdin = ""
    if place.config:
        words, stdin = [*words, "--storage-config", "-"], json.dumps(place.config)
    made = json.loads(server.cli(*words, "--json", stdin=stdin).stdout)
    tenant = Tenant(server.url, made)
    yield tenant
    server.cli("tenant", "delete", tenant.slug, "--yes")
    wait_until(lambda: left(place, before) == [], lambda: f"nothing of ours is left in the store, but {left(place, before)[:20]}", 60)
    assert left(place, []) == before, "something of the customer's is gone"
    for name, data in foreign.items():
        assert place.get(name) == data, f"the customer's {name} is another one"


def left(place, before):
    """A folder of the driver's own that a share would not give up stays empty, until the next removal takes it."""
    names = set(place.names()) - set(before)
    return sorted(name for name in names if not (name.startswith(".rowhouse-") and name.endswith("/")))


def files_in(place, before):
    """What of ours is not a folder."""
    return [name for name in left(place, before) if not name.endswith("/")]


def wait_removed(server):
    """Objects are removed from the store in the background. Asked of the server: looking into some stores again and again costs them more
    than the removal does."""
    garbage = "SELECT store, store_key, upload, due::text, again_at::text, now()::text FROM rowhouse.object_garbage LIMIT 20"

    def rows():
        return server.query(garbage, database="rowhouse_pool_tekup")

    wait_until(lambda: rows() == [], lambda: f"what was deleted is removed, but {rows()}", REMOVAL_LIMIT_S)


def listed(tenant, limit=PAGE):
    found, cursor = [], ""
    while cursor is not None:
        page = tenant.api.get(f"/v1/objects?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["data"]) == limit or page["next_cursor"] is None
        found += [(entry["key"], entry["bytes"], entry["sha256"]) for entry in page["data"]]
        cursor = page["next_cursor"]
    return found


def shuffled(files, seed):
    numbers = list(range(len(files)))
    random.Random(seed).shuffle(numbers)
    return numbers


def test_the_same_files_in_every_store(where, files):
    server, place = where
    rates = {}

    def everything(name, numbers, work, tenant):
        seconds = at_once(server.url, tenant.key, CONNECTIONS, numbers, work)
        rates[name] = len(files) / seconds

    with tenant_at(server, place) as tenant:
        before = place.names()
        everything("put", shuffled(files, 1), lambda connection, at: object_load.put(connection, files, at), tenant)
        everything("get", shuffled(files, 2), lambda connection, at: object_load.get(connection, files, at), tenant)
        wanted = sorted(zip(files.keys, files.sizes, files.checks), key=lambda entry: entry[0].encode())
        assert listed(tenant) == wanted
        usage = {"bytes": files.bytes, "objects": len(files), "reserved": 0}
        assert usage.items() <= tenant.api.get("/v1/object-usage").items()
        assert len(files_in(place, before)) >= len(files), "the place does not show what is in it"
        # One half one by one, the other many at once.
        numbers = shuffled(files, 3)
        half = len(numbers) // 2
        seconds = at_once(server.url, tenant.key, CONNECTIONS, numbers[:half],
                          lambda connection, at: object_load.delete(connection, files, at))
        rates["delete"] = half / seconds
        at_once(server.url, tenant.key, 2, in_batches(numbers[half:], 1_000),
                lambda connection, some: object_load.remove_many(connection, files, some))
        assert listed(tenant) == []
        wait_removed(server)
        assert files_in(place, before) == []
        assert tenant.api.get("/v1/object-usage")["bytes"] == 0
    print(f"\n{place.name:22} " + ", ".join(f"{name} {rate:5.0f}/s" for name, rate in rates.items()))


def move(server, tenant, place, begun):
    """To another provider, to its end. `begun` is called when objects are being copied."""
    address = f"/v1/tenants/{tenant.slug}/storage"
    server.admin.post(f"{address}/move", place.config, 202)
    begun()

    def state():
        view = server.admin.get(address)["move"]
        return view and view["state"]

    wait_until(lambda: state() == "copied", "everything is copied", REMOVAL_LIMIT_S)
    return lambda: (server.admin.post(f"{address}/move/confirm", {"old_objects": "delete"}, 202),
                    wait_until(lambda: state() is None, "the move is confirmed", REMOVAL_LIMIT_S))


@pytest.mark.parametrize("way", ["mounted to s3", "azure to nfs"])
def test_a_move_under_load_loses_nothing(server, places, files, way):
    old, new = (places[name] for name in way.split(" to "))
    at_new = sorted(new.names())
    with tenant_at(server, old) as tenant:
        before = old.names()
        at_once(server.url, tenant.key, CONNECTIONS, range(len(files)), lambda connection, at: object_load.put(connection, files, at))
        traffic = object_load.Traffic(server.url, tenant.key, files, 4)
        try:
            confirm = move(server, tenant, new, traffic.check)
            after_copy = traffic.done
            wait_until(lambda: traffic.check() or traffic.done > after_copy + 50, "there is traffic after the move")
        finally:
            traffic.stop()
        confirm()
        wait_removed(server)
        assert files_in(old, before) == []
        kept = [at for at, version in enumerate(traffic.versions) if version is not None]
        at_once(server.url, tenant.key, CONNECTIONS, kept,
                lambda connection, at: object_load.get(connection, files, at, traffic.versions[at]))
        assert [entry[0] for entry in listed(tenant)] == sorted((files.keys[at] for at in kept), key=str.encode)
        assert len(files_in(new, at_new)) >= len(kept), "the new store does not show what is in it"
        assert tenant.api.get("/v1/object-usage")["objects"] == len(kept)
        at_once(server.url, tenant.key, 2, in_batches(kept, 1_000), lambda connection, some: object_load.remove_many(connection, files, some))
        wait_removed(server)
        assert left(new, at_new) == []
    print(f"\n{way:22} {traffic.done} requests during the move")


def test_large_objects_in_constant_memory(where, work):
    server, place = where
    with tenant_at(server, place) as tenant:
        # What a first request of its kind keeps for ever, as libraries and pools, is not of the transfer.
        small, file = SparseFile(work / "small", 4 << 20), SparseFile(work / "large", BIG_BYTES)
        try:
            object_load.put_file(server.url, tenant.key, "warm", small)
            object_load.check_file(server.url, tenant.key, "warm", small)
            with PeakMemory(server.process.pid) as putting:
                object_load.put_file(server.url, tenant.key, "large", file)
            with PeakMemory(server.process.pid) as getting:
                object_load.check_file(server.url, tenant.key, "large", file)
            assert tenant.api.post("/v1/objects/remove", {"keys": ["warm", "large"]}, 200) == {"removed": 2}
        finally:
            os.unlink(small.path)
            os.unlink(file.path)
        print(f"\n{place.name:22} {BIG_BYTES >> 20} MiB: put {putting.growth >> 10:6} KiB more, get {getting.growth >> 10:6} KiB more, "
              f"VmHWM {max(putting.peak, getting.peak) >> 10} KiB")
        if not settings.SANITIZED:
            assert max(putting.growth, getting.growth) < MAX_GROWTH_BYTES
