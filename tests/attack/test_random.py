"""Randomised attempts of every kind of tenant on every other: no foreign row, no changed row, no telling difference.

ROWHOUSE_ATTACK_SEED, ROWHOUSE_ATTACK_FROM and ROWHOUSE_ATTACK_COUNT repeat a run or one attempt of it; the seed is
printed. Attempts are numbered, and each is the same in every run of its seed.
"""

import json
import os
import secrets

import pytest

from support import settings
from support.attack_run import NOTHING, SOMETHING, Trouble, run, summary
from support.attack_world import World
from support.server import Server, wait_until

COUNT = 100_000 if settings.SANITIZED else 1_000_000
FAULTY_COUNT = 5_000 if settings.SANITIZED else 30_000
LEAK_COUNT = 20_000
SEED = int(os.environ.get("ROWHOUSE_ATTACK_SEED", secrets.randbelow(10**9)))
TROUBLE_LIMIT = 0.001  # of the attempts of a quiet run may go unanswered by the database, or need a second look


@pytest.fixture(scope="module")
def world(request, work):
    server = Server(work / "data", options=["--access-log", "off"])
    request.addfinalizer(server.clear)
    server.start()
    print(f"\nattack.random: seed {SEED}", flush=True)
    made = World(server, SEED)
    made.job_path = work / "job.json"
    made.job_path.write_text(json.dumps(made.job()))
    yield made
    server.stop()


def check_unharmed(world, before):
    after = world.checksums()
    changed = [name for name in before if before[name] != after.get(name)]
    assert not changed and set(after) == set(before), f"rows of victims changed: {changed}"


def test_no_attempt_reaches_another_tenant(world):
    first, count = int(os.environ.get("ROWHOUSE_ATTACK_FROM", 0)), int(os.environ.get("ROWHOUSE_ATTACK_COUNT", COUNT))
    before = world.checksums()
    assert len(before) >= 2 * len(world.victims)
    report = run(world.job_path, SEED, count, first)
    print(summary(report), flush=True)
    check_unharmed(world, before)
    assert report["answered"] == count and report["lost"] == 0
    if count < COUNT:
        return
    job = json.loads(world.job_path.read_text())
    for key, seen in (("route", report["routes"]), ("name", report["techniques"])):
        known = {technique[key] for some in job["techniques"].values() for technique in some}
        assert not known - set(seen), f"never tried: {known - set(seen)}"
    assert report["compared"] > count / 2, "most attempts are compared with a ghost's"
    assert {"200", "201", "204", "400", "401", "403", "404", "409", "412", "422"} <= set(report["statuses"])
    assert report["unavailable"] <= count * TROUBLE_LIMIT
    assert sum(report["unstable"].values()) <= count * TROUBLE_LIMIT * 5, report["unstable"]


def test_no_attempt_reaches_another_tenant_while_things_break(world):
    before = world.checksums()
    with Trouble(world, SEED).meanwhile() as trouble:
        report = run(world.job_path, SEED + 1, FAULTY_COUNT, faults=True)
    print(summary(report), trouble.done, flush=True)
    check_unharmed(world, before)
    assert report["unavailable"] > 0 and report["lost"] > 0 and trouble.done["ended"] > 0, "nothing broke"
    assert report["answered"] + report["lost"] >= FAULTY_COUNT

    def quiet():
        return run(world.job_path, SEED + 2, 200)["unavailable"] == 0
    wait_until(quiet, "the server is as before")
    for member in world.victims:
        name = next(iter(world.loot[member.tenant.id]))
        assert member.marker in json.dumps(member.tenant.rows(name))


def first_repeated(world, findings):
    for finding in findings:
        again = run(world.job_path, SEED, 1, first=finding["attempt"], expect=[NOTHING, SOMETHING])["findings"]
        if again:
            return finding, again[0]
    raise AssertionError(f"none of {len(findings)} findings can be repeated: {findings}")


@pytest.mark.parametrize("pack, table", [("tekup", "leads"), ("isp-monitor", "routers")])
def test_a_leak_is_found(world, pack, table):  # comes last: it lets victims be harmed
    """Without row security on one table, the same attack finds what it looks for, and repeats it.

    Not each finding: attempts in between have changed and removed rows of the victims.
    """
    member = next(member for member in world.victims if (member.pack, member.tier) == (pack, "pool"))
    connection = world.server.connect(member.database)
    cursor = connection.cursor()
    cursor.execute(f'ALTER TABLE app."{table}" DISABLE ROW LEVEL SECURITY')
    try:
        report = run(world.job_path, SEED, LEAK_COUNT, expect=[SOMETHING])
        finding, again = first_repeated(world, report["findings"])
    finally:
        cursor.execute(f'ALTER TABLE app."{table}" ENABLE ROW LEVEL SECURITY')
        connection.close()
    kinds = {found["what"].split(":")[0] for found in report["findings"]}
    assert "the answer holds a row of another tenant" in kinds or "it is told from one that nobody has" in kinds, kinds
    assert (again["attempt"], again["technique"], again["attacker"]) == (finding["attempt"], finding["technique"], finding["attacker"])
    print(f"\nfound after {finding['attempt']} attempts: {finding['technique']}", flush=True)
