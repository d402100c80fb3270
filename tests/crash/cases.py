"""Which interruptions there are, and which of them belong to a seed."""

import collections
import dataclasses
import random
import re

from variants import named, without_number

STRIKES = 24
SECOND_BLOWS = 0.25  # of the kills are followed by another one during the recovery
# Of what a seed has besides the kills that it must have.
SHARES = {"lose": 0.45, "postgres": 0.2, "freeze": 0.3, "strike": 0.05}
MOMENTS = ("before", "after")


@dataclasses.dataclass(frozen=True)
class Case:
    variant: str
    action: str
    nth: int
    point: str
    then: str = ""  # a second kill, at this point, after the restart
    # `action`: see README.md; "nothing": as it goes when nobody interrupts it

    WORDS = re.compile(r"(\S+) (\S+) (\d+) ?(.*?)(?: then (.+))?")

    def __str__(self):
        return f"{self.variant} {self.action} {self.nth} {self.point}".strip() + (f" then {self.then}" if self.then else "")

    @classmethod
    def parse(cls, text):
        """What str() says, as a failure prints it."""
        match = cls.WORDS.fullmatch(text.strip())
        if not match:
            raise ValueError(f"a case is VARIANT ACTION NTH POINT, not {text!r}")
        variant, action, nth, point, then = match.groups(default="")
        return cls(named(variant).name, action, int(nth), point, then)

    @property
    def place(self):
        """(kind, step, direction) of its point."""
        return tuple(self.point.split("/")[:3])

    @property
    def moment(self):
        return self.point.rpartition("/")[2]


def all_cases(points):
    """Kill and freeze everywhere; an answer can be lost after what was done; PostgreSQL goes away around effects."""
    cases = []
    for variant, passed in points.items():
        if named(variant).in_one_statement:
            cases += [Case(variant, "strike", nth, "") for nth in range(STRIKES)]
        grows = named(variant).grows
        counts = collections.Counter(without_number(point) if grows else point for point in passed if named(variant).around in point)
        own_points = {named(variant).fails_at, named(variant).cancelled_at}
        for point, count in counts.items():
            of_effect = point.count("/") == 4
            for nth in range(1, count + 1) if grows else sorted({1, count}):
                actions = ["kill", "freeze"]
                # Where the variant itself does something there is no room for a second word.
                if point not in own_points:
                    actions += (["lose"] if point.endswith("/after") else []) + (["postgres"] if of_effect else [])
                    cases += [Case(variant, action, nth, point) for action in actions]
    return cases


class Deck:
    """Deals the cases of a seed: over all steps of all operations, and other ones for each seed until all had their turn. The
    same points and the same seed make the same cases."""

    def __init__(self, cases, points):
        self.points = points
        self.kills = collections.defaultdict(list)   # (place, moment) → cases
        self.others = collections.defaultdict(list)  # action → cases
        shuffled = sorted(cases, key=str)
        random.Random("the deck").shuffle(shuffled)
        for case in shuffled:
            (self.kills[case.place, case.moment] if case.action == "kill" else self.others[case.action]).append(case)
        for pile in (*self.kills.values(), *self.others.values()):
            self.take_turns(pile)
        self.places = sorted({place for place, _ in self.kills})

    @staticmethod
    def take_turns(pile):
        """Variants take turns: one with many points is not worth more."""
        turns = collections.Counter()
        order = {}
        for case in pile:
            turns[case.variant] += 1
            order[case] = turns[case.variant]
        pile.sort(key=order.get)

    def of_seed(self, seed, count):
        """About `count` cases. Each step is killed in each direction, before an effect by one seed and after it by the next, so
        that two seeds in a row do both."""
        chance = random.Random(f"seed {seed}")
        chosen = []
        for i, place in enumerate(self.places):
            moment = MOMENTS[(seed + i) % 2]
            pile = self.kills[place, moment] or self.kills[place, MOMENTS[(seed + i + 1) % 2]]
            chosen.append(self.maybe_twice(pile[seed // 2 % len(pile)], chance))
        more = max(0, count - len(chosen))
        for action, share in SHARES.items():
            pile = self.others[action]
            hand = min(round(share * more), len(pile))
            chosen += [pile[(seed * hand + k) % len(pile)] for k in range(hand)]
        return chosen

    def maybe_twice(self, case, chance):
        if chance.random() >= SECOND_BLOWS:
            return case
        passed = self.points[case.variant]
        later = passed[passed.index(case.point):] if case.point in passed else passed
        return dataclasses.replace(case, then=chance.choice(later))

    def instead(self, place, moment, tried):
        """Another kill there, when those that were tried did not come to their point. None: there is none."""
        return next((case for case in self.kills[place, moment] if case not in tried), None)

    def variants_without(self, chosen):
        """A kill for each variant that nothing was chosen of."""
        missing = set(self.points) - {case.variant for case in chosen}
        piles = [case for pile in self.kills.values() for case in pile]
        found = [next((case for case in piles if case.variant == name), None) for name in sorted(missing)]
        return [case for case in found if case]


def not_killed(kinds, outcomes, moments=MOMENTS):
    """[(place, moment)] of all steps there are and their undos at which no case was killed. `kinds`: {kind: {step: has an
    undo}}; `outcomes`: (case, whether it came to its point)."""
    killed = {(case.place, case.moment) for case, reached in outcomes if case.action == "kill" and reached}
    lacking = []
    for kind, steps in kinds.items():
        for step, has_undo in steps.items():
            for direction in ("run", "undo") if has_undo else ("run",):
                place = (kind, step, direction)
                have = [moment for moment in MOMENTS if (place, moment) in killed]
                if len(moments) == 1:
                    lacking += [] if have else [(place, moments[0])]
                else:
                    lacking += [(place, moment) for moment in moments if moment not in have]
    return lacking
