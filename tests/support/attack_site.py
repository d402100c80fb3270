"""An installation with an attacker and victims in every tier, for attacks by raw SQL."""

from . import settings
from .credentials import Credentials, Runtime

POOL = "rowhouse_pool_tekup"
SECRET = "secret-of-the-victim"
DENIED = "42501"


class Site:
    """An installation with an attacker and victims in every tier."""

    def __init__(self, server):
        self.server, self.admin = server, server.admin
        self.credentials = Credentials(server)
        self.attacker = self.admin.create_tenant("Injected")
        self.own = self.attacker.api.post("/v1/data/leads", {"name": "own row", "email": "shared@example.com"}, 201)
        self.victims = {tier: self.admin.create_tenant(f"Victim {tier}", tier=tier) for tier in settings.TIERS}
        self.rows = {}
        for tier, victim in self.victims.items():
            lead = victim.api.post("/v1/data/leads", {"name": SECRET, "company": SECRET, "email": "shared@example.com",
                                                      "custom_fields": {"a": SECRET}}, 201)
            victim.api.post("/v1/data/activities", {"lead_id": lead["id"], "kind": "NOTE", "subject": SECRET, "body": SECRET,
                                                    "occurred_at": "2026-01-01T00:00:00Z"}, 201)
            self.rows[tier] = lead
            database, schema = victim.record["placement"]["database"], victim.record["placement"]["schema"]
            connection = server.connect(database)  # so that there are statistics to read
            connection.cursor().execute(f'ANALYZE "{schema}".leads, "{schema}".activities')
            connection.close()
        self.victim = self.victims["pool"]
        self.lead = self.rows["pool"]
        self.before = self.state()

    def schema(self, tier):
        return self.victims[tier].record["placement"]["schema"]

    def database(self, tier):
        return self.victims[tier].record["placement"]["database"]

    def state(self):
        return {tier: [victim.rows(name, "order=id") for name in ("leads", "activities")] for tier, victim in self.victims.items()}

    def check(self):
        assert self.state() == self.before, "a victim's rows changed"

    def tells_nothing(self, told):
        for secret in (SECRET, self.lead["id"], self.rows["schema"]["id"]):
            assert secret not in told, told[:2000]

    def runtime(self):
        return Runtime(self.credentials, POOL)
