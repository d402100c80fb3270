#!/usr/bin/python3
"""Checks the documents: links, module READMEs, error codes, and words that belong to one machine.

  - every relative link of a Markdown file leads to a file, and its #anchor to a heading;
  - every folder of src/ has a README.md;
  - src/base/error.h and docs/errors.md list the same codes (once both exist);
  - every package of tools/packages.txt is explained in docs/dependencies.md;
  - no file names a path of one person's machine or a host that packages are fetched from.

Usage: check_docs.py [ROOT]    exit status 1 and one line for each finding
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)
MACHINE_PATH = re.compile(r"(?<![\w.$}\-*])/(?:work|root|home/\w+|Users/\w+)/")
# An address whose host says that packages come from it.
REGISTRY_HOST = re.compile(r"//(?:registry|artifactory|nexus|pypi|goproxy)\.[a-z0-9-]+\.[a-z]{2,}\b")
MAX_FILE_BYTES = 2_000_000


def files_of(root):
    """Every file that is or would be committed."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, capture_output=True)
    if listed.returncode == 0:
        names = [n for n in listed.stdout.decode().split("\0") if n]
        return sorted(p for p in (root / n for n in names) if p.is_file())
    return sorted(p for p in root.rglob("*") if p.is_file() and not {"build", ".git"} & set(p.relative_to(root).parts))


def anchors_of(path):
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", path.read_text()), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        unique = slug
        while unique in anchors:
            number += 1
            unique = f"{slug}-{number}"
        anchors.add(unique)
    return anchors | set(re.findall(r'<a (?:id|name)="([^"]+)"', path.read_text()))


def broken_links(path, root):
    text = FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), path.read_text())
    text = re.sub(r"`[^`\n]*`", lambda m: " " * len(m.group(0)), text)
    for match in LINK.finditer(text):
        target = match.group(1) or match.group(2)
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        number = text.count("\n", 0, match.start()) + 1
        file_part, _, anchor = target.partition("#")
        destination = path if not file_part else (
            root / file_part[1:] if file_part.startswith("/") else path.parent / file_part)
        if not destination.exists():
            yield f"{number}: link to {target}: there is no such file"
        elif anchor and destination.suffix == ".md" and anchor not in anchors_of(destination):
            yield f"{number}: link to {target}: there is no heading with that anchor"


def codes_of_header(header):
    """The codes of ROWHOUSE_ERROR_CODES and their HTTP status."""
    return dict(re.findall(r"^\s*X\((\w+),\s*(\d+),", header.read_text(), re.M))


def codes_of_document(document):
    """The rows | `code` | status | ... of docs/errors.md."""
    return dict(re.findall(r"^\|\s*`(\w+)`\s*\|\s*(\d*)", document.read_text(), re.M))


def error_code_findings(root):
    header = root / "src/base/error.h"
    document = root / "docs/errors.md"
    if not (header.exists() and document.exists()):
        return
    in_code = codes_of_header(header)
    in_document = codes_of_document(document)
    if not in_code:
        yield "src/base/error.h: no error codes found; tools/check_docs.py must learn its new shape"
    for code in sorted(in_code.keys() - in_document.keys()):
        row = f"| `{code}` | {in_code[code]} | ... |"
        yield f"docs/errors.md: code `{code}` of src/base/error.h is missing: add a row {row}"
    for code in sorted(in_document.keys() - in_code.keys()):
        yield f"docs/errors.md: code `{code}` is not in src/base/error.h"
    for code in sorted(in_code.keys() & in_document.keys()):
        if in_document[code] and in_document[code] != in_code[code]:
            yield f"docs/errors.md: code `{code}` has status {in_code[code]}, not {in_document[code]}"


def package_hosts():
    """Hosts that this machine fetches packages from. Nobody else's machine needs to know them."""
    hosts = set()
    for path in [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]:
        try:
            hosts |= set(re.findall(r"https?://(?:[^@/\s]*@)?([\w.-]+\.[a-z]+|\d+\.\d+\.\d+\.\d+)", path.read_text()))
        except OSError:
            continue
    return hosts


def machine_words(path, hosts):
    if path.stat().st_size > MAX_FILE_BYTES:
        return
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = MACHINE_PATH.search(line) or REGISTRY_HOST.search(line)
        word = match.group(0) if match else next((h for h in hosts if h in line), None)
        if word:
            yield f"{number}: '{word}' belongs to one machine: use a relative path, a variable or an example name"


def missing_packages(root):
    document = root / "docs/dependencies.md"
    packages = root / "tools/packages.txt"
    if not (document.exists() and packages.exists()):
        return
    text = document.read_text()
    for line in packages.read_text().splitlines():
        package = line.split("#")[0].strip()
        if package and f"`{package}`" not in text:
            yield f"docs/dependencies.md: package `{package}` of tools/packages.txt is not explained"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    findings = list(error_code_findings(root)) + list(missing_packages(root))
    hosts = package_hosts()
    files = files_of(root)
    for path in files:
        name = path.relative_to(root)
        if path.suffix == ".md":
            findings += [f"{name}:{text}" for text in broken_links(path, root)]
        findings += [f"{name}:{text}" for text in machine_words(path, hosts)]
    for folder in sorted(p for p in (root / "src").iterdir() if p.is_dir()):
        if not (folder / "README.md").exists():
            findings.append(f"src/{folder.name}: has no README.md (purpose, invariants, what it must not know)")
    for finding in findings:
        print(finding)
    print(f"docs: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
