#!/usr/bin/python3
"""How long a pack upgrade takes for many schema-tier tenants: /usr/bin/python3 bench/upgrade.py --tool PATH [--schemas 10000].

One column and one index for each of them, by what upgrades use (the tool src/tenancy/schema_batch_bench.cc) and by psql, in one
session per core, alternating, each time on a fresh copy of the same database. Prints the medians and their ratio, and what
an upgrade costs that finds nothing to do. Tenants are made as in bench/lint.py; both keep them with --data.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))

import lint  # noqa: E402
from support import temporary  # noqa: E402
from support.server import Server, SUPERUSER  # noqa: E402

COPY = "rowhouse_bench_upgrade"
COLUMN_AND_INDEX = """ALTER TABLE leads ADD COLUMN second_phone varchar(30);
CREATE INDEX leads_by_second_phone ON leads (tenant_id, second_phone);
"""


def copy_database(server):
    server.query_nothing("postgres", f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
    server.query_nothing("postgres", f"CREATE DATABASE {COPY} TEMPLATE {lint.POOL} OWNER tenant_owner STRATEGY file_copy")
    server.query_nothing("postgres", f"GRANT CONNECT ON DATABASE {COPY} TO tenant_migrator")
    server.query_nothing("postgres", "CHECKPOINT")


class BenchServer(Server):
    def query_nothing(self, database, sql):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    @property
    def psql_environment(self):
        return {**os.environ, "PGPASSWORD": (self.data / "secrets" / "superuser-password").read_text().strip(),
                "PGHOST": os.path.realpath(self.data / "socket"), "PGUSER": SUPERUSER, "PGDATABASE": COPY}


def by_psql(server, schemas, sessions, scratch):
    """The same statements, each schema in a transaction of its own, by as many sessions as there are cores."""
    files = []
    for session in range(sessions):
        path = pathlib.Path(scratch) / f"session-{session}.sql"
        with open(path, "w") as file:
            for schema in schemas[session::sessions]:
                file.write(f"BEGIN;\nSET LOCAL search_path = {schema};\n{COLUMN_AND_INDEX}COMMIT;\n")
        files.append(path)
    began = time.monotonic()
    running = [subprocess.Popen(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(path)], env=server.psql_environment)
               for path in files]
    assert all(process.wait() == 0 for process in running)
    return time.monotonic() - began


def by_batch(server, tool, sessions, scratch):
    migration = pathlib.Path(scratch) / "migration.sql"
    migration.write_text(COLUMN_AND_INDEX)
    done = subprocess.run([tool, os.path.realpath(server.data / "socket"), str(server.data / "secrets"), COPY, lint.PACK, str(sessions),
                           str(migration)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="the program of src/tenancy/schema_batch_bench.cc")
    parser.add_argument("--schemas", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=os.cpu_count())
    parser.add_argument("--durable", action="store_true", help="with fsync, as in production")
    parser.add_argument("--data", type=pathlib.Path, help="keep the installation here, and use it again")
    options = parser.parse_args()
    with temporary.directory() as scratch:
        data = options.data or pathlib.Path(scratch) / "data"
        made = pathlib.Path(f"{data}.made")
        environment = {"ROWHOUSE_PACKS": lint.PACK, "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "512"}
        if options.durable:
            environment["ROWHOUSE_POSTGRES_DURABILITY"] = "full"
        server = BenchServer(data, env=environment)
        try:
            server.start()
            if not made.exists():
                lint.make_schemas(server, options.schemas)
                made.touch()
            server.query_nothing("postgres", f"ALTER DATABASE {lint.POOL} ALLOW_CONNECTIONS true")
            schemas = [row[0] for row in server.query("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 't_') ORDER BY 1", (), lint.POOL)]
            # A database that is copied has no sessions; the server would come back.
            server.query_nothing("postgres", f"ALTER DATABASE {lint.POOL} ALLOW_CONNECTIONS false")
            server.query_nothing("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + lint.POOL + "'")
            psql, batch, nothing = [], [], []
            for _ in range(options.runs):
                copy_database(server)
                psql.append(by_psql(server, schemas, options.sessions, scratch))
                copy_database(server)
                first = by_batch(server, options.tool, options.sessions, scratch)
                second = by_batch(server, options.tool, options.sessions, scratch)
                assert first["done"] == second["unchanged"] == len(schemas), (first, second)
                batch.append(first["seconds"])
                nothing.append(second["seconds"])
                print(f"psql {psql[-1]:.1f} s, batch {batch[-1]:.1f} s ({first['slow']} slowly), nothing to do {nothing[-1]:.2f} s", flush=True)
            print(f"{len(schemas)} schemas, {options.sessions} sessions: psql {statistics.median(psql):.1f} s, batch {statistics.median(batch):.1f} s,"
                  f" ratio {statistics.median(psql) / statistics.median(batch):.2f}; nothing to do {statistics.median(nothing):.2f} s")
            server.query_nothing("postgres", f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
            server.query_nothing("postgres", f"ALTER DATABASE {lint.POOL} ALLOW_CONNECTIONS true")
            server.stop()
        finally:
            server.clear()


if __name__ == "__main__":
    main()
