"""Attacks a server of its own for a while: `soak.py SECONDS`. See tools/soak."""

import json
import pathlib
import secrets
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import temporary  # noqa: E402
from support.attack_run import Trouble, run, summary  # noqa: E402
from support.attack_world import World  # noqa: E402
from support.server import Server  # noqa: E402

ROUND = 200_000
FAULTY_ROUND_IN = 3


def soak(server, directory, seconds):
    """(rounds, attempts) without a finding; an AssertionError says what was found."""
    deadline = time.monotonic() + seconds
    rounds = attempts = 0
    world_seed = secrets.randbelow(10**9)
    world = World(server, world_seed)
    job = directory / "job.json"
    job.write_text(json.dumps(world.job()))
    before = world.checksums()
    while time.monotonic() < deadline:
        rounds += 1
        seed = secrets.randbelow(10**9)
        faulty = rounds % FAULTY_ROUND_IN == 0
        print(f"round {rounds}: world {world_seed}, seed {seed}{', with faults' if faulty else ''}", flush=True)
        if faulty:
            with Trouble(world, seed).meanwhile():
                report = run(job, seed, ROUND, faults=True, limit_s=None)
        else:
            report = run(job, seed, ROUND, limit_s=None)
        after = world.checksums()
        assert before == after, [name for name in before if before[name] != after.get(name)]
        attempts += report["answered"]
        print(f"  {summary(report)}", flush=True)
        server.check_alive()
    return rounds, attempts


def main():
    with temporary.directory() as name:
        directory = pathlib.Path(name)
        server = Server(directory / "data", options=["--access-log", "off"])
        try:
            server.start()
            rounds, attempts = soak(server, directory, float(sys.argv[1]))
            server.stop()
            print(f"soak: nothing found in {attempts:,} attempts of {rounds} rounds")
        finally:
            server.clear()


if __name__ == "__main__":
    main()
