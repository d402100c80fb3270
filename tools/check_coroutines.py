#!/usr/bin/python3
"""Finds co_await expressions that gcc 12 compiles wrongly.

gcc 12 destroys some temporaries twice when they live across a suspension: brace-built values (aggregates with string
members, containers from a list) and lambdas with captures. A co_await inside ?: is miscompiled as well. The remedy is
always the same: name the value in a statement of its own, then co_await.

    auto request = Request{...};            // yes
    CO_TRY(auto reply, co_await send(request));
    CO_TRY(auto reply, co_await send(Request{...}));   // no: double free

A line that is known to be safe ends with "// coroutine-ok: REASON".

Usage: check_coroutines.py [ROOT]    exit status 1 and one line for each finding
"""

import pathlib
import re
import sys

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
LAMBDA_HEAD = re.compile(r"\[([^\[\]]*)\]\s*(?:\([^()]*\))?\s*(?:mutable\s*)?(?:->\s*[\w:<>]+\s*)?$")


def blank(match):
    """Replaces comments and literals by text of the same shape, so that offsets and lines stay."""
    text = match.group(0)
    if text.startswith("//") and "coroutine-ok:" in text:
        return text
    return re.sub(r"[^\n]", "_" if text[0] in "\"'R" else " ", text)


def closing(text, start):
    """Returns the offset behind the bracket that closes the one at `start`."""
    depth = 0
    for offset in range(start, len(text)):
        depth += text[offset] in "([{"
        depth -= text[offset] in ")]}"
        if depth == 0:
            return offset + 1
    return len(text)


def awaited(text, start):
    """Returns the offset where the awaited call chain that begins at `start` ends."""
    offset = start
    while offset < len(text):
        char = text[offset]
        if char in "([{":
            offset = closing(text, offset)
        elif char in ")]};,?":
            break
        else:
            offset += 1
    return offset


def statement_start(text, offset):
    return max(text.rfind(mark, 0, offset) for mark in ";{}") + 1


def problem(text, start):
    end = awaited(text, start)
    offset = start
    while (brace := text.find("{", offset, end)) != -1:
        head = LAMBDA_HEAD.search(text, 0, brace)
        if head and head.group(1).strip() == "":
            offset = closing(text, brace)
            continue
        if head:
            return "a lambda with captures"
        return "a brace-built value"
    before = text[statement_start(text, start):start]
    after = text[end:end + 1]
    if after == "?" or re.search(r"\?(?!\?)", re.sub(r"\(.*?\)", "", before, flags=re.S)):
        return "the operator ?:"
    return None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    found = 0
    awaits = 0
    for path in sorted(p for p in (root / "src").rglob("*") if p.suffix in (".h", ".cc", ".inc")):
        text = COMMENT_OR_STRING.sub(blank, path.read_text())
        for match in re.finditer(r"\bco_await\b", text):
            awaits += 1
            what = problem(text, match.end())
            number = text.count("\n", 0, match.start()) + 1
            line_end = text.find("\n", match.end())
            if what and "coroutine-ok:" not in text[match.end():line_end]:
                found += 1
                print(f"{path.relative_to(root)}:{number}: {what} inside a co_await expression: gcc 12 destroys it "
                      "twice; name it in its own statement first")
    print(f"coroutines: {awaits} co_await, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
