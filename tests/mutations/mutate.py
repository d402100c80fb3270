#!/usr/bin/python3
"""Writes the source of a mutant: mutate.py NAME.mutant OUTPUT

A .mutant file has a head ("name: value", see parse()) and replacements. The text to replace must be in the file exactly
once: a mutant that does not fit its source any more is an error, never a pass.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPLACEMENT = re.compile(r"^--- replace\n(.*?)\n--- by\n(.*?)\n?--- end\n", re.M | re.S)
MEMBERS = {"breaks", "file", "pack", "tier"}
CRASH_MEMBERS = {"breaks", "file", "case", "says"}  # of tests/crash/mutants


def parse(path):
    """(head, replacements) of a .mutant file. `sample: yes` has it tried under sanitizers, too;
    `tries: N` says that noticing it is a race, which is run at most so often."""
    text = path.read_text()
    start = text.index("--- replace\n")
    head = dict(line.split(": ", 1) for line in text[:start].splitlines())
    if not MEMBERS <= set(head) <= MEMBERS | {"sample"} and not CRASH_MEMBERS <= set(head) <= CRASH_MEMBERS | {"tries"}:
        raise ValueError(f"{path.name}: the head has {sorted(head)}")
    replacements = REPLACEMENT.findall(text[start:])
    if REPLACEMENT.sub("", text[start:]).strip() or not replacements:
        raise ValueError(f"{path.name}: not a list of replacements")
    return head, replacements


def mutated(path):
    head, replacements = parse(path)
    source = (ROOT / head["file"]).read_text()
    for before, after in replacements:
        count = source.count(before)
        if count != 1:
            raise ValueError(f"{path.name}: {head['file']} has this text {count} times instead of once:\n{before}")
        source = source.replace(before, after)
    return f"// {head['file']}, broken on purpose: {head['breaks']}\n{source}"


def main():
    mutant, output = map(pathlib.Path, sys.argv[1:])
    try:
        text = mutated(mutant)
    except ValueError as error:
        sys.exit(f"stale mutant: {error}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)


if __name__ == "__main__":
    main()
