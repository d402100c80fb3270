"""One PostgreSQL with its nodes, on which cases are tried one after another."""

import collections
import dataclasses
import secrets
import shutil
import threading
import time
import uuid

import requests

import world
from node import Node, until, wait_for_end
from support import packs, settings
from support.api import Admin, Api, Tenant
from support.postgres import PASSWORD, OwnPostgres
from support.server import wait_until
from variants import CONFIRM, CREATE, DELETE, MOVE, UPGRADE, without_number

LEADS = "/v1/data/leads"
PACK = "crash-notes"
TEMPLATE = "rowhouse_template_crash_notes"
STRIKE_STEP_S = 0.00025
LEASES_SQL = "SELECT id, kind, status, lease_holder, lease_expires_at, now() FROM platform.operations WHERE finished_at IS NULL"
POOL = "rowhouse_pool_tekup"
SETTLE_LIMIT_S = 90
MOVED = {"film": b"a film" * 1000, "folder/empty": b"", "folder/text": b"text"}  # objects of a tenant that moves
REACH_LIMIT_S = 90
# The last word about a case.
PASSED, UNREACHED = "passed", "not reached"


PORTS = threading.Lock()  # free_port() knows nothing of threads


def under_way(trail):
    """How many of which effects have begun and not ended. The one at which the node was frozen is none of them: it asked and
    had no answer yet, so it must never happen."""
    begun = collections.Counter()
    for name, action in trail:
        effect, _, moment = without_number(name).rpartition("/")
        if moment == "after":
            begun[effect] -= 1
        elif moment == "before" and action != "freeze":
            begun[effect] += 1
    return begun


class Failure(AssertionError):
    pass


class Request(threading.Thread):
    """The request of an operation, answered whenever that may be."""

    def __init__(self, url, token, method, path, body, key):
        super().__init__(daemon=True)
        self.url, self.token, self.method, self.path, self.body, self.key = url, token, method, path, body, key
        self.answer = None
        self.start()

    def run(self):
        try:
            session = requests.Session()
            session.trust_env = False
            self.answer = session.request(self.method, self.url + self.path, json=self.body, timeout=settings.REQUEST_LIMIT_S,
                                          headers={"Authorization": f"Bearer {self.token}", "Idempotency-Key": self.key})
        except requests.RequestException:
            pass


class Lane:
    def __init__(self, directory, program=None):
        self.directory, self.program = directory, program
        directory.mkdir()
        directory.chmod(0o755)
        self.objects = directory / "objects"  # provisioned storage of all nodes
        self.objects.mkdir()
        self.share = directory / "share"  # a customer's
        self.share.mkdir()
        self.token = "rha_" + secrets.token_urlsafe(32)
        self.key = secrets.token_hex(32)
        self.logs = world.Logs()
        for text, what in ((self.token, "the admin token"), (self.key, "the master key"), (PASSWORD, "the operator's password")):
            self.logs.secret(text, what)
        self.nodes = []
        self.case_operations = []
        self.version = 0
        self.contracts = set()  # versions whose migration is one

    # ------------------------------------------------------------------------------------------- the world

    def open(self):
        with PORTS:
            self.postgres = OwnPostgres(self.directory / "postgres")
        self.postgres.start()
        # An operator who wants to see everything.
        self.postgres.query("ALTER SYSTEM SET log_statement = 'all'")
        # Plans shall not depend on the moment at which statistics were gathered.
        self.postgres.query("ALTER SYSTEM SET autovacuum = off")
        self.postgres.query("SELECT pg_reload_conf()")
        self.connections = world.Connections(self.postgres.port)
        self.first = self.add_node("one")
        self.first.start()
        for role in [name for (name,) in self.connections.query("SELECT rolname FROM pg_roles WHERE rolcanlogin")]:
            self.logs.secret(world.role_password(bytes.fromhex(self.key), role), f"the password of {role}")
        for text, what in world.context_keys(bytes.fromhex(self.key), self.connections):
            self.logs.secret(text, what)
        self.witnesses = {tier: self.admin.create_tenant(f"Witness {tier}", tier=tier, sample_data=True) for tier in settings.TIERS}
        for tenant in self.witnesses.values():
            self.logs.secret(tenant.key, "a witness's key")
            self.add_people(tenant)
        self.settle()
        self.base = self.take()
        place = self.base.tenants[self.witnesses["schema"].id]
        self.samples = {table: counts[place.id] for (database, schema, table), counts in self.base.rows.items()
                        if (database, schema) == (place.database, place.schema) and place.id in counts}
        assert self.samples, "the witnesses have no rows"
        self.must_be(self.base, {}, "at the beginning")
        return self

    def add_people(self, tenant):
        self.connections.query(world.PEOPLE_SQL, {"tenant": tenant.id}, world.IDENTITY)

    def add_objects(self, tenant):
        """More than one turn of a removal takes."""
        for folder in ("a", "b/c"):
            path = self.objects / tenant.id / folder
            path.mkdir(parents=True)
            for number in range(1_100):
                (path / str(number)).touch()

    def take(self):
        return world.take(self.connections, self.postgres, self.objects)

    def add_node(self, name):
        env = {"ROWHOUSE_DATABASE_URL": self.postgres.url(), "ROWHOUSE_ENCRYPTION_KEY": self.key, "ROWHOUSE_ADMIN_TOKEN": self.token,
               "ROWHOUSE_STORAGE_PROVISIONED": "directory", "ROWHOUSE_STORAGE_DIRECTORY": str(self.objects),
               "ROWHOUSE_STORAGE_MOUNT_ROOTS": str(self.share)}
        with PORTS:
            made = Node(self.directory / name, env, self.token, self.program)
        self.nodes.append(made)
        return made

    @property
    def second(self):
        """Only frozen nodes need another one."""
        if len(self.nodes) == 1:
            self.add_node("two").start()
        return self.nodes[1]

    def drop_second(self):
        """A case with one node shall be alone: the restart is what resumes it."""
        if len(self.nodes) > 1:
            node = self.nodes.pop()
            node.end()
            node.clear()
            shutil.rmtree(node.directory)

    @property
    def admin(self):
        return Admin(self.first.url, self.token)

    def close(self):
        if hasattr(self, "connections"):
            self.connections.close_all()
        for node in self.nodes:
            node.end()
        if hasattr(self, "postgres"):
            self.postgres.stop()

    def log_tails(self, size=6000):
        return "".join(f"--- {node.directory.name}\n{node.log_tail(size)}\n" for node in self.nodes)

    # ------------------------------------------------------------------------------------------- looking

    def settle(self):
        """Until no operation is under way and no session of one is left."""
        def quiet():
            return not self.connections.query(world.UNFINISHED_SQL, database=world.PLATFORM) and \
                not self.connections.query(world.SESSIONS_SQL)
        if not until(quiet, SETTLE_LIMIT_S):
            raise Failure(f"after {SETTLE_LIMIT_S} s: unfinished {self.connections.query(world.UNFINISHED_SQL, database=world.PLATFORM)}, "
                          f"sessions {self.connections.query(world.SESSIONS_SQL)}")

    def must_be(self, now, expected_rows, when):
        found = world.problems(now, self.base, expected_rows)
        for node in self.nodes:
            if node.listening() != 1:
                found.append(f"{node.directory.name} listens on {node.listening()} sockets")
            found += [f"file of nobody: {name}" for name in node.strangers()]
            found += [f"process of nobody: {process}" for process in node.offspring()]
        if found:
            raise Failure(f"{when}: " + "; ".join(found[:8]))

    def look(self, expected_rows, when):
        self.must_be(self.take(), expected_rows, when)

    def no_secrets(self):
        roles = self.connections.query("SELECT DISTINCT input->>'role' FROM platform.operations WHERE id = ANY(%s::uuid[]) AND input ? 'role'",
                                       (self.case_operations,), world.PLATFORM)
        for (role,) in roles:
            self.logs.secret(world.role_password(bytes.fromhex(self.key), role), f"the password of {role}")
        for id in self.case_operations:
            self.logs.secret(world.first_key(bytes.fromhex(self.key), id), "the key of a tenant, made or not")
            self.logs.secret(world.invitation(bytes.fromhex(self.key), id), "the link of a tenant's admin, invited or not")
        found = self.logs.read_on([node.log_path for node in self.nodes] + [node.directory / "trail" for node in self.nodes]
                                  + [self.postgres.directory / "log"])
        tenants = [row[0] for row in self.connections.query(
            "SELECT tenant_id::text FROM platform.operations WHERE id = ANY(%s::uuid[]) AND tenant_id IS NOT NULL", (self.case_operations,), world.PLATFORM)]
        for (text,) in self.connections.query(world.TEXTS_SQL, {"operations": self.case_operations, "tenants": tenants}, world.PLATFORM):
            found += self.logs.told(text, "the platform database")
        if found:
            raise Failure("; ".join(found[:4]))

    def operations_since(self, seen):
        rows = self.connections.query("SELECT id::text, kind FROM platform.operations ORDER BY created_at", database=world.PLATFORM)
        return [(id, kind) for id, kind in rows if id not in seen]

    # ------------------------------------------------------------------------------------------- upgrades

    def upgraded(self, contract):
        """The next version of a pack with a tenant in each tier: each has one column more than the one before."""
        if not self.version:
            self.install(self.bundle())
            self.upgrading = {tier: self.admin.create_tenant(f"Upgraded {tier}", pack=PACK, plan=None, tier=tier) for tier in settings.TIERS}
            for tenant in self.upgrading.values():
                self.logs.secret(tenant.key, "a tenant's key")
            self.settle()
            self.base = self.take()
        self.version += 1
        if contract:
            self.contracts.add(self.version)
        return self.bundle()

    def bundle(self):
        pack = packs.notes(PACK, version=f"1.{self.version}.0")
        for number in range(1, self.version + 1):
            contract = "-- rowhouse: contract\n" if number in self.contracts else ""
            pack["migrations"][f"{number + 1:04}_column"] = f"{contract}ALTER TABLE notes ADD COLUMN c{number} integer;"
        return packs.bundle(pack)

    def install(self, bundle):
        self.admin.call("POST", "/v1/packs", (200, 201), json=bundle)

    def judge_upgrade(self, seen, submitted):
        now = self.take()
        wanted = dataclasses.replace(self.base, migrations=dict(self.base.migrations), shapes=dict(self.base.shapes))
        templates = [names for (database, schema), names in now.migrations.items() if database == TEMPLATE]
        counts = {names.count(PACK + " ") for names in templates}
        problems = [] if counts == {self.version + 1} else [f"the template has {templates}"]
        own = {self.base.tenants[tenant.id].database for tenant in self.upgrading.values()} | {TEMPLATE}
        for place in self.base.migrations:
            if place[0] in own:
                wanted.migrations[place] = templates[0]
        for tenant in self.upgrading.values():
            wanted.shapes[tenant.id] = sorted(self.base.shapes[tenant.id] + [f"column notes c{self.version} integer f"])
        problems += world.problems(now, wanted, {})
        for tenant in self.upgrading.values():
            if tenant.api.call("GET", "/v1/data/notes", None).status_code != 200:
                problems.append(f"{tenant.slug} does not answer")
        if problems:
            raise Failure("; ".join(problems[:8]))
        self.base = now

    # ------------------------------------------------------------------------------------------- a case

    def begin(self, variant, key):
        """What an operation needs, and its request."""
        name = f"Case {key}"
        body = {"name": name, "slug": key, "pack": "tekup", "plan": "enterprise", "tier": variant.tier, "sample_data": variant.samples}
        if variant.admin:
            body["admin_email"] = f"{key}@example.org"
        if variant.storage:
            body["storage"] = variant.storage
        if variant.storage == "byos":
            body["storage_config"] = {"provider": "nfs", "config": {"mount_path": str(self.share)}}
        if variant.obstacle:
            self.connections.query(variant.obstacle[0], database=POOL)
        if variant.does == CREATE:
            return "POST", "/v1/tenants", body
        if variant.does == UPGRADE:
            return "POST", "/v1/packs" + ("?contract=true" if variant.contract else ""), self.upgraded(variant.contract)
        tenant = self.admin.create_tenant(**{name: value for name, value in body.items() if name not in ("pack", "plan")})
        self.logs.secret(tenant.key, "the key of a tenant")
        self.add_people(tenant)
        self.subject = tenant
        if variant.does in (MOVE, CONFIRM):
            return self.begin_move(variant, tenant)
        if variant.storage:
            self.add_objects(tenant)
        self.settle()
        return "DELETE", f"/v1/tenants/{tenant.id}", None

    def begin_move(self, variant, tenant):
        for key, content in MOVED.items():
            tenant.api.call("PUT", f"/v1/objects/{key}", 201, data=content, headers={"Content-Type": "text/plain"})
        to = {"provider": "nfs", "config": {"mount_path": str(self.share)}} if variant.storage == "provisioned" else {"provider": "provisioned"}
        path = f"/v1/tenants/{tenant.id}/storage/move"
        if variant.does == CONFIRM:
            self.admin.call("POST", path, 202, json=to)
            path, to = path + "/confirm", {}
        self.settle()
        return "POST", path, to

    def attempt(self, variant, action="", point="", nth=1, then=""):
        """Tries one case. `then`: a point at which the node is killed once more after its restart. Returns PASSED or
        UNREACHED, and the trail. Raises Failure."""
        if action != "freeze":
            self.drop_second()
        other = self.second if action == "freeze" else None
        key = f"c-{uuid.uuid4().hex[:12]}"
        self.variant, self.subject, self.cancelled = variant, None, False
        method, path, body = self.begin(variant, key)
        seen = {id for id, _ in self.operations_since(())}
        for node in self.nodes:
            node.forget_trail()
        self.interruption = [("hold" if action == "postgres" else action, nth, point)] if point else []
        self.follow()
        try:
            request = Request(self.first.url, self.token, method, path, body, key)
            outcome = self.interrupt(action, point, nth, request, then, other)
            trail = self.first.trail()
            self.judge(variant, key, (method, path, body), seen, request)
            return outcome, trail
        finally:
            self.interruption, self.variant = [], None
            for node in self.nodes:
                node.follow([])
            if variant.obstacle:
                self.connections.query(variant.obstacle[1], database=POOL)

    def follow(self, more=()):
        """What is still to come: the variant's own failure or cancellation, on whichever node, and the interruption."""
        rules = []
        if self.variant.fails_at and not self.passed(self.variant.fails_at, "fail"):
            rules.append(("fail", 1, self.variant.fails_at))
        if self.variant.cancelled_at and not self.cancelled:
            rules.append(("hold", 1, self.variant.cancelled_at))
        for node in self.nodes:
            node.follow(rules + (self.interruption + list(more) if node is self.first else []))

    def passed(self, point, action=None):
        return any(point in (name, without_number(name)) and action in (None, done) for node in self.nodes for name, done in node.trail())

    def watch(self, stop, limit_s):
        """Until stop(), or the time is over. Somebody cancels when the variant has come to that."""
        def stopped():
            if self.variant.cancelled_at and not self.cancelled and self.passed(self.variant.cancelled_at, "hold"):
                self.cancel()
            return stop()
        return until(stopped, limit_s)

    def cancel(self):
        node = self.nodes[-1] if self.first.frozen or self.first.dead else self.first
        # Operations go on before requests are answered.
        if node.dead or node.frozen or not self.answers(node):
            return
        for id, _, _ in self.connections.query(world.UNFINISHED_SQL, database=world.PLATFORM):
            Admin(node.url, self.token).call("POST", f"/v1/operations/{id}/cancel", 200)
        self.cancelled = True
        self.follow()

    def interrupt(self, action, point, nth, request, then, other):
        node = self.first
        if action == "strike":
            return self.strike(nth, request)
        held = "hold" if action == "postgres" else action

        def acted():
            return bool(point) and self.passed(point, held)

        def over():
            return not request.is_alive() and self.idle()
        self.watch(lambda: acted() or node.dead or over(), REACH_LIMIT_S)
        if not acted():
            if node.dead:
                raise Failure(f"the server ended by itself with {node.process.returncode}")
            self.interruption = []
            self.follow()  # it shall not be met later, when nobody expects it
            self.end_of(request)
            return UNREACHED if action else PASSED
        self.interruption = []
        if action == "kill":
            wait_for_end(node)
            self.start_again(then)
        elif action == "postgres":
            self.connections.close_all()
            self.postgres.run("pg_ctl", "restart", "--wait", "--mode=immediate", "--pgdata", str(self.postgres.directory),
                              "--log", str(self.postgres.directory / "log"))
            self.follow()
        elif action == "freeze":
            self.frozen(node, other)
        self.end_of(request)
        return PASSED

    def strike(self, nth, request):
        """For what is over in one statement: killed some time after the request was sent."""
        time.sleep(nth * STRIKE_STEP_S)
        self.first.kill()
        self.start_again("")
        self.end_of(request)
        return PASSED

    def end_of(self, request):
        self.watch(lambda: not request.is_alive() and self.idle(), SETTLE_LIMIT_S)
        self.settle()

    def idle(self):
        return not self.connections.query(world.UNFINISHED_SQL, database=world.PLATFORM)

    def start_again(self, then):
        self.follow([("kill", 1, then)] if then else [])
        for _ in range(3):
            self.first.launch()
            if not self.watch(lambda: self.first.dead or self.answers(), settings.START_LIMIT_S):
                raise Failure("the server does not start again")
            # A second blow is as often before it is ready as after.
            self.watch(lambda: self.first.dead or self.idle(), SETTLE_LIMIT_S)
            if not self.first.dead:
                self.follow()  # what comes later is no recovery
                return
            if not self.passed(then, "kill"):
                raise Failure(f"the server ended by itself with {self.first.process.returncode}")
            self.follow()
        raise Failure("killed again and again")

    def answers(self, node=None):
        try:
            return requests.get((node or self.first).url + "/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def frozen(self, node, other):
        """Another node takes over and ends it; then the frozen one wakes, and must not go on."""
        wait_until(lambda: node.frozen, "the process is stopped")
        taken_over = not self.idle()
        if not self.watch(self.idle, SETTLE_LIMIT_S):
            rows = self.connections.query(LEASES_SQL, database=world.PLATFORM)
            raise Failure(f"nobody took over from a frozen node: {rows}")
        steps_then, lost_then = len(node.trail()), self.leases_lost(node)
        node.thaw()
        wait_until(self.answers, "the node answers again")
        if not taken_over:
            return
        if not until(lambda: self.leases_lost(node) > lost_then, settings.REQUEST_LIMIT_S):
            raise Failure("a node that was frozen until another had ended its operation has not noticed")
        # A record's transaction may try its next statement, but its session is gone: nothing must work any more. What only
        # reads may come late (Pool::run), and so may the answer to a statement that was under way beside the one at which
        # the node was frozen (lint reads several databases at a time).
        records = node.records()
        answers_due = under_way(node.trail()[:steps_then])
        went_on = []
        for name, _ in node.trail()[steps_then:]:
            if name.count("/") != 4 or " read " in name:
                continue
            began = without_number(name).removesuffix("/after")
            if name.endswith("/after") and answers_due[began] > 0:
                answers_due[began] -= 1
            elif name.endswith("/after") or tuple(name.split("/")[:2]) not in records:
                went_on.append(name)
        if went_on:
            raise Failure(f"a node that had lost its lease went on with {went_on[:5]}")

    def leases_lost(self, node):
        return node.log().count("operation_lease_lost")

    # ------------------------------------------------------------------------------------------- judging

    def judge_move(self, variant, submitted):
        """Whatever happened, every object is there; what a move has left goes with its confirmation."""
        tenant = self.subject
        self.have_moved(tenant)
        storage = tenant.api.get("/v1/storage")
        origin = storage["origin"]
        has_moved = origin != variant.storage
        if has_moved != (submitted or variant.does == CONFIRM):
            raise Failure(f"the objects are in storage that is {origin}")
        if (storage["move"] is None) != (submitted == (variant.does == CONFIRM)):
            raise Failure(f"the move is said to be {storage['move']}")
        if storage["move"]:
            self.admin.call("POST", f"/v1/tenants/{tenant.id}/storage/move/confirm", 202, json={})
            self.settle()
            self.have_moved(tenant)
        # What was on its way when a node died is among the temporaries, which the driver sweeps when they are old.
        theirs = [path for path in self.share.rglob("*") if path.is_file() and ".rowhouse-tmp" not in path.parts]
        if len(theirs) != (len(MOVED) if tenant.api.get("/v1/storage")["origin"] == "byos" else 0):
            raise Failure(f"in the customer's share are {theirs}")
        self.admin.delete(f"/v1/tenants/{tenant.id}")
        for path in theirs:
            path.unlink()
        self.settle()
        self.look({}, "at the end of the case")

    def have_moved(self, tenant):
        for key, content in MOVED.items():
            found = tenant.api.call("GET", f"/v1/objects/{key}", (200, 404))
            if found.status_code != 200 or found.content != content:
                raise Failure(f"object {key} is lost")

    def judge(self, variant, key, request_words, seen, request):
        method, path, body = request_words
        new = self.operations_since(seen)
        self.case_operations = [id for id, _ in new]
        if len(new) > 1:
            raise Failure(f"one request made {len(new)} operations")
        problems = world.history_problems(self.connections, {id: variant.ends for id in self.case_operations})
        if variant.does == UPGRADE:
            if problems:
                raise Failure("; ".join(problems[:8]))
            self.repeat(method, path, body, key, 200)
            self.settle()
            self.judge_upgrade(seen, bool(new))
            self.no_secrets()
            return
        if variant.does in (MOVE, CONFIRM):
            if problems:
                raise Failure("; ".join(problems[:8]))
            self.judge_move(variant, bool(new))
            self.case_operations = [id for id, _ in self.operations_since(seen)]
            self.no_secrets()
            return
        tenants = {slug: id for id, slug in self.connections.query("SELECT id::text, slug FROM platform.tenants", database=world.PLATFORM)}
        present = tenants.get(key)
        submitted = bool(new)
        wanted = (variant.does == CREATE and submitted and variant.ends == "succeeded") or (variant.does == DELETE and not submitted)
        if bool(present) != wanted:
            problems.append(f"the tenant is {'there' if present else 'not there'} after {variant.ends if submitted else 'nothing'}")
        expected = {present: self.samples if variant.samples else {}} if present else {}
        now = self.take()
        problems += world.problems(now, self.base, expected)
        if present and variant.storage == "provisioned" and not now.tenants[present].store:
            problems.append("the tenant has no store")
        if problems:
            raise Failure("; ".join(problems[:8]))
        # Who repeats the request gets what the first one would have got; nothing is done twice.
        if variant.does == CREATE and variant.ends == "succeeded":
            answer = self.repeat(method, path, body, key, 201)
            tenant = Tenant(self.first.url, answer.json())
            self.logs.secret(tenant.key, "the key of a tenant")
            if present and tenant.id != present:
                raise Failure("a repeated request made another tenant")
            if request.answer is not None and request.answer.status_code == 201 and request.answer.json()["api_key"] != tenant.key:
                raise Failure("a repeated request answers with another key")
            if variant.admin:
                self.invited_once(tenant, answer.json()["invitation_link"])
            self.works(tenant)
            self.look({tenant.id: {**(self.samples if variant.samples else {}), "leads": 1 + (self.samples["leads"] if variant.samples else 0)}},
                      "with a tenant that works")
            self.admin.delete(f"/v1/tenants/{tenant.id}")
        if variant.does == DELETE:
            if present:
                self.works(self.subject)
            self.repeat(method, path, body, key, 204)
        self.settle()
        self.look({}, "at the end of the case")
        extra = [(id, kind) for id, kind in self.operations_since(seen) if id not in self.case_operations]
        self.case_operations += [id for id, _ in extra]
        repeated = world.history_problems(self.connections, {id: "succeeded" if id in dict(extra) else variant.ends for id in self.case_operations})
        if repeated:
            raise Failure("; ".join(repeated))
        self.no_secrets()
        for node in self.nodes:
            node.check_alive()
            node.check_log()

    def invited_once(self, tenant, link):
        rows = self.connections.query("SELECT email, token_hash = sha256(%s::bytea) FROM identity.invitations WHERE tenant_id = %s",
                                      (link.rsplit("/", 1)[1].encode(), tenant.id), world.IDENTITY)
        if rows != [(f"{tenant.slug}@example.org", True)]:
            raise Failure(f"the admin is not invited once, by the link of the answer: {rows}")

    def repeat(self, method, path, body, key, wanted):
        """503 is an answer while nodes find their connections again."""
        last = []

        def answered():
            last[:] = [self.admin.call(method, path, None, json=body, headers={"Idempotency-Key": key})]
            return last[0].status_code != 503
        if not until(answered, 20) or last[0].status_code != wanted:
            raise Failure(f"the repeated {method} answers {last[0].status_code}: {last[0].text[:500]}")
        return last[0]

    def works(self, tenant):
        api = Api(self.first.url, {"X-Tenant-Key": tenant.key})
        made = {}

        def written():
            answer = api.call("POST", LEADS, None, json={"name": "Works"}, headers={"Idempotency-Key": "works"})
            made["answer"] = answer
            return answer.status_code == 201
        if not until(written, 10):
            raise Failure(f"the tenant does not work: {made['answer'].status_code} {made['answer'].text[:300]}")
        row = made["answer"].json()
        if api.get(f"{LEADS}/{row['id']}")["name"] != "Works":
            raise Failure("a row of the tenant reads otherwise than it was written")
