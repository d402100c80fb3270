"""The command line: help, exit codes, tables and JSON, completion, questions on a terminal, configuration."""

import csv
import io
import json
import os
import re
import subprocess
import uuid

import pytest

from support import settings
from support.server import cli
from support.terminal import Terminal


def commands():
    text = cli("help").stdout
    block = text.split("Commands\n")[1].split("\n\n")[0]
    return [re.split(r"\s{2,}", line.strip())[0] for line in block.splitlines() if re.match(r"  \S", line)]


def test_help():
    names = commands()
    for name in ("up", "serve", "config", "status", "tenant create", "tenant list", "tenant show", "tenant update",
                 "tenant suspend", "tenant resume", "tenant delete", "key create", "key list", "key revoke", "pack list",
                 "pack check", "pack install", "data list", "data import", "data export", "data call", "completion"):
        assert name in names
    for name in names:
        words = name.split()
        text = cli("help", *words).stdout
        assert text == cli(*words, "--help").stdout
        assert f"rowhouse {name}" in text and ("Examples" in text or name == "version"), text
    for group in ("tenant", "key", "pack", "data"):
        assert f"{group} " in cli("help", group).stdout and cli(group, expect=2).stderr
    assert cli(expect=2).stderr.startswith("Rowhouse")
    assert cli("--version").stdout == cli("version").stdout


@pytest.mark.parametrize("words, said", [
    (["tenat", "list"], "tenant list"), (["tenant", "lst"], "tenant list"), (["tenant", "list", "--pak", "x"], "--pack"),
    (["tenant", "show"], "TENANT"), (["tenant", "show", "a", "b"], "2"), (["tenant", "list", "--pack"], "needs a value"),
    (["tenant", "list", "--json=yes"], "takes no value"), (["tenant", "list", "--pack", "a", "--pack", "b"], "twice"),
    (["up", "--listen", "nonsense"], "listen"), (["up", "--http-max-body", "many"], "http"),
    (["config", "nothing"], "nothing"), (["completion", "tcsh"], "tcsh"), (["nonsense"], "help"),
])
def test_mistakes_on_the_command_line(words, said):
    done = cli(*words, expect=2)
    assert said in done.stderr and not done.stdout, done


def test_exit_codes(server, admin):
    tenant = admin.create_tenant("Exit codes")
    assert "0" in cli("help", "exit-codes").stdout
    server.cli("tenant", "show", tenant.slug)
    for words, status, env in (
            (["tenant", "show", "nobody"], 3, {}),
            (["tenant", "create", "x" * 300, "--pack", "tekup", "--storage", "none"], 1, {}),
            (["tenant", "list"], 4, {"ROWHOUSE_ADMIN_TOKEN": "rha_wrong"}),
            (["tenant", "list"], 5, {"ROWHOUSE_URL": "http://127.0.0.1:1"}),
            (["data", "list", "leads"], 4, {}),
            (["data", "list", "nothing"], 3, {"ROWHOUSE_TENANT_KEY": tenant.key}),
            (["data", "get", "leads", str(uuid.uuid4())], 3, {"ROWHOUSE_TENANT_KEY": tenant.key}),
            (["data", "create", "leads", '{"name": ""}'], 1, {"ROWHOUSE_TENANT_KEY": tenant.key}),
            (["tenant", "delete", tenant.slug], 2, {})):
        done = server.cli(*words, expect=status, env=env)
        assert done.stderr.startswith("Error: ") and not done.stdout, done
    admin.get(f"/v1/tenants/{tenant.id}")


def test_tenants(server, admin, tmp_path):
    done = server.cli("tenant", "create", "Command Line", "--pack", "tekup", "--plan", "professional", "--tier", "schema",
                      "--storage", "provisioned", "--sample-data", "--domain", "cli.example.com", "--settings",
                      '{"locale": "nb"}', "--json")
    created = json.loads(done.stdout)
    tenant = created["tenant"]
    assert (tenant["slug"], tenant["tier"], tenant["storage"]) == ("command-line", "schema", "provisioned")
    assert created["sample_rows"] > 100
    assert tenant["settings"]["locale"] == "nb"
    assert server.with_key(created["api_key"]).get("/v1/tenant")["id"] == tenant["id"]

    text = server.cli("tenant", "create", "Command Line Two", "--pack", "tekup", "--storage", "none")
    key = re.search(r"tk_[A-Za-z0-9_-]{43}", text.stdout).group()
    assert "command-line-two" in text.stdout and server.with_key(key).get("/v1/data/leads")
    key_file = tmp_path / "three.key"
    quiet = server.cli("tenant", "create", "Three", "--pack", "tekup", "--storage", "none", "--key-file", str(key_file))
    assert "tk_" not in quiet.stdout + quiet.stderr and key_file.stat().st_mode & 0o777 == 0o600
    assert server.with_key(key_file.read_text().strip()).get("/v1/tenant")["slug"] == "three"
    assert server.cli("tenant", "create", "Four", "--pack", "tekup", "--storage", "none", "--key-file", str(key_file),
                      expect=(1, 2)).stderr
    assert key_file.read_text().strip().startswith("tk_"), "an existing file is not overwritten"

    table = server.cli("tenant", "list", "--search", "command").stdout.splitlines()
    assert table[0].split()[:4] == ["SLUG", "NAME", "PACK", "PLAN"] and len(table) >= 3
    assert any(line.startswith("command-line ") and "schema" in line and "active" in line for line in table)
    listed = json.loads(server.cli("tenant", "list", "--tier", "schema", "--search", "command", "--json").stdout)
    assert [found["slug"] for found in listed["data"]] == ["command-line"]
    assert "cli.example.com" in server.cli("tenant", "show", "command-line").stdout
    server.cli("tenant", "update", "command-line", "--name", "Renamed", "--plan", "enterprise")
    shown = json.loads(server.cli("tenant", "show", tenant["id"], "--json").stdout)
    assert (shown["name"], shown["plan"]) == ("Renamed", "enterprise")
    assert "suspended" in server.cli("tenant", "suspend", "command-line").stdout
    assert "active" in server.cli("tenant", "resume", "command-line").stdout
    server.cli("tenant", "delete", "command-line", "--yes")
    server.cli("tenant", "show", "command-line", expect=3)


def test_keys(server, admin):
    tenant = admin.create_tenant("Keys by CLI")
    made = json.loads(server.cli("key", "create", tenant.slug, "--name", "second", "--json").stdout)
    assert server.with_key(made["secret"]).get("/v1/tenant")["id"] == tenant.id
    table = server.cli("key", "list", tenant.slug).stdout
    assert "second" in table and made["key"]["id"] in table and made["secret"] not in table
    server.cli("key", "revoke", tenant.slug, made["key"]["id"])
    server.with_key(made["secret"]).refused("GET", "/v1/tenant", 401, "credential_unknown")
    server.cli("key", "revoke", tenant.slug, str(uuid.uuid4()), expect=3)


def test_packs_and_status(server):
    for name in settings.PACKS:
        assert name in server.cli("pack", "list").stdout
    shown = server.cli("pack", "show", "tekup").stdout
    assert "custom_fields" in shown and "1.1.0" in shown
    server.cli("pack", "show", "nothing", expect=3)
    status = server.cli("status").stdout
    assert "PostgreSQL" in status and "rowhouse_platform" in status
    assert json.loads(server.cli("status", "--json").stdout)["tenants"]["total"] >= 0


def test_data(server, admin, tmp_path):
    tenant = admin.create_tenant("Data by CLI")
    env = {"ROWHOUSE_TENANT_KEY": tenant.key}

    def data(*words, **options):
        return server.cli("data", *words, env=env, **options)
    row = json.loads(data("create", "leads", '{"name": "Ada", "email": "ada@example.com"}', "--json").stdout)
    data("create", "leads", "-", stdin=json.dumps([{"name": "Ben", "status": "WON"}, {"name": "Cy"}]))
    table = data("list", "leads", "--order", "name", "--select", "name,status").stdout.splitlines()
    assert table[0].split() == ["name", "status"] and [line.split()[0] for line in table[1:4]] == ["Ada", "Ben", "Cy"]
    listed = json.loads(data("list", "leads", "--filter", "status=eq.NEW", "--filter", "name=neq.Cy", "--count", "--json").stdout)
    assert [found["name"] for found in listed["data"]] == ["Ada"] and listed["count"] == 1
    data("update", "leads", row["id"], '{"value": 5}')
    assert json.loads(data("get", "leads", row["id"], "--json").stdout)["value"] == 5
    data("update", "leads", row["id"], '{"value": 6}', "--if-match", '"stale"', expect=1)
    data("delete", "leads", row["id"])
    data("get", "leads", row["id"], expect=3)
    assert "WON" in data("call", "lead_counts").stdout
    assert json.loads(data("call", "leads_by_source", '{"from_date": "2020-01-01"}', "--json").stdout)["data"]

    source = tmp_path / "leads.csv"
    source.write_text("name,email\n" + "".join(f"N{i},n{i}@example.com\n" for i in range(50)))
    assert "50" in data("import", "leads", str(source)).stdout
    report = data("import", "leads", "-", "--json", stdin="name,email\nN0,n0@example.com\n,x@example.com\n", expect=1)
    assert json.loads(report.stdout)["rejected"] == 1 and json.loads(report.stdout)["duplicates"] == 1
    target = tmp_path / "out.ndjson"
    data("export", "leads", "--format", "ndjson", "--output", str(target))
    assert len(target.read_text().splitlines()) == 52 == tenant.count("leads")
    parsed = list(csv.DictReader(io.StringIO(data("export", "leads", "--filter", "name=eq.N7").stdout)))
    assert [found["email"] for found in parsed] == ["n7@example.com"]
    other = admin.create_tenant("Not mine")
    data("list", "leads", "--tenant", other.slug, expect=(1, 4))
    data("list", "leads", "--tenant", tenant.slug)


def test_output_of_hostile_values_is_harmless(server, admin):
    tenant = admin.create_tenant("Terminal")
    tenant.api.post("/v1/data/leads", {"name": "\u001b[31mred\u001b]0;title\u0007", "company": "a\nb\u202eevil"}, 201)
    shown = server.cli("data", "list", "leads", env={"ROWHOUSE_TENANT_KEY": tenant.key}).stdout
    assert "\u001b" not in shown and "\u0007" not in shown and "\u202e" not in shown


# Terminals


@pytest.mark.parametrize("answers, choice", [(["1"], "byos"), (["2"], "provisioned"), (["3"], "none"), ([""], "none"),
                                             (["9", "what?", "byos"], "byos")])
def test_the_storage_question(server, admin, answers, choice):
    name = f"Asked {uuid.uuid4().hex[:8]}"
    terminal = Terminal(server, "tenant", "create", name, "--pack", "tekup")
    for at, answer in enumerate(answers):
        terminal.read_until("byos" if at == 0 else "Please answer")
        terminal.read_until("[3]:")
        terminal.text = ""
        terminal.type(answer)
    assert terminal.end() == 0, terminal.text
    tenant, = admin.get("/v1/tenants", params={"search": name})["data"]
    assert tenant["storage"] == choice


def test_the_pack_question(server, admin):
    name = f"Asked {uuid.uuid4().hex[:8]}"
    terminal = Terminal(server, "tenant", "create", name, "--storage", "none")
    terminal.read_until("isp-monitor")
    terminal.read_until("3:")
    terminal.type("2")
    assert terminal.end() == 0, terminal.text
    tenant, = admin.get("/v1/tenants", params={"search": name})["data"]
    assert tenant["pack"] == "isp-monitor"


def test_the_question_is_not_asked_without_a_terminal(server, admin):
    created = json.loads(server.cli("tenant", "create", "Unasked", "--pack", "tekup", "--json").stdout)
    assert created["tenant"]["storage"] == "none"


def test_the_question_can_be_left(server, admin):
    terminal = Terminal(server, "tenant", "create", "Given up", "--pack", "tekup")
    terminal.read_until("[3]:")
    os.write(terminal.descriptor, b"\x04")
    assert terminal.end() != 0
    assert admin.get("/v1/tenants?search=given%20up")["data"] == []


def test_deleting_asks_for_the_slug(server, admin):
    tenant = admin.create_tenant("Precious")
    for answer, status in (("no", 130), ("y", 130), (tenant.slug, 0)):
        terminal = Terminal(server, "tenant", "delete", tenant.slug)
        terminal.read_until(f"Type {tenant.slug}")
        terminal.type(answer)
        assert terminal.end() == status, terminal.text
        admin.call("GET", f"/v1/tenants/{tenant.id}", 200 if status else 404)


# Completion


def complete(words):
    script = cli("completion", "bash").stdout
    line = " ".join(f"'{word}'" for word in words)
    done = subprocess.run(["bash", "--norc", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _rowhouse; "
                           "printf '%s\\n' \"${COMPREPLY[@]}\""], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_completion_in_bash(tmp_path):
    assert {"tenant", "up", "pack", "help"} <= complete(["rowhouse", ""])
    assert complete(["rowhouse", "ten"]) == {"tenant"}
    assert {"create", "list", "delete"} <= complete(["rowhouse", "tenant", ""])
    assert complete(["rowhouse", "tenant", "create", "Acme", "--ti"]) == {"--tier"}
    assert complete(["rowhouse", "tenant", "create", "Acme", "--tier", ""]) == set(settings.TIERS)
    for shell in ("zsh", "fish"):
        assert "rowhouse" in cli("completion", shell).stdout


# Configuration


def options(*words, env=None):
    return {option["name"]: option for option in json.loads(cli("config", "--json", *words, env=env).stdout)["options"]}


def test_where_values_come_from(tmp_path):
    file = tmp_path / "rowhouse.conf"
    file.write_text("# comment\nlisten = 127.0.0.1:1111\nworkers = 3\n\nlog_level = debug\nadmin_token = rha_secret\n")
    env = {"ROWHOUSE_LISTEN": "127.0.0.1:2222", "ROWHOUSE_WORKERS": "4"}
    found = options("--config", str(file), "--listen", "127.0.0.1:3333", env=env)
    assert (found["listen"]["value"], found["listen"]["source"]) == ("127.0.0.1:3333", "--listen")
    assert (found["workers"]["value"], found["workers"]["source"]) == ("4", "ROWHOUSE_WORKERS")
    assert found["log_level"]["value"] == "debug" and "rowhouse.conf:5" in found["log_level"]["source"]
    assert found["http_max_body"]["source"] == "default" and found["http_max_body"]["default"]
    assert "rha_secret" not in json.dumps(found) and found["admin_token"]["value"] == "(set)"
    assert options(env={"ROWHOUSE_CONFIG": str(file)})["workers"]["value"] == "3"
    assert all(option["description"] and option["environment"].startswith("ROWHOUSE_") for option in found.values())
    assert cli("config", "listen", env=env).stdout.strip() == "127.0.0.1:2222"
    text = cli("config", env={"ROWHOUSE_DATABASE_URL": "postgresql://a:hidden@h:1/postgres"}).stdout
    assert "hidden" not in text and "***" in text
    for name in found:
        assert name in text


@pytest.mark.parametrize("line, words", [
    ("workers = many", ["workers", "many", "conf:1"]), ("workers = 0", ["workers", "conf:1"]), ("nothing = 1", ["nothing", "conf:1"]),
    ("rubbish", ["conf:1"]), ("workers = 1\nworkers = 2", ["workers", "conf:2"]),
])
def test_faults_of_the_file(tmp_path, line, words):
    file = tmp_path / "rowhouse.conf"
    file.write_text(line + "\n")
    said = cli("config", "--config", str(file), expect=2).stderr
    for word in words:
        assert word in said, said


def test_the_document_of_the_configuration():
    document = settings.ROOT / "docs" / "configuration.md"
    assert document.read_text() == cli("config", "--markdown").stdout, "rowhouse config --markdown > docs/configuration.md"
