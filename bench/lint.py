#!/usr/bin/python3
"""How long `rowhouse lint` takes for many schema-tier tenants: /usr/bin/python3 bench/lint.py [--schemas 10000].

Starts `rowhouse up` on a directory of its own, makes one schema-tier tenant the ordinary way, and copies its schema
behind the server's back, with rows in the registry: thousands of tenants in minutes instead of hours.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import temporary  # noqa: E402
from support.postgres import binaries  # noqa: E402
from support.server import Server  # noqa: E402

PACK = "tekup"
POOL = "rowhouse_pool_tekup"
MARK = "<<schema>>"
BATCH = 50  # schemas in one transaction: each object takes a lock


def dump(server, schema):
    """The statements that make the schema, with a mark for its name."""
    connection = server.connect(POOL)
    parameters = connection.info.dsn_parameters
    connection.close()
    secrets = {"PGPASSWORD": server_password(server)}
    done = subprocess.run([f"{binaries()}/pg_dump", "--schema-only", f"--schema={schema}", "-h", parameters["host"], "-U",
                           parameters["user"], POOL], env={**os.environ, **secrets}, check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog.set_config"))]
    return "SET search_path = '';\n" + "\n".join(lines).replace(schema, MARK)


def server_password(server):
    connection = server.connect(POOL)
    password = connection.info.password
    connection.close()
    return password


def make_schemas(server, count):
    tenant = server.admin.create_tenant("Original", pack=PACK, plan=None, tier="schema")
    platform, pool = server.connect("rowhouse_platform"), server.connect(POOL)
    with platform.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM platform.tenant_databases WHERE tenant_id = %s", (tenant.id,))
        original = cursor.fetchone()[0]
    script = dump(server, original)
    platform.autocommit = pool.autocommit = False
    began = time.monotonic()
    for first in range(0, count - 1, BATCH):
        for number in range(first, min(first + BATCH, count - 1)):
            one = uuid.UUID(int=(0x018F << 112) | (7 << 76) | (0b10 << 62) | number)
            name = f"t_copy_{one.hex[-12:]}"
            with pool.cursor() as cursor:
                cursor.execute(script.replace(MARK, name))
                cursor.execute("INSERT INTO rowhouse.pack_migrations (schema_name, pack, number, name, checksum) SELECT %s, pack, number,"
                               " name, checksum FROM rowhouse.pack_migrations WHERE schema_name = %s", (name, original))
            with platform.cursor() as cursor:
                cursor.execute("INSERT INTO platform.tenants (id, slug, name, pack, plan, status, tier) SELECT %s, %s, %s, pack, plan,"
                               " 'active', tier FROM platform.tenants WHERE id = %s", (str(one), f"copy-{number}", name, tenant.id))
                cursor.execute("INSERT INTO platform.tenant_databases (tenant_id, tier, database_name, schema_name, role_name)"
                               " VALUES (%s, 'schema', %s, %s, 'tenant_service')", (str(one), POOL, name))
        pool.commit()
        platform.commit()
        if first % 1000 == 0:
            print(f"{first} schemas after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    pool.autocommit = True
    with pool.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")  # as autovacuum will have done when tenants arrive one by one
    platform.close()
    pool.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=pathlib.Path, help="keep the installation here, and use it again")
    options = parser.parse_args()
    with temporary.directory() as scratch:
        data = options.data or pathlib.Path(scratch) / "data"
        made = (pathlib.Path(f"{data}.made")).exists()
        server = Server(data, env={"ROWHOUSE_PACKS": PACK, "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "512"})
        try:
            server.start()
            if not made:
                make_schemas(server, options.schemas)
                pathlib.Path(f"{data}.made").touch()
            seconds = []
            for _ in range(options.runs):
                began = time.monotonic()
                report = server.admin.call("POST", "/v1/lint", 200, timeout=3600).json()
                seconds.append(time.monotonic() - began)
                print(f"{report['schemas']} schemas, {len(report['findings'])} findings: {seconds[-1]:.2f} s", flush=True)
            for finding in report["findings"][:5]:
                print(finding)
            print(f"median {statistics.median(seconds):.2f} s")
            server.stop()
        finally:
            server.clear()


if __name__ == "__main__":
    main()
