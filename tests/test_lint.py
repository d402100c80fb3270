"""`rowhouse lint`: a clean installation with three packs in three tiers, a broken one, formats, exit codes, upgrades."""

import copy
import json

import pytest

from support import packs, settings

POOL = "rowhouse_pool_tekup"
BREAK = "ALTER TABLE app.leads NO FORCE ROW LEVEL SECURITY"
MEND = "ALTER TABLE app.leads FORCE ROW LEVEL SECURITY"


def run_sql(server, sql, database=POOL):
    connection = server.connect(database)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def furnished(server):
    """Every pack in every tier."""
    for pack in settings.PACKS:
        for tier in settings.TIERS:
            server.admin.create_tenant(f"{pack} {tier}", pack=pack, plan=None, tier=tier, sample_data=True)
    return server


@pytest.fixture
def broken(furnished):
    run_sql(furnished, BREAK)
    yield furnished
    run_sql(furnished, MEND)


def test_three_packs_in_three_tiers_are_clean(furnished):
    done = furnished.cli("lint")
    assert "No findings" in done.stdout and done.stderr == ""
    report = json.loads(furnished.cli("lint", "--format", "json").stdout)
    assert report["findings"] == [] and report["databases"] == 9 and report["schemas"] == 12


def test_a_broken_table_is_named_with_its_fix(broken):
    done = broken.cli("lint", expect=1)
    assert POOL + " · app" in done.stdout and "row-security-off" in done.stdout and "leads" in done.stdout
    assert "\x1b" not in done.stdout
    report = json.loads(broken.cli("lint", "--format", "json", expect=1).stdout)
    found = [finding for finding in report["findings"] if finding["rule"] == "row-security-off"]
    assert [(one["database"], one["schema"], one["object"], one["severity"]) for one in found] == [(POOL, "app", "leads", "error")]
    assert report["errors"] == len([one for one in report["findings"] if one["severity"] == "error"]) >= 1
    for finding in found:
        run_sql(broken, finding["fix"])
    assert "No findings" in broken.cli("lint").stdout


def test_sarif(broken, tmp_path):
    target = tmp_path / "lint.sarif"
    done = broken.cli("lint", "--format", "sarif", "--output", str(target), expect=1)
    assert done.stdout == ""
    document = json.loads(target.read_text())
    assert document["version"] == "2.1.0" and len(document["runs"]) == 1
    run = document["runs"][0]
    driver = run["tool"]["driver"]
    rules = {rule["id"]: rule for rule in driver["rules"]}
    assert driver["name"] == "rowhouse lint" and len(rules) == len(driver["rules"]) > 60
    assert all(rule["shortDescription"]["text"] and rule["defaultConfiguration"]["level"] in ("error", "warning") for rule in rules.values())
    assert run["results"]
    for result in run["results"]:
        assert result["ruleId"] in rules and result["level"] in ("error", "warning") and result["message"]["text"]
        place = result["locations"][0]["logicalLocations"][0]
        assert place["fullyQualifiedName"].endswith(place["name"])


def test_one_database(broken):
    other = json.loads(broken.cli("lint", "--database", "rowhouse_pool_deeplens", "--format", "json").stdout)
    assert other["databases"] == 1 and other["findings"] == []
    both = broken.cli("lint", "--database", "rowhouse_pool_deeplens", "--database", POOL, "--format", "json", expect=1)
    assert json.loads(both.stdout)["databases"] == 2
    broken.cli("lint", "--database", "postgres", expect=3)
    broken.cli("lint", "--format", "xml", expect=2)


def test_only_a_platform_admin_may(furnished):
    furnished.anonymous.refused("POST", "/v1/lint", 401, "credential_missing")


def test_the_status_shows_the_last_run(broken):
    broken.cli("lint", expect=1)
    assert broken.admin.get("/v1/status")["lint"]["errors"] >= 1
    assert "Lint:" in broken.cli("status").stdout
    run_sql(broken, MEND)
    broken.cli("lint")
    assert broken.admin.get("/v1/status")["lint"]["errors"] == 0


def test_an_upgrade_of_something_broken_is_refused(furnished, tmp_path):
    old = packs.notes("linted")
    furnished.cli("pack", "install", packs.write(tmp_path / "old", old))
    new = copy.deepcopy(old)
    new["manifest"]["version"] = "1.1.0"
    new["migrations"]["0002_more"] = "ALTER TABLE notes ADD COLUMN more text;"
    directory = packs.write(tmp_path / "new", new)
    run_sql(furnished, "DROP POLICY rowhouse_wall ON app.notes", "rowhouse_pool_linted")
    done = furnished.cli("pack", "install", directory, expect=1)
    assert "policy-missing" in done.stderr and "rowhouse lint" in done.stderr
    assert furnished.admin.get("/v1/packs/linted")["version"] == "1.0.0"
    furnished.cli("pack", "install", directory, "--skip-lint")
    assert furnished.admin.get("/v1/packs/linted")["version"] == "1.1.0"
    skipped = furnished.query("SELECT object_id FROM platform.audit_log WHERE action = 'pack.lint_skipped'", database="rowhouse_platform")
    assert skipped == [("linted",)]
    assert "No findings" in furnished.cli("lint").stdout, "the upgrade protected the table again"
