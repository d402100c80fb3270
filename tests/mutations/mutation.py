"""One way to break an installation's database, and how to mend it."""

import dataclasses
import re

TOKEN = re.compile(r"\{(schema|database|runtime|tenant|elsewhere|saved)\}")
CANONICAL = "tenant_id = (SELECT rowhouse.tenant_id())"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a mutation takes place. `elsewhere`: another schema of the same database that holds the same pack."""

    name: str
    database: str
    schema: str
    runtime: str
    pack: str
    tier: str
    tenant: str = ""
    elsewhere: str = ""


@dataclasses.dataclass(frozen=True)
class Mutation:
    """`sql` runs as superuser in the database of the place and is undone by `undo`. Both know {schema}, {database},
    {runtime}, {tenant}, {elsewhere}, and {saved}: the one value that the query `saves` returned before. A finding counts
    when all words of `tells` occur in it: names of rules, objects, roles. `attackable`: a runtime role can
    use it, so that --thorough has verify look at it, too."""

    name: str
    breaks: str
    where: str
    sql: str
    undo: str
    tells: str
    saves: str = ""
    attackable: bool = False

    def text(self, sql, place, saved=""):
        values = {**dataclasses.asdict(place), "saved": saved}
        return TOKEN.sub(lambda found: values[found[1]], sql)


def policy(name, table, kind=None, rest="FOR ALL TO PUBLIC", using=CANONICAL, check=CANONICAL):
    """CREATE POLICY; without further arguments the one that Rowhouse makes."""
    kind = kind or ("RESTRICTIVE" if name == "rowhouse_wall" else "PERMISSIVE")
    text = f"CREATE POLICY {name} ON {table} AS {kind} {rest}"
    text += f" USING ({using})" if using else ""
    return text + (f" WITH CHECK ({check})" if check else "") + ";"


def replaced(name, table, **options):
    """(sql, undo) of a policy of ours that is dropped and made in another way."""
    drop = f"DROP POLICY {name} ON {table};"
    return drop + policy(name, table, **options), drop + policy(name, table)
