#!/usr/bin/python3
"""Interrupts every operation at every point where it touches the world, and requires a tenant that works or nothing at all.

    matrix.py                       the sample of this commit, as ctest runs it
    matrix.py --seeds 100           a hundred seeds, each over all steps of all operations; --from 40 goes on there
    matrix.py --seed 7 --seed 8     these alone
    matrix.py --again 'CASE'        one case again, as a failure prints it
    matrix.py --all                 every case there is
    matrix.py --points              the list of points
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from cases import Case, Deck, all_cases, not_killed  # noqa: E402
from lane import UNREACHED, Lane  # noqa: E402
from node import binary  # noqa: E402
from support import settings, temporary  # noqa: E402
from variants import VARIANTS, named, uncovered  # noqa: E402

CASES_OF_A_SEED = 60
SEEDS_OF_A_SAMPLE = 2  # so that every step is killed before and after an effect
SAMPLE_OF_RELEASE, SAMPLE_UNDER_A_SANITIZER = 120, 84
ORDER = {"nothing": 0, "strike": 0, "kill": 0, "lose": 1, "postgres": 2, "freeze": 3}  # a lane needs its second node for the last ones
# Points may be missed: how often a step looks whether something is over depends on the machine.
MAX_UNREACHED = 0.1
ALTERNATES = 3  # tried where a kill did not come to its point
COMMITS_MODULO = 10_000


@dataclasses.dataclass
class Outcome:
    case: Case
    result: str
    seconds: float
    why: str = ""


class Run:
    """Deals cases to lanes, each with a PostgreSQL of its own."""

    def __init__(self, directory, lanes, program=None, out=print, replace=True):
        self.directory, self.program, self.out, self.replaces = directory, program, out, replace
        self.lanes = [Lane(directory / f"l{i}", program) for i in range(lanes)]
        self.outcomes = []
        self.lock = threading.Lock()
        self.stopping = False

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

    def record(self, variants):
        """{variant: [points in their order]}, of runs that nobody interrupts. One that fails is an outcome like others."""
        waiting, points = queue.Queue(), {}
        # The longest first.
        for variant in sorted(variants, key=lambda variant: not variant.grows):
            waiting.put(Case(variant.name, "nothing", 0, ""))

        def work(number):
            for case in self.taken(waiting):
                outcome, trail = self.attempt(number, case)
                points[case.variant] = [point for point, _ in trail]
                if not outcome.why and not trail:
                    outcome.result, outcome.why = "FAILED", "passes no point"
                if outcome.why:
                    self.keep(number, outcome)
        self.on_all_lanes(work)
        return {variant.name: points[variant.name] for variant in variants}

    def attempt(self, number, case):
        started = time.monotonic()
        outcome, trail = Outcome(case, "", 0), []
        action = "" if case.action == "nothing" else case.action
        try:
            outcome.result, trail = self.lanes[number].attempt(named(case.variant), action, case.point, case.nth, case.then)
        except Exception as error:
            detail = str(error) if isinstance(error, AssertionError) else f"{error!r}, {traceback.format_tb(error.__traceback__)[-1]}"
            outcome.result, outcome.why = "FAILED", detail
        outcome.seconds = time.monotonic() - started
        return outcome, trail

    def keep(self, number, outcome):
        """Says how a case ended; after a failure the lane is made anew."""
        with self.lock:
            self.outcomes.append(outcome)
            self.out(f"{len(self.outcomes):4} {outcome.seconds:5.1f} s {outcome.result:12} {outcome.case}" +
                     (f"\n     {outcome.why[:3000]}\n     again: {again(outcome.case)}" if outcome.why else ""))
        if outcome.why and self.replaces:
            self.out(self.keep_logs(self.lanes[number], len(self.outcomes)))
            self.replace(number)

    def taken(self, waiting):
        while not self.stopping:
            try:
                yield waiting.get_nowait()
            except queue.Empty:
                return

    def on_all_lanes(self, work):
        with concurrent.futures.ThreadPoolExecutor(len(self.lanes)) as pool:
            try:
                list(pool.map(work, range(len(self.lanes))))
            except BaseException:
                self.stopping = True  # Ctrl-C: the cases under way end, and everything is cleared away
                raise

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

        def work(number):
            for case in self.taken(waiting):
                self.keep(number, self.attempt(number, case)[0])
        self.on_all_lanes(work)
        return self.outcomes

    def lacking(self, moments):
        """Where no case has been killed; see not_killed()."""
        return not_killed(self.lanes[0].first.kinds(), [(outcome.case, outcome.result != UNREACHED) for outcome in self.outcomes], moments)

    def fill_gaps(self, deck, moments):
        """Other kills where the chosen ones did not come to their point."""
        for _ in range(ALTERNATES):
            tried = {outcome.case for outcome in self.outcomes}
            more = [deck.instead(place, moment, tried) for place, moment in self.lacking(moments)]
            more = [case for case in more if case]
            if not more:
                return
            self.out(f"{len(more)} more, where a kill did not come to its point")
            self.attempt_all(more)


def again(case):
    """The command that tries it once more, with the program that was used."""
    directory = binary().parent.parent
    prefix = ""
    if directory.parent == settings.ROOT / "build":
        prefix = "" if directory.name == "release" else f"PRESET={directory.name} "
    else:
        prefix = f"ROWHOUSE_CRASH_BINARY={binary()} " + ("ROWHOUSE_SANITIZE=1 " if settings.SANITIZED else "")
    return f"{prefix}tools/crash_matrix --again {shlex.quote(str(case))}"


def verdict(outcomes, missing, out=print):
    """Whether all is well; says what is not."""
    failed = [outcome for outcome in outcomes if outcome.why]
    unreached = [outcome for outcome in outcomes if outcome.result == UNREACHED]
    for outcome in failed:
        out(f"FAILED: {again(outcome.case)}\n        {outcome.why[:600]}")
    for words in missing:
        out(words)
    too_many = len(unreached) > MAX_UNREACHED * len(outcomes)
    if too_many:
        out("too many cases did not reach their point")
    slow = max((outcome.seconds for outcome in outcomes), default=0)
    actions = collections.Counter(outcome.case.action for outcome in outcomes)
    out(f"{len(outcomes)} cases ({', '.join(f'{count} {action}' for action, count in sorted(actions.items()))}): "
        f"{len(outcomes) - len(failed) - len(unreached)} passed, {len(unreached)} not reached, {len(failed)} failed; the slowest took {slow:.1f} s")
    return not failed and not missing and not too_many


def lanes_of_this_machine():
    return int(os.environ.get("ROWHOUSE_CRASH_LANES", max(1, min(4, os.cpu_count() or 1))))


def cases_of_a_sample():
    return int(os.environ.get("ROWHOUSE_CRASH_CASES", SAMPLE_UNDER_A_SANITIZER if settings.SANITIZED else SAMPLE_OF_RELEASE))


def seeds_of_this_commit():
    """Two in a row, others for each commit and under a sanitizer."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "rev-list", "--count", "HEAD"], cwd=settings.ROOT, capture_output=True, text=True)
    commits = int(done.stdout) % COMMITS_MODULO if done.returncode == 0 else 0
    first = 2 * SEEDS_OF_A_SAMPLE * commits + (SEEDS_OF_A_SAMPLE if settings.SANITIZED else 0) + 1
    return list(range(first, first + SEEDS_OF_A_SAMPLE))


def duration(seconds):
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def try_seeds(matrix, deck, seeds, cases_of_seed, out):
    """A few seeds at once, many one after the other: then somebody wants to see how far it is."""
    started = time.monotonic()
    batches = [[seed] for seed in seeds] if len(seeds) > SEEDS_OF_A_SAMPLE else [seeds]
    done = 0
    for batch in batches:
        chosen = [case for seed in batch for case in deck.of_seed(seed, cases_of_seed)]
        if len(batches) == 1:
            chosen += deck.variants_without(chosen)
        matrix.attempt_all(list(dict.fromkeys(chosen)))
        done += len(batch)
        if len(batches) > 1:
            passed = time.monotonic() - started
            failed = sum(bool(outcome.why) for outcome in matrix.outcomes)
            out(f"== seed {batch[-1]}: {done} of {len(seeds)} seeds, {len(matrix.outcomes)} cases, {failed} failed, {duration(passed)}; "
                f"{duration(passed / done * (len(seeds) - done))} left")


def run(options, out=print):
    with temporary.directory("rh-crash-") as directory, Run(pathlib.Path(directory), options.jobs, out=out) as matrix:
        if options.again:
            matrix.attempt_all([Case.parse(options.again)] * options.times)
            return verdict(matrix.outcomes, [], out)
        begun = time.monotonic()
        wanted = [variant for variant in VARIANTS if not options.variant or variant.name in options.variant]
        points = matrix.record(wanted)
        if matrix.outcomes:
            out("without any interruption:")
            return verdict(matrix.outcomes, [], out)
        if options.points:
            for name, passed in points.items():
                for point, count in collections.Counter(passed).items():
                    out(f"{name}\t{count}\t{point}")
            return True
        every = {point for passed in points.values() for point in passed}
        cases = [case for case in all_cases(points) if not options.action or case.action in options.action]
        out(f"{len(every)} points in {len(points)} variants, {len(cases)} cases; recorded in {duration(time.monotonic() - begun)}")
        deck = Deck(cases, points)
        if options.all:
            matrix.attempt_all(cases)
            moments = ("before", "after")
        else:
            of_seed = options.cases // len(options.seed) if options.cases else CASES_OF_A_SEED
            out(f"seeds {', '.join(map(str, options.seed))}: tools/crash_matrix --cases {of_seed * len(options.seed)}"
                f" {' '.join(f'--seed {seed}' for seed in options.seed)}" if len(options.seed) < 10
                else f"seeds {options.seed[0]} to {options.seed[-1]}, {of_seed} cases each")
            try_seeds(matrix, deck, options.seed, of_seed, out)
            moments = ("before", "after") if len(options.seed) > 1 else ("before",)
        missing = []
        if not options.variant and not options.action:
            kinds = matrix.lanes[0].first.kinds()
            missing = [f"no variant reaches {place}: add one to tests/crash/variants.py" for place in uncovered(kinds, every)]
            matrix.fill_gaps(deck, moments)
            missing += [f"no case was killed {moment} {'/'.join(place)}" for place, moment in matrix.lacking(moments)]
            covered = sum(1 + undo for steps in kinds.values() for undo in steps.values()) * len(moments) - len(matrix.lacking(moments))
            out(f"{covered} moments of {sum(map(len, kinds.values()))} steps of {', '.join(sorted(kinds))} had a kill")
        out(f"took {duration(time.monotonic() - begun)}")
        return verdict(matrix.outcomes, missing, out)


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", metavar="CASE", default="", help="one case: VARIANT ACTION NTH POINT")
    parser.add_argument("--times", type=int, default=1, help="how often the one case is tried")
    parser.add_argument("--seeds", type=int, default=0, help="1 to this one")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="SEED", help="with --seeds: begin here")
    parser.add_argument("--seed", type=int, action="append", help="this one (may be repeated)")
    parser.add_argument("--all", action="store_true", help="every case, which takes long")
    parser.add_argument("--cases", type=int, default=0, help=f"how many, over all seeds ({CASES_OF_A_SEED} for each unless given)")
    parser.add_argument("--variant", action="append", help="only this one (may be repeated)")
    parser.add_argument("--action", action="append", help="only this one (may be repeated)")
    parser.add_argument("--points", action="store_true")
    parser.add_argument("-j", "--jobs", type=int, default=lanes_of_this_machine())
    options = parser.parse_args(words)
    if options.seeds:
        options.seed = list(range(options.first, options.seeds + 1))
    if not options.seed:
        options.seed = seeds_of_this_commit()
        options.cases = options.cases or cases_of_a_sample()
    if options.again:
        Case.parse(options.again)
    return options


def main():
    options = arguments()
    if not binary().exists():
        sys.exit(f"{binary()} does not exist: build the target rowhouse_crash, or set ROWHOUSE_CRASH_BINARY")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(0 if run(options, out=lambda text: print(text, flush=True)) else 1)


if __name__ == "__main__":
    main()
