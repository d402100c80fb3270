"""Runs tests/attack's random_attack on a world, and makes trouble meanwhile."""

import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading

from . import settings

PROGRAM = pathlib.Path(os.environ.get("ROWHOUSE_RANDOM_ATTACK", settings.BINARY.parent / "random_attack"))
PAUSE_S = 0.05
LOCKS = 2
STATEMENT_TIMEOUT_S = 5  # the server's default


NOTHING, SOMETHING = 0, 1


def run(job, seed, count, first=0, faults=False, expect=(NOTHING,), limit_s=1000):
    """The report. `expect`: whether something may be found."""
    command = [str(PROGRAM), str(job), "--seed", str(seed), "--from", str(first), "--count", str(count)]
    done = subprocess.run(command + (["--faults"] if faults else []), capture_output=True, text=True, timeout=limit_s)
    assert done.returncode in (NOTHING, SOMETHING), f"{' '.join(command)} → {done.returncode}\n{done.stderr}"
    report = json.loads(done.stdout)
    replay = f"repeat one with ROWHOUSE_ATTACK_SEED={seed} ROWHOUSE_ATTACK_FROM=ATTEMPT ROWHOUSE_ATTACK_COUNT=1"
    assert done.returncode in expect, f"{replay}\n{json.dumps(report['findings'], indent=1, ensure_ascii=False)[:20000]}"
    return report


def summary(report):
    return {name: value for name, value in report.items() if name not in ("findings", "techniques", "routes")}


class Trouble:
    """Ends backends, cancels statements, and holds locks until statements time out."""

    def __init__(self, world, seed):
        self.world, self.random = world, random.Random(seed)
        self.stop, self.done = threading.Event(), {"ended": 0, "cancelled": 0, "locked": 0}
        self.errors = []

    def _backends(self):
        connection = self.world.server.connect()
        turn = 0
        while not self.stop.wait(PAUSE_S):
            turn += 1
            verb = "pg_cancel_backend" if turn % 2 else "pg_terminate_backend"
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {verb}(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                               " AND pid <> pg_backend_pid() AND usename <> %s ORDER BY random() LIMIT 1", (connection.info.user,))
                self.done["cancelled" if turn % 2 else "ended"] += cursor.rowcount
        connection.close()

    def _locks(self):
        for _ in range(LOCKS):
            member = self.random.choice(self.world.attackers)
            table = self.random.choice(self.world.offering(member.pack, "create"))
            connection = self.world.server.connect(member.database)
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(f'LOCK TABLE "{member.schema}"."{table}" IN ACCESS EXCLUSIVE MODE')
                self.done["locked"] += 1
                self.stop.wait(STATEMENT_TIMEOUT_S * 1.3)
            connection.close()

    def _work(self, what):
        try:
            what()
        except Exception as error:  # told where the test can see it
            self.errors.append(error)

    @contextlib.contextmanager
    def meanwhile(self):
        threads = [threading.Thread(target=self._work, args=(what,)) for what in (self._backends, self._locks)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        assert not self.errors, self.errors
