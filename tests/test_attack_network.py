"""What arrives on a socket before anybody can ask who it is: broken framing, slow and greedy clients, floods, bombs."""

import collections
import gzip
import json
import select
import socket
import time
import uuid

import pytest

from support import settings
from support.attack_net import Crowd, connect, open_files, raise_limit, reset, resident_mb
from support.raw import Connection
from support.server import Server, wait_until

LEADS = "/v1/data/leads"
GROWTH_MB = 96  # that an attack may cost the server for good; nothing is asserted under a sanitizer
TIMEOUT_S = 2


@pytest.fixture(scope="module")
def target(work):
    """A server with short deadlines, two tenants, and a client of each."""
    raise_limit()
    server = Server(work / "network", env={"ROWHOUSE_PACKS": "tekup"}, options=[
        "--http-header-timeout", f"{TIMEOUT_S}s", "--http-body-timeout", f"{TIMEOUT_S}s", "--http-write-timeout", f"{TIMEOUT_S}s",
        "--request-timeout", "10s", "--data-max-import", "16MiB", "--access-log", "off"])
    try:
        server.start()
        server.attacker = server.admin.create_tenant("Attacker")
        server.victim = server.admin.create_tenant("Victim", sample_data=True)
        server.victim_rows = server.victim.rows("leads", "order=id")
        yield server
        server.stop()
    finally:
        server.clear()


@pytest.fixture(autouse=True)
def as_before(target):
    """After each attack the server lives, holds no more files and hardly more memory, and the victim's rows are the same."""
    target.attacker.api.get("/v1/tenant")
    files, memory = open_files(target.process.pid), resident_mb(target.process.pid)
    yield
    target.check_alive()
    wait_until(lambda: open_files(target.process.pid) <= files + 40, "the connections are gone")
    if not settings.SANITIZED:
        assert resident_mb(target.process.pid) <= memory + GROWTH_MB
    assert target.victim.rows("leads", "order=id") == target.victim_rows


def served(target, times=20):
    for _ in range(times):
        assert target.victim.api.get("/v1/tenant")["id"] == target.victim.id
    assert target.victim.api.get(f"{LEADS}?limit=5")["data"]


def head(method, path, key, *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"X-Tenant-Key: {key}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"


# Smuggling: the attacker's bytes come first, a proxy sends another tenant's request behind them on the same connection

BODY = '{"name": "x"}'
SWALLOW = ("POST /v1/data/leads HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: KEY\r\nContent-Type: application/json\r\n"
           'Content-Length: 400\r\n\r\n{"name": "')
# name → headers of the attacker's POST and the bytes behind them. SWALLOW would take the victim's request for its body.
SMUGGLING = {
    "length before chunks": ("Content-Length: 13\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + SWALLOW),
    "chunks before length": ("Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\n" + SWALLOW),
    "two lengths": (f"Content-Length: 0\r\nContent-Length: {len(SWALLOW)}", SWALLOW),
    "list of lengths": (f"Content-Length: 0, {len(SWALLOW)}", SWALLOW),
    "length with a plus": ("Content-Length: +0", SWALLOW), "length in hexadecimal": ("Content-Length: 0x0", SWALLOW),
    "length with spaces": ("Content-Length: 1 3", SWALLOW), "length that wraps": ("Content-Length: 18446744073709551616", SWALLOW),
    "space before the colon": ("Transfer-Encoding : chunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "tab before the colon": ("Transfer-Encoding\t: chunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "tab before the value": ("Transfer-Encoding:\tchunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "folded coding": ("Transfer-Encoding:\r\n chunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "other case": ("tRANSFER-eNCODING: CHUNKED\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "trailing comma": ("Transfer-Encoding: chunked,", "0\r\n\r\n" + SWALLOW),
    "leading comma": ("Transfer-Encoding: , chunked", "0\r\n\r\n" + SWALLOW),
    "unknown coding": ("Transfer-Encoding: xchunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "identity": ("Transfer-Encoding: identity\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "chunked and identity": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n" + SWALLOW),
    "gzip and chunked": ("Transfer-Encoding: gzip, chunked", "0\r\n\r\n" + SWALLOW),
    "coding with a parameter": ("Transfer-Encoding: chunked;q=1", "0\r\n\r\n" + SWALLOW),
    "coding with a NUL": ("Transfer-Encoding: chunked\0", "0\r\n\r\n" + SWALLOW),
    "bare LF before the coding": ("X-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "bare CR before the coding": ("X-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n" + SWALLOW),
    "coding named in Connection": ("Connection: Transfer-Encoding, keep-alive\r\nTransfer-Encoding: chunked", "0\r\n\r\n" + SWALLOW),
    "length named in Connection": ("Connection: Content-Length, keep-alive\r\nContent-Length: 13", BODY + SWALLOW),
    "chunk size that wraps": ("Transfer-Encoding: chunked", "10000000000000000\r\n" + SWALLOW),
    "negative chunk": ("Transfer-Encoding: chunked", "-1\r\n" + SWALLOW), "chunk of spaces": ("Transfer-Encoding: chunked", " \r\n" + SWALLOW),
    "chunk size in words": ("Transfer-Encoding: chunked", "0x0\r\n\r\n" + SWALLOW),
    "chunk ended by LF": ("Transfer-Encoding: chunked", f"d\n{BODY}\n0\n\n" + SWALLOW),
    "LF in a chunk extension": ("Transfer-Encoding: chunked", f"d;a=\n{BODY}\r\n0\r\n\r\n" + SWALLOW),
    "chunk longer than said": ("Transfer-Encoding: chunked", f"5\r\n{BODY}\r\n0\r\n\r\n" + SWALLOW),
    "trailer with a length": ("Transfer-Encoding: chunked", f"d\r\n{BODY}\r\n0\r\nContent-Length: 400\r\n\r\n" + SWALLOW),
    "trailer with another's key": ("Transfer-Encoding: chunked", f"d\r\n{BODY}\r\n0\r\nX-Tenant-Key: tk_x\r\n\r\n" + SWALLOW),
    "method override": ("X-HTTP-Method-Override: GET\r\nContent-Length: 13", BODY + SWALLOW),
    "expectation": ("Expect: 100-continue\r\nContent-Length: 13", BODY + SWALLOW),
    "unknown expectation": ("Expect: 200-ok\r\nContent-Length: 13", BODY + SWALLOW),
    "upgrade": ("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 13", BODY + SWALLOW),
    "nothing wrong": ("Content-Length: 13", BODY + SWALLOW),
}


def answers(connection):
    """All until the server closes or has nothing more to say."""
    found = []
    connection.socket.settimeout(TIMEOUT_S * 4 * settings.SLOWDOWN)
    try:
        while True:
            found.append(connection.answer())
    except (EOFError, ConnectionResetError, TimeoutError, socket.timeout):
        return found


@pytest.mark.parametrize("what", SMUGGLING, ids=lambda what: what)
def test_smuggled_requests_never_meet_another_tenant(target, what):
    """No answer to the attacker is about the victim, and nothing of the victim's request ends in the attacker's rows."""
    headers, rest = SMUGGLING[what]
    attack = head("POST", LEADS, target.attacker.key, headers) + rest.replace("KEY", target.attacker.key)
    behind = f"GET /v1/tenant HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {target.victim.key}\r\nConnection: close\r\n\r\n"
    with Connection(target) as connection:
        connection.send((attack + behind).encode("latin-1"))
        connection.socket.shutdown(socket.SHUT_WR)
        seen = [one for one in answers(connection) if one[0] >= 200]
    assert seen, "no answer at all"
    first = seen[0]
    assert first[0] < 500
    if first[0] >= 400 and json.loads(first[2])["code"] == "malformed_request":
        assert len(seen) == 1 and first[1].get("connection") == "close", seen
    for _, fields, body in seen[:-1] or seen:  # the victim's own request is the last that can be answered
        assert fields.get("x-tenant-id") in (None, target.attacker.id) and target.victim.id.encode() not in body, seen
    for row in target.attacker.rows("leads"):
        assert target.victim.key not in json.dumps(row) and "GET /v1/tenant" not in row["name"]


def test_tenants_take_turns_on_one_connection(target):
    """A flood of pipelined requests of two tenants: each answer is its own, in order, whatever failed in between."""
    tenants = [target.attacker, target.victim]
    requests, expected = [], []
    for turn in range(1500):
        tenant = tenants[turn % 2]
        kind = turn % 7
        if kind == 3:
            requests.append(head("GET", f"{LEADS}/{uuid.uuid4()}", tenant.key))
        elif kind == 5:
            requests.append(head("POST", LEADS, tenant.key, "Content-Length: 2") + "{}")
        else:
            requests.append(head("GET", "/v1/tenant", tenant.key))
        expected.append((tenant.id, {3: 404, 5: 422}.get(kind, 200)))
    with Connection(target) as connection:
        sent = 0
        data = "".join(requests).encode()
        for wanted, status in expected:
            if sent < len(data):  # always some way ahead
                sent += connection.socket.send(data[sent:sent + 30_000])
            got = connection.answer()
            assert (got[1]["x-tenant-id"], got[0]) == (wanted, status), got
            assert status != 200 or json.loads(got[2])["id"] == wanted


def test_a_flood_that_nobody_reads(target):
    """Requests without end from a client that takes no answers: the server stops reading, and keeps its memory."""
    request = head("GET", f"{LEADS}?limit=100", target.victim.key).encode()
    flood = [connect(target.port) for _ in range(8)]
    for one in flood:
        one.setblocking(False)
    sent = 0
    for _ in range(200):
        for one in flood:
            try:
                sent += one.send(request * 500)
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                pass
    served(target)
    assert sent < 8 * 20_000_000, "the server reads what it cannot answer"
    if not settings.SANITIZED:
        assert resident_mb(target.process.pid) < 600
    wait_until(lambda: all(ended(one) for one in flood), "the write timeout cuts them", 30)
    for one in flood:
        one.close()


def ended(one):
    """Whether the server has given up a connection, without reading what it sent."""
    try:
        one.send(b"\0")
        return False
    except BlockingIOError:
        return False
    except OSError:
        return True


# Slow clients


def test_a_thousand_slow_clients(target):
    """Heads and bodies that come drop by drop: all are cut, and nobody else notices."""
    with Crowd(target.port, 1000) as crowd:
        slow = crowd.living()
        for place, number in enumerate(slow):
            if place % 2:
                crowd.send(number, b"GET /v1/tenant HTTP/1.1\r\nHost: x\r\n")
            else:
                crowd.send(number, head("POST", LEADS, target.attacker.key, "Content-Length: 100000").encode() + b'{"name": "')
        deadline = time.monotonic() + 60 * settings.SLOWDOWN
        turn = 0
        while crowd.living():
            assert time.monotonic() < deadline, f"{len(crowd.living())} slow clients are still there"
            for place, number in enumerate(slow):
                if number not in crowd.ended and place % 4 < 2:  # the others fall silent
                    crowd.send(number, b"X-A: b\r\n" if place % 2 else b"x")
            crowd.listen(0.25)
            turn += 1
            served(target, 2)
        assert turn > 3
        statuses = collections.Counter(crowd.status(number) for number in slow)
        assert set(statuses) <= {408, 413, 503, None} and statuses[408] > 500, statuses


def test_slow_readers_are_cut(target):
    """Clients that ask for much and take nothing."""
    request = head("GET", "/v1/export/leads?format=csv", target.victim.key).encode() * 400
    readers = [connect(target.port) for _ in range(30)]
    for one in readers:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        try:
            one.send(request)
        except BlockingIOError:
            pass
    served(target)
    wait_until(lambda: all(ended(one) for one in readers), "they are cut", 40)
    for one in readers:
        one.close()


def test_five_thousand_connections(target):
    """Each is served or told plainly that there are too many; when they are gone, all is as before."""
    with Crowd(target.port, 5000) as crowd:
        request = head("GET", "/v1/tenant", target.attacker.key).encode()
        for number in list(crowd.living()):
            crowd.send(number, request)
        wait_until(lambda: crowd.listen(0.2) or all(crowd.got.values()) or not crowd.living(), "every one is answered", 60)
        statuses = collections.Counter(crowd.status(number) for number in crowd.sockets)
        assert set(statuses) <= {200, 503} and statuses[200] > 1000, statuses
        served(target)
        for number, made in list(crowd.sockets.items())[::3]:  # and a third of them asks again
            crowd.got[number] = b""
            crowd.send(number, request)
        crowd.listen(0.5)
    wait_until(lambda: open_files(target.process.pid) < 400, "they are gone")
    served(target)


def test_half_closed_and_reset(target):
    """Clients that say that they are done, and clients that vanish in the middle of an answer."""
    for path in ("/v1/tenant", f"{LEADS}?limit=100", "/v1/export/leads?format=ndjson"):
        for _ in range(20):
            with Connection(target) as connection:
                connection.send(head("GET", path, target.victim.key))
                connection.socket.shutdown(socket.SHUT_WR)
                status, _, body = connection.answer()  # 499: such a client counts as one that has gone
                assert status in (200, 499) and body
                assert connection.closed()
    for cut in (b"", b"GET", head("POST", LEADS, target.attacker.key, "Content-Length: 50").encode() + b'{"name": "half'):
        for _ in range(20):
            connection = connect(target.port)
            connection.sendall(cut)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)
            connection.close()
    for turn in range(300):
        connection = connect(target.port)
        path = ("/v1/export/leads?format=csv", f"{LEADS}?limit=1000", f"{LEADS}?order=-name&limit=100")[turn % 3]
        connection.sendall(head("GET", path, target.victim.key).encode() * (1 + turn % 5))
        if turn % 2:
            connection.recv(100)
        reset(connection)
    for _ in range(50):  # in the middle of a body, of an import
        connection = connect(target.port)
        connection.sendall(head("POST", "/v1/import/leads", target.attacker.key, "Content-Length: 1000000").replace(
            "application/json", "text/csv").encode() + b"name,email\nleft behind," + b"x" * 1000)
        reset(connection)
    served(target)
    wait_until(lambda: "left behind" not in json.dumps(target.attacker.rows("leads")), "a broken import leaves nothing")


# Greedy ones


def told(connection):
    """The first answer's status and code, if it got through before the connection was cut."""
    try:
        status, headers, body = connection.answer()
        return status, json.loads(body).get("code")
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return None


def pour(connection, piece, limit):
    """Sends pieces until the server answers or cuts: how much it let in."""
    sent = 0
    while sent < limit:
        readable, writable, _ = select.select([connection.socket], [connection.socket], [], settings.REQUEST_LIMIT_S)
        assert readable or writable, "the server neither takes nor answers"
        if readable:
            break
        try:
            sent += connection.socket.send(piece)
        except (ConnectionResetError, BrokenPipeError):
            break
    return sent


TEN_GIGABYTES = 10 * 10**9
MEGABYTE = 2**20
ON_THE_WAY = 24 * MEGABYTE  # what the kernel's buffers may hold, and what is sent while the answer travels
UPLOADS = {
    "create": ("POST", LEADS, "application/json", 8), "update": ("PATCH", f"{LEADS}/{uuid.uuid4()}", "application/json", 8),
    "call": ("POST", "/v1/rpc/lead_counts", "application/json", 8), "read": ("GET", "/v1/tenant", "application/json", 8),
    "delete": ("DELETE", f"{LEADS}/{uuid.uuid4()}", "application/json", 8), "control plane": ("POST", "/v1/tenants", "application/json", 8),
    "no route": ("POST", "/nothing", "text/plain", 8), "CSV": ("POST", "/v1/import/leads", "text/csv", 16),
    "NDJSON": ("POST", "/v1/import/leads", "application/x-ndjson", 16), "endless row": ("POST", "/v1/import/leads", "text/csv", 16),
}


@pytest.mark.parametrize("what", UPLOADS, ids=lambda what: what)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_ten_gigabytes(target, what, framing):
    """Refused as soon as it is known: at once where the length is declared, at the limit where it is not."""
    method, path, kind, limit_mb = UPLOADS[what]
    piece = {"CSV": b"x,too many cells\n" * 4_000, "NDJSON": b'{"name": 5}\n' * 6_000}.get(what, b'"' + b"x" * 65_535)
    fields = f"Content-Length: {TEN_GIGABYTES}"
    if framing == "chunks":
        fields, piece, limit = "Transfer-Encoding: chunked", b"%x\r\n" % len(piece) + piece + b"\r\n", limit_mb * MEGABYTE + ON_THE_WAY
    else:
        limit = ON_THE_WAY
    with Connection(target) as connection:
        connection.send(head(method, path, target.attacker.key, fields).replace("application/json", kind))
        if what == "CSV":
            connection.send("5\r\nname\n\r\n" if framing == "chunks" else "name\n")
        sent = pour(connection, piece, limit)
        assert sent < limit, f"{sent} bytes were let in"
        outcome = told(connection)
        assert outcome is None or outcome[0] in (200, 400, 401, 404, 413, 415, 422), outcome
        assert outcome is None or framing == "chunks" or outcome[0] in (200, 401, 404, 413), outcome
    if not settings.SANITIZED:
        assert resident_mb(target.process.pid) < 600
    assert not [row for row in target.attacker.rows("leads") if row["name"].startswith("xxx")]


def test_a_megabyte_of_head(target):
    big = "x" * 2**20
    for request, statuses in ((head("GET", "/v1/tenant", target.attacker.key, f"X-A: {big}"), (431,)),
                              (head("GET", "/v1/tenant", target.attacker.key, *[f"X-A{i}: b" for i in range(2**16)]), (431,)),
                              (head("GET", "/v1/tenant", big), (431,)), (head("GET", f"{LEADS}?name=eq.{big}", target.attacker.key), (414,)),
                              (head(big, "/", target.attacker.key), (400, 414, 431, 501)), (head("GET", "/v1/tenant", target.attacker.key, f"{big}: b"), (431, 400)),
                              (f"GET / HTTP/1.1{big}\r\n\r\n", (400, 414, 431, 505))):
        with Connection(target) as connection:
            try:
                connection.send(request)
            except (ConnectionResetError, BrokenPipeError):
                pass
            outcome = told(connection)
            assert outcome is None or outcome[0] in statuses, outcome
    served(target, 3)


DEEP = 100_000
DEPTHS = {"arrays": "[" * DEEP + "]" * DEEP, "objects": '{"a":' * DEEP + "1" + "}" * DEEP, "unclosed": "[" * DEEP, "mixed": '[{"a":' * (DEEP // 2)}


@pytest.mark.parametrize("shape", DEPTHS, ids=lambda shape: shape)
def test_deep_json(target, shape):
    deep = DEPTHS[shape]
    api, admin = target.attacker.api, target.admin
    json_type = {"Content-Type": "application/json"}
    for body in (deep, f'{{"name": "x", "custom_fields": {deep}}}', f'[{{"name": "x", "custom_fields": {deep}}}]'):
        for method, path in (("POST", LEADS), ("PATCH", f"{LEADS}/{uuid.uuid4()}"), ("POST", "/v1/rpc/leads_by_source")):
            api.refused(method, path, 400, "malformed_json", data=body.encode(), headers=json_type)
        for method, path in (("POST", "/v1/tenants"), ("PATCH", f"/v1/tenants/{target.attacker.id}"), ("POST", "/v1/packs"),
                             ("POST", f"/v1/tenants/{target.attacker.id}/keys")):
            admin.refused(method, path, 400, "malformed_json", data=body.encode(), headers=json_type)
    answer = api.call("POST", "/v1/import/leads", (200, 400, 422), data=f'{{"name": "x", "custom_fields": {deep}}}\n'.encode(),
                      headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code != 200 or answer.json()["inserted"] == 0
    api.call("GET", f"{LEADS}?custom_fields=contains.{deep[:2000]}", (400, 414))


@pytest.mark.parametrize("number", ["1e999999999", "-1e999999999", "1e-999999999", "9" * 100_000, "0." + "0" * 100_000 + "1", "1" + "0" * 400,
                                    "1e131072", "1E+2147483648", "-0", "123456789012345678901234567890"], ids=lambda number: number[:12])
def test_huge_numbers(target, number):
    """Nowhere an error of the server, and nothing that grows on the way."""
    api = target.attacker.api
    for body in (f'{{"name": "n", "value": {number}}}', f'{{"name": "n", "custom_fields": {{"a": {number}}}}}', f'{{"name": {number}}}'):
        answer = api.call("POST", LEADS, (201, 400, 422), data=body.encode(), headers={"Content-Type": "application/json"})
        assert len(answer.content) < 10 * len(body) + 2000
        if answer.status_code == 201:
            api.delete(f"{LEADS}/{answer.json()['id']}")
    for query in (f"value=gt.{number}", f"version=eq.{number}", f"limit={number}", f"custom_fields=contains.{{\"a\":{number}}}"):
        api.call("GET", f"{LEADS}?{query[:4000]}", (200, 400))
    for header in ("Content-Length", "X-Tenant-ID"):
        with Connection(target) as connection:
            connection.send(head("POST", LEADS, target.attacker.key, f"{header}: {number[:1000]}"))
            connection.socket.shutdown(socket.SHUT_WR)
            outcome = told(connection)
            assert outcome is None or outcome[0] in (400, 403, 408, 413), outcome


def test_gzip_bombs(target):
    """Bodies are taken as they are: nothing is unpacked."""
    bomb = gzip.compress(b'{"name": "' + b"x" * (256 << 20) + b'"}', 9)
    assert len(bomb) < 300_000
    for coding in ("gzip", "x-gzip", "deflate", "br", "gzip, gzip"):
        for method, path, kind in (("POST", LEADS, "application/json"), ("POST", "/v1/import/leads", "text/csv"),
                                   ("POST", "/v1/import/leads", "application/x-ndjson"), ("POST", "/v1/rpc/lead_counts", "application/json")):
            answer = target.attacker.api.call(method, path, (200, 400, 413, 415, 422), data=bomb,
                                              headers={"Content-Type": kind, "Content-Encoding": coding})
            assert answer.status_code != 200 or answer.json()["inserted"] == 0, answer.text[:300]
    answer = target.attacker.api.call("GET", "/v1/tenant", 200, headers={"Accept-Encoding": "gzip;q=1, br, *;q=0.5, " + "a, " * 2000})
    assert answer.json()["id"] == target.attacker.id
