#!/usr/bin/python3
"""Breaks an installation in one way at a time and requires `rowhouse lint` or `rowhouse verify` to notice.

    run.py database [NAME...]   mutations of databases, on one installation
    run.py code [NAME...]       mutations of the source, each a binary of its own (target `mutants`)

--thorough lets verify look at each mutation that a runtime role can use, even when lint has noticed it. Under sanitizers
a sample is tried. The status is 0 when every mutation was caught and nothing but mutations was reported.
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import code_suite  # noqa: E402
import database_suite  # noqa: E402
from support import settings, temporary  # noqa: E402

SUITES = {"database": database_suite, "code": code_suite}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--thorough", action="store_true")
    options = parser.parse_args()
    if not settings.BINARY.exists():
        sys.exit(f"{settings.BINARY} does not exist: build it, or set ROWHOUSE_BINARY")
    with temporary.directory() as directory:
        succeeded = SUITES[options.suite].run(pathlib.Path(directory), options)
    sys.exit(0 if succeeded else 1)


if __name__ == "__main__":
    main()
