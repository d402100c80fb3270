"""The installation that mutations are tried on: the real server, and what lint and verify say about it."""

import json

from mutation import Place
from support import settings
from support.server import Server

HELD = ("held", "refused")
PACKS = "tekup,isp-monitor"
RUNTIME_SQL = """
SELECT r.rolname FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee
 WHERE d.datname = %s AND a.privilege_type = 'CONNECT' AND a.grantee <> d.datdba
   AND r.rolname NOT IN ('tenant_migrator', 'backup_service')"""


class Installation:
    """One server; after populate(), with a tenant of tekup in each tier beside the partitioned tables of isp-monitor."""

    def __init__(self, directory, binary=settings.BINARY, packs=PACKS):
        self.server = Server(directory / "data", env={"ROWHOUSE_PACKS": packs})
        self.server.command[0] = str(binary)

    def start(self):
        self.server.start()
        return self

    def populate(self):
        """Makes the tenants, and with them the places."""
        admin = self.server.admin
        made = {tier: admin.create_tenant(f"Mutation {tier}", pack="tekup", tier=tier).record
                for tier in ("pool", "schema", "database")}
        pool = made["pool"]["placement"]["schema"]
        self.places = {tier: self._place(tier, record, pool) for tier, record in made.items()}
        of_pool = self.places["pool"]
        self.places["template"] = Place("template", "rowhouse_template_tekup", "app", of_pool.runtime, "tekup", "database")
        self.places["partitions"] = Place("partitions", "rowhouse_pool_isp_monitor", "app", of_pool.runtime, "isp-monitor", "pool")
        self.places["server"] = Place("server", "postgres", "public", of_pool.runtime, "tekup", "pool")
        return self

    def _place(self, tier, record, elsewhere):
        where = record["placement"]
        (runtime,), = self.server.query(RUNTIME_SQL, (where["database"],))
        return Place(tier, where["database"], where["schema"], runtime, "tekup", tier, record["id"], elsewhere)

    def value(self, sql, place):
        return self.server.query(sql, database=place.database)[0][0]

    def execute(self, sql, place):
        connection = self.server.connect(place.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    def lint(self):
        """The findings."""
        done = self.server.cli("lint", "--format", "json", expect=(0, 1))
        findings = json.loads(done.stdout)["findings"]
        assert bool(findings) == (done.returncode != 0), f"status {done.returncode} with {findings}"
        return findings

    def verify(self, pack, tier):
        """The report."""
        done = self.server.cli("verify", "--pack", pack, "--tier", tier, "--format", "json", expect=(0, 1))
        assert done.stdout, f"no report: {done.stderr}\n{self.server.log_tail(4000)}"
        report = json.loads(done.stdout)
        assert (report["result"] == "proven") == (done.returncode == 0), f"status {done.returncode}: {report['result']}"
        return report


def lint_text(finding):
    return " ".join(str(value) for value in finding.values() if value is not None)


def shown_finding(finding):
    return f"{finding['rule']}: {finding['object']}"


def broken_attacks(report):
    """What verify found, for people: the attacks that came through, and what else it says."""
    found = [f"{surface['name']}: {attack['name']}: {attack['result']}" for surface in report["surfaces"] for attack in surface["attacks"]
             if attack["result"] not in HELD]
    found.sort(key=lambda text: not text.endswith("broken"))
    found += [json.dumps(finding) if isinstance(finding, dict) else str(finding)
              for finding in report["findings"] + report.get("failures", [])]
    return found + [f"uncovered: {name}" for name in report["uncovered"]]
