"""Tries each mutant of the source on an installation of its own."""

import shutil
import subprocess
import time

import mutate
from installation import Installation, broken_attacks
from report import Outcome, show
from support import settings

LEAST = 10
CODE = settings.ROOT / "tests" / "mutations" / "code"


def chosen(names):
    """[(name, head)]"""
    mutants = [(path.stem, mutate.parse(path)[0]) for path in sorted(CODE.glob("*.mutant"))]
    assert len(mutants) >= LEAST, f"{len(mutants)} mutants are too few"
    if names:
        return [(name, head) for name, head in mutants if name in names]
    return [(name, head) for name, head in mutants if not settings.SANITIZED or "sample" in head]


def binary_of(name):
    path = settings.BINARY.parent / "mutants" / name / "rowhouse"
    assert path.exists(), f"{path} does not exist: build the target mutants"
    return path


def attempt(base, directory, name, head):
    """What verify says about a mutant that runs on a copy of the installation."""
    started = time.monotonic()
    subprocess.run(["cp", "-a", str(base.server.data), str(directory / "data")], check=True)
    installation = Installation(directory, binary=binary_of(name), packs=head["pack"])
    try:
        installation.start()
        report = installation.verify(head["pack"], head["tier"])
        installation.server.check_alive()
    finally:
        installation.server.clear()
        shutil.rmtree(directory)
    shown = broken_attacks(report)
    return Outcome(name, head["tier"], "verify" if report["result"] != "proven" else "",
                   (shown or [report["result"]])[0], time.monotonic() - started)


def run(directory, options):
    mutants = chosen(options.names)
    base = Installation(directory, packs="tekup")
    try:
        base.start()
        # Unbroken, all that is tried below is proven.
        for pack, tier in sorted({(head["pack"], head["tier"]) for _, head in mutants}):
            report = base.verify(pack, tier)
            assert report["result"] == "proven", f"{pack}, {tier}: {broken_attacks(report)}"
        base.server.stop()
        outcomes = []
        for name, head in mutants:
            own = directory / "m"
            own.mkdir()
            outcomes.append(attempt(base, own, name, head))
            print(f"{name}: {outcomes[-1].caught_by or 'SURVIVED'}", flush=True)
    finally:
        base.server.clear()
    return show(outcomes, "Mutations of the source")
