"""Packs that tests write, in directories of their own."""

import copy
import json
import pathlib
import re

from . import settings

DOCUMENT = (settings.ROOT / "docs" / "packs.md").read_text()


def block(after, language):
    """The first code block of docs/packs.md behind a line that names a file."""
    found = re.search(re.escape(after) + r".*?```" + language + r"\n(.*?)```", DOCUMENT, re.S)
    return found.group(1)


# The pack that the document teaches: what it promises must work.
LIBRARY = {
    "manifest": json.loads(block("`library/pack.json`:", "json")),
    "migrations": {"0001_books": block("`library/migrations/0001_books.sql`:", "sql")},
    "samples": {"sample/books.csv": block("`library/sample/books.csv`:", "csv")},
}

NOTES = {
    "manifest": {
        "name": "notes", "title": "Notes", "version": "1.0.0", "description": "Notes of a tenant.",
        "default_tier": "pool", "default_plan": "basic", "services": [],
        "features": {"note:use": "Use notes"}, "limits": {},
        "plans": {"basic": {"title": "Basic", "limits": {}, "features": ["note:use"]}},
        "settings": {},
        "resources": {"notes": {"description": "Notes", "default_order": ["-created_at"], "natural_key": ["title"],
                                "operations": {"read": "note:use", "create": "note:use", "update": "note:use",
                                               "delete": "note:use", "import": "note:use", "export": "note:use"}}},
    },
    "migrations": {"0001_notes": """
CREATE TABLE notes (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL DEFAULT gen_random_uuid(),
  title      varchar(200) NOT NULL,
  body       text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT notes_title_unique UNIQUE (tenant_id, title)
);
CREATE INDEX notes_by_created ON notes (tenant_id, created_at, id);
"""},
    "samples": {},
}


def notes(name="notes", sql="", **manifest):
    """The notes pack under a name of its own, with more SQL at the end of its migration and other members."""
    made = copy.deepcopy(NOTES)
    made["manifest"].update(name=name, **manifest)
    made["migrations"]["0001_notes"] += sql
    return made


def write(directory, pack):
    directory = pathlib.Path(directory)
    (directory / "migrations").mkdir(parents=True, exist_ok=True)
    (directory / "pack.json").write_text(json.dumps(pack["manifest"], indent=2))
    for name, sql in pack["migrations"].items():
        (directory / "migrations" / f"{name}.sql").write_text(sql)
    for name, text in pack["samples"].items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return str(directory)


def bundle(pack):
    """The body of POST /v1/packs."""
    return {"manifest": pack["manifest"],
            "migrations": [{"name": name, "sql": sql} for name, sql in sorted(pack["migrations"].items())],
            "samples": [{"resource": sample["resource"], "csv": pack["samples"][sample["file"]]}
                        for sample in pack["manifest"].get("sample_data", []) if sample["file"] in pack["samples"]]}
