"""kill -9 of the server and of PostgreSQL under load: every acknowledged write is there afterwards, none twice."""

import collections
import os
import signal
import threading
import uuid

import requests

from support import settings
from support.server import wait_until

LEADS = "/v1/data/leads"
WRITERS = 4
ROUNDS = 3  # of each kind of kill
WRITES_BETWEEN = 60


class Writer(threading.Thread):
    """Writes batches under Idempotency-Keys and repeats each until it is acknowledged."""

    def __init__(self, server, tenant, stop):
        super().__init__(daemon=True)
        self.server, self.tenant, self.stop = server, tenant, stop
        self.acknowledged = {}  # e-mail address → id
        self.changed = {}       # id → value that was acknowledged last
        self.unexpected = []
        self.retries = 0

    def send(self, session, method, path, body, key):
        """The answer to a request that is repeated until there is one."""
        while True:
            try:
                answer = session.request(method, self.server.url + path, json=body, timeout=settings.REQUEST_LIMIT_S,
                                         headers={"X-Tenant-Key": self.tenant.key, "Idempotency-Key": key})
                if answer.status_code in (200, 201):
                    return answer.json()
                if answer.status_code not in (409, 503):
                    self.unexpected.append(f"{answer.status_code} {answer.text}")
                    return None
            except requests.RequestException:
                pass
            self.retries += 1
            self.stop.wait(0.05)
            if self.stop.is_set() and self.retries > 1_000_000:
                return None

    def run(self):
        session = requests.Session()
        session.trust_env = False
        number = 0
        while not self.stop.is_set() and not self.unexpected:
            number += 1
            size = (1, 1, 5)[number % 3]
            batch = [{"name": f"{number}", "email": f"{uuid.uuid4().hex}@example.com"} for _ in range(size)]
            answer = self.send(session, "POST", LEADS, batch, f"create-{uuid.uuid4()}")
            if answer is None:
                break
            self.acknowledged.update({row["email"]: row["id"] for row in answer["data"]})
            row = answer["data"][0]["id"]
            changed = self.send(session, "PATCH", f"{LEADS}/{row}", {"value": number}, f"change-{uuid.uuid4()}")
            if changed is None:
                break
            self.changed[row] = number


def check(tenant, writers):
    rows = {row["email"]: row for row in tenant.rows("leads", "select=id,email,value,version")}
    by_id = {row["id"]: row for row in rows.values()}
    for writer in writers:
        assert not writer.unexpected, writer.unexpected[:3]
        for email, row in dict(writer.acknowledged).items():
            assert email in rows, f"an acknowledged write is gone: {email}"
            assert rows[email]["id"] == row, "an acknowledged answer and the table disagree"
        for row, value in dict(writer.changed).items():
            assert by_id[row]["value"] == value, f"an acknowledged change is gone: {row}"
            assert by_id[row]["version"] == 2, f"a change was made twice: {by_id[row]}"


def test_nothing_acknowledged_is_lost(new_server):
    own = new_server("durable", env={"ROWHOUSE_POSTGRES_DURABILITY": "full"})
    own.start()
    assert own.query("SHOW fsync") == [("on",)] and own.query("SHOW synchronous_commit") == [("on",)]
    tenants = [own.admin.create_tenant(tier=tier) for tier in ("pool", "database")]
    stop = threading.Event()
    writers = [Writer(own, tenants[i % 2], stop) for i in range(WRITERS)]
    for writer in writers:
        writer.start()

    def written():
        return sum(len(writer.changed) for writer in writers)

    def failed():
        return any(writer.unexpected or not writer.is_alive() for writer in writers)

    try:
        for _ in range(ROUNDS):
            for kind in ("server", "postmaster"):
                before = written()
                wait_until(lambda: written() >= before + WRITES_BETWEEN or failed(), f"writes before a kill of the {kind}", 90)
                if failed():
                    break
                if kind == "server":
                    own.kill()
                    own.start()
                else:
                    os.kill(own.postmaster_pid, signal.SIGKILL)
        before = written()
        wait_until(lambda: written() >= before + WRITES_BETWEEN or failed(), "writes after the last kill", 90)
    finally:
        stop.set()
    for writer in writers:
        writer.join(settings.REQUEST_LIMIT_S)
        assert not writer.is_alive()
    assert sum(writer.retries for writer in writers) > 0, "nobody noticed the kills: the load was too light"
    for tenant in tenants:
        check(tenant, [writer for writer in writers if writer.tenant is tenant])
        emails = collections.Counter(row["email"] for row in tenant.rows("leads", "select=email"))
        assert max(emails.values()) == 1
        known = {email for writer in writers if writer.tenant is tenant for email in writer.acknowledged}
        assert set(emails) == known, "rows that nobody was told of"
    own.kill()
    own.start()
    for tenant in tenants:
        check(tenant, [writer for writer in writers if writer.tenant is tenant])
    own.stop()


def test_creations_and_deletions_that_are_cut_off(new_server):
    """A server that is killed while tenants come and go leaves no half tenant and no orphan behind."""
    own = new_server("halves")
    own.start()
    kept = own.admin.create_tenant("Kept", tier="database")

    def names():
        return ({name for (name,) in own.query("SELECT datname FROM pg_database WHERE datname ~ '^tenant_'")},
                {name for (name,) in own.query("SELECT rolname FROM pg_roles WHERE rolname ~ '^tenant_.*[0-9a-f]{12}$'")},
                {name for (name,) in own.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_'",
                                               database="rowhouse_pool_tekup")})
    for turn in range(3):
        stop = threading.Event()

        def churn(tier):
            admin = own.admin
            while not stop.is_set():
                try:
                    tenant = admin.create_tenant(f"Churn {uuid.uuid4()}", tier=tier)
                    admin.delete(f"/v1/tenants/{tenant.id}")
                except (requests.RequestException, AssertionError):
                    return

        threads = [threading.Thread(target=churn, args=(tier,)) for tier in settings.TIERS]
        for thread in threads:
            thread.start()
        stop.wait(0.4 + 0.35 * turn)
        own.kill()
        stop.set()
        for thread in threads:
            thread.join()
        own.start()
        wait_until(lambda: {tenant["status"] for tenant in own.admin.get("/v1/tenants?limit=500")["data"]} == {"active"},
                   "what was half done is cleared away", 60)
        registered = own.admin.get("/v1/tenants?limit=500")["data"]
        expected = {tenant["placement"]["database"] for tenant in registered if tenant["tier"] == "database"}
        schemas = {tenant["placement"]["schema"] for tenant in registered if tenant["tier"] == "schema"}
        wait_until(lambda: names()[0] == expected and len(names()[1]) == len(expected) and names()[2] == schemas,
                   f"no orphans: {names()} {expected} {schemas}", 30)
        assert kept.count("leads") == 0
    own.stop()
