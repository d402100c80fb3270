"""Mail, by a real SMTP server: invitations, one-time links, the welcome of a new tenant, the queue."""

import concurrent.futures
import json
import uuid

import jsonschema
import pytest

from support.api import Api
from support.mail import MailServer, certificate, only, tls_context
from support.people import Person, add_person, new_email
from support.server import Server, wait_until

UNKNOWN = "credential_unknown"
PASSWORD = "correct horse battery"
CHEAP = {"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_PASSWORD_MEMORY": "8MiB", "ROWHOUSE_PASSWORD_PASSES": "1"}
SENDER = "Rowhouse <no-reply@platform.example>"


@pytest.fixture(scope="session")
def post(work):
    """Takes mail over TLS alone, from who knows the password."""
    cert, key = certificate(work)
    running = MailServer(tls_context=tls_context(cert, key), require_starttls=True, auth_required=True,
                         authenticator=only("rowhouse", "the secret of the post"))
    running.start()
    running.cert = cert
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server(work, post):
    """With mail."""
    running = Server(work / "data", env={**CHEAP, **settings_of(post)})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="session")
def quiet(work):
    """Without mail."""
    running = Server(work / "quiet", env=CHEAP)
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


def settings_of(post):
    return {"ROWHOUSE_SMTP_URL": f"smtp://127.0.0.1:{post.port}", "ROWHOUSE_SMTP_FROM": SENDER,
            "ROWHOUSE_SMTP_USER": "rowhouse", "ROWHOUSE_SMTP_PASSWORD": "the secret of the post",
            "ROWHOUSE_SMTP_CA_FILE": str(post.cert)}


def identity(server, sql, parameters=()):
    return server.query(sql, parameters, "rowhouse_identity")


def hurry(server):
    """What waits is due."""
    identity(server, "UPDATE identity.mail SET next_attempt_at = now() WHERE status = 'queued' RETURNING 1")


def status_of(server, address):
    return identity(server, "SELECT status FROM identity.mail WHERE recipient = %s ORDER BY queued_at DESC", (address,))[0][0]


def offer(url, token, expect=200):
    return Api(url).call("POST", "/v1/auth/invitations", expect, json={"token": token})


def accept(url, token, expect=200, password=PASSWORD, **members):
    body = {"token": token, **({"password": password} if password else {}), **members}
    return Api(url).call("POST", "/v1/auth/invitations/accept", expect, json=body)


def token_of(link):
    return link.rsplit("/", 1)[1]


def joined(post, admin, tenant, role=None, email=None):
    """A person who came by an invitation."""
    email = email or new_email("guest")
    admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": email, **({"role": role} if role else {})}, 201)
    accept(admin.url, post.wait_for(email).token)
    return Person(admin.url, email, PASSWORD, tenant.slug)


def refused_links(server, kind):
    return server.query("SELECT count(*) FROM platform.audit_log WHERE action = 'LINK_REFUSED' AND new_values::text LIKE %s",
                        (f"%{kind}%",), "rowhouse_platform")[0][0]


# ---- invitations

def test_an_admin_invites_two_who_see_only_their_leads_until_they_are_removed(server, admin, post):
    tenant = admin.create_tenant("Invited people")
    boss = joined(post, admin, tenant)
    assert boss.login().json()["role"] == "admin"
    guests = []
    for name in ("one", "two"):
        email = new_email(name)
        made = boss.api.post("/v1/invitations", {"email": email, "role": "user"}, 201)
        assert made["link"] is None and made["invitation"]["status"] == "open", made
        message = post.wait_for(email)
        kind, token = message.link
        assert kind == "invitation"
        told = offer(server.url, token).json()
        assert (told["email"], told["role"], told["tenant"]["name"]) == (email, "user", "Invited people")
        assert told["choose_password"] and told["account"] == "none"
        done = accept(server.url, token, name=f"Guest {name}").json()
        assert done["tenant"]["slug"] == tenant.slug and done["email"] == email
        guests.append(Person(server.url, email, PASSWORD, tenant.slug))
    for guest in guests:
        guest.api.post("/v1/data/leads", {"name": f"of {guest.email}"}, 201)
    for guest in guests:
        assert [row["name"] for row in guest.api.get("/v1/data/leads")["data"]] == [f"of {guest.email}"]
    assert len(boss.api.get("/v1/data/leads")["data"]) == 2
    assert {row["status"] for row in boss.api.get("/v1/invitations")["data"]} == {"accepted"}
    users = {user["email"]: user for user in boss.api.get("/v1/users")["data"]}
    assert users[guests[0].email]["name"] == "Guest one"
    open_connection = guests[0].api
    open_connection.get("/v1/me")
    boss.api.delete(f"/v1/users/{users[guests[0].email]['id']}")
    open_connection.refused("GET", "/v1/data/leads", 401, UNKNOWN)
    guests[1].api.get("/v1/data/leads")


def test_a_mail_is_well_formed_and_nothing_in_it_is_markup_or_a_header(server, admin, post):
    tenant = admin.create_tenant("Müller & <b>Söhne</b>", settings={"locale": "de-DE"},
                                 branding={"name": "Grün\r\nBcc: thief@evil.example <script>alert(1)</script>",
                                           "color": "#12ab34", "logo_url": "javascript:alert(1)"})
    email = new_email("umlaut")
    admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": email}, 201)
    message = post.wait_for(email)
    assert message.recipients == [email] and message.sender == "no-reply@platform.example"
    head = message.data.split(b"\r\n\r\n")[0]
    assert b"Bcc:" not in head.replace(b"=?", b"") and "Bcc" not in message.parsed
    assert message.subject.startswith("Einladung zu Grün") and "eingeladen" in message.text
    assert "<script>" not in message.html and "&lt;script&gt;" in message.html and "javascript:" not in message.html
    assert "#12ab34" in message.html
    assert message.parsed["Date"].datetime is not None and message.parsed["Message-ID"].endswith("@platform.example>")
    assert all(len(line) <= 78 for line in message.data.split(b"\r\n"))
    assert message.data.isascii()


def test_every_token_that_is_not_good_has_one_answer(server, admin, post):
    tenant = admin.create_tenant("Bad links")
    before = refused_links(server, "invitation")
    used, revoked, expired = (new_email(name) for name in ("used", "revoked", "expired"))
    tokens = {}
    for email in (used, revoked, expired):
        made = admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": email, "role": "user"}, 201)
        tokens[email] = post.wait_for(email).token
        if email == revoked:
            admin.delete(f"/v1/tenants/{tenant.slug}/invitations/{made['invitation']['id']}")
    accept(server.url, tokens[used])
    identity(server, "UPDATE identity.invitations SET created_at = now() - interval '9 days', expires_at = now() - interval "
             "'1 second' WHERE email = %s RETURNING 1", (expired,))
    person = add_person(admin, tenant, "user")
    link = token_of_reset(server, admin, post, person)
    never = "rhl_" + "A" * 43
    answers = set()
    for token in (tokens[used], tokens[revoked], tokens[expired], never, link, "", "rhl_", "x" * 1000, "tk_" + "A" * 43):
        for answer in (offer(server.url, token, 401), accept(server.url, token, 401)):
            problem = answer.json()
            answers.add((problem["code"], problem["title"], problem["detail"]))
    assert len(answers) == 1 and answers.pop()[0] == UNKNOWN
    for token in (tokens[used], never, ""):
        Api(server.url).refused("POST", "/v1/auth/password/reset", 401, UNKNOWN, json={"token": token, "password": PASSWORD})
        Api(server.url).refused("POST", "/v1/auth/email/verify", 401, UNKNOWN, json={"token": token})
    wait_until(lambda: refused_links(server, "invitation") > before, "a security event")
    assert tokens[used] not in server.log() and never not in server.log()


def token_of_reset(server, admin, post, person):
    count = len(post.to(person.email))
    assert admin.post(f"/v1/platform/users/{person.id}/password-link", None, 200)["link"] is None
    message = post.wait_for(person.email, count + 1)
    assert message.link[0] == "password"
    return message.token


def test_sent_again_the_link_before_is_good_no_more(server, admin, post):
    tenant, email = admin.create_tenant("Again"), new_email("again")
    path = f"/v1/tenants/{tenant.slug}/invitations"
    made = admin.post(path, {"email": email}, 201)["invitation"]
    first = post.wait_for(email).token
    assert "again" in admin.refused("POST", path, 409, "conflict", json={"email": email.upper()})["detail"]
    admin.post(f"{path}/{made['id']}/send", None, 200)
    second = post.wait_for(email, 2).token
    offer(server.url, first, 401)
    accept(server.url, second)
    admin.refused("POST", f"{path}/{made['id']}/send", 409, "conflict")
    admin.refused("POST", f"{path}/{uuid.uuid4()}/send", 404, "not_found")
    assert admin.refused("POST", path, 409, "conflict", json={"email": email, "role": "user"})


def test_nobody_gives_more_than_they_have(admin, post):
    tenant = admin.create_tenant("Givers")
    boss = joined(post, admin, tenant)
    boss.api.post("/v1/roles", {"name": "inviter", "operations": ["user:manage", "user:read"]}, 201)
    inviter = joined(post, admin, tenant, "inviter")
    inviter.api.refused("POST", "/v1/invitations", 403, "permission_missing", json={"email": new_email(), "role": "admin"})
    made = boss.api.post("/v1/invitations", {"email": new_email(), "role": "admin"}, 201)["invitation"]
    inviter.api.refused("POST", f"/v1/invitations/{made['id']}/send", 403, "permission_missing")
    inviter.api.refused("DELETE", f"/v1/invitations/{made['id']}", 403, "permission_missing")
    inviter.api.post("/v1/invitations", {"email": new_email(), "role": "inviter"}, 201)
    for body, path in (({"email": "x", "role": "user"}, "/email"), ({"email": new_email(), "role": "ghost"}, "/role"),
                       ({"email": new_email()}, "/role"), ({"email": new_email(), "role": "user", "tenant": "x"}, "/tenant")):
        problem = boss.api.refused("POST", "/v1/invitations", 422, "validation_failed", json=body)
        assert [fault["path"] for fault in problem["errors"]] == [path]


def test_a_password_that_another_tenant_knows_does_not_stay(server, admin, post):
    """A tenant's admin makes an account of somebody else's address, to come into whichever tenant invites them."""
    thief, honest = admin.create_tenant("Thief"), admin.create_tenant("Honest")
    boss = joined(post, admin, thief)
    email = new_email("target")
    known = "known to the thief"
    boss.api.post("/v1/users", {"email": email, "role": "user", "password": known}, 201)
    admin.post(f"/v1/tenants/{honest.slug}/invitations", {"email": email, "role": "user"}, 201)
    token = post.wait_for(email).token
    told = offer(server.url, token).json()
    assert told["account"] == "known" and told["choose_password"]
    accept(server.url, token, 422, password=None)
    accept(server.url, token, 422, password="short")
    accept(server.url, token)
    Person(server.url, email, known, honest.slug).login(401)
    Person(server.url, email, PASSWORD, honest.slug).login(200)
    # The thief cannot have it back: the account belongs elsewhere, too.
    user = next(user for user in boss.api.get("/v1/users")["data"] if user["email"] == email)
    boss.api.refused("PATCH", f"/v1/users/{user['id']}", 403, "forbidden", json={"password": known})
    # Confirmed by now, so a third tenant may add them, and their password stays.
    third = admin.create_tenant("Third")
    boss_of_third = joined(post, admin, third)
    assert boss_of_third.api.post("/v1/users", {"email": email, "role": "user"}, 201)["account"] == "known"


def test_a_password_that_a_tenant_sets_confirms_nothing(server, admin, post):
    thief, honest = admin.create_tenant("Thief of guests"), admin.create_tenant("Host")
    boss, host = joined(post, admin, thief), joined(post, admin, honest)
    guest = joined(post, admin, thief, "user")
    user = next(user for user in boss.api.get("/v1/users")["data"] if user["email"] == guest.email)
    boss.api.patch(f"/v1/users/{user['id']}", {"password": "known to the thief"})
    host.api.refused("POST", "/v1/users", 409, "conflict", json={"email": guest.email, "role": "user"})


# ---- the plan's limit

def test_members_and_open_invitations_stay_within_the_plan(server, admin, post):
    tenant = admin.create_tenant("Five seats", plan="basic")
    path = f"/v1/tenants/{tenant.slug}"

    def invite(_):
        return server.admin.call("POST", f"{path}/invitations", (201, 403), json={"email": new_email(), "role": "user"})

    def add(_):
        return server.admin.call("POST", f"{path}/users", (201, 403), json={"email": new_email(), "role": "user"})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda work: work(0), [invite, add] * 6)]
    assert sum(answer.status_code == 201 for answer in answers) == 5, [answer.text for answer in answers]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} == {"limit_reached"}
    # Nothing is left of those who were refused.
    assert identity(server, "SELECT count(*) FROM identity.users WHERE home_tenant = %s", (tenant.id,))[0][0] == 0
    open_ones = [row for row in admin.get(f"{path}/invitations")["data"] if row["status"] == "open"]
    if open_ones:
        # Accepting takes the seat that the invitation had; who is added instead needs no other.
        token = post.wait_for(open_ones[0]["email"]).token
        accept(server.url, token)
        admin.refused("POST", f"{path}/invitations", 403, "limit_reached", json={"email": new_email(), "role": "user"})
    for row in open_ones[1:2]:
        assert admin.post(f"{path}/users", {"email": row["email"], "role": "user"}, 201)
        admin.refused("POST", f"{path}/users", 403, "limit_reached", json={"email": new_email(), "role": "user"})
    member = admin.get(f"{path}/users")["data"][0]
    admin.delete(f"{path}/users/{member['id']}")
    admin.post(f"{path}/invitations", {"email": new_email(), "role": "user"}, 201)


# ---- links of accounts

def test_a_forgotten_password_is_chosen_again_and_ends_every_session(server, admin, post):
    tenant = admin.create_tenant("Forgetful")
    person = add_person(admin, tenant)
    person.api.get("/v1/me")
    anonymous = Api(server.url)
    answers = [anonymous.call("POST", "/v1/auth/password/forgot", 202, json={"email": email}, headers={"Accept-Language": "de"})
               for email in (person.email.upper(), new_email("ghost"), "no address", "")]
    assert len({answer.text for answer in answers}) == 1
    message = post.wait_for(person.email)
    kind, token = message.link
    assert kind == "password" and "Passwort" in message.subject
    assert post.to(person.email) and not [message for message in post.messages if message.to.startswith("ghost")]
    reset = {"token": token, "password": PASSWORD}
    bad = anonymous.refused("POST", "/v1/auth/password/reset", 422, "validation_failed", json={**reset, "password": "short"})
    assert [fault["path"] for fault in bad["errors"]] == ["/password"]
    assert anonymous.call("POST", "/v1/auth/password/reset", 204, json=reset).text == ""
    anonymous.refused("POST", "/v1/auth/password/reset", 401, UNKNOWN, json=reset)
    person.api.refused("GET", "/v1/me", 401, UNKNOWN)
    person.login(401)
    Person(server.url, person.email, PASSWORD, tenant.slug).login(200)
    # The mailbox is proved.
    assert identity(server, "SELECT email_verified_at IS NOT NULL FROM identity.users WHERE id = %s", (person.id,)) == [(True,)]


def test_asking_too_often_mails_no_more_and_says_nothing(server, admin, post):
    person = add_person(admin, admin.create_tenant("Impatient"))
    for _ in range(5):
        Api(server.url).call("POST", "/v1/auth/password/forgot", 202, json={"email": person.email})
    queued = identity(server, "SELECT count(*) FROM identity.mail WHERE recipient = %s", (person.email,))[0][0]
    assert queued == 3
    # A newer link takes the place of older ones.
    post.wait_for(person.email, 3)
    good = [Api(server.url).call("POST", "/v1/auth/password/reset", (204, 401), json={"token": message.token, "password": PASSWORD})
            for message in post.to(person.email)]
    assert sorted(answer.status_code for answer in good) == [204, 401, 401]


def test_an_address_that_asks_too_often_is_told(server, admin):
    identity(server, "DELETE FROM identity.login_attempts RETURNING 1")
    statuses = [Api(server.url).call("POST", "/v1/auth/password/forgot", (202, 429), json={"email": new_email()}).status_code
                for _ in range(32)]
    assert statuses == [202] * 30 + [429] * 2
    identity(server, "DELETE FROM identity.login_attempts RETURNING 1")


def test_an_address_is_confirmed_by_a_link(server, admin, post):
    tenant = admin.create_tenant("Confirmed")
    person = add_person(admin, tenant)  # made by the platform
    assert person.api.call("POST", "/v1/me/email/verification", 202).text == ""
    kind, token = post.wait_for(person.email).link
    assert kind == "email"
    Api(server.url).call("POST", "/v1/auth/email/verify", 204, json={"token": token})
    Api(server.url).refused("POST", "/v1/auth/email/verify", 401, UNKNOWN, json={"token": token})
    assert identity(server, "SELECT email_verified_at IS NOT NULL FROM identity.users WHERE id = %s", (person.id,)) == [(True,)]
    # Whose password a tenant's admin may know has to choose another one.
    colleague = new_email("colleague")
    person.api.post("/v1/users", {"email": colleague, "role": "user", "password": "known to the boss"}, 201)
    Person(server.url, colleague, "known to the boss", tenant.slug).api.call("POST", "/v1/me/email/verification", 202)
    assert post.wait_for(colleague).link[0] == "password"


# ---- a new tenant

@pytest.mark.parametrize("tier", ["pool", "schema"])
def test_the_admin_of_a_new_tenant_is_welcomed(server, admin, post, tier):
    email = new_email("founder")
    body = {"name": f"Founded in {tier}", "pack": "tekup", "plan": "enterprise", "tier": tier, "admin_email": email}
    key = {"Idempotency-Key": f"found-{tier}"}
    created = admin.call("POST", "/v1/tenants", 201, json=body, headers=key)
    document = admin.get("/openapi.json")
    jsonschema.validate(created.json(), {**document["components"]["schemas"]["TenantCreated"], "components": document["components"]})
    assert created.json()["invitation_link"] is None
    again = admin.call("POST", "/v1/tenants", 201, json=body, headers=key)
    assert again.json()["tenant"]["id"] == created.json()["tenant"]["id"]
    message = post.wait_for(email)
    assert "Founded in" in message.subject and message.subject.startswith("Welcome")
    accept(server.url, message.token)
    slug = created.json()["tenant"]["slug"]
    assert Person(server.url, email, PASSWORD, slug).login().json()["role"] == "admin"
    assert len(post.to(email)) == 1
    stored = server.query("SELECT count(*) FROM platform.operations o WHERE o::text LIKE '%%rhl_%%'", (), "rowhouse_platform")
    assert stored == [(0,)]
    # With the tenant everything about its people goes.
    admin.call("DELETE", f"/v1/tenants/{slug}", 204)
    tenant = created.json()["tenant"]["id"]
    for table in ("mail", "invitations", "memberships", "roles"):
        assert identity(server, f"SELECT count(*) FROM identity.{table} WHERE tenant_id = %s", (tenant,)) == [(0,)]


# ---- the queue

def invite_someone(admin, name, email=None):
    tenant, email = admin.create_tenant(name), email or new_email()
    admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": email}, 201)
    return email


def test_a_server_that_is_busy_is_asked_again(server, admin, post):
    post.refuse_next("451 come back later", "421 too busy")
    email = invite_someone(admin, "Busy post")
    wait_until(lambda: identity(server, "SELECT attempts, last_error FROM identity.mail WHERE recipient = %s AND attempts > 0 "
                                "AND last_error <> ''", (email,)), "a first attempt")
    assert status_of(server, email) == "queued" and not post.to(email)

    def arrived():
        hurry(server)
        return post.to(email)

    wait_until(arrived, "the mail")
    wait_until(lambda: status_of(server, email) == "sent", "the end")
    attempts, sealed = identity(server, "SELECT attempts, sealed FROM identity.mail WHERE recipient = %s", (email,))[0]
    assert attempts == 3 and sealed is None


def test_a_mail_that_is_refused_has_failed_and_can_be_tried_again(server, admin, post):
    email = invite_someone(admin, "Refused", new_email("nobody"))
    wait_until(lambda: status_of(server, email) == "failed", "the refusal")
    mail = next(each for each in admin.get("/v1/mail?status=failed")["data"] if each["recipient"] == email)
    assert mail["attempts"] == 1 and "550" in mail["last_error"] and mail["kind"] == "invitation"
    wait_until(lambda: server.query("SELECT 1 FROM platform.events WHERE type = 'mail.failed' AND payload->>'object_id' = %s",
                                    (mail["id"],), "rowhouse_platform"), "the event")
    assert email not in server.log()
    tried = post.tried
    server.cli("mail", "retry", mail["id"])
    wait_until(lambda: post.tried > tried, "another attempt")
    wait_until(lambda: status_of(server, email) == "failed", "the refusal")
    admin.refused("POST", f"/v1/mail/{uuid.uuid4()}/retry", 404, "not_found")


def test_a_server_that_is_away_and_a_node_that_is_killed_lose_nothing(server, admin, post):
    post.stop()
    first = invite_someone(admin, "Away")
    wait_until(lambda: identity(server, "SELECT 1 FROM identity.mail WHERE recipient = %s AND last_error <> ''", (first,)), "an attempt")
    second = invite_someone(admin, "Killed")
    rows = identity(server, "SELECT sealed FROM identity.mail WHERE recipient IN (%s, %s)", (first, second))
    assert len(rows) == 2 and all(b"rhl_" not in bytes(sealed) for (sealed,) in rows)
    server.kill()
    server.start()
    # As after the time of whoever took it.
    post.start()
    hurry(server)
    post.wait_for(first)
    post.wait_for(second)
    sent = [mail for mail in admin.get("/v1/mail")["data"] if mail["recipient"] == first]
    wait_until(lambda: status_of(server, first) == "sent", "the end")
    admin.refused("POST", f"/v1/mail/{sent[0]['id']}/retry", 409, "conflict")


def test_the_command_line(server, admin, post):
    tenant, email = admin.create_tenant("By hand"), new_email("hand")
    said = server.cli("user", "invite", tenant.slug, email)
    assert email in said.stdout and "by mail" in said.stderr and "rhl_" not in said.stdout
    assert email in server.cli("invitation", "list", tenant.slug).stdout
    post.wait_for(email)
    server.cli("invitation", "send", tenant.slug, email)
    accept(server.url, post.wait_for(email, 2).token)
    server.cli("user", "reset-password", email)
    assert post.wait_for(email, 3).link[0] == "password"
    other = new_email("other")
    server.cli("user", "invite", tenant.slug, other, "--role", "user")
    server.cli("invitation", "revoke", tenant.slug, other)
    listed = json.loads(server.cli("invitation", "list", tenant.slug, "--json").stdout)["data"]
    assert {row["email"]: row["status"] for row in listed} == {email: "accepted", other: "revoked"}
    assert email in server.cli("mail", "list", "--status", "sent").stdout
    address = new_email("test")
    server.cli("mail", "test", address)
    assert "Rowhouse" in post.wait_for(address).subject
    assert "550" in server.cli("mail", "test", new_email("nobody"), expect=1).stderr


def test_answers_are_as_documented(admin, post):
    document = admin.get("/openapi.json")

    def check(name, value):
        jsonschema.validate(value, {**document["components"]["schemas"][name], "components": document["components"]})

    tenant, email = admin.create_tenant("Documented"), new_email()
    check("Invited", admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": email}, 201))
    check("InvitationList", admin.get(f"/v1/tenants/{tenant.slug}/invitations"))
    token = post.wait_for(email).token
    check("InvitationOffer", offer(admin.url, token).json())
    check("InvitationAccepted", accept(admin.url, token).json())
    check("MailList", admin.get("/v1/mail"))
    check("MailTested", admin.post("/v1/mail/test", {"to": new_email()}, 200))
    admin.refused("GET", "/v1/mail?status=lost", 400, "invalid_parameter")
    admin.refused("POST", "/v1/mail/test", 422, "validation_failed", json={"to": "x"})


# ---- without mail

def test_without_mail_the_link_is_shown_once_to_its_maker(quiet):
    admin, email = quiet.admin, new_email("founder")
    answer = admin.call("POST", "/v1/tenants", 201, json={"name": "No mail", "pack": "tekup", "plan": "enterprise", "admin_email": email})
    assert answer.headers["Cache-Control"] == "no-store"
    link = answer.json()["invitation_link"]
    accept(quiet.url, token_of(link))
    slug = answer.json()["tenant"]["slug"]
    boss = Person(quiet.url, email, PASSWORD, slug)
    guest = new_email("guest")
    made = boss.api.call("POST", "/v1/invitations", 201, json={"email": guest, "role": "user"})
    assert made.headers["Cache-Control"] == "no-store"
    accept(quiet.url, token_of(made.json()["link"]))
    assert Person(quiet.url, guest, PASSWORD, slug).login().json()["role"] == "user"
    # Whoever was shown the link need not be who reads the mailbox.
    assert identity(quiet, "SELECT count(*) FROM identity.users WHERE email_verified_at IS NOT NULL") == [(0,)]
    assert identity(quiet, "SELECT count(*) FROM identity.mail") == [(0,)]
    for secret in (token_of(link), token_of(made.json()["link"])):
        assert secret not in quiet.log()
    said = quiet.cli("tenant", "create", "By hand", "--pack", "tekup", "--storage", "none", "--admin-email", new_email())
    assert "/account/#/invitation/rhl_" in said.stdout
    Api(quiet.url).call("POST", "/v1/auth/password/forgot", 202, json={"email": guest})
    boss.api.refused("POST", "/v1/me/email/verification", 409, "conflict")
    quiet.cli("mail", "test", guest, expect=1)
    user = next(user for user in boss.api.get("/v1/users")["data"] if user["email"] == guest)
    link = admin.post(f"/v1/platform/users/{user['id']}/password-link", None, 200)["link"]
    Api(quiet.url).call("POST", "/v1/auth/password/reset", 204, json={"token": token_of(link), "password": "another good one"})
    Person(quiet.url, guest, "another good one", slug).login(200)


def test_a_link_that_was_shown_lets_nobody_into_an_account(quiet):
    admin = quiet.admin
    thief, other = admin.create_tenant("Thief"), admin.create_tenant("Other")
    boss = add_person(admin, thief)
    # Made by another tenant: not even invited.
    theirs = add_person(admin, other)
    colleague = new_email("colleague")
    theirs.api.post("/v1/users", {"email": colleague, "role": "user", "password": PASSWORD}, 201)
    boss.api.refused("POST", "/v1/invitations", 409, "conflict", json={"email": colleague, "role": "user"})
    # With or without a password: none can be chosen.
    account = admin.post("/v1/platform/users", {"email": new_email("account")}, 201)["user"]
    for clears in (False, True):
        if clears:
            identity(quiet, "UPDATE identity.users SET password_hash = NULL WHERE id = %s RETURNING 1", (account["id"],))
        email = account["email"]
        made = boss.api.post("/v1/invitations", {"email": email, "role": "user"}, 201)
        told = offer(quiet.url, token_of(made["link"])).json()
        assert not told["choose_password"] and told["account"] == "known"
        accept(quiet.url, token_of(made["link"]), 422)
        accept(quiet.url, token_of(made["link"]), 200, password=None)
        Person(quiet.url, email, PASSWORD, thief.slug).login(401)
        boss.api.delete(f"/v1/users/{account['id']}")


def test_a_suspended_tenant_takes_nobody_in(quiet):
    admin = quiet.admin
    tenant = admin.create_tenant("Paused")
    link = admin.post(f"/v1/tenants/{tenant.slug}/invitations", {"email": new_email()}, 201)["link"]
    admin.post(f"/v1/tenants/{tenant.slug}/suspend", None, 200)
    wait_until(lambda: offer(quiet.url, token_of(link), (200, 403)).status_code == 403, "the suspension")
    assert accept(quiet.url, token_of(link), 403).json()["code"] == "tenant_suspended"
    admin.post(f"/v1/tenants/{tenant.slug}/resume", None, 200)
    wait_until(lambda: offer(quiet.url, token_of(link), (200, 403)).status_code == 200, "the end of it")
    accept(quiet.url, token_of(link))
