"""The crash matrix, and that it notices what is broken. See README.md of the tests."""

import pathlib
import shlex
import sys
import types

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "mutations")]

import matrix  # noqa: E402
import mutate  # noqa: E402
import node  # noqa: E402
import world  # noqa: E402
from lane import POOL, Failure, Lane  # noqa: E402
from variants import uncovered  # noqa: E402

MUTANTS = sorted((HERE / "mutants").glob("*.mutant"))
NOBODY = "11111111-2222-4333-8444-555555555555"


def options(**changed):
    return types.SimpleNamespace(**{"case": [], "again": "", "times": 1, "seeds": 0, "seed": 0, "cases": matrix.cases_of_a_sample(),
                                    "chance": "sample", "variant": None, "action": None, "points": False,
                                    "jobs": matrix.lanes_of_this_machine(), **changed})


def test_every_operation_survives_every_interruption():
    assert matrix.run(options(), out=lambda text: print(text, flush=True))


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


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda path: path.stem)
def test_the_matrix_notices_a_mutant(mutant):
    head, _ = mutate.parse(mutant)
    program = node.binary().parent / "mutants" / mutant.stem / "rowhouse_crash"
    assert program.exists(), f"{program} does not exist: build the target crash_mutants"
    variant, action, nth, point = shlex.split(head["case"])
    with matrix.temporary.directory("rh-crash-") as directory, \
            matrix.Run(pathlib.Path(directory), 1, program, out=lambda text: print(text, flush=True), replace=False) as run:
        outcome, = run.attempt_all([matrix.Case(variant, action, int(nth), point)])
    assert head["says"] in outcome.why, f"{head['breaks']}: {outcome.result} {outcome.why}"
