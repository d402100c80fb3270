"""What an access token costs beside an API key: requests a second through the whole server.

    /usr/bin/python3 bench/identity.py [--request NAME]... [--rounds 5] [--seconds 5] [--connections 32]

Requests as in bench/signed_context.py. Callers: a key, an admin of the tenant (reaches all rows), and a user who reaches their
own rows alone and owns those of one tenant in two. Rounds, in which each is measured once. Prints every figure, the medians,
and the ratio to the key. Needs wrk.
"""

import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import signed_context  # noqa: E402
from support import settings  # noqa: E402

PASSWORD = "correct horse battery staple"


def token_of(server, tenant, name, role):
    """Of a new user, who has signed in."""
    email = f"{name}@example.com"
    path = f"/v1/tenants/{tenant.record['id']}/users"
    user = server.admin.call("POST", path, 201, json={"email": email, "password": PASSWORD, "role": role}).json()["user"]
    signed_in = server.anonymous.call("POST", "/v1/auth/login", 200, json={"email": email, "password": PASSWORD}).json()
    return user, signed_in["access_token"]


def measure(server, header, path, script, seconds, connections):
    done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", header, *script, server.url + path,
                           "--", f"run{time.monotonic_ns()}"], check=True, capture_output=True, text=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"{header[:20]}…: answers that are no answers\n{done.stdout}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


def analyze(server):
    """As autovacuum does a minute later; without statistics the plans are others."""
    connection = server.connect("rowhouse_pool_tekup")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--request", action="append", choices=list(signed_context.REQUESTS))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--connections", type=int, default=32)
    chosen = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rowhouse-bench-"))
    directory.chmod(0o755)
    # Tokens that outlive the run.
    candidate = signed_context.Candidate("server", settings.BINARY, directory, {"ROWHOUSE_ACCESS_TOKEN_LIFE": "1h"})
    try:
        candidate.prepare()
        server, tenant = candidate.server, candidate.tenant
        _, admin = token_of(server, tenant, "admin", "admin")
        user, token = token_of(server, tenant, "user", "user")
        user_id = user["id"]
        leads = tenant.api.get(signed_context.LIST.replace("20", "1000"))["data"]
        for lead in leads[::2]:
            tenant.api.call("PATCH", f"/v1/data/leads/{lead['id']}", 200, json={"assigned_to": user_id})
        analyze(server)
        headers = {"key": f"X-Tenant-Key: {tenant.key}", "admin": f"Authorization: Bearer {admin}", "user": f"Authorization: Bearer {token}"}
        for request in chosen.request or list(signed_context.REQUESTS):
            path = signed_context.REQUESTS[request].format(id=leads[0]["id"])
            script = ["-s", str(candidate.insert_script)] if request == "insert" else []
            rates = {name: [] for name in headers}
            for round_number in range(chosen.rounds + 1):
                for name, header in headers.items():
                    rate = measure(server, header, path, script, chosen.seconds if round_number else 1, chosen.connections)
                    if round_number:  # the first one warms
                        rates[name].append(rate)
            key = statistics.median(rates["key"])
            for name, found in rates.items():
                median = statistics.median(found)
                print(f"{request:<9} {name:<6} median {median:8.0f}/s  ratio {median / key:.3f}  ({' '.join(f'{rate:.0f}' for rate in found)})", flush=True)
    finally:
        candidate.server.clear()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
