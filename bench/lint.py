#!/usr/bin/python3
"""How long `rowhouse lint` takes for many schema-tier tenants: /usr/bin/python3 bench/lint.py [--schemas 10000].

Starts `rowhouse up` on a directory of its own, makes one schema-tier tenant the ordinary way, and copies its schema
behind the server's back, with rows in the registry: thousands of tenants in minutes instead of hours.
"""

import argparse
import os
import pathlib
import re
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
MARK, ORIGINAL, SUFFIX = "<<schema>>", "<<original>>", "_<<number>>"
BATCH = 50  # schemas in one transaction: each object takes a lock
# Statements that name a function look at the functions of that name in all schemas, which takes long for thousands: here
# they have names of their own at first, and get rights and name from the original at last (COPY_RIGHTS).
SKIPPED = ("--", "\\", "SET ", "SELECT pg_catalog.set_config", "COMMENT ON ", "ALTER FUNCTION ", "REVOKE ALL ON FUNCTION ",
           "GRANT ALL ON FUNCTION ")
COPY_RIGHTS = f"""
RESET ROLE;
UPDATE pg_catalog.pg_proc p SET proname = o.proname, proacl = o.proacl FROM pg_catalog.pg_proc o
 WHERE p.oid = ANY (ARRAY(SELECT objid FROM pg_catalog.pg_depend WHERE refobjid = '{MARK}'::pg_catalog.regnamespace
                           AND refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass))
   AND o.oid = ANY (ARRAY(SELECT objid FROM pg_catalog.pg_depend WHERE refobjid = '{ORIGINAL}'::pg_catalog.regnamespace
                           AND refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass))
   AND p.proname IN (o.proname, o.proname || '{SUFFIX}')
"""


def dump(server, schema):
    """The statements that make the schema, with a mark for its name."""
    connection = server.connect(POOL)
    parameters = connection.info.dsn_parameters
    connection.close()
    secrets = {"PGPASSWORD": server_password(server)}
    done = subprocess.run([f"{binaries()}/pg_dump", "--schema-only", f"--schema={schema}", "-h", parameters["host"], "-U",
                           parameters["user"], POOL], env={**os.environ, **secrets}, check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(SKIPPED)]
    text = "SET LOCAL search_path = '';\n" + "\n".join(lines).replace(schema, MARK) + COPY_RIGHTS.replace(ORIGINAL, schema)
    for name in sorted(set(re.findall(rf"CREATE FUNCTION {MARK}\.(\w+)\(\) RETURNS trigger", text))):
        text = text.replace(f"{MARK}.{name}(", f"{MARK}.{name}{SUFFIX}(")
    owned = f"ALTER SCHEMA {MARK} OWNER TO tenant_owner;\n"
    assert owned in text
    return text.replace(owned, owned + "SET LOCAL ROLE tenant_owner;\n")


def server_password(server):
    connection = server.connect(POOL)
    password = connection.info.password
    connection.close()
    return password


def original_schema(server, platform):
    """The schema that is copied, and how many copies there are."""
    with platform.cursor() as cursor:
        cursor.execute("SELECT d.tenant_id, d.schema_name FROM platform.tenant_databases d"
                       " JOIN platform.tenants t ON t.id = d.tenant_id WHERE t.name = 'Original'")
        found = cursor.fetchone()
        if found is None:
            server.admin.create_tenant("Original", pack=PACK, plan=None, tier="schema")
            return original_schema(server, platform)
        cursor.execute("SELECT count(*) FROM platform.tenants WHERE slug LIKE 'copy-%'")
        return *found, cursor.fetchone()[0]


def make_schema(pool, platform, number, script, tenant_id, original):
    one = uuid.UUID(int=(0x018F << 112) | (7 << 76) | (0b10 << 62) | number)
    name = f"t_copy{'_of_it' * (number % 4)}_{one.hex[-12:]}"  # of different lengths, as people's are
    with pool.cursor() as cursor:
        cursor.execute(script.replace(MARK, name).replace(SUFFIX, f"_{number}"))
        cursor.execute("INSERT INTO rowhouse.pack_migrations (schema_name, pack, number, name, checksum) SELECT %s, pack, number,"
                       " name, checksum FROM rowhouse.pack_migrations WHERE schema_name = %s", (name, original))
        cursor.execute("INSERT INTO rowhouse.row_rules (schema_name, rules) SELECT %s, rules FROM rowhouse.row_rules"
                       " WHERE schema_name = %s", (name, original))
    with platform.cursor() as cursor:
        cursor.execute("INSERT INTO platform.tenants (id, slug, name, pack, plan, status, tier) SELECT %s, %s, %s, pack, plan,"
                       " 'active', tier FROM platform.tenants WHERE id = %s", (str(one), f"copy-{number}", name, tenant_id))
        cursor.execute("INSERT INTO platform.tenant_databases (tenant_id, tier, database_name, schema_name, role_name)"
                       " VALUES (%s, 'schema', %s, %s, 'tenant_service')", (str(one), POOL, name))


def make_schemas(server, count):
    platform = server.connect("rowhouse_platform")
    tenant_id, original, made = original_schema(server, platform)
    script = dump(server, original)
    platform.autocommit = False
    began = time.monotonic()
    for first in range(made, count - 1, BATCH):
        pool = server.connect(POOL)  # a new one each time: what a session knows about the catalog grows
        pool.autocommit = False
        for number in range(first, min(first + BATCH, count - 1)):
            make_schema(pool, platform, number, script, tenant_id, original)
        pool.commit()
        platform.commit()
        pool.close()
        if first % 1000 == 0:
            print(f"{first} schemas after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    platform.close()
    pool = server.connect(POOL)
    with pool.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")  # as autovacuum will have done when tenants arrive one by one
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
