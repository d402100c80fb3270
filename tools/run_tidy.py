#!/usr/bin/python3
"""Runs clang-tidy over the sources of src/ (not over tests), several at a time, and remembers clean files.

A clean result is kept in build/tidy-cache under a hash of everything it depends on: clang-tidy's version, .clang-tidy,
the compile command and the contents of the file and of all our headers that it includes. So an unchanged file costs
nothing, and a changed header checks exactly the files that see it.

Usage: run_tidy.py BUILD_DIR [FILE...]    exit status 1 when there are findings
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "tidy-cache"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
NOT_CHECKED = re.compile(r"_(test|pgtest|fuzz|bench)\.cc$|^src/testing/")
# The commands are gcc's: -w silences what clang thinks of gcc's warning options (gcc is the judge of warnings), and
# the macro tells libstdc++ that clang 14 has coroutines.
EXTRA_ARGUMENTS = ["--extra-arg=-w", "--extra-arg=-D__cpp_impl_coroutine=201902L"]


def with_own_headers(path, seen):
    """Adds `path` and every header of ours that it includes, directly or not, to `seen`."""
    if path in seen or not path.exists():
        return seen
    seen.add(path)
    for target in INCLUDE.findall(path.read_text()):
        with_own_headers(ROOT / "src" / target, seen)
    return seen


def cache_key(path, command, base):
    digest = hashlib.sha256(base)
    digest.update(command.encode())
    for file in sorted(with_own_headers(path, set())):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def check(path, key, build_dir):
    """Returns clang-tidy's findings for one file, "" when it is clean."""
    marker = CACHE / key
    if marker.exists():
        return "", 0.0
    started = time.monotonic()
    run = subprocess.run(["clang-tidy", "--quiet", "-p", str(build_dir), *EXTRA_ARGUMENTS, str(path)],
                         cwd=ROOT, capture_output=True, text=True)
    output = run.stdout.strip()
    if run.returncode != 0 and not output:
        output = run.stderr.strip() or f"clang-tidy failed on {path}"
    if not output:
        marker.touch()
    return output, time.monotonic() - started


def main():
    build_dir = pathlib.Path(sys.argv[1]).resolve()
    wanted = {(ROOT / name).resolve() for name in sys.argv[2:]}
    CACHE.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    base = version + (ROOT / ".clang-tidy").read_bytes() + repr(EXTRA_ARGUMENTS).encode()
    jobs = {}
    for entry in json.loads((build_dir / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if not path.is_relative_to(ROOT / "src") or not path.exists() or (wanted and path not in wanted):
            continue
        if not wanted and NOT_CHECKED.search(str(path.relative_to(ROOT))):
            continue
        jobs[path] = cache_key(path, entry["command"].replace(str(build_dir), ""), base)
    if not jobs:
        print("tidy: no sources found in compile_commands.json")
        return 1

    printed = set()
    checked = 0
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS") or os.cpu_count())) as pool:
        # Biggest first: the long ones must not be the last.
        ordered = sorted(jobs, key=lambda p: -p.stat().st_size)
        for output, seconds in pool.map(lambda p: check(p, jobs[p], build_dir), ordered):
            checked += seconds > 0
            bad += bool(output)
            # A finding in a header comes once for each file that includes it; it is printed once.
            for block in re.split(r"\n(?=/\S+:\d+:\d+: (?:warning|error))", output):
                if block and block not in printed:
                    printed.add(block)
                    print(block.replace(f"{ROOT}/", ""), flush=True)
    print(f"tidy: {len(jobs)} files, {checked} checked now, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
