"""How one tenant may reach for another's rows, by route of the OpenAPI document: the techniques of tests/attack.

A technique is a request with placeholders. `random_attack` fills it twice: with what a victim has, and with what nobody
has (a ghost); both answers must be the same to the byte, save for what was filled in. Where the attacker's own rows make
a difference (`control` is false), the answer's status must be one of `expect`. No answer may hold another's marker.

Placeholders: {{NAME}} of the row of loot (see attack_world.World); of the victim {{tenant}}, {{slug}}, {{mark}}, {{key_id}} (of
its API key) and {{quiet}} (an idempotency key that no attacker uses with success); {{resource}} of the row. `rows` names the
loot: probe, refers, copy, cursor, idempotency; none if the victim itself is enough. `any_row`: any row of any resource and
pack will do.
"""

import re

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "Content-Type: application/json"
NDJSON = "Content-Type: application/x-ndjson"
CHEAP, USUAL, OFTEN = 1, 4, 12
SCALARS = ("uuid", "bigint", "integer", "date", "timestamp with time zone", "text")


def technique(name, method, path, rows=None, resource=None, headers=(), body="", control=True, expect=(), weight=USUAL,
              any_row=False):
    return {"name": name, "method": method, "path": path, "rows": rows or "", "resource": resource or "", "headers": list(headers),
            "body": body, "control": control, "expect": list(expect), "weight": weight, "any_row": any_row}


def of_list(world, pack, name):
    path = f"/v1/data/{name}"
    yield technique("filter by id", "GET", path + "?id=eq.{{id}}&count=exact", "probe", name, weight=OFTEN)
    yield technique("filter by ids", "GET", path + "?count=exact&id=in.({{id}})", "probe", name)
    yield technique("range of ids", "GET", path + "?id=gte.{{id}}&order=id&limit=3", "probe", name, control=False, expect=[200])
    yield technique("all but one id", "GET", path + "?id=neq.{{id}}&order=-id&limit=3", "probe", name, control=False, expect=[200])
    yield technique("everything", "GET", path + "?limit=5", control=False, expect=[200], weight=CHEAP)
    yield technique("filter by tenant", "GET", path + "?tenant_id=eq.{{tenant}}")
    yield technique("select the tenant", "GET", path + "?select=id,tenant_id&id=eq.{{id}}", "probe", name)
    yield technique("order by the tenant", "GET", path + "?order=tenant_id&id=eq.{{id}}", "probe", name)
    yield technique("cursor of another", "GET", path + "?{{query}}&cursor={{cursor}}", "cursor", name, weight=OFTEN)
    for column in world.columns(pack, name).values():
        value = "{{url.%s}}" % column["name"]
        if column["type"].split("(")[0] in (*SCALARS, "character varying"):
            yield technique("filter by value", "GET", f"{path}?{column['name']}=eq.{value}&limit=3", "probe", name, control=False,
                            expect=[200], weight=CHEAP)
        if column["name"] in world.marked[pack][name]:
            yield technique("filter by marker", "GET", f"{path}?{column['name']}=eq.{value}&count=exact", "probe", name)
            if column["type"] != "bigint":
                yield technique("pattern of a marker", "GET", path + f"?{column['name']}=like.*{{{{mark}}}}*&count=exact")


def of_item(world, pack, name, method):
    path = f"/v1/data/{name}/{{{{id}}}}"
    match = "If-None-Match" if method == "GET" else "If-Match"
    head = [JSON] if method == "PATCH" else []
    body = "{{change}}" if method == "PATCH" else ""
    yield technique(f"{method} by id", method, path, "probe", name, head, body, weight=OFTEN)
    yield technique(f"{method} with ETag", method, path, "probe", name, [*head, match + ": {{etag}}"], body)
    yield technique(f"{method} with any ETag", method, path, "probe", name, [*head, match + ": *"], body)
    yield technique(f"{method} with a tenant in the query", method, path + "?tenant_id=eq.{{tenant}}", "probe", name, head, body)
    if method != "PATCH":
        yield technique(f"{method} of a foreign id", method, path, "probe", name, any_row=True, weight=OFTEN)
    if method != "GET":
        yield technique(f"{method} with another's idempotency key", method, path, "probe", name,
                        [*head, "Idempotency-Key: {{quiet}}"], body, weight=CHEAP)
    if method == "PATCH":
        yield technique("give a row away", method, path, "probe", name, head, '{"tenant_id": "{{tenant}}"}')
        yield technique("change a copy", method, path, "copy", name, head, body, False, [200, 404, 409])
        yield technique("change a copy by ETag", method, path, "copy", name, [*head, "If-Match: {{etag}}"], body, False,
                        [200, 404, 409, 412])
    if method == "GET":
        yield technique("read a copy", method, path, "copy", name, control=False, expect=[200, 404])
        yield technique("read a copy by ETag", method, path, "copy", name, ["If-None-Match: {{etag}}"], control=False,
                        expect=[200, 304, 404])
    if method == "DELETE":
        yield technique("delete a copy", method, path, "spare", name, control=False, expect=[204, 404, 409], weight=CHEAP)


def of_create(world, pack, name):
    path = f"/v1/data/{name}"
    outcome = [200, 201, 409, 422]
    yield technique("create for another", "POST", path, None, name, [JSON], '{"tenant_id": "{{tenant}}"}')
    yield technique("create with a foreign reference", "POST", path, "refers", name, [JSON], "{{refers}}")
    yield technique("foreign reference under a key", "POST", path, "refers", name, [JSON, "Idempotency-Key: {{quiet}}"], "{{refers}}",
                    weight=CHEAP)
    yield technique("batch with a foreign reference", "POST", path, "refers", name, [JSON], "[{{refers}}, {{refers}}]")
    yield technique("create a copy", "POST", path, "copy", name, [JSON], "{{copy}}", False, outcome)
    yield technique("batch of copies for another", "POST", path, "copy", name, [JSON], '[{{copy}}, {"tenant_id": "{{tenant}}"}]')
    if world.resources(pack)[name]["natural_key"]:
        for verb in ("update", "ignore"):
            yield technique(f"upsert ({verb})", "POST", f"{path}?on_conflict={verb}", "copy", name, [JSON], "{{copy}}", False, outcome)
        yield technique("replay a request", "POST", f"{path}?on_conflict=ignore", "idempotency", name,
                        [JSON, "Idempotency-Key: {{key}}"], "{{body}}", False, outcome)


def of_import(world, pack, name):
    path = f"/v1/import/{name}"
    yield technique("import for another", "POST", path, None, name, [NDJSON], '{"tenant_id": "{{tenant}}"}', weight=CHEAP)
    yield technique("import a foreign reference", "POST", path, "refers", name, [NDJSON], "{{refers}}", weight=CHEAP)
    yield technique("import a foreign reference or nothing", "POST", path + "?on_error=abort", "refers", name, [NDJSON], "{{refers}}",
                    weight=CHEAP)
    if world.resources(pack)[name]["natural_key"]:
        for verb in ("update", "ignore"):
            yield technique(f"import a copy ({verb})", "POST", f"{path}?on_conflict={verb}", "copy", name, [NDJSON], "{{copy}}", False,
                            [200, 422], CHEAP)


def of_export(world, pack, name):
    for form in ("csv", "ndjson"):
        path = f"/v1/export/{name}?format={form}"
        yield technique("export by id", "GET", path + "&id=eq.{{id}}", "probe", name, weight=CHEAP)
        yield technique("export but one", "GET", path + "&id=gt.{{id}}", "probe", name, control=False, expect=[200], weight=CHEAP)
        for column in sorted(world.marked[pack][name])[:1]:
            yield technique("export by marker", "GET", path + f"&{column}=eq.{{{{url.{column}}}}}", "probe", name, weight=CHEAP)


def of_call(world, pack, name):
    path = f"/v1/rpc/{name}"
    arguments = world.details[pack]["functions"][name]["arguments"]
    required = ", ".join(f'"{argument["name"]}": "{{{{id}}}}"' for argument in arguments if argument["required"])
    yield technique("call", "POST", path, "probe", None, [JSON], "{%s}" % required, bool(required), [200], any_row=True)
    for argument in arguments:
        value = {"uuid": "{{id}}", "text": "{{mark}}"}.get(argument["type"])
        if value:
            given = f'"{argument["name"]}": "{value}"'
            body = "{%s}" % (given if argument["required"] or not required else f"{required}, {given}")
            yield technique("call with a foreign argument", "POST", path, "probe", None, [JSON], body, any_row=True)


def of_own_tenant(world, pack, name):
    yield technique("another's tenant", "GET", "/v1/tenant", headers=["X-Tenant-ID: {{tenant}}"], weight=CHEAP)
    yield technique("another's slug", "GET", "/v1/tenant", headers=["X-Tenant-ID: {{slug}}"], weight=CHEAP)
    yield technique("another's tenant in the query", "GET", "/v1/tenant?tenant={{tenant}}", control=False, expect=[200, 400])
    yield technique("own tenant", "GET", "/v1/tenant", control=False, expect=[200])


KNOWN = [
    ("GET", r"/v1/data/(\w+)", of_list), ("POST", r"/v1/data/(\w+)", of_create),
    *[(method, r"/v1/data/(\w+)/\{id\}", lambda world, pack, name, method=method: of_item(world, pack, name, method))
      for method in ("GET", "PATCH", "DELETE")],
    ("POST", r"/v1/import/(\w+)", of_import), ("GET", r"/v1/export/(\w+)", of_export), ("POST", r"/v1/rpc/(\w+)", of_call),
    ("GET", r"/v1/(tenant)", of_own_tenant),
]


def anything(method, path, pack):
    """A route that nobody has thought about: every parameter is something of the victim's."""
    known = {"tenant": "{{tenant}}", "key": "{{key_id}}", "pack": pack, "resource": "{{resource}}"}
    for spelling in ("{{tenant}}", "{{slug}}"):
        concrete = re.sub(r"\{(\w+)\}", lambda found: {**known, "tenant": spelling}.get(found[1], "{{id}}"), path)
        headers, body = ([JSON], '{"tenant": "{{tenant}}", "tenant_id": "{{tenant}}"}') if method != "GET" else ([], "")
        yield technique("control plane or unknown route", method, concrete, "probe", None, headers, body, any_row=True, weight=CHEAP)


def techniques(world, pack, document):
    """All for a pack, from its OpenAPI document."""
    made = []
    for path, item in document["paths"].items():
        for method in (method.upper() for method in METHODS if method in item):
            audience = item[method.lower()]["x-rowhouse-audience"]
            if audience == "open":
                continue
            found = [(builder, match) for known, pattern, builder in KNOWN if known == method and (match := re.fullmatch(pattern, path))]
            if audience == "tenant" and found:
                builder, match = found[0]
                some = list(builder(world, pack, match[1]))
            else:
                some = list(anything(method, path, pack))
            for one in some:
                one["route"] = f"{method} {path}"
            made += some
    return made
