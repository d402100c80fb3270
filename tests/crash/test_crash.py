"""The crash matrix, and that it notices what is broken. See README.md of the tests."""

import pathlib
import random
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "mutations")]

import cases  # noqa: E402
import matrix  # noqa: E402
import mutate  # noqa: E402
import node  # noqa: E402
import world  # noqa: E402
from lane import POOL, Failure, Lane  # noqa: E402
from variants import uncovered  # noqa: E402

MUTANTS = sorted((HERE / "mutants").glob("*.mutant"))
NOBODY = "11111111-2222-4333-8444-555555555555"


def test_every_operation_survives_every_interruption():
    assert matrix.run(matrix.arguments([]), out=lambda text: print(text, flush=True))


# ------------------------------------------------------------------------------------------- what it notices

@pytest.fixture(scope="module")
def lane(tmp_path_factory):
    with matrix.temporary.directory("rh-crash-") as directory:
        made = Lane(pathlib.Path(directory) / "l0")
        try:
            yield made.open()
        finally:
            made.close()


# What is planted, what takes it away again, where, and what must be said about it.
PLANTED = {
    "schema": ("CREATE SCHEMA t_orphan", "DROP SCHEMA t_orphan", POOL, "orphaned schema"),
    "role": ("CREATE ROLE tenant_orphan", "DROP ROLE tenant_orphan", "postgres", "orphaned role"),
    "database": ("CREATE DATABASE tenant_orphan TEMPLATE template0", "DROP DATABASE tenant_orphan", "postgres", "orphaned database"),
    "row": (f"INSERT INTO app.leads (tenant_id, name) VALUES ('{NOBODY}', 'x')", f"DELETE FROM app.leads WHERE tenant_id = '{NOBODY}'", POOL,
            "not registered"),
    "lost schema": ("ALTER SCHEMA app RENAME TO gone", "ALTER SCHEMA gone RENAME TO app", POOL, "lost schema"),
    "half tenant": ("UPDATE platform.tenants SET status = 'provisioning' WHERE slug = 'witness-pool'",
                    "UPDATE platform.tenants SET status = 'active' WHERE slug = 'witness-pool'", world.PLATFORM, "has changed"),
    "rights": ("GRANT SELECT ON app.leads TO PUBLIC", "REVOKE SELECT ON app.leads FROM PUBLIC", POOL, "structure of witness"),
    "policy": ("ALTER TABLE app.leads DISABLE ROW LEVEL SECURITY", "ALTER TABLE app.leads ENABLE ROW LEVEL SECURITY", POOL, "structure of witness"),
    "operation": (f"INSERT INTO platform.operations (id, kind, status, requested_by) VALUES ('{NOBODY}', 'test.kind', 'paused', 'x')",
                  f"DELETE FROM platform.operations WHERE id = '{NOBODY}'", world.PLATFORM, "unfinished"),
    "lock": ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)", "postgres", "advisory"),
    "session": ("SET application_name = 'rowhouse op x'", "RESET application_name", "postgres", "session of an operation"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_inventory_notices(lane, name):
    plant, remove, database, words = PLANTED[name]
    lane.look({}, "before")
    lane.connections.query(plant, database=database)
    try:
        with pytest.raises(Failure, match=words):
            lane.look({}, "planted")
    finally:
        lane.connections.query(remove, database=database)
    lane.look({}, "afterwards")


def test_a_file_of_nobody_is_noticed(lane):
    path = lane.postgres.directory / "base" / "4242"
    path.mkdir()
    with pytest.raises(Failure, match="file of nobody"):
        lane.look({}, "planted")
    path.rmdir()
    (lane.first.directory / "empty" / "left").touch()
    with pytest.raises(Failure, match="file of nobody"):
        lane.look({}, "planted")
    (lane.first.directory / "empty" / "left").unlink()


def test_a_store_of_nobody_is_noticed(lane):
    path = lane.objects / NOBODY
    path.mkdir()
    with pytest.raises(Failure, match="orphaned store"):
        lane.look({}, "planted")
    path.rename(lane.objects / f".removing-{NOBODY}")
    with pytest.raises(Failure, match="orphaned store"):
        lane.look({}, "planted")
    (lane.objects / f".removing-{NOBODY}").rmdir()
    lane.look({}, "afterwards")


def test_a_secret_in_a_log_is_noticed(lane):
    lane.logs.secret("not-to-be-seen", "a secret")
    lane.no_secrets()
    lane.connections.query("SELECT 'not-to-be-seen'")
    with pytest.raises(Failure, match="a secret stands in log"):
        lane.no_secrets()
    del lane.logs.secrets[b"not-to-be-seen"]


def test_a_step_without_a_variant_is_noticed(lane):
    kinds = {"tenant.create": {"register": True}, "new.kind": {"new_step": True}}
    points = ["tenant.create/register/run/1 COMMIT/after", "tenant.create/register/undo/before"]
    assert uncovered(kinds, points) == ["new.kind/new_step/run", "new.kind/new_step/undo"]
    assert uncovered(lane.first.kinds(), []), "the server tells of its kinds"


def made_up(steps, kinds=("run",)):
    return [f"tenant.create/{step}/{direction}/{effect}{moment}" for step in steps for direction in kinds
            for effect in ("", *(f"{number} SELECT/" for number in range(1, 9))) for moment in cases.MOMENTS]


def test_two_seeds_in_a_row_kill_every_step_before_and_after():
    points = {"create-schema": made_up(("one", "two", "three")), "undo-schema": made_up(("two", "three"), ("undo",))}
    deck = cases.Deck(cases.all_cases(points), points)
    kinds = {"tenant.create": {"one": False, "two": True, "three": True}}
    for seed in random.Random(7).sample(range(1, 500), 20):
        outcomes = [(case, True) for s in (seed, seed + 1) for case in deck.of_seed(s, 20)]
        assert cases.not_killed(kinds, outcomes) == []
        assert deck.of_seed(seed, 20) == cases.Deck(cases.all_cases(points), points).of_seed(seed, 20), "a seed is always the same"
    assert set(deck.of_seed(1, 20)) != set(deck.of_seed(3, 20)), "seeds differ"
    # Over many seeds everything has its turn.
    kills = {(case.variant, case.point) for seed in range(1, 101) for case in deck.of_seed(seed, 20) if case.action == "kill"}
    assert kills == {(variant, point) for variant, passed in points.items() for point in passed}


def test_a_step_that_no_kill_came_to_is_noticed():
    kinds = {"tenant.create": {"one": False, "two": True}}
    case = cases.Case("create-schema", "kill", 1, "tenant.create/one/run/1 SELECT/before")
    frozen = cases.Case("create-schema", "freeze", 1, "tenant.create/one/run/1 SELECT/after")
    assert (("tenant.create", "one", "run"), "after") in cases.not_killed(kinds, [(case, True), (frozen, True)])
    assert (("tenant.create", "two", "undo"), "before") in cases.not_killed(kinds, [(case, True)])
    assert (("tenant.create", "one", "run"), "before") in cases.not_killed(kinds, [(case, False)])
    assert (("tenant.create", "one", "run"), "before") not in cases.not_killed(kinds, [(case, True)])


def test_a_case_reads_as_it_is_written():
    for case in (cases.Case("create-pool", "strike", 3, ""), cases.Case("upgrade", "lose", 8, "pack.upgrade/lint/run/* SET LOCAL/after"),
                 cases.Case("undo-schema", "kill", 1, "tenant.create/activate/undo/before", "tenant.create/register/undo/2 SELECT/after")):
        assert cases.Case.parse(str(case)) == case
    with pytest.raises(ValueError):
        cases.Case.parse("create-pool")


def test_a_process_that_is_left_is_noticed(lane):
    left = subprocess.Popen(["/bin/sleep", "600"], env={"ROWHOUSE_CRASH_DIRECTORY": str(lane.first.directory)})
    try:
        with pytest.raises(Failure, match="process of nobody.*sleep"):
            lane.look({}, "planted")
    finally:
        left.kill()
        left.wait()
    lane.look({}, "afterwards")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda path: path.stem)
def test_the_matrix_notices_a_mutant(mutant):
    head, _ = mutate.parse(mutant)
    program = node.binary().parent / "mutants" / mutant.stem / "rowhouse_crash"
    assert program.exists(), f"{program} does not exist: build the target crash_mutants"
    case = cases.Case.parse(head["case"])
    with matrix.temporary.directory("rh-crash-") as directory, \
            matrix.Run(pathlib.Path(directory), 1, program, out=lambda text: print(text, flush=True), replace=False) as run:
        # Who comes first when a frozen node wakes, its step or its lease, is a race: a mutant that wins it once is noticed.
        for _ in range(int(head.get("tries", 1))):
            outcome = run.attempt_all([case])[-1]
            if outcome.why:
                break
    assert head["says"] in outcome.why, f"{head['breaks']}: {outcome.result} {outcome.why}"
