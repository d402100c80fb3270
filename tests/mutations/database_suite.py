"""Tries each mutation of database/ on one installation."""

import sys
import time

import psycopg2

from database import ALL
from installation import Installation, broken_attacks, lint_text, shown_finding
from report import Outcome, show
from support import settings

# Under sanitizers one mutation in this many is tried.
SAMPLE = 12
LEAST = 40


def chosen(names):
    by_name = {mutation.name: mutation for mutation in ALL}
    assert len(by_name) == len(ALL), "two mutations have one name"
    assert len(ALL) >= LEAST, f"{len(ALL)} mutations are too few"
    if names:
        return [by_name[name] for name in names]
    return ALL[::SAMPLE] if settings.SANITIZED else ALL


def check_baseline(installation):
    """Nothing is wrong with the installation as it is, else a finding would say nothing about a mutation."""
    findings = installation.lint()
    assert not findings, f"lint reports the installation as it is: {findings}"
    for place in ("pool", "schema", "database", "partitions"):
        where = installation.places[place]
        report = installation.verify(where.pack, where.tier)
        assert report["result"] == "proven", f"{where}: {broken_attacks(report)}"


def judge(installation, mutation, place, thorough):
    """(caught by, finding) of a mutation that is in force."""
    caught, shown = [], ""
    words = mutation.text(mutation.tells, place).split()
    for finding in installation.lint():
        if all(word in lint_text(finding) for word in words):
            caught.append("lint")
            shown = shown_finding(finding)
            break
    if not caught or (thorough and mutation.attackable):
        report = installation.verify(place.pack, place.tier)
        if report["result"] != "proven":
            caught.append("verify")
            shown = shown or (broken_attacks(report) or [report["result"]])[0]
    return ", ".join(caught), shown


def attempt(installation, mutation, thorough):
    place = installation.places[mutation.where]
    started = time.monotonic()
    saved = installation.value(mutation.text(mutation.saves, place), place) if mutation.saves else ""
    installation.execute(mutation.text(mutation.sql, place, saved), place)
    try:
        caught_by, finding = judge(installation, mutation, place, thorough)
    finally:
        installation.execute(mutation.text(mutation.undo, place, saved), place)
    left = installation.lint()
    assert not left, f"{mutation.name}: its undo leaves {left}"
    return Outcome(mutation.name, mutation.where, caught_by, finding, time.monotonic() - started)


def run(directory, options):
    installation = Installation(directory)
    outcomes = []
    try:
        installation.start().populate()
        check_baseline(installation)
        for mutation in chosen(options.names):
            try:
                outcomes.append(attempt(installation, mutation, options.thorough))
            except psycopg2.Error as error:
                print(f"{mutation.name}: the mutation itself is wrong: {error}", file=sys.stderr)
                raise
        installation.server.stop()
    finally:
        installation.server.clear()
        if outcomes:
            good = show(outcomes, "Mutations of databases")
    return good
