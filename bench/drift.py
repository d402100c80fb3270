#!/usr/bin/python3
"""What is to be had in a second for many schema-tier tenants: /usr/bin/python3 bench/drift.py [--schemas 10000].

The drift report: the first one, which reads every schema; those after it; those after somebody has changed one schema
by hand, which must find it. And upgrades of the pack that find nothing to do: the installed version once more, and a
new version that brings no migration, as an operation over all tenants. Tenants are made as in bench/lint.py.
"""

import argparse
import json
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))

import lint  # noqa: E402
from support import temporary  # noqa: E402
from support.server import Server  # noqa: E402

DRIFT = f"/v1/packs/{lint.PACK}/drift"
# What somebody does by hand, the object that the report must name, and how to take it back.
BY_HAND = [
    ("ALTER TABLE {0}.leads ADD COLUMN by_hand text", "column leads.by_hand", "ALTER TABLE {0}.leads DROP COLUMN by_hand"),
    ("CREATE INDEX by_hand ON {0}.leads (tenant_id, id, name)", "index leads.by_hand", "DROP INDEX {0}.by_hand"),
    ("ALTER TABLE {0}.leads DISABLE ROW LEVEL SECURITY", "relation leads", "ALTER TABLE {0}.leads ENABLE ROW LEVEL SECURITY"),
]


def run_sql(server, database, sql):
    connection = server.connect(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


def timed(call):
    began = time.monotonic()
    answer = call()
    return time.monotonic() - began, answer


def report(server, full=False):
    return timed(lambda: server.admin.call("GET", DRIFT + ("?full=true" if full else ""), 200, timeout=3600).json())


def tell(what, seconds, more=""):
    shown = ", ".join(f"{second:.2f}" for second in seconds)
    print(f"{what}: {statistics.median(seconds):.2f} s (median of {shown}){more}", flush=True)


def measure_drift(server, runs):
    server.admin.call("GET", DRIFT + "?full=true", 200, timeout=3600)  # warms up
    full = [report(server, full=True) for _ in range(runs)]
    tell("drift report that reads everything", [seconds for seconds, _ in full], f", {full[-1][1]['schemas']} schemas")
    after = [report(server) for _ in range(runs + 2)]
    assert all(not found["findings"] for _, found in after), after[0][1]["findings"][:3]
    tell("drift report after it", [seconds for seconds, _ in after], f", {after[-1][1]['read_anew']} read anew")
    schema = server.query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_copy' ORDER BY nspname LIMIT 1", (), lint.POOL)[0][0]
    seconds = []
    for change, found, undo in BY_HAND:
        run_sql(server, lint.POOL, change.format(schema))
        took, drift = report(server)
        assert [(finding["schema"], finding["object"]) for finding in drift["findings"]] == [(schema, found)], drift["findings"][:3]
        seconds.append(took)
        run_sql(server, lint.POOL, undo.format(schema))
        took, drift = report(server)
        assert not drift["findings"], drift["findings"][:3]
        seconds.append(took)
    tell("drift report after a change in one schema", seconds, ", each found")


def measure_upgrades(server, runs):
    directory = ROOT / "packs" / lint.PACK
    manifest = json.loads((directory / "pack.json").read_text())
    bundle = {"manifest": manifest,
              "migrations": [{"name": path.stem, "sql": path.read_text()} for path in sorted((directory / "migrations").glob("*.sql"))],
              "samples": [{"resource": sample["resource"], "csv": (directory / sample["file"]).read_text()}
                          for sample in manifest["sample_data"]]}
    install = lambda: server.admin.call("POST", "/v1/packs", 200, json=bundle, timeout=3600).json()  # noqa: E731
    first = install()
    same = [timed(install) for _ in range(runs)]
    tell("the installed version once more", [seconds for seconds, _ in same], f", {same[-1][1]['unchanged']} unchanged")
    numbers = [int(number) for number in first["to_version"].split(".")]
    newer = []
    for _ in range(runs):
        numbers[2] += 1
        manifest["version"] = ".".join(str(number) for number in numbers)
        newer.append(timed(install))
        assert newer[-1][1]["migrated"] == [] and newer[-1][1]["failed"] == [], newer[-1][1]
    tell("a new version without a migration", [seconds for seconds, _ in newer], f", {newer[-1][1]['unchanged']} unchanged")
    last = server.admin.get("/v1/operations?kind=pack.upgrade&limit=1")["data"][0]
    for step in last["steps"]:
        if step["started_at"] and step["finished_at"]:
            print(f"  {step['name']}: {step['started_at'][-13:-1]} to {step['finished_at'][-13:-1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=pathlib.Path, help="keep the installation here, and use it again")
    options = parser.parse_args()
    with temporary.directory() as scratch:
        data = options.data or pathlib.Path(scratch) / "data"
        made = pathlib.Path(f"{data}.made")
        server = Server(data, env={"ROWHOUSE_PACKS": lint.PACK, "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "512"})
        try:
            server.start()
            if not made.exists():
                lint.make_schemas(server, options.schemas)
                made.touch()
            measure_drift(server, options.runs)
            measure_upgrades(server, options.runs)
            server.stop()
        finally:
            server.clear()


if __name__ == "__main__":
    main()
