"""Import and export: both formats, the report, deduplication, all or nothing, round trips, size."""

import csv
import io
import json

import pytest

from support import settings

CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}
IMPORT = "/v1/import/leads"


def load(tenant, text, headers=None, query="", path=IMPORT, status=200):
    data = text.encode() if isinstance(text, str) else text
    return tenant.api.call("POST", path + query, status, data=data, headers=headers or CSV).json()


def figures(report):
    return {name: report[name] for name in ("inserted", "updated", "duplicates", "rejected")}


def counted(inserted=0, updated=0, duplicates=0, rejected=0):
    return {"inserted": inserted, "updated": updated, "duplicates": duplicates, "rejected": rejected}


def test_csv(tenant):
    text = ('name,email,value,custom_fields,company\r\n'
            '"Ada ""the"" first, of\nher name",ada@example.com,12.50,"{""a"": [1, ""x""]}",\r\n'
            'Ben,,,,""\r\n'
            'Žofie 🦊,zofie@example.com,3,{},"  spaced  "\r\n')
    report = load(tenant, text)
    assert figures(report) == counted(inserted=3) and report["rows"] == []
    rows = {row["name"]: row for row in tenant.rows("leads")}
    ada = rows['Ada "the" first, of\nher name']
    assert (ada["email"], ada["value"], ada["custom_fields"], ada["company"]) == (
        "ada@example.com", 12.5, {"a": [1, "x"]}, None)
    assert (rows["Ben"]["email"], rows["Ben"]["value"], rows["Ben"]["company"]) == (None, 0, "")
    assert rows["Žofie 🦊"]["company"] == "  spaced  "


def test_csv_with_byte_order_mark_and_plain_line_ends(tenant):
    assert figures(load(tenant, "\ufeffname,email\nA,a@example.com\n\nB,b@example.com")) == counted(inserted=2)


def test_ndjson(tenant):
    rows = [{"name": "A", "custom_fields": {"n": [1, None]}}, {"name": "B", "email": "b@example.com", "value": 2}]
    assert figures(load(tenant, "\n".join(json.dumps(row) for row in rows) + "\n", NDJSON)) == counted(inserted=2)
    found = {row["name"]: row for row in tenant.rows("leads")}
    assert found["A"]["custom_fields"] == {"n": [1, None]} and found["B"]["value"] == 2


def test_bad_rows_are_reported_and_the_others_kept(tenant):
    text = ("name,email,value\n"
            "Good,good@example.com,1\n"
            ",nobody@example.com,1\n"
            "Bad,bad@example.com,ten\n"
            "Worse,no address,-1\n"
            "Few cells\n"
            "Many,many@example.com,1,2,3\n"
            "Last,last@example.com,9\n")
    report = load(tenant, text)
    assert figures(report) == counted(inserted=2, rejected=5)
    assert sorted(row["name"] for row in tenant.rows("leads")) == ["Good", "Last"]
    faults = {row["row"]: row for row in report["rows"]}
    assert sorted(faults) == [2, 3, 4, 5, 6], "rows are counted from 1, without the header"
    assert all(row["status"] == "rejected" and row["errors"] for row in faults.values())
    assert [fault["path"] for fault in faults[2]["errors"]] == ["/name"]
    assert [fault["path"] for fault in faults[3]["errors"]] == ["/value"]
    assert faults[4]["errors"][0]["path"] in ("/email", "/value")


def test_bad_lines_of_ndjson(tenant):
    lines = ['{"name": "Good"}', "{broken", '{"name": 5}', "[1]", '"text"', '{"name": "T", "tenant_id": "x"}',
             '{"name": "N", "nothing": 1}', '{"name": "D", "name": "E"}', '{"name": "Last"}']
    report = load(tenant, "\n".join(lines), NDJSON)
    assert figures(report) == counted(inserted=2, rejected=7)
    assert [row["row"] for row in report["rows"]] == [2, 3, 4, 5, 6, 7, 8]
    assert sorted(row["name"] for row in tenant.rows("leads")) == ["Good", "Last"]


def test_abort_leaves_nothing(tenant):
    text = "name\n" + "Good\n" * 1200 + '""\n' + "Good\n" * 10
    answer = tenant.api.call("POST", IMPORT + "?on_error=abort", (200, 422), data=text.encode(), headers=CSV)
    report = answer.json()
    assert tenant.count("leads") == 0
    if answer.status_code == 200:
        assert report["inserted"] == 0 and report["rejected"] == 1 and report["rows"][-1]["row"] == 1201
    else:
        assert report["code"] == "validation_failed" and "1201" in json.dumps(report)


@pytest.mark.parametrize("header", ["tenant_id,name", "nothing,name", "version,name", "name,name", "name,", "", "\x00"])
def test_bad_headers(tenant, header):
    problem = load(tenant, header + "\nx,y\n", status=(400, 422))
    assert problem["code"] in ("validation_failed", "malformed_request", "invalid_parameter", "unknown_column"), problem
    assert tenant.count("leads") == 0


def test_invalid_text(tenant):
    report = load(tenant, b"name\nGood\nb\xffd\nn\x00l\n")
    assert figures(report) == counted(inserted=1, rejected=2)
    report = load(tenant, b'{"name": "b\xffd"}\n{"name": "n\\u0000l"}\n', NDJSON)
    assert figures(report) == counted(rejected=2)
    report = load(tenant, 'name\n"never closed\n')
    assert figures(report) == counted(rejected=1)


def test_deduplication(tenant):
    text = "name,email\nOld,one@example.com\nTwo,two@example.com\n"
    assert figures(load(tenant, text)) == counted(inserted=2)
    more = "name,email\nNew,one@example.com\nThree,three@example.com\nThree again,three@example.com\n"
    assert figures(load(tenant, more)) == counted(inserted=1, duplicates=2), "ignored unless asked for otherwise"
    found = {row["email"]: row["name"] for row in tenant.rows("leads")}
    assert found == {"one@example.com": "Old", "two@example.com": "Two", "three@example.com": "Three"}
    report = load(tenant, "name,email\nNew,one@example.com\nFour,four@example.com\n", query="?on_conflict=update")
    assert figures(report) == counted(inserted=1, updated=1)
    assert {row["name"] for row in tenant.rows("leads")} == {"New", "Two", "Three", "Four"}
    report = load(tenant, "name,email\nX,one@example.com\nFive,five@example.com\n", query="?on_conflict=error")
    assert report["rejected"] == 1 and tenant.count("leads", "name=eq.X") == 0


def test_rows_that_only_the_database_can_judge(tenant):
    text = "name,email,last_activity_at\n" + "".join(
        f"N{i},n{i}@example.com,{'2026-02-31T00:00:00Z' if i in (3, 700) else '2026-02-28T00:00:00Z'}\n" for i in range(1000))
    report = load(tenant, text)
    assert figures(report) == counted(inserted=998, rejected=2)
    assert [row["row"] for row in report["rows"]] == [4, 701]
    assert tenant.count("leads") == 998


def test_references_within_an_import(tenant):
    lead = tenant.api.post("/v1/data/leads", {"name": "Parent"}, 201)["id"]
    header = "lead_id,kind,subject,due_at\n"
    good = f"{lead},CALL,fine,2026-01-01T00:00:00Z\n"
    bad = "00000000-0000-4000-8000-000000000000,CALL,astray,2026-01-01T00:00:00Z\n"
    report = load(tenant, header + good + bad + good, path="/v1/import/activities")
    assert figures(report) == counted(inserted=2, rejected=1) and report["rows"][0]["row"] == 2


def test_nothing_to_import(tenant):
    assert figures(load(tenant, "name\n")) == counted()
    assert figures(load(tenant, "", NDJSON)) == counted()


def test_views_and_unknown_resources(crm):
    for name, status, code in (("open_leads", 405, "method_not_allowed"), ("nothing", 404, "unknown_resource")):
        crm.api.refused("POST", f"/v1/import/{name}", status, code, data=b"name\nx\n", headers=CSV)
    crm.api.refused("POST", IMPORT + "?on_conflict=x", 400, "invalid_parameter", data=b"name\nx\n", headers=CSV)
    crm.api.refused("POST", IMPORT + "?on_error=x", 400, "invalid_parameter", data=b"name\nx\n", headers=CSV)
    crm.api.refused("POST", IMPORT + "?x=1", 400, "invalid_parameter", data=b"name\nx\n", headers=CSV)


def test_export(crm):
    rows = crm.rows("leads", "order=name")
    answer = crm.api.call("GET", "/v1/export/leads?format=csv&order=name", 200)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    parsed = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    assert [row["id"] for row in parsed] == [row["id"] for row in rows]
    assert list(parsed[0]) == list(rows[0])
    for cells, row in zip(parsed, rows):
        assert json.loads(cells["custom_fields"]) == row["custom_fields"] and float(cells["value"]) == row["value"]
        assert cells["name"] == row["name"] and cells["company"] == (row["company"] or "")
    lines = crm.api.call("GET", "/v1/export/leads?format=ndjson&order=name", 200)
    assert lines.headers["Content-Type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in lines.content.decode().splitlines()] == rows


def test_export_of_a_part(crm):
    wanted = crm.rows("leads", "status=eq.WON&order=-value&select=name,value")
    lines = crm.api.call("GET", "/v1/export/leads?format=ndjson&status=eq.WON&order=-value&select=name,value", 200)
    found = [json.loads(line) for line in lines.content.decode().splitlines()]
    assert [list(row) for row in found] == [["name", "value"]] * len(wanted) and wanted
    assert sorted(map(str, found)) == sorted(map(str, wanted))
    crm.api.refused("GET", "/v1/export/leads?format=xml", 400, "invalid_parameter")
    crm.api.refused("GET", "/v1/export/leads?format=csv&limit=5", 400, "invalid_parameter")


@pytest.mark.parametrize("form, headers", [("csv", CSV), ("ndjson", NDJSON)])
@pytest.mark.parametrize("tier", settings.TIERS)
def test_what_is_exported_can_be_imported(admin, crm, form, headers, tier):
    """Every row and value comes back, in another tenant of any tier."""
    tenant = admin.create_tenant(tier=tier)
    columns = "id,name,email,phone,company,source,status,status_since,value,custom_fields,assigned_to,created_by," \
              "last_activity_at,created_at"
    exported = crm.api.call("GET", f"/v1/export/leads?format={form}&select={columns}&order=id", 200).content
    report = load(tenant, exported, headers)
    assert figures(report) == counted(inserted=60), report
    assert tenant.api.call("GET", f"/v1/export/leads?format={form}&select={columns}&order=id", 200).content == exported


def test_empty_and_null_survive(admin, tenant):
    tenant.api.post("/v1/data/leads", [{"name": "A", "company": ""}, {"name": "B", "company": None},
                                       {"name": "=cmd()", "company": "@x"}, {"name": "c\r\nd", "company": ' "q" '}], 201)
    exported = tenant.api.call("GET", "/v1/export/leads?format=csv&select=name,company&order=name", 200).content
    other = admin.create_tenant()
    assert figures(load(other, exported)) == counted(inserted=4)
    assert other.rows("leads", "select=name,company&order=name") == tenant.rows("leads", "select=name,company&order=name")


def test_large_import_and_export(server, tenant):
    """More than fits into one batch, pool of buffers or request limit, sent in chunks."""
    count, filler = 20_000, "x" * 700

    def pieces():
        yield b"name,email,custom_fields\n"
        for start in range(0, count, 500):
            yield "".join(f'N{i},n{i}@example.com,"{{""f"": ""{filler}""}}"\n' for i in range(start, start + 500)).encode()

    report = tenant.api.call("POST", IMPORT, 200, data=pieces(), headers=CSV).json()
    assert figures(report) == counted(inserted=count)
    assert tenant.count("leads") == count
    with tenant.api.session.get(server.url + "/v1/export/leads?format=ndjson&order=name", stream=True,
                                timeout=settings.REQUEST_LIMIT_S) as answer:
        assert answer.status_code == 200
        names = [json.loads(line)["name"] for line in answer.iter_lines(chunk_size=1 << 16)]
    assert len(names) == count == len(set(names))


def test_an_import_that_is_cut_off_leaves_nothing(server, tenant):
    def pieces():
        yield b"name\n" + b"x\n" * 5000
        raise OSError("the client gave up")

    with pytest.raises(OSError):
        tenant.api.session.post(server.url + IMPORT, data=pieces(), headers=CSV, timeout=settings.REQUEST_LIMIT_S)
    tenant.api.close()
    assert tenant.count("leads") == 0
