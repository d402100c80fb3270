"""Second factors: set up, asked for at each sign-in with a password, spent once, limited, lost and removed."""

import concurrent.futures
import types

import pytest

from support.api import text_of
from support.browser import Authenticator
from support.people import Person, add_person, new_platform_admin, with_token
from support.server import Server, wait_until

REQUIRED, UNKNOWN = "second_factor_required", "credential_unknown"


@pytest.fixture(scope="session")
def server(work):
    running = Server(work / "factors", env={"ROWHOUSE_PACKS": "tekup", "ROWHOUSE_PASSWORD_MEMORY": "8MiB",
                                         "ROWHOUSE_PASSWORD_PASSES": "1", "ROWHOUSE_PASSWORD_QUEUE": "500"})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(scope="module")
def tenant(admin):
    return admin.create_tenant("Two factors")


@pytest.fixture(scope="module")
def boss(admin, tenant):
    return add_person(admin, tenant)


@pytest.fixture
def person(admin, tenant, boss):
    return add_person(admin, tenant, "user")


def set_up(person, prefix="/v1/me"):
    """With the person's session: their app, and their recovery codes."""
    begun = person.api.post(f"{prefix}/totp", {"password": person.password}, 200)
    app = Authenticator(begun["secret"])
    confirmed = person.api.call("POST", f"{prefix}/totp/confirm", 200, json={"code": app.next()})
    assert confirmed.headers["Cache-Control"] == "no-store"
    return types.SimpleNamespace(app=app, recovery=confirmed.json()["recovery_codes"], uri=begun["uri"])


def actions_of(server, user):
    return [row[0] for row in server.query("SELECT action FROM platform.audit_log WHERE object_id = %s ORDER BY at",
                                           (user,), "rowhouse_platform")]


def test_the_way_from_a_secret_to_a_sign_in_with_a_code(server, person):
    assert person.api.get("/v1/me/totp") == {"enabled": False, "since": None, "recovery_codes_left": 0}
    begun = person.api.post("/v1/me/totp", {"password": person.password}, 200)
    assert begun["uri"].startswith(f"otpauth://totp/127.0.0.1%3A{server.port}:") and f"secret={begun['secret']}&" in begun["uri"]
    person.login()  # one that is not confirmed does not count
    app = Authenticator(begun["secret"])
    wrong = next(code for code in ("000000", "111111", "222222") if not app.may_be(code))
    faults = person.api.refused("POST", "/v1/me/totp/confirm", 422, "validation_failed", json={"code": wrong})["errors"]
    assert faults[0]["path"] == "/code"
    codes = person.api.post("/v1/me/totp/confirm", {"code": app.next()}, 200)["recovery_codes"]
    assert len(set(codes)) == 10
    state = person.api.get("/v1/me/totp")
    assert state["enabled"] and state["since"] and state["recovery_codes_left"] == 10
    assert person.login(401).json()["code"] == REQUIRED
    signed_in = person.login(code=app.next()).json()
    with_token(person.url, signed_in["access_token"]).get("/v1/me")
    person.api.refused("POST", "/v1/me/totp", 409, "conflict", json={"password": person.password})
    person.api.refused("POST", "/v1/me/totp/confirm", 409, "conflict", json={"code": "123456"})


def test_the_secret_and_the_codes_are_not_to_be_read_in_the_database(server, person):
    made = set_up(person)
    rows = server.query("SELECT encode(sealed_secret, 'escape'), encode(sealed_secret, 'base64') FROM identity.second_factors"
                        " WHERE user_id = %s", (person.id,), "rowhouse_identity")
    assert made.app.secret not in str(rows)
    stored = server.query("SELECT encode(code_hash, 'hex') FROM identity.recovery_codes WHERE user_id = %s", (person.id,),
                          "rowhouse_identity")
    assert len(stored) == 10
    for code in made.recovery:
        assert code not in str(stored) and code.replace("-", "") not in server.log()
    assert made.app.secret not in server.log()


def test_setting_up_needs_the_password_again(person):
    person.api.refused("POST", "/v1/me/totp", 401, UNKNOWN, json={"password": "not the password"})
    person.api.refused("POST", "/v1/me/totp", 422, "validation_failed", json={})


def test_a_wrong_code_has_the_answer_of_a_wrong_password(person):
    set_up(person)
    wrong_password, wrong_code = person.login(401, password="not the password", code="123456"), person.login(401, code="abcdef")
    assert wrong_code.json()["code"] == UNKNOWN and text_of(wrong_password) == text_of(wrong_code)
    # the wrong password alone does not tell that there is a second factor
    assert text_of(person.login(401, password="not the password")) == text_of(wrong_code)


def test_a_code_is_good_once_also_for_many_at_the_same_time(person):
    made = set_up(person)
    person.login(401, code=made.app.again())  # the one that confirmed it
    code = made.app.next()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: person.login((200, 401, 429), code=code).status_code, range(4)))
    assert answers.count(200) == 1, answers


def test_recovery_codes(server, person):
    made = set_up(person)
    typed = made.recovery[0].upper().replace("-", " ")
    person.signed_in = person.login(code=typed).json()
    assert person.login(401, code=made.recovery[0]).json()["code"] == UNKNOWN
    assert person.api.get("/v1/me/totp")["recovery_codes_left"] == 9
    proof = {"password": person.password, "code": made.recovery[1]}
    person.api.refused("POST", "/v1/me/recovery-codes", 401, UNKNOWN, json={**proof, "password": "not the password"})
    fresh = person.api.post("/v1/me/recovery-codes", proof, 200)["recovery_codes"]
    assert len(fresh) == 10 and not set(fresh) & set(made.recovery)
    person.login(401, code=made.recovery[2])
    person.login(code=fresh[0])


def test_guesses_at_the_code_are_limited_and_the_password_alone_does_not_wipe_them_out(person):
    made = set_up(person)
    for _ in range(5):
        assert person.login(401, code="not one").json()["code"] == UNKNOWN
        person.login((401, 429))
    assert person.login(429, code=made.app.next()).json()["code"] == "rate_limited"


def test_the_password_alone_is_no_guess(person):
    made = set_up(person)
    for _ in range(8):
        assert person.login(401).json()["code"] == REQUIRED
    person.login(code=made.app.next())


def test_removing_ones_own(server, person):
    person.api.refused("DELETE", "/v1/me/totp", 404, "not_found", json={"password": person.password, "code": "123456"})
    made = set_up(person)
    proof = {"password": person.password, "code": made.app.next()}
    person.api.refused("DELETE", "/v1/me/totp", 401, UNKNOWN, json={**proof, "code": "not one"})
    person.api.refused("DELETE", "/v1/me/totp", 422, "validation_failed", json={"password": person.password})
    person.api.call("DELETE", "/v1/me/totp", 204, json=proof)
    person.login()
    assert person.api.get("/v1/me/totp") == {"enabled": False, "since": None, "recovery_codes_left": 0}


def test_a_lost_one_is_removed_by_the_platform_and_everything_is_recorded(server, admin, person, boss):
    made = set_up(person)
    boss.api.call("DELETE", f"/v1/platform/users/{person.id}/totp", 401)
    admin.delete(f"/v1/platform/users/{person.id}/totp")
    admin.refused("DELETE", f"/v1/platform/users/{person.id}/totp", 404, "not_found")
    person.login()
    made = set_up(person)
    person.login(code=made.recovery[0])
    shown = server.cli("user", "reset-totp", person.email)
    assert "second factor is removed" in shown.stderr
    person.login()
    server.cli("user", "reset-totp", person.email, expect=3)
    wanted = ["user.second_factor_begun", "user.second_factor_set", "user.second_factor_removed",
              "user.second_factor_begun", "user.second_factor_set", "user.recovery_code_used", "user.second_factor_removed"]
    wait_until(lambda: [each for each in actions_of(server, person.id) if "factor" in each or "recovery" in each] == wanted,
               "the audit of a second factor")


def test_platform_admins_have_one_too_and_only_everything_may_take_it_away(server, admin):
    ada = new_platform_admin(admin)
    made = set_up(ada, "/v1/platform/me")
    assert ada.login(401).json()["code"] == REQUIRED
    ada.signed_in = ada.login(code=made.app.next()).json()
    assert ada.api.get("/v1/platform/me")["email"] == ada.email
    clerk = admin.post("/v1/service-keys", {"name": "clerk", "scopes": ["users:manage"]}, 201)["secret"]
    with_token(server.url, clerk).refused("DELETE", f"/v1/platform/users/{ada.id}/totp", 403, "permission_missing")
    ada.api.call("DELETE", "/v1/platform/me/totp", 204, json={"password": ada.password, "code": made.recovery[0]})
    ada.login()


def test_a_key_has_no_second_factor(tenant, admin):
    for method, path in (("GET", "/v1/me/totp"), ("POST", "/v1/me/totp"), ("POST", "/v1/me/totp/confirm"),
                         ("DELETE", "/v1/me/totp"), ("POST", "/v1/me/recovery-codes")):
        tenant.api.refused(method, path, 403, "forbidden", json={})
        admin.refused(method, path.replace("/me", "/platform/me"), 403, "forbidden", json={})


def test_another_tenants_name_does_not_open_a_way_around_the_code(admin, tenant, person):
    """Neither the list of tenants nor a suspended one lets guesses at the code go uncounted."""
    other = admin.create_tenant("Second place")
    admin.post(f"/v1/tenants/{other.slug}/users", {"email": person.email}, 201)
    set_up(person)
    nowhere = Person(person.url, person.email, person.password)
    for _ in range(5):
        person.login(401, code="not one")
        nowhere.login((422, 429), code="not one")
    person.login(429, code="not one")
