"""How fast people sign in among many, and what that does to everybody else.

    /usr/bin/python3 bench/logins.py [--tenants 10000] [--users 100000] [--seconds 10] [--rounds 3] [--data DIR]

Fills an installation (--data keeps it for the next run, which fills up what is missing), then alternates three measurements:
argon2id alone, in as many threads as the server has for it (libsodium, same cost); logins of people chosen at random; and
requests with an API key while nobody and while everybody signs in. Passwords have the default cost. Needs wrk.
"""

import argparse
import concurrent.futures
import ctypes
import ctypes.util
import http.client
import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from support.server import Server  # noqa: E402

PASSWORD = "correct horse battery staple"
IDENTITY = "rowhouse_identity"
PLATFORM = "rowhouse_platform"
HASH_THREADS = 2  # the server's default
CLIENTS = 8

# Every account of this name has the hash of one; a role for each tenant, memberships in turn.
FILL = """
WITH given AS (SELECT i, ('user' || i || '@people.example') AS email FROM generate_series(%(first)s, %(last)s) i),
made AS (INSERT INTO identity.users (id, email, password_hash, home_tenant)
  SELECT gen_random_uuid(), email, %(hash)s, (%(tenants)s::uuid[])[1 + i %% cardinality(%(tenants)s::uuid[])] FROM given
  RETURNING id, home_tenant)
INSERT INTO identity.memberships (tenant_id, user_id, role_id)
SELECT made.home_tenant, made.id, r.id FROM made JOIN identity.roles r ON r.tenant_id = made.home_tenant AND r.name = 'user'
"""
ROLES = """
INSERT INTO identity.roles (tenant_id, id, name, built_in) SELECT t, gen_random_uuid(), 'user', true FROM unnest(%(tenants)s::uuid[]) t
ON CONFLICT DO NOTHING
"""


class Caller:
    """One connection that stays open."""

    def __init__(self, server, headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {"Content-Type": "application/json", **headers}

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def in_parallel(count, clients, make, work):
    """work(caller, i) for every i, by that many threads."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def run():
        caller = make()
        while True:
            with lock:
                i = next(numbers, None)
            if i is None:
                return
            work(caller, i)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(run) for _ in range(clients)]:
            done.result()


def fill(server, tenants, users):
    there = server.query("SELECT count(*) FROM platform.tenants", database=PLATFORM)[0][0]
    headers = {"Authorization": f"Bearer {server.admin_token}"}

    def create(caller, _):
        status, body = caller.post("/v1/tenants", {"name": f"Tenant {random.getrandbits(48):x}", "pack": "tekup", "plan": "enterprise"})
        assert status == 201, body

    began = time.monotonic()
    in_parallel(max(0, tenants - there), 4, lambda: Caller(server, headers), create)
    print(f"{max(0, tenants - there)} tenants made in {time.monotonic() - began:.0f} s", flush=True)
    ids = [row[0] for row in server.query("SELECT id::text FROM platform.tenants ORDER BY id", database=PLATFORM)]
    found = server.query("SELECT count(*) FROM identity.users", database=IDENTITY)[0][0]
    connection = server.connect(IDENTITY)
    with connection.cursor() as cursor:
        cursor.execute(ROLES, {"tenants": ids})
        if found < users:
            made = server.admin.post(f"/v1/tenants/{ids[0]}/users", {"email": f"hash{found}@people.example", "password": PASSWORD, "role": "admin"}, 201)
            cursor.execute("SELECT password_hash FROM identity.users WHERE id = %s", (made["user"]["id"],))
            cursor.execute(FILL, {"first": found, "last": users - 1, "hash": cursor.fetchone()[0], "tenants": ids})
        cursor.execute("ANALYZE")
        cursor.execute("SELECT email FROM identity.users WHERE email LIKE 'user%@people.example' ORDER BY random() LIMIT 20000")
        emails = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT password_hash FROM identity.users WHERE email = %s", (emails[0],))
        hashed = cursor.fetchone()[0]
        cursor.execute("SELECT (SELECT count(*) FROM identity.users), (SELECT count(DISTINCT tenant_id) FROM identity.memberships)")
        print("%d users in %d tenants" % cursor.fetchone(), flush=True)
    connection.close()
    return emails, hashed


def argon2_rate(hashed, seconds):
    """Passwords checked a second, by nothing but the library."""
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    assert sodium.sodium_init() >= 0
    end = time.monotonic() + seconds
    password = PASSWORD.encode()

    def check(_):
        count = 0
        while time.monotonic() < end:
            assert sodium.crypto_pwhash_str_verify(hashed.encode(), password, ctypes.c_ulonglong(len(password))) == 0
            count += 1
        return count

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(HASH_THREADS) as pool:
        return sum(pool.map(check, range(HASH_THREADS))) / (time.monotonic() - began)


def login_rate(server, emails, seconds, clients=CLIENTS):
    """(logins a second, of how many answers)."""
    end = time.monotonic() + seconds
    counts = {}

    def run(_):
        caller, mine = Caller(server, {}), {}
        while time.monotonic() < end:
            status, _ = caller.post("/v1/auth/login", {"email": random.choice(emails), "password": PASSWORD})
            mine[status] = mine.get(status, 0) + 1
            if status == 503:
                time.sleep(1)  # as the answer's Retry-After asks; a client that does not would measure itself
        return mine

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for mine in pool.map(run, range(clients)):
            for status, count in mine.items():
                counts[status] = counts.get(status, 0) + count
    assert set(counts) <= {200, 503}, counts
    return counts.get(200, 0) / (time.monotonic() - began), counts


def request_rate(server, key, path, seconds):
    done = subprocess.run(["wrk", "-t1", "-c8", f"-d{seconds}s", "--latency", "-H", f"X-Tenant-Key: {key}", server.url + path], check=True,
                          capture_output=True, text=True)
    assert "Non-2xx" not in done.stdout, done.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]), re.search(r"99%\s+(\S+)", done.stdout)[1]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tenants", type=int, default=10_000)
    options.add_argument("--users", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=10)
    options.add_argument("--data", type=pathlib.Path)
    chosen = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rowhouse-bench-"))
    directory.chmod(0o755)
    server = Server(chosen.data or directory / "data", env={
        "ROWHOUSE_PACKS": "tekup", "ROWHOUSE_ACCESS_LOG": "off", "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "256",
        "ROWHOUSE_LOGIN_ATTEMPTS_PER_ADDRESS": "1000000"})
    try:
        server.start()
        emails, hashed = fill(server, chosen.tenants, chosen.users)
        tenant = server.admin.create_tenant()
        row = tenant.api.call("POST", "/v1/data/leads", 201, json={"name": "x"}).json()["id"]
        path = f"/v1/data/leads/{row}"
        figures = {name: [] for name in ("argon2", "logins", "alone", "beside")}
        p99 = {"alone": [], "beside": []}
        for round_number in range(chosen.rounds):
            figures["argon2"].append(argon2_rate(hashed, chosen.seconds))
            rate, counts = login_rate(server, emails, chosen.seconds)
            figures["logins"].append(rate)
            rate, latency = request_rate(server, tenant.key, path, chosen.seconds)
            figures["alone"].append(rate)
            p99["alone"].append(latency)
            flood = threading.Thread(target=login_rate, args=(server, emails, chosen.seconds + 2, 100))
            flood.start()
            time.sleep(1)
            rate, latency = request_rate(server, tenant.key, path, chosen.seconds)
            flood.join()
            figures["beside"].append(rate)
            p99["beside"].append(latency)
            print(f"round {round_number + 1}: answers to logins {counts}", flush=True)
        medians = {name: statistics.median(found) for name, found in figures.items()}
        for name, what in (("argon2", f"argon2id alone, {HASH_THREADS} threads"), ("logins", f"logins, {CLIENTS} clients"),
                           ("alone", "requests, nobody signs in"), ("beside", "requests, 100 clients sign in")):
            print(f"{what:<32} median {medians[name]:8.1f}/s  ({' '.join(f'{rate:.1f}' for rate in figures[name])})"
                  + (f"  p99 {' '.join(p99[name])}" if name in p99 else ""), flush=True)
        print(f"logins to argon2id alone: {medians['logins'] / medians['argon2']:.2f}; "
              f"requests while everybody signs in to nobody: {medians['beside'] / medians['alone']:.2f}")
    finally:
        server.clear()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
