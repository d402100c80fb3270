"""The table and the score."""

import dataclasses


@dataclasses.dataclass
class Outcome:
    name: str
    where: str
    caught_by: str  # "lint", "verify", "lint, verify" or "" for a survivor
    finding: str
    seconds: float


def show(outcomes, title):
    """Prints the table; the share of mutations that were caught, as (caught, all)."""
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{title}\n{'mutation':{width}}  {'where':12} {'caught by':13} {'s':>5}  finding")
    for outcome in outcomes:
        print(f"{outcome.name:{width}}  {outcome.where:12} {outcome.caught_by or 'SURVIVED':13} {outcome.seconds:5.1f}  "
              f"{outcome.finding[:110]}")
    caught = sum(bool(outcome.caught_by) for outcome in outcomes)
    print(f"score: {caught} of {len(outcomes)} mutations caught ({100 * caught / len(outcomes):.1f} %)", flush=True)
    return caught == len(outcomes)
