"""What the signed context costs: lists of 20 rows a second through the whole server.

    /usr/bin/python3 bench/signed_context.py [--baseline BINARY] [--rounds 5] [--seconds 5] [--connections 32]

Each candidate is a server of its own, all started before the first measurement; then rounds, in which each is measured
once, so that a noisy moment hits all of them. Prints every figure, the medians, and the ratio to the first candidate.
--baseline: a build from before contexts were signed. Needs wrk.
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

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from support import settings  # noqa: E402
from support.server import Server  # noqa: E402

ROWS = 1000
WORKERS = "1"


class Candidate:
    def __init__(self, name, binary, directory, env):
        self.name = name
        settings.BINARY = pathlib.Path(binary)
        self.server = Server(directory / name, env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_WORKERS": WORKERS,
                                                    "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "256", **env})
        self.rates = []
        self.latencies = []

    def prepare(self):
        self.server.start()
        self.tenant = self.server.admin.create_tenant()
        for _ in range(3):  # neighbours, so that the index has more than one tenant
            self.fill(self.server.admin.create_tenant())
        self.fill(self.tenant)

    def fill(self, tenant):
        lines = "".join(json.dumps({"name": f"Lead {i}", "email": f"lead{i}@example.com", "company": "Example Ltd"}) + "\n"
                        for i in range(ROWS))
        tenant.api.call("POST", "/v1/import/leads", (200, 201), data=lines,
                        headers={"Content-Type": "application/x-ndjson"})

    def measure(self, seconds, connections):
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"X-Tenant-Key: {self.tenant.key}",
             f"{self.server.url}/v1/data/leads?select=id,name,email,company,status,created_at&limit=20"],
            check=True, capture_output=True, text=True)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise SystemExit(f"{self.name}: answers that are no answers\n{done.stdout}")
        self.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]))
        self.latencies.append(re.search(r"99%\s+(\S+)", done.stdout)[1])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=str(settings.BINARY))
    options.add_argument("--baseline")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--connections", type=int, default=32)
    chosen = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rowhouse-bench-"))
    directory.chmod(0o755)
    candidates = []
    try:
        if chosen.baseline:
            candidates.append(Candidate("unsigned", chosen.baseline, directory, {}))
        for guard in ("extension", "portable"):
            candidates.append(Candidate(guard, chosen.binary, directory, {"ROWHOUSE_CONTEXT_GUARD": guard}))
        for candidate in candidates:
            candidate.prepare()
            candidate.measure(2, chosen.connections)  # warm
            candidate.rates.clear()
            candidate.latencies.clear()
        for _ in range(chosen.rounds):
            for candidate in candidates:
                candidate.measure(chosen.seconds, chosen.connections)
        first = statistics.median(candidates[0].rates)
        for candidate in candidates:
            median = statistics.median(candidate.rates)
            figures = " ".join(f"{rate:.0f}" for rate in candidate.rates)
            print(f"{candidate.name:<10} median {median:8.0f}/s  ratio {median / first:.3f}  p99 "
                  f"{' '.join(candidate.latencies)}  ({figures})")
    finally:
        for candidate in candidates:
            candidate.server.clear()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
