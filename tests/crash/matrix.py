#!/usr/bin/python3
"""Interrupts every operation at every point where it touches the world, and requires a tenant that works or nothing at all.

    matrix.py                     a sample (ROWHOUSE_CRASH_CASES), as ctest runs it
    matrix.py --seeds 100         everything, and a second blow during the recovery at random
    matrix.py --seed 7            the part of everything that belongs to this seed
    matrix.py VARIANT ACTION NTH POINT      one case again, as a failure prints it
    matrix.py --points            the list of points
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import random
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from lane import UNREACHED, Failure, Lane  # noqa: E402
from node import binary  # noqa: E402
from support import settings, temporary  # noqa: E402
from variants import VARIANTS, named, uncovered, without_number  # noqa: E402

SEEDS = 100
STRIKES = 24
# Of the cases of a sample; the rest are kills, which take the longest way.
SHARES = {"strike": 0.05, "kill": 0.5, "lose": 0.2, "postgres": 0.1, "freeze": 0.15}
ORDER = {"strike": 0, "kill": 0, "lose": 1, "postgres": 2, "freeze": 3}  # a lane needs its second node for the last ones
# Points may be missed: how often a step looks whether something is over depends on the machine.
MAX_UNREACHED = 0.1
SECOND_BLOWS = 0.25


@dataclasses.dataclass(frozen=True)
class Case:
    variant: str
    action: str
    nth: int
    point: str
    again: str = ""  # a second kill, at this point, after the restart

    def __str__(self):
        return f"{self.variant} {self.action} {self.nth} '{self.point}'" + (f" --again '{self.again}'" if self.again else "")


@dataclasses.dataclass
class Outcome:
    case: Case
    result: str
    seconds: float
    why: str = ""


def record(lane, variants):
    """{variant: [points in their order]}, of runs that nobody interrupts."""
    points = {}
    for variant in variants:
        _, trail = lane.attempt(variant)
        points[variant.name] = [point for point, _ in trail]
        if not points[variant.name] and not variant.in_one_statement:
            raise Failure(f"{variant.name} passes no point")
    return points


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


def sample(cases, count, chance):
    """Every step in both directions is killed once, then what chance picks."""
    chosen, reached = [], set()
    shuffled = list(cases)
    chance.shuffle(shuffled)
    for case in shuffled:
        step = case.point.split("/")[:3]
        place = (*step, case.point.rpartition("/")[2])
        if case.action == "kill" and place not in reached:
            reached.add(place)
            chosen.append(case)
    # Variants take turns: one with many points is not worth more.
    taken, turns = set(chosen), collections.Counter()
    left = collections.defaultdict(list)
    for case in shuffled:
        if case not in taken:
            turns[case.action, case.variant] += 1
            left[case.action].append((turns[case.action, case.variant], case))
    left = {action: [case for _, case in sorted(rest, key=lambda pair: pair[0])] for action, rest in left.items()}
    for action, share in SHARES.items():
        have = sum(case.action == action for case in chosen)
        chosen += left.get(action, [])[:max(0, round(share * count) - have)]
    return chosen


def part_of_seed(cases, points, seed):
    """Each case belongs to one seed; a quarter of the kills are followed by another one during the recovery."""
    shuffled = list(cases)
    random.Random("all seeds").shuffle(shuffled)
    chance = random.Random(f"seed {seed}")
    part = []
    for case in shuffled[(seed - 1) % SEEDS::SEEDS]:
        if case.action == "kill" and chance.random() < SECOND_BLOWS:
            passed = points[case.variant]
            later = passed[passed.index(case.point):] if case.point in passed else passed
            case = dataclasses.replace(case, again=chance.choice(later))
        part.append(case)
    return part


class Run:
    """Deals cases to lanes, each with a PostgreSQL of its own."""

    def __init__(self, directory, lanes, program=None, out=print, replace=True):
        self.directory, self.program, self.out, self.replaces = directory, program, out, replace
        self.lanes = [Lane(directory / f"l{i}", program) for i in range(lanes)]
        self.outcomes = []
        self.lock = threading.Lock()

    def __enter__(self):
        try:
            with concurrent.futures.ThreadPoolExecutor(len(self.lanes)) as pool:
                list(pool.map(Lane.open, self.lanes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for lane in self.lanes:
            lane.close()

    def work(self, number, cases):
        while True:
            try:
                case = cases.get_nowait()
            except queue.Empty:
                return
            lane = self.lanes[number]
            started = time.monotonic()
            outcome = Outcome(case, "", 0)
            try:
                outcome.result, _ = lane.attempt(named(case.variant), case.action, case.point, case.nth, case.again)
            except Exception as error:
                detail = str(error) if isinstance(error, AssertionError) else f"{error!r}, {traceback.format_tb(error.__traceback__)[-1]}"
                outcome.result, outcome.why = "FAILED", detail
            outcome.seconds = time.monotonic() - started
            with self.lock:
                self.outcomes.append(outcome)
                self.out(f"{len(self.outcomes):4} {outcome.seconds:5.1f} s {outcome.result:12} {case}" +
                         (f"\n     {outcome.why[:3000]}" if outcome.why else ""))
            if outcome.why and self.replaces:
                self.out(self.keep_logs(lane, len(self.outcomes)))
                self.replace(number)

    def keep_logs(self, lane, number):
        """What is left of a failure: the logs, outside the directory that goes away."""
        kept = pathlib.Path(os.environ.get("ROWHOUSE_CRASH_LOGS", "/tmp")) / f"rowhouse-crash-{os.getpid()}-{number}.log"
        postgres_log = lane.directory / "postgres" / "log"
        tail = postgres_log.read_text(errors="replace")[-60000:] if postgres_log.exists() else ""
        trails = "".join(f"--- trail of {node.directory.name}\n" + "\n".join("\t".join(line) for line in node.trail()) + "\n" for node in lane.nodes)
        kept.write_text(lane.log_tails(60000) + trails + "--- PostgreSQL\n" + tail)
        return f"     logs: {kept}"

    def replace(self, number):
        """A world that is broken is no place for the next case."""
        self.lanes[number].close()
        self.lanes[number] = Lane(self.directory / f"l{number}-{len(self.outcomes)}", self.program)
        self.lanes[number].open()

    def attempt_all(self, cases):
        waiting = queue.Queue()
        for case in sorted(cases, key=lambda case: ORDER[case.action]):
            waiting.put(case)
        threads = [threading.Thread(target=self.work, args=(i, waiting)) for i in range(len(self.lanes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.outcomes


def verdict(outcomes, missing, out=print):
    """Whether all is well; says what is not."""
    failed = [outcome for outcome in outcomes if outcome.why]
    unreached = [outcome for outcome in outcomes if outcome.result == UNREACHED]
    slow = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:1]
    out(f"{len(outcomes)} cases: {len(outcomes) - len(failed) - len(unreached)} passed, {len(unreached)} not reached, {len(failed)} failed"
        + (f"; the slowest took {slow[0].seconds:.1f} s" if slow else ""))
    for outcome in failed:
        out(f"FAILED: tools/crash_matrix {outcome.case}\n        {outcome.why[:600]}")
    for place in missing:
        out(f"no variant reaches {place}: add one to tests/crash/variants.py")
    too_many = len(unreached) > MAX_UNREACHED * len(outcomes)
    if too_many:
        out("too many cases did not reach their point")
    return not failed and not missing and not too_many


def lanes_of_this_machine():
    return int(os.environ.get("ROWHOUSE_CRASH_LANES", max(1, min(4, os.cpu_count() or 1))))


def cases_of_a_sample():
    return int(os.environ.get("ROWHOUSE_CRASH_CASES", 40 if settings.SANITIZED else 160))


def run(options, out=print):
    with temporary.directory("rh-crash-") as directory, Run(pathlib.Path(directory), options.jobs, out=out) as matrix:
        if options.case:
            name, action, nth, point = options.case
            matrix.attempt_all([Case(name, action, int(nth), point, options.again)] * options.times)
            return verdict(matrix.outcomes, [], out)
        wanted = [variant for variant in VARIANTS if not options.variant or variant.name in options.variant]
        points = record(matrix.lanes[0], wanted)
        if options.points:
            for name, passed in points.items():
                for point, count in collections.Counter(passed).items():
                    out(f"{name}\t{count}\t{point}")
            return True
        every = [point for passed in points.values() for point in passed]
        missing = [] if options.variant else uncovered(matrix.lanes[0].first.kinds(), every)
        cases = [case for case in all_cases(points) if not options.action or case.action in options.action]
        out(f"{len(set(every))} points in {len(points)} variants, {len(cases)} cases")
        if options.seeds or options.seed:
            seeds = [options.seed] if options.seed else range(1, options.seeds + 1)
            chosen = [case for seed in seeds for case in part_of_seed(cases, points, seed)]
        else:
            chosen = sample(cases, options.cases, random.Random(options.chance))
        out(f"{len(chosen)} cases are tried")
        matrix.attempt_all(chosen)
        return verdict(matrix.outcomes, missing, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", metavar="VARIANT ACTION NTH POINT")
    parser.add_argument("--again", default="", help="a second kill, at this point, after the restart")
    parser.add_argument("--times", type=int, default=1, help="how often the one case is tried")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=cases_of_a_sample())
    parser.add_argument("--chance", default="sample", help="what the sample is picked by")
    parser.add_argument("--variant", action="append", help="only this one (may be repeated)")
    parser.add_argument("--action", action="append", help="only this one (may be repeated)")
    parser.add_argument("--points", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=lanes_of_this_machine())
    options = parser.parse_args()
    if options.case and len(options.case) != 4:
        parser.error("a case has four words: VARIANT ACTION NTH POINT")
    if not binary().exists():
        sys.exit(f"{binary()} does not exist: build the target rowhouse_crash, or set ROWHOUSE_CRASH_BINARY")
    sys.exit(0 if run(options, out=lambda text: print(text, flush=True)) else 1)


if __name__ == "__main__":
    main()
