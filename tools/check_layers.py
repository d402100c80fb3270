#!/usr/bin/python3
"""Checks every #include of src/ against the floors of tools/layers.txt.

A file may include its own folder and lower floors. src/main.cc may include every folder, src/testing too; only tests
(*_test.cc, *_pgtest.cc, *_fuzz.cc, *_bench.cc) and src/testing itself may include src/testing. Includes in quotes are
rooted at src/ and must exist.

Usage: check_layers.py [ROOT]    exit status 1 and one line for each violation
"""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
TEST_SOURCE = re.compile(r"_(test|pgtest|fuzz|bench)\.(cc|h)$")


def read_floors(path):
    floors = {}
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        for folder in words[1:]:
            floors[folder] = int(words[0])
    return floors


def violation(relative, target, floors, src):
    """Returns what is wrong when src/`relative` includes `target`, and how to mend it, or None."""
    own = relative.parts[0] if len(relative.parts) > 1 else None
    folder = target.split("/")[0]
    if "/" not in target or target.startswith("."):
        return f'"{target}" is not rooted at src/: write #include "{own or "FOLDER"}/{pathlib.Path(target).name}"'
    if folder == "testing":
        if own == "testing" or TEST_SOURCE.search(relative.name):
            return None
        return f'"{target}" is for tests only: move what you need from src/testing to a module'
    if folder not in floors:
        return f'"{target}": folder {folder} has no floor: add it to tools/layers.txt, or use <> for a library'
    if not (src / target).exists():
        return f'"{target}" does not exist in src/'
    if own in (None, "testing") or own == folder:
        return None
    if own not in floors:
        return f"folder {own} has no floor: add it to tools/layers.txt"
    if floors[folder] == floors[own]:
        return (f'"{target}": {own} and {folder} share floor {floors[own]} and may not know each other: move the '
                "shared part to a lower floor, or let a higher one pass it in")
    if floors[folder] > floors[own]:
        return (f'"{target}": {own} (floor {floors[own]}) may not include {folder} (floor {floors[folder]}): move the '
                f"code up to {folder}, or declare an interface in {own} that {folder} implements")
    return None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    src = root / "src"
    floors = read_floors(root / "tools" / "layers.txt")
    found = 0
    includes = 0
    for path in sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc", ".inc")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, target = match.groups()
            if kind == "<":
                if target.split("/")[0] not in floors or not (src / target).exists():
                    continue
                message = f'<{target}> is ours: write #include "{target}"'
            else:
                includes += 1
                message = violation(path.relative_to(src), target, floors, src)
            if message:
                found += 1
                print(f"{path.relative_to(root)}:{number}: {message}")
    if found == 0 and includes == 0:
        print("no includes found: is this the root of the repository?")
        return 1
    print(f"layers: {includes} includes, {found} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
