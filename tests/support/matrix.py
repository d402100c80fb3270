"""The attacks of one tenant on another, by route of the OpenAPI document.

ROUTES is what the generator knows. A route of a tenant that no pattern matches is a failure: whoever adds one says
here how to attack it. Each attack has up to three acts, which run over all routes one after the other:

  probe      the attacker owns no rows and uses the victim's ids, cursors, ETags and keys: every answer is, byte for byte,
             the one for an id that does not exist
  copy       the attacker makes rows with the victim's very ids and natural keys: they are free for it
  overwrite  the attacker changes and deletes those: the victim's stay as they were
"""

import csv
import io
import json
import re
import uuid

from .api import Api, text_of
from .people import add_person, new_email

JSON = {"Content-Type": "application/json"}
IMPORT_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def unknown_like(value):
    """A value of the same form that nobody has."""
    return 2**62 + uuid.uuid4().int % 2**40 if isinstance(value, int) else str(uuid.uuid4())


class Duel:
    """An attacker and a victim of one pack in one tier."""

    def __init__(self, admin, pack, tier):
        self.admin = admin
        self.detail = admin.get(f"/v1/packs/{pack}")
        self.resources = self.detail["resources"]
        self.attacker = admin.create_tenant(f"Attacker {pack} {tier}", pack=pack, tier=tier, storage="provisioned")
        self.bare = {path: self._bare(path) for path in self._readable_paths()}
        self.victim = admin.create_tenant(f"Victim {pack} {tier}", pack=pack, tier=tier, sample_data=True,
                                          storage="provisioned")
        assert self.victim.sample_rows > 0
        self.idempotent = {name: self._use_idempotency_key(name) for name in self._offering("create")}
        self.rows = {name: self.victim.rows(name, "order=id") for name in self._offering("read")}
        for name, rows in self.rows.items():
            assert rows, f"the victim sees no rows of {name}, so nothing could be concluded"
        self.ids = {str(row["id"]) for rows in self.rows.values() for row in rows}
        self.order = self._dependency_order()

    def _offering(self, verb):
        return [name for name, resource in self.resources.items() if verb in resource["operations"]]

    def _readable_paths(self):
        return [f"/v1/data/{name}?limit=1000&count=exact" for name in self._offering("read")]

    def _bare(self, path):
        """What the attacker is told before the victim exists."""
        answer = self.attacker.api.get(path)
        assert answer["data"] == [] and answer["count"] == 0, "a new tenant has no rows"
        return text_of(self.attacker.api.call("GET", path, 200))

    def _use_idempotency_key(self, name):
        """The victim writes a row under a key; the body if that worked."""
        body = self.writable(name, self.victim.api.get(f"/v1/data/{name}?limit=1")["data"][0], with_id=False)
        path = f"/v1/data/{name}" + ("?on_conflict=update" if self.resources[name]["natural_key"] else "")
        answer = self.victim.api.call("POST", path, json=body, headers={"Idempotency-Key": f"victim-{name}"})
        return (path, body) if answer.status_code in (200, 201) else None

    def _dependency_order(self):
        """Resources with a create verb, those that others refer to first."""
        names = self._offering("create")
        owner = {str(row["id"]): name for name in names for row in self.rows[name]}
        needs = {name: {owner[value] for row in self.rows[name] for column, value in row.items()
                        if column != "id" and isinstance(value, str) and owner.get(value, name) != name}
                 for name in names}
        ordered = []
        while len(ordered) < len(names):
            free = [name for name in names if name not in ordered and needs[name] <= set(ordered)]
            assert free, f"resources refer to each other in a circle: {needs}"
            ordered += free
        return ordered

    def columns(self, name):
        return {column["name"]: column for column in self.resources[name]["columns"]}

    def writable(self, name, row, with_id=True):
        columns = self.columns(name)
        return {column: value for column, value in row.items() if value is not None
                and not columns[column]["read_only"] and (with_id or column != "id")}

    def references(self, row):
        """Columns that hold the id of a row of the victim's. Numbers say nothing: any count may look like an id."""
        return [column for column, value in row.items() if column != "id" and isinstance(value, str) and value in self.ids]

    def foreign(self, name, row):
        """The row with its references led astray: to ids that do not exist."""
        return {**row, **{column: unknown_like(row[column]) for column in self.references(row)}}

    # What must hold

    def same(self, method, known, unknown, secrets=(), status=None):
        """`known` and `unknown`: (path, options), one with the victim's secrets, one without. Answers are the same."""
        answers = []
        for path, options in (known, unknown):
            answer = self.attacker.api.call(method, path, **options)
            text = text_of(answer)
            for pair in secrets:
                for word in pair:
                    text = text.replace(str(word), "SECRET")
            answers.append((answer, text))
        (first, first_text), (_, second_text) = answers
        assert first_text == second_text, f"{method} {known[0]} tells that it exists:\n{first_text}\n{second_text}"
        if status:
            assert first.status_code == status, f"{method} {known[0]} → {first.status_code} {first.text}"
        return first

    def check_victim(self, after):
        for name, rows in self.rows.items():
            now = self.victim.rows(name, "order=id")
            assert now == rows, f"{after}: the victim's {name} changed"


# Attacks on one route. `target` is the resource or function.


def probe_list(duel, name):
    path = f"/v1/data/{name}"
    bare = f"{path}?limit=1000&count=exact"
    assert text_of(duel.attacker.api.call("GET", bare, 200)) == duel.bare[bare]
    row = duel.rows[name][0]
    for column, value in row.items():
        if value is None or isinstance(value, (dict, list)):
            continue
        answer = duel.attacker.api.get(path, params={column: f"eq.{json.dumps(value) if value in (True, False) else value}",
                                                     "count": "exact"})
        assert answer == {"data": [], "next_cursor": None, "count": 0}, (column, answer)
    ids = ",".join(str(row["id"]) for row in duel.rows[name][:20])
    for condition in (f"id=in.({ids})", f"id=eq.{row['id']}", f"id=neq.{unknown_like(row['id'])}", "order=-id", "id=is.not_null"):
        assert duel.attacker.api.get(f"{path}?{condition}&count=exact")["count"] == 0, condition
    cursor = duel.victim.api.get(f"{path}?limit=1")["next_cursor"]
    if cursor is not None:
        broken = cursor[:-8] + ("A" * 8 if not cursor.endswith("A" * 8) else "B" * 8)
        duel.same("GET", (f"{path}?limit=1&cursor={cursor}", {}), (f"{path}?limit=1&cursor={broken}", {}), status=400)


def probe_item(method):
    def probe(duel, name):
        row = duel.rows[name][0]
        known, unknown = row["id"], unknown_like(row["id"])
        etag = duel.victim.api.call("GET", f"/v1/data/{name}/{known}", 200).headers["ETag"]
        header = "If-None-Match" if method == "GET" else "If-Match"
        body = {}
        if method == "PATCH":
            change = duel.writable(name, row, with_id=False)
            column = next(column for column in change if column not in duel.references(row))
            body = {"json": {column: change[column]}}
        for headers in ({}, {header: etag}, {header: "*"}):
            duel.same(method, (f"/v1/data/{name}/{known}", {"headers": headers, **body}),
                      (f"/v1/data/{name}/{unknown}", {"headers": headers, **body}), [(known, unknown)], 404)
        if method == "GET":
            duel.same(method, (f"/v1/data/{name}/{known}?select=id", {}), (f"/v1/data/{name}/{unknown}?select=id", {}),
                      [(known, unknown)], 404)
    return probe


def probe_create(duel, name):
    path = f"/v1/data/{name}"
    row = next((row for row in duel.rows[name] if duel.references(row)), duel.rows[name][0])
    body = duel.writable(name, row, with_id=False)
    stolen = {**body, "tenant_id": duel.victim.id}
    duel.same("POST", (path, {"json": stolen}), (path, {"json": {**body, "tenant_id": unknown_like("")}}), status=422)
    if duel.references(row):
        astray = duel.foreign(name, body)
        secrets = [(body[column], astray[column]) for column in duel.references(body)]
        for headers in ({}, {"Idempotency-Key": f"victim-{name}"}):
            answer = duel.same("POST", (path, {"json": body, "headers": headers}),
                               (path, {"json": astray, "headers": headers}), secrets)
            assert answer.status_code in (409, 422), f"refers to the victim's row: {answer.status_code} {answer.text}"


def probe_import(duel, name):
    path = f"/v1/import/{name}"
    row = next((row for row in duel.rows[name] if duel.references(row)), duel.rows[name][0])
    body = duel.writable(name, row, with_id=False)
    for form in IMPORT_TYPES:
        known = import_options(form, [{**body, "tenant_id": duel.victim.id}])
        unknown = import_options(form, [{**body, "tenant_id": unknown_like("")}])
        refused = duel.same("POST", (path, known), (path, unknown))
        assert refused.status_code >= 400 or refused.json()["inserted"] == 0, refused.text
        if duel.references(row):
            astray = duel.foreign(name, body)
            secrets = [(body[column], astray[column]) for column in duel.references(body)]
            refused = duel.same("POST", (path, import_options(form, [body])), (path, import_options(form, [astray])), secrets)
            assert refused.status_code >= 400 or refused.json()["inserted"] == 0, refused.text


def probe_export(duel, name):
    for form in ("csv", "ndjson"):
        answer = duel.attacker.api.call("GET", f"/v1/export/{name}?format={form}", 200)
        expected = ",".join(duel.columns(name)) if form == "csv" else ""
        assert answer.text.strip() == expected, answer.text[:500]
        whole = duel.victim.api.call("GET", f"/v1/export/{name}?format={form}", 200).text
        assert all(str(row["id"]) in whole for row in duel.rows[name]), "the victim's own export is complete"
        duel.same("GET", (f"/v1/export/{name}?format={form}&id=eq.{duel.rows[name][0]['id']}", {}),
                  (f"/v1/export/{name}?format={form}&id=eq.{unknown_like(duel.rows[name][0]['id'])}", {}), status=200)


def probe_call(duel, name):
    path = f"/v1/rpc/{name}"
    arguments = duel.detail["functions"][name]["arguments"]
    required = [argument for argument in arguments if argument["required"]]
    some = [rows[0] for rows in duel.rows.values()]
    values = {"uuid": sorted({str(row["id"]) for row in some}),
              "text": sorted({value for row in some for value in row.values() if isinstance(value, str)})[:40]}
    for argument in required:
        assert argument["type"] in values, f"do not know how to fill {argument}"
    nothing = {argument["name"]: unknown_like("") for argument in required}
    mine = duel.attacker.api.call("POST", path, 200, json=nothing)
    alone = duel.admin.create_tenant(f"Alone {uuid.uuid4().hex[:8]}", pack=duel.detail["name"], tier="pool")
    assert alone.api.call("POST", path, 200, json=nothing).text == mine.text, "a tenant without rows is told something"
    if not required:
        assert duel.victim.api.call("POST", path, 200, json={}).text != mine.text or "duplicate" in name, \
            "the victim's own rows make a difference"
    for argument in arguments:
        for value in values.get(argument["type"], []):
            duel.same("POST", (path, {"json": {**nothing, argument["name"]: value}}),
                      (path, {"json": {**nothing, argument["name"]: unknown_like("")}}))


def probe_own_tenant(duel, _):
    answer = duel.attacker.api.call("GET", "/v1/tenant", 200)
    assert answer.json()["id"] == duel.attacker.id
    for secret in (duel.victim.id, duel.victim.slug, duel.victim.record["name"], duel.victim.key):
        assert secret not in answer.text


def victim_key(duel):
    """The id of the victim's key, which its own list shows."""
    return duel.victim.api.get("/v1/keys")["data"][0]["id"]


def probe_own_keys(duel, _):
    listed = duel.attacker.api.call("GET", "/v1/keys", 200)
    for secret in (duel.victim.id, duel.victim.slug, victim_key(duel)):
        assert secret not in listed.text


def probe_new_key(duel, _):
    """A key is one of the caller's tenant, whatever the body says."""
    body = {"name": "probe", "scopes": ["tenant:read"]}
    duel.attacker.api.refused("POST", "/v1/keys", 422, "validation_failed", json={**body, "tenant_id": duel.victim.id})
    made = duel.attacker.api.post("/v1/keys", body, 201)
    assert duel.attacker.api.with_headers(**{"X-Tenant-Key": made["secret"]}).get("/v1/tenant")["id"] == duel.attacker.id
    duel.attacker.api.delete(f"/v1/keys/{made['key']['id']}")


def probe_foreign_key(method, ending):
    def probe(duel, _):
        path = f"/v1/keys/{victim_key(duel)}{ending}"
        duel.attacker.api.refused(method, path, 404, "not_found", **({"json": {}} if ending else {}))
        duel.victim.api.get("/v1/tenant")
    return probe


def victim_person(duel):
    """A user of the victim's who is signed in; made at the first use."""
    if not hasattr(duel, "person"):
        duel.person = add_person(duel.admin, duel.victim)
        duel.person.api.get("/v1/me")
    return duel.person


def probe_people_list(path):
    def probe(duel, _):
        person = victim_person(duel)
        answer = duel.attacker.api.call("GET", path, 200)
        for secret in (person.id, person.email, person.signed_in["session"], duel.victim.id, duel.victim.slug):
            assert secret not in answer.text, path
    return probe


def probe_foreign_person(method, kind):
    """Somebody of the victim's, by id: as one who does not exist."""
    def probe(duel, _):
        person = victim_person(duel)
        secret = person.signed_in["session"] if kind == "sessions" else person.id
        ghost = str(uuid.uuid4())
        options = {"json": {"status": "disabled"}} if method == "PATCH" else {}
        duel.same(method, (f"/v1/{kind}/{secret}", options), (f"/v1/{kind}/{ghost}", options), [(secret, ghost)], 404)
        person.api.get("/v1/me")
    return probe


def probe_new_user(duel, _):
    """The victim's user may be invited, too, but only into the attacker's tenant, and with nothing of the victim's."""
    person = victim_person(duel)
    body = {"email": new_email("probe")}
    duel.attacker.api.refused("POST", "/v1/users", 422, "validation_failed", json={**body, "tenant": duel.victim.id})
    made = duel.attacker.api.post("/v1/users", body, 201)["user"]
    assert person.id not in duel.attacker.api.call("GET", "/v1/users", 200).text
    duel.attacker.api.refused("GET", f"/v1/users/{person.id}", 404, "not_found")
    duel.victim.api.refused("GET", f"/v1/users/{made['id']}", 404, "not_found")


def victim_invitation(duel):
    """(id, e-mail address, the address of its link) of one of the victim's that is open."""
    if not hasattr(duel, "invited"):
        duel.invited = duel.victim.api.post("/v1/invitations", {"email": new_email("invited"), "role": first_role(duel.victim)}, 201)
    return duel.invited["invitation"]["id"], duel.invited["invitation"]["email"], duel.invited["link"] or ""


def first_role(tenant):
    return tenant.api.get("/v1/roles")["data"][0]["name"]


def probe_invitations(duel, _):
    id, email, _ = victim_invitation(duel)
    answer = duel.attacker.api.call("GET", "/v1/invitations", 200)
    for secret in (id, email, duel.victim.id, duel.victim.slug):
        assert secret not in answer.text


def probe_new_invitation(duel, _):
    """Whom the victim has invited may be invited here, too, and sees nothing of the other."""
    _, email, link = victim_invitation(duel)
    body = {"email": email, "role": first_role(duel.attacker)}
    duel.attacker.api.refused("POST", "/v1/invitations", 422, "validation_failed", json={**body, "tenant": duel.victim.id})
    made = duel.attacker.api.post("/v1/invitations", body, 201)
    assert made["link"] and made["link"] != link
    offer = Api(duel.admin.url).call("POST", "/v1/auth/invitations", 200, json={"token": made["link"].rsplit("/", 1)[1]})
    assert offer.json()["tenant"]["id"] == duel.attacker.id and duel.victim.slug not in offer.text
    duel.attacker.api.delete(f"/v1/invitations/{made['invitation']['id']}")


def probe_foreign_invitation(method, ending):
    def probe(duel, _):
        id, _, link = victim_invitation(duel)
        ghost = str(uuid.uuid4())
        duel.same(method, (f"/v1/invitations/{id}{ending}", {}), (f"/v1/invitations/{ghost}{ending}", {}), [(id, ghost)], 404)
        Api(duel.admin.url).call("POST", "/v1/auth/invitations", 200, json={"token": link.rsplit("/", 1)[1]})
    return probe


def probe_identity_provider(method, ending=""):
    """Each tenant has one provider at most, and its path names none."""
    path = "/v1/sso/provider"

    def probe(duel, _):
        secret = f"victim-{uuid.uuid4().hex[:12]}"
        settings = {"issuer": f"https://{secret}.example", "client_id": secret}
        mine = duel.victim.api.call("PUT", path, 200, json=settings).json()
        if method == "PUT":
            duel.attacker.api.refused("PUT", path, 422, "validation_failed", json={**settings, "tenant": duel.victim.id})
            made = duel.attacker.api.call("PUT", path, 200, json={**settings, "client_id": "own"}).json()
            assert made["id"] != mine["id"]
            duel.attacker.api.delete(path)
        else:
            answer = duel.attacker.api.call(method, path + ending, 404)
            assert secret not in answer.text and duel.victim.id not in answer.text
        assert duel.victim.api.get(path) == mine
    return probe


def probe_role(method):
    """Roles have names, the same at every tenant: a role of the victim's own is none of the attacker's."""
    def probe(duel, _):
        name, ghost = f"role-{uuid.uuid4().hex[:12]}", f"role-{uuid.uuid4().hex[:12]}"
        body = {"operations": ["tenant:read"]}
        mine = duel.victim.api.post("/v1/roles", {**body, "name": name}, 201)
        if method == "POST":
            duel.attacker.api.post("/v1/roles", {"name": name, "operations": ["user:read"]}, 201)  # free there
            duel.attacker.api.delete(f"/v1/roles/{name}")
        else:
            options = {"json": body} if method == "PATCH" else {}
            duel.same(method, (f"/v1/roles/{name}", options), (f"/v1/roles/{ghost}", options), [(name, ghost)], 404)
        assert duel.victim.api.get(f"/v1/roles/{name}") == mine
    return probe


def probe_only_for_people(method, path, body=None):
    """About the caller itself: a key is no person."""
    def probe(duel, _):
        duel.attacker.api.refused(method, path.replace("{session}", victim_person(duel).signed_in["session"]), 403, "forbidden",
                                  **({"json": body} if body else {}))
        victim_person(duel).api.get("/v1/me")
    return probe


PEOPLE_ROUTES = [
    ("GET", "/v1/me", {"probe": probe_people_list("/v1/me")}),
    ("GET", "/v1/me/sessions", {"probe": probe_only_for_people("GET", "/v1/me/sessions")}),
    ("DELETE", "/v1/me/sessions", {"probe": probe_only_for_people("DELETE", "/v1/me/sessions")}),
    ("DELETE", "/v1/me/sessions/{session}", {"probe": probe_only_for_people("DELETE", "/v1/me/sessions/{session}")}),
    ("POST", "/v1/auth/password", {"probe": probe_only_for_people("POST", "/v1/auth/password",
                                                                  {"current_password": "x", "new_password": "y"})}),
    *[(method, path, {"probe": probe_only_for_people(method, path, body)}) for method, path, body in (
        ("GET", "/v1/me/totp", None), ("POST", "/v1/me/totp", {"password": "x"}), ("POST", "/v1/me/totp/confirm", {"code": "123456"}),
        ("DELETE", "/v1/me/totp", {"password": "x", "code": "123456"}),
        ("POST", "/v1/me/recovery-codes", {"password": "x", "code": "123456"}))],
    ("GET", "/v1/users", {"probe": probe_people_list("/v1/users")}),
    ("POST", "/v1/users", {"probe": probe_new_user}),
    *[(method, "/v1/users/{user}", {"probe": probe_foreign_person(method, "users")}) for method in ("GET", "PATCH", "DELETE")],
    ("POST", "/v1/me/email/verification", {"probe": probe_only_for_people("POST", "/v1/me/email/verification")}),
    ("GET", "/v1/invitations", {"probe": probe_invitations}),
    ("POST", "/v1/invitations", {"probe": probe_new_invitation}),
    ("DELETE", "/v1/invitations/{invitation}", {"probe": probe_foreign_invitation("DELETE", "")}),
    ("POST", "/v1/invitations/{invitation}/send", {"probe": probe_foreign_invitation("POST", "/send")}),
    *[(method, "/v1/sso/provider", {"probe": probe_identity_provider(method)}) for method in ("GET", "PUT", "DELETE")],
    ("POST", "/v1/sso/provider/test", {"probe": probe_identity_provider("POST", "/test")}),
    ("GET", "/v1/roles", {"probe": probe_people_list("/v1/roles")}),
    ("POST", "/v1/roles", {"probe": probe_role("POST")}),
    *[(method, "/v1/roles/{role}", {"probe": probe_role(method)}) for method in ("GET", "PATCH", "DELETE")],
    ("GET", "/v1/sessions", {"probe": probe_people_list("/v1/sessions")}),
    ("DELETE", "/v1/sessions/{session}", {"probe": probe_foreign_person("DELETE", "sessions")}),
]


def import_options(form, rows):
    if form == "ndjson":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        columns = list({column: None for row in rows for column in row})
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(columns)
        for row in rows:
            cells = [row.get(column) for column in columns]
            writer.writerow(["" if cell is None else cell if isinstance(cell, str) else json.dumps(cell) for cell in cells])
        text = out.getvalue()
    return {"data": text.encode(), "headers": {"Content-Type": IMPORT_TYPES[form]}}


def own_rows(duel, name):
    """The victim's rows as the attacker can write them."""
    keeps_id = duel.columns(name)["id"]["read_only"]
    return [duel.writable(name, row, with_id=not keeps_id) for row in duel.rows[name]]


def copy_by_create(duel, name):
    rows = own_rows(duel, name)
    if "import" in duel.resources[name]["operations"]:
        rows = rows[0::2]
    for start in range(0, len(rows), 500):
        batch = rows[start:start + 500]
        headers = {"Idempotency-Key": f"victim-{name}"} if start == 0 else {}
        answer = duel.attacker.api.call("POST", f"/v1/data/{name}", 201, json=batch, headers=headers)
        assert len(answer.json()["data"]) == len(batch) and "Idempotency-Replayed" not in answer.headers


def copy_by_import(duel, name):
    rows = own_rows(duel, name)
    if "create" in duel.resources[name]["operations"]:
        rows = rows[1::2]
    for form, part in (("csv", rows[0::2]), ("ndjson", rows[1::2])):
        if part:
            report = duel.attacker.api.call("POST", f"/v1/import/{name}", 200, **import_options(form, part)).json()
            assert (report["inserted"], report["rejected"], report["duplicates"]) == (len(part), 0, 0), (form, report)


def overwrite_by_create(duel, name):
    if duel.resources[name]["natural_key"]:
        batch = [{key: value for key, value in row.items() if key != "id"} for row in own_rows(duel, name)[:3]]
        duel.attacker.api.call("POST", f"/v1/data/{name}?on_conflict=update", (200, 201), json=batch)


def overwrite_by_update(duel, name):
    for row in duel.attacker.rows(name, "order=id")[:3]:
        change = duel.writable(name, row, with_id=False)
        duel.attacker.api.call("PATCH", f"/v1/data/{name}/{row['id']}", 200, json=change)


def overwrite_by_delete(duel, name):
    for row in duel.attacker.rows(name, "order=id")[:3]:
        answer = duel.attacker.api.call("DELETE", f"/v1/data/{name}/{row['id']}", (204, 409))
        if answer.status_code == 204:
            duel.attacker.api.call("GET", f"/v1/data/{name}/{row['id']}", 404)


def victim_objects(duel):
    """An object and an upload of the victim's; made at the first use. The attacker has storage of its own, of the same kind."""
    if not hasattr(duel, "upload"):
        duel.victim.api.call("PUT", "/v1/objects/victim/secret.txt", 201, data=b"of the victim")
        duel.upload = duel.victim.api.post("/v1/object-uploads", {"key": "victim/upload"}, 201)["id"]
        link = duel.victim.api.post("/v1/objects/link", {"key": "victim/secret.txt", "via": "rowhouse"}, 200)["url"]
        duel.link = "/v1/" + link.split("/v1/", 1)[1]
    return duel


def check_victim_objects(duel):
    answer = duel.victim.api.call("GET", "/v1/objects/victim/secret.txt", 200)
    assert answer.content == b"of the victim"
    assert duel.victim.api.get(f"/v1/object-uploads/{duel.upload}")["parts"] == []
    assert duel.victim.api.get("/v1/object-usage")["bytes"] == len("of the victim")


def probe_object(method, path, options=None):
    """The attacker's answer about the victim's object is the one about an object that nobody has."""
    def probe(duel, _):
        victim_objects(duel)
        names = {"{object}": ("victim/secret.txt", "victim/unknown.txt"), "{upload}": (duel.upload, duel.upload[::-1])}
        told = []
        for at in (0, 1):
            concrete, body = path, json.dumps(options).replace("KEY", names["{object}"][at]) if options else None
            for name, values in names.items():
                concrete = concrete.replace(name, values[at])
            answer = duel.attacker.api.call(method, concrete.replace("{part}", "1"), data=body or (b"x" if method == "PUT" else None),
                                            headers=JSON if body else {})
            text = answer.text.replace(names["{object}"][at], "KEY")
            if answer.status_code < 400 and method == "PUT":
                duel.attacker.api.call("DELETE", concrete, 204)  # a key of the attacker's own
                text = ""
            elif answer.status_code >= 400:
                text = answer.json()["code"]
            elif path == "/v1/objects/link":
                text = "a link to what is the attacker's own"
            told.append((answer.status_code, text))
        assert told[0] == told[1], told
        check_victim_objects(duel)
    return probe


def probe_no_object(path):
    def probe(duel, _):
        victim_objects(duel)
        answer = duel.attacker.api.call("GET", path, 200)
        assert "victim" not in answer.text and duel.upload not in answer.text, answer.text
        assert answer.json().get("data", []) == [] and answer.json().get("bytes", 0) == 0, answer.text
    return probe


def probe_begin_upload(duel, _):
    victim_objects(duel)
    begun = duel.attacker.api.post("/v1/object-uploads", {"key": "victim/upload"}, 201)
    assert begun["id"] != duel.upload and begun["parts"] == []
    duel.attacker.api.delete(f"/v1/object-uploads/{begun['id']}")
    # A link names its tenant: with another one it is no link.
    duel.attacker.api.refused("GET", duel.link.replace(duel.victim.id, duel.attacker.id), 403, "forbidden")
    check_victim_objects(duel)


def probe_storage(method, ending=""):
    """Each tenant has one object storage at most, and its path names none."""
    def probe(duel, _):
        before = duel.victim.api.get("/v1/storage")
        body = {"json": {"provider": "nfs", "config": {"mount_path": "/", "prefix": f"{duel.victim.id}/"}}} if method == "PUT" else {}
        answer = duel.attacker.api.call(method, "/v1/storage" + ending, **body)
        assert answer.status_code == (200 if method == "GET" or ending else 422 if method == "PUT" else 409), answer.text
        assert duel.victim.id not in answer.text and duel.victim.slug not in answer.text
        assert duel.victim.api.get("/v1/storage") == before
    return probe


def probe_move(ending):
    """The attacker's answer is about its own storage; the victim's stays where it is."""
    def probe(duel, _):
        before = duel.victim.api.get("/v1/storage")
        body = {"json": {"provider": "nfs", "config": {"mount_path": "/", "prefix": f"{duel.victim.id}/"}}} if not ending else {}
        answer = duel.attacker.api.call("POST", "/v1/storage/move" + ending, **body)
        assert answer.status_code == (409 if ending else 422), answer.text
        assert duel.victim.id not in answer.text and duel.victim.slug not in answer.text
        assert duel.victim.api.get("/v1/storage") == before
    return probe


STORAGE_ROUTES = [*[(method, "/v1/storage", {"probe": probe_storage(method)}) for method in ("GET", "PUT", "DELETE")],
                  ("POST", "/v1/storage/test", {"probe": probe_storage("POST", "/test")}),
                  *[("POST", "/v1/storage/move" + ending, {"probe": probe_move(ending)}) for ending in ("", "/confirm")]]

OBJECT_ROUTES = [
    ("GET", "/v1/objects", {"probe": probe_no_object("/v1/objects")}),
    ("GET", "/v1/object-usage", {"probe": probe_no_object("/v1/object-usage")}),
    ("GET", "/v1/object-uploads", {"probe": probe_no_object("/v1/object-uploads")}),
    ("POST", "/v1/object-uploads", {"probe": probe_begin_upload}),
    *[(method, "/v1/objects/{object}", {"probe": probe_object(method, "/v1/objects/{object}")}) for method in ("GET", "PUT", "DELETE")],
    *[("POST", f"/v1/objects/{verb}", {"probe": probe_object("POST", f"/v1/objects/{verb}", body)}) for verb, body in (
        ("remove", {"keys": ["KEY"]}), ("copy", {"from": "KEY", "to": "copied"}), ("link", {"key": "KEY"}))],
    *[(method, "/v1/object-uploads/{upload}", {"probe": probe_object(method, "/v1/object-uploads/{upload}")})
      for method in ("GET", "DELETE")],
    ("PUT", "/v1/object-uploads/{upload}/parts/{part}", {"probe": probe_object("PUT", "/v1/object-uploads/{upload}/parts/{part}")}),
    ("POST", "/v1/object-uploads/{upload}/complete", {"probe": probe_object("POST", "/v1/object-uploads/{upload}/complete")}),
]

RESOURCE, FUNCTION = r"(?P<target>[a-z][a-z0-9_]*)", r"(?P<target>[a-z][a-z0-9_]*)"
# (method, path) → acts
ROUTES = [
    ("GET", f"/v1/data/{RESOURCE}", {"probe": probe_list}),
    ("POST", f"/v1/data/{RESOURCE}", {"probe": probe_create, "copy": copy_by_create, "overwrite": overwrite_by_create}),
    ("GET", f"/v1/data/{RESOURCE}/{{id}}", {"probe": probe_item("GET")}),
    ("PATCH", f"/v1/data/{RESOURCE}/{{id}}", {"probe": probe_item("PATCH"), "overwrite": overwrite_by_update}),
    ("DELETE", f"/v1/data/{RESOURCE}/{{id}}", {"probe": probe_item("DELETE"), "overwrite": overwrite_by_delete}),
    ("POST", f"/v1/rpc/{FUNCTION}", {"probe": probe_call}),
    ("POST", f"/v1/import/{RESOURCE}", {"probe": probe_import, "copy": copy_by_import}),
    ("GET", f"/v1/export/{RESOURCE}", {"probe": probe_export}),
    ("GET", "/v1/tenant", {"probe": probe_own_tenant}),
    ("GET", "/v1/keys", {"probe": probe_own_keys}),
    ("POST", "/v1/keys", {"probe": probe_new_key}),
    ("POST", "/v1/keys/{key}/rotate", {"probe": probe_foreign_key("POST", "/rotate")}),
    ("DELETE", "/v1/keys/{key}", {"probe": probe_foreign_key("DELETE", "")}),
    *PEOPLE_ROUTES,
    *STORAGE_ROUTES,
    *OBJECT_ROUTES,
]


def attacks_on(method, path):
    """(target, acts) of a tenant's route; a route that is not known is a failure."""
    for known_method, pattern, acts in ROUTES:
        found = re.fullmatch(re.sub(r"\{(id|key|user|role|session|invitation|object|upload|part)\}", r"\{\1\}", pattern), path)
        if known_method == method and found:
            return found.groupdict().get("target"), acts
    raise AssertionError(f"nobody knows how to attack {method} {path}: add it to ROUTES in tests/support/matrix.py")
