"""What the signed context costs: requests a second through the whole server.

    /usr/bin/python3 bench/signed_context.py [--baseline BINARY] [--request NAME]... [--rounds 5] [--seconds 5] [--connections 32]

Requests: list (20 rows, 6 columns), list-all (20 rows, all columns: the default), get (one row), insert (one row).

Each candidate is a server of its own, all started before the first measurement; then rounds, in which each is measured
once, so that a noisy moment hits all of them. Prints every figure, the medians, and the ratio to the first candidate.
--baseline: a build that does not sign contexts; --baseline-guard: what it needs as context_guard, if it knows that. Needs wrk.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from support import settings  # noqa: E402
from support.server import Server  # noqa: E402

ROWS = 1000
LIST = "/v1/data/leads?limit=20"
REQUESTS = {"list": LIST + "&select=id,name,email,company,status,created_at", "list-all": LIST, "get": "/v1/data/leads/{id}",
            "insert": "/v1/data/leads"}
INSERT_SCRIPT = """
local run, count = "", 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function init(args) run = args[1] end
function request()
  count = count + 1
  local email = run .. "-" .. count .. "@example.com"
  return wrk.format(nil, nil, nil, '{"name": "Lead", "email": "' .. email .. '", "company": "Example Ltd"}')
end
"""
WORKERS = "1"


class Candidate:
    def __init__(self, name, binary, directory, env):
        self.name = name
        settings.BINARY = pathlib.Path(binary)
        self.server = Server(directory / name, env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_WORKERS": WORKERS,
                                                    "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "256", **env})
        self.insert_script = directory / "insert.lua"
        self.insert_script.write_text(INSERT_SCRIPT)
        self.forget()

    def forget(self):
        self.rates = {name: [] for name in REQUESTS}
        self.latencies = {name: [] for name in REQUESTS}

    def prepare(self):
        self.server.start()
        self.tenant = self.server.admin.create_tenant()
        for _ in range(3):  # neighbours, so that the index has more than one tenant
            self.fill(self.server.admin.create_tenant())
        self.fill(self.tenant)
        # As it would be a minute later: PostgreSQL reads one row of a table that it knows nothing of in a slow way.
        for database in ("rowhouse_pool_tekup", "rowhouse_platform"):
            self.server.query("ANALYZE; SELECT 1", database=database)
        self.lead = self.tenant.api.get(LIST)["data"][0]["id"]

    def fill(self, tenant):
        lines = "".join(json.dumps({"name": f"Lead {i}", "email": f"lead{i}@example.com", "company": "Example Ltd"}) + "\n"
                        for i in range(ROWS))
        tenant.api.call("POST", "/v1/import/leads", (200, 201), data=lines,
                        headers={"Content-Type": "application/x-ndjson"})

    def measure(self, request, seconds, connections):
        script = ["-s", str(self.insert_script)] if request == "insert" else []
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"X-Tenant-Key: {self.tenant.key}", *script,
             self.server.url + REQUESTS[request].format(id=self.lead), "--", f"run{time.monotonic_ns()}"],
            check=True, capture_output=True, text=True)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise SystemExit(f"{self.name}: answers that are no answers\n{done.stdout}")
        self.rates[request].append(float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]))
        self.latencies[request].append(re.search(r"99%\s+(\S+)", done.stdout)[1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=str(settings.BINARY))
    options.add_argument("--baseline")
    options.add_argument("--baseline-guard")
    options.add_argument("--request", action="append", choices=list(REQUESTS))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--connections", type=int, default=32)
    chosen = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rowhouse-bench-"))
    directory.chmod(0o755)
    candidates = []
    try:
        if chosen.baseline:
            guard = {"ROWHOUSE_CONTEXT_GUARD": chosen.baseline_guard} if chosen.baseline_guard else {}
            candidates.append(Candidate("unsigned", chosen.baseline, directory, guard))
        for guard in ("extension", "portable"):
            candidates.append(Candidate(guard, chosen.binary, directory, {"ROWHOUSE_CONTEXT_GUARD": guard}))
        wanted = chosen.request or list(REQUESTS)
        for candidate in candidates:
            candidate.prepare()
            for request in wanted:
                candidate.measure(request, 1, chosen.connections)  # warm
            candidate.forget()
        for request in wanted:
            for _ in range(chosen.rounds):
                for candidate in candidates:
                    candidate.measure(request, chosen.seconds, chosen.connections)
            first = statistics.median(candidates[0].rates[request])
            for candidate in candidates:
                median = statistics.median(candidate.rates[request])
                figures = " ".join(f"{rate:.0f}" for rate in candidate.rates[request])
                print(f"{request:<9} {candidate.name:<10} median {median:8.0f}/s  ratio {median / first:.3f}  p99 "
                      f"{' '.join(candidate.latencies[request])}  ({figures})", flush=True)
    finally:
        for candidate in candidates:
            candidate.server.clear()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
