"""Tenants of all packs and tiers whose rows are marked, so that any row of theirs is known wherever it turns up.

In each pack and tier there are victims, which never act, and attackers. All begin with the pack's sample rows, or with
some of them, so their ids and natural keys are the same:

  copied rows   exist in the victims and, under the same ids and natural keys, in the attackers
  probe rows    exist in the victims alone

Then a superuser writes each tenant's own marker into every free text, array or JSON column of its rows. Markers are
digits, so that a bigint can be one. No attacker ever sends a marker in a body, so one that it reads is not its own doing.
"""

import concurrent.futures
import itertools
import json
import random
import urllib.parse
import uuid

import psycopg2
from psycopg2 import sql

from . import attack_templates, settings

MARKER_PREFIX = "70717273"
MARKER_DIGITS = 18
LOOT_ROWS = 12
COPIED_ROWS = 40
PLAN = "enterprise"


class Member:
    """A tenant with its part and its marker."""

    def __init__(self, tenant, part, marker):
        self.tenant, self.part, self.marker = tenant, part, marker
        record = tenant.record
        self.pack, self.tier, self.placement = record["pack"], record["tier"], record["placement"]

    @property
    def database(self):
        return self.placement["database"]

    @property
    def schema(self):
        return self.placement["schema"]


class World:
    def __init__(self, server, seed, victims=2, attackers=2, packs=settings.PACKS, tiers=settings.TIERS):
        self.server, self.admin = server, server.admin
        self.random = random.Random(seed)
        self.numbers = itertools.count(1)
        self.details = {pack: self.admin.get(f"/v1/packs/{pack}") for pack in packs}
        parts = [(pack, tier, part) for pack in packs for tier in tiers
                 for part, count in (("victim", victims), ("attacker", attackers)) for _ in range(count)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.members = list(pool.map(lambda part: self._create(*part), parts))
        self.samples = {pack: self._samples(pack) for pack in packs}
        self.copied = {pack: self._choose_copied(pack) for pack in packs}
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self._copy_rows, self.attackers))
        for member in self.members:
            self._plant(member)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.loot = dict(zip((member.tenant.id for member in self.victims), pool.map(self._collect, self.victims)))
        self.marked = {pack: self._marked(pack) for pack in packs}

    def part(self, part):
        return [member for member in self.members if member.part == part]

    @property
    def victims(self):
        return self.part("victim")

    @property
    def attackers(self):
        return self.part("attacker")

    def _create(self, pack, tier, part):
        number = next(self.numbers)
        marker = f"{MARKER_PREFIX}{number:03d}{self.random.randrange(10**7):07d}"
        tenant = self.server.admin.create_tenant(f"{part} {marker}", pack=pack, tier=tier, plan=PLAN,
                                                     sample_data=part == "victim")
        return Member(tenant, part, marker)

    # The rows that all have

    def resources(self, pack):
        return self.details[pack]["resources"]

    def offering(self, pack, verb):
        return [name for name, resource in self.resources(pack).items() if verb in resource["operations"]]

    def columns(self, pack, name):
        return {column["name"]: column for column in self.resources(pack)[name]["columns"]}

    def _samples(self, pack):
        victim = next(member for member in self.victims if member.pack == pack)
        rows = {name: victim.tenant.rows(name, "order=id") for name in self.offering(pack, "read")}
        for name, found in rows.items():
            assert found, f"{pack} has no sample rows of {name}: nothing could be attacked"
        return rows

    def references(self, pack, row):
        ids = {str(other["id"]) for rows in self.samples[pack].values() for other in rows}
        return [column for column, value in row.items() if column != "id" and isinstance(value, str) and value in ids]

    def order(self, pack):
        """Resources that can be created, those that others refer to first."""
        names = self.offering(pack, "create")
        owner = {str(row["id"]): name for name in names for row in self.samples[pack][name]}
        needs = {name: {owner[row[column]] for row in self.samples[pack][name] for column in self.references(pack, row)
                        if row[column] in owner} - {name} for name in names}
        ordered = []
        while len(ordered) < len(names):
            free = [name for name in names if name not in ordered and needs[name] <= set(ordered)]
            assert free, f"resources of {pack} refer to each other in a circle: {needs}"
            ordered += free
        return ordered

    def _choose_copied(self, pack):
        """Sample rows by resource that the attackers have, too: every second one whose references are copied."""
        chosen, ids = {}, set()
        for name in self.order(pack):
            possible = [row for row in self.samples[pack][name]
                        if all(row[column] in ids for column in self.references(pack, row))]
            chosen[name] = possible[::2][:COPIED_ROWS]
            ids |= {str(row["id"]) for row in chosen[name]}
        return chosen

    def writable(self, pack, name, row, with_id=True):
        columns = self.columns(pack, name)
        return {column: value for column, value in row.items() if value is not None
                and not columns[column]["read_only"] and (with_id or column != "id")}

    def natural(self, pack, name, row):
        return tuple(str(row[column]) for column in self.resources(pack)[name]["natural_key"])

    def _copy_rows(self, attacker):
        for name in self.order(attacker.pack):
            rows = [self.writable(attacker.pack, name, row) for row in self.copied[attacker.pack][name]]
            if rows:  # free, although others have them
                attacker.tenant.api.call("POST", f"/v1/data/{name}", 201, json=rows)

    # Markers

    def _plant(self, member):
        connection = self.server.connect(member.database)
        cursor = connection.cursor()
        cursor.execute("SELECT c.table_name, c.column_name, c.data_type, c.is_identity = 'YES' FROM information_schema.columns c"
                       " JOIN information_schema.tables t USING (table_schema, table_name)"
                       " WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' ORDER BY 1, c.ordinal_position", (member.schema,))
        tables = {}
        for table, *column in cursor.fetchall():
            tables.setdefault(table, []).append(column)
        copied = [str(row["id"]) for rows in self.copied[member.pack].values() for row in rows]
        for table, columns in tables.items():
            if table in self.resources(member.pack):
                self._plant_table(cursor, member, table, columns, copied)
        connection.close()

    def _plant_table(self, cursor, member, table, columns, copied):
        natural = self.resources(member.pack)[table]["natural_key"]
        target = sql.Identifier(member.schema, table)
        tenant = sql.Literal(member.tenant.id)
        probes = sql.SQL("NOT (id::text = ANY ({}))").format(sql.Literal(copied))

        def mark(column, value, where=sql.SQL("true")):
            try:
                cursor.execute(sql.SQL("UPDATE {} SET {} = {} WHERE tenant_id = {} AND {}").format(
                    target, sql.Identifier(column), value, tenant, where))
                return True
            except psycopg2.IntegrityError:
                return False
            except psycopg2.errors.StringDataRightTruncation:
                return False

        marker = sql.Literal(member.marker)
        unique = sql.SQL("{} || ' ' || left(id::text, 8)").format(marker)
        forms = {"text": marker, "character varying": marker, "ARRAY": sql.SQL("ARRAY[{}]").format(marker),
                 "jsonb": sql.SQL("jsonb_build_object('canary', {})").format(marker)}
        marked = 0
        for column, kind, identity in columns:
            if kind in forms and column not in natural:
                marked += mark(column, forms[kind]) or (forms[kind] is marker and mark(column, unique))
            elif kind in forms and member.part == "victim":
                marked += mark(column, unique, probes)
            elif identity and column == "id" and member.part == "victim":
                # Numbers that the attackers' own rows cannot have.
                cursor.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN id SET GENERATED BY DEFAULT").format(target))
                mark("id", sql.SQL("id + {}").format(sql.Literal(self.random.randrange(2**52, 2**53))))
                cursor.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN id SET GENERATED ALWAYS").format(target))
        if not marked:
            for column, kind, identity in columns:
                if kind == "bigint" and not identity:
                    marked += mark(column, sql.SQL("{}::bigint").format(marker))
        assert marked, f"no column of {table} takes a marker: {columns}"
        cursor.execute(sql.SQL("ANALYZE {}").format(target))

    # What an attacker might know of a victim

    def _collect(self, member):
        api, pack = member.tenant.api, member.pack
        own = random.Random(pack)  # the same rows of each victim
        copied_ids = {str(row["id"]) for rows in self.copied[pack].values() for row in rows}
        leaned_on = {row[column] for rows in self.samples[pack].values() for row in rows for column in self.references(pack, row)}
        loot = {}
        for name in self.offering(pack, "read"):
            rows = member.tenant.rows(name, "order=id")
            text = json.dumps(rows)
            assert member.marker in text, f"nothing marks the rows of {name} of {pack}"
            # Numbered rows have numbers of their own in every tenant: they are copied by their natural keys alone.
            numbered = self.columns(pack, name)["id"]["type"] != "uuid"
            taken = {self.natural(pack, name, row) for row in self.copied[pack].get(name, [])}
            probes = [row for row in rows if numbered or str(row["id"]) not in copied_ids]
            copies = [row for row in rows if (self.natural(pack, name, row) in taken if numbered else str(row["id"]) in copied_ids)]
            assert probes, f"no row of {name} of {pack} is the victims' alone"
            kinds = {kind: [self._loot_row(member, name, row, copied_ids) for row in own.sample(some, min(LOOT_ROWS, len(some)))]
                     for kind, some in (("probe", probes), ("copy", copies))}
            kinds["refers"] = [row for row in kinds["probe"] if "refers" in row]
            # What attackers may delete: not what the bodies of "refers" lean on, or these would mean now this, now that.
            kinds["spare"] = [row for row in kinds["copy"] if row["id"] not in leaned_on]
            loot[name] = {**kinds, "cursor": self._cursors(api, name), "idempotency": self._idempotency(member, name)}
        return loot

    def _marked(self, pack):
        """By resource: the columns that hold a marker in every probe row of every victim."""
        found = {}
        for member in self.victims:
            if member.pack == pack:
                for name, kinds in self.loot[member.tenant.id].items():
                    for row in kinds["probe"]:
                        columns = {key.removeprefix("url.") for key, value in row.items() if key.startswith("url.") and member.marker in value}
                        found[name] = found.get(name, columns) & columns
        return found

    def _loot_row(self, member, name, row, copied_ids):
        pack, columns = member.pack, self.columns(member.pack, name)
        numbered = columns["id"]["type"] != "uuid"
        sample = next(other for other in self.samples[pack][name] if
                      (self.natural(pack, name, other) == self.natural(pack, name, row) if numbered else other["id"] == row["id"]))
        found = {"id": str(row["id"]), "etag": member.tenant.api.call("GET", f"/v1/data/{name}/{row['id']}", 200).headers["ETag"],
                 "marker": member.marker}
        for column, value in row.items():
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                found[f"url.{column}"] = urllib.parse.quote(str(value), safe="")
        foreign = [column for column in self.references(pack, sample) if sample[column] not in copied_ids]
        body = self.writable(pack, name, sample, with_id=False)
        if foreign:
            found["refers"] = json.dumps(body)
            found["refers.astray"] = json.dumps({**body, **{column: str(uuid.uuid4()) for column in foreign}})
        found["copy"] = json.dumps(self.writable(pack, name, sample))
        change = [column for column in body if column not in self.references(pack, sample)
                  and column not in self.resources(pack)[name]["natural_key"]
                  and columns[column]["type"] not in ("timestamp with time zone",)]
        if change:
            found["change"] = json.dumps({change[0]: body[change[0]]})
        return found

    def _cursors(self, api, name):
        found = []
        for query in ("limit=1", "limit=2&order=-id", "limit=1&id=not.is.null"):
            cursor = api.get(f"/v1/data/{name}?{query}")["next_cursor"]
            if cursor is not None:
                found.append({"query": query, "cursor": cursor,
                              "cursor.astray": cursor[:-8] + ("A" * 8 if not cursor.endswith("A" * 8) else "B" * 8)})
        return found

    def _idempotency(self, member, name):
        """A request of the victim's under a key: answered with a marked row, and holding no marker itself."""
        resource = self.resources(member.pack)[name]
        if not resource["natural_key"] or "create" not in resource["operations"]:
            return []
        row = next(iter(self.copied[member.pack][name]), None)
        if row is None:
            return []
        body, key = json.dumps(self.writable(member.pack, name, row, with_id=False)), f"order-{member.marker[-7:]}-{name}"
        for one in (key, f"quiet-{member.marker}"):
            answer = member.tenant.api.call("POST", f"/v1/data/{name}?on_conflict=ignore", (200, 422), data=body.encode(),
                                            headers={"Idempotency-Key": one, "Content-Type": "application/json"})
            assert one != key or answer.status_code == 200 and member.marker in answer.text, answer.text
        return [{"key": key, "body": body}]

    def _ghost(self, row):
        """The same, as nobody has it."""
        ghost = dict(row)
        if "id" in row:
            ghost["id"] = str(2**62 + self.random.randrange(2**40)) if row["id"].isdigit() else str(uuid.uuid4())
        if "etag" in row:  # of the same form
            tag = row["etag"]
            ghost["etag"] = f'"x{self.random.randrange(2**30, 2**31)}"' if tag.startswith('"x') else f'"h{uuid.uuid4().hex[:len(tag) - 3]}"'
        if "key" in row:
            ghost["key"] = f"order-{uuid.uuid4().hex}"
        for name in list(row):
            if name.endswith(".astray"):
                ghost[name.removesuffix(".astray")] = row[name]
        if "marker" in row:
            ghost = {name: value.replace(row["marker"], self._unknown_marker()) for name, value in ghost.items()}
        return ghost

    def _unknown_marker(self):
        return f"{MARKER_PREFIX}999{self.random.randrange(10**7):07d}"

    def job(self):
        """What random_attack reads: everything that an attacker could know of everybody."""
        tenants = []
        for member in self.members:
            tenant = member.tenant
            key_id = self.admin.get(f"/v1/tenants/{tenant.id}/keys")["data"][0]["id"]
            real = {"tenant": tenant.id, "slug": tenant.slug, "mark": member.marker, "key_id": key_id, "quiet": f"quiet-{member.marker}"}
            ghost = {"tenant": str(uuid.uuid4()), "slug": f"victim-{self._unknown_marker()}", "mark": self._unknown_marker(),
                     "key_id": str(uuid.uuid4()), "quiet": f"quiet-{self._unknown_marker()}"}
            loot = {name: {kind: [{"real": row, "ghost": self._ghost(row)} for row in rows] for kind, rows in kinds.items() if rows}
                    for name, kinds in self.loot.get(tenant.id, {}).items()}
            tenants.append({"part": member.part, "pack": member.pack, "tier": member.tier, "id": tenant.id, "key": tenant.key,
                            "marker": member.marker, "real": real, "ghost": ghost, "loot": loot})
        documents = {pack: self.server.anonymous.get(f"/openapi.json?pack={pack}") for pack in self.details}
        return {"marker_prefix": MARKER_PREFIX, "marker_digits": MARKER_DIGITS, "port": self.server.port, "tenants": tenants,
                "techniques": {pack: attack_templates.techniques(self, pack, document) for pack, document in documents.items()}}

    # Whether the victims are as they were

    def checksums(self):
        """By tenant and table: the number of rows and a hash over all, with the transactions that wrote them."""
        found = {}
        for member in self.victims:
            connection = self.server.connect(member.database)
            cursor = connection.cursor()
            cursor.execute("SELECT table_schema, table_name FROM information_schema.columns JOIN information_schema.tables"
                           " USING (table_schema, table_name) WHERE column_name = 'tenant_id' AND table_type = 'BASE TABLE'"
                           " AND table_schema = ANY (%s)", ([member.schema, "rowhouse"],))
            for table in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT count(*), md5(coalesce(string_agg(t.xmin::text || t::text, '|' ORDER BY t::text), ''))"
                                       " FROM {} t WHERE tenant_id = %s").format(sql.Identifier(*table)), (member.tenant.id,))
                found[f"{member.part} {member.pack} {member.tier} {member.marker} {'.'.join(table)}"] = cursor.fetchone()
            connection.close()
        return found
