"""What is interrupted: each kind of operation in every way that it can take. A new kind or step that no variant reaches
fails the matrix; then a line is missing here."""

import dataclasses
import re

CREATE, DELETE, UPGRADE = "tenant.create", "tenant.delete", "pack.upgrade"
MOVE, CONFIRM = "storage.move", "storage.move_confirm"


@dataclasses.dataclass(frozen=True)
class Variant:
    """`does`: the kind of operation. `fails_at`: the point at which the operation fails for good; `cancelled_at`: the one at which
    somebody cancels it. `obstacle`: SQL in the pack's pool, and what removes it again. `ends`: the status that it must end
    with, whatever happens in between."""

    name: str
    does: str
    tier: str
    samples: bool = False
    admin: bool = False  # somebody is invited
    storage: str = ""  # provisioned: a directory of its own; byos: one that it brought along
    fails_at: str = ""
    cancelled_at: str = ""
    obstacle: tuple = ()
    ends: str = "succeeded"
    around: str = ""  # only at points whose names hold this
    grows: bool = False  # has more effects each time it is tried: its points are numbered by their kind
    contract: bool = False  # an upgrade that takes something away
    in_one_statement: bool = False  # has no points: killed at any time


# As late as possible: everything is taken back.
LAST = {"pool": "activate", "schema": "catch_up", "database": "catch_up"}


def at_the_end(tier):
    return f"{CREATE}/{LAST[tier]}/run/before"


TIERS = ("pool", "schema", "database")
VARIANTS = [
    *(Variant(f"create-{tier}-samples", CREATE, tier, samples=True, admin=True) for tier in TIERS),
    *(Variant(f"create-{tier}", CREATE, tier, in_one_statement=tier == "pool") for tier in TIERS),
    *(Variant(f"undo-{tier}", CREATE, tier, samples=True, admin=True, fails_at=at_the_end(tier), ends="undone") for tier in TIERS),
    *(Variant(f"cancel-{tier}", CREATE, tier, samples=True, cancelled_at=f"{CREATE}/load_samples/run/before", ends="cancelled") for tier in TIERS),
    *(Variant(f"delete-{tier}", DELETE, tier, samples=True) for tier in TIERS),
    Variant("create-storage", CREATE, "pool", storage="provisioned"),
    Variant("create-byos", CREATE, "pool", storage="byos"),
    Variant("undo-storage", CREATE, "schema", storage="provisioned", fails_at=at_the_end("schema"), ends="undone"),
    Variant("delete-storage", DELETE, "pool", storage="provisioned"),
    # `storage`: where the tenant's objects are before; they move to the other kind.
    Variant("move-to-ours", MOVE, "pool", storage="byos"),
    Variant("move-away", MOVE, "schema", storage="provisioned"),
    Variant("confirm-to-ours", CONFIRM, "database", storage="byos"),
    Variant("confirm-away", CONFIRM, "pool", storage="provisioned"),
    Variant("upgrade", UPGRADE, "pool", grows=True),
    Variant("contract", UPGRADE, "pool", grows=True, contract=True),
    # Not a planned error but one of PostgreSQL's, in the middle of the rows.
    Variant("undo-bad-row", CREATE, "pool", samples=True, ends="undone", around="/undo",
            obstacle=("ALTER TABLE app.activities ADD CONSTRAINT crash_obstacle CHECK (false) NOT VALID",
                      "ALTER TABLE app.activities DROP CONSTRAINT crash_obstacle")),
]


def without_number(point):
    """kind/step/run/12 SELECT/before with a star for its number."""
    return re.sub(r"^([^/]+/[^/]+/[^/]+/)\d+ ", r"\1* ", point)


def named(name):
    return next(variant for variant in VARIANTS if variant.name == name)


def uncovered(kinds, points):
    """Steps and undos of `kinds` ({kind: {step: has an undo}}) of which no point is in `points`."""
    reached = {tuple(point.split("/")[:3]) for point in points}
    missing = []
    for kind, steps in kinds.items():
        for step, has_undo in steps.items():
            directions = ("run", "undo") if has_undo else ("run",)
            missing += [f"{kind}/{step}/{direction}" for direction in directions if (kind, step, direction) not in reached]
    return missing
