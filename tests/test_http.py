"""The HTTP server itself: connections, framing, limits, deadlines, TLS, the access log, clients that go away."""

import concurrent.futures
import json
import re
import socket
import ssl
import subprocess
import time
import uuid

import pytest

from support import packs, settings
from support.raw import Connection
from support.server import Server, wait_until

LEADS = "/v1/data/leads"


@pytest.fixture(scope="module")
def key(admin):
    return admin.create_tenant("Sockets").key


@pytest.fixture(scope="module")
def strict(work):
    """A server with narrow limits and short deadlines."""
    own = Server(work / "strict", env={"ROWHOUSE_PACKS": "tekup"}, options=["--http-max-body", "64KiB", "--http-max-header", "4KiB", "--http-max-target",
                                           "1KiB", "--http-header-timeout", "1s", "--http-body-timeout", "1s",
                                           "--http-keep-alive-timeout", "1s"])
    try:
        own.start()
        own.tenant = own.admin.create_tenant()
        yield own
        own.stop()
    finally:
        own.clear()


def get(path="/healthz", extra=""):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n"


def test_keep_alive_and_pipelining(server):
    with Connection(server) as connection:
        for _ in range(3):
            status, headers, body = connection.send(get()).answer()
            assert status == 200 and json.loads(body) == {"status": "ok"} and headers.get("connection") != "close"
        connection.send(get() * 5 + get("/nothing") + get(extra="Connection: close\r\n"))
        assert [connection.answer()[0] for _ in range(7)] == [200] * 5 + [404, 200]
        assert connection.closed()


def test_pipelined_writes_are_answered_in_order(server, key):
    body = json.dumps({"name": "x"})
    post = (f"POST {LEADS} HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")
    with Connection(server) as connection:
        connection.send(post * 3 + get("/v1/tenant", f"X-Tenant-Key: {key}\r\n") + post)
        assert [connection.answer()[0] for _ in range(5)] == [201, 201, 201, 200, 201]


def test_old_clients(server):
    with Connection(server) as connection:
        status, headers, _ = connection.send("GET /healthz HTTP/1.0\r\n\r\n").answer()
        assert status == 200 and headers.get("connection", "close") == "close" and connection.closed()


def test_head(server, key):
    with Connection(server) as connection:
        head = connection.send(f"HEAD /v1/tenant HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {key}\r\n\r\n").answer(head=True)
        if head[0] == 405:
            assert "GET" in head[1]["allow"]
        else:
            assert head[0] == 200
        assert connection.send(get()).answer()[0] == 200, "the connection goes on in step"


def chunked(*pieces, trailer=""):
    return "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces) + f"0\r\n{trailer}\r\n"


def test_chunked_bodies(server, key):
    head = (f"POST {LEADS} HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {key}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n")
    with Connection(server) as connection:
        for body in (chunked('{"name"', ': "in pieces"}'), chunked('{"name": "x"}', trailer="X-Checksum: 5\r\n"),
                     '0000D;name=value\r\n{"name": "x"}\r\n0\r\n\r\n'):
            assert connection.send(head + body).answer()[0] == 201, body
        for at in range(len(head) - 40, len(head), 7):
            text = head + chunked('{"name": "slow"}')
            connection.send(text[:at])
            time.sleep(0.01)
            assert connection.send(text[at:]).answer()[0] == 201


def test_expect(server, key):
    body = '{"name": "waited"}'
    head = (f"POST {LEADS} HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
    with Connection(server) as connection:
        assert connection.send(head).answer()[0] == 100
        assert connection.send(body).answer()[0] == 201
    with Connection(server) as connection:
        status, headers, _ = connection.send(head.replace(key, "tk_" + "A" * 43)).answer()
        assert status == 401, "refused before the body was asked for"


POST = "POST /v1/data/leads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMUGGLED = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMING = {
    "length and chunks": POST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two equal lengths": POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "list of lengths": POST + "Content-Length: 2, 2\r\n\r\n{}",
    "signed length": POST + "Content-Length: +2\r\n\r\n{}",
    "negative length": POST + "Content-Length: -2\r\n\r\n{}",
    "hexadecimal length": POST + "Content-Length: 0x2\r\n\r\n{}",
    "huge length": POST + "Content-Length: 99999999999999999999999\r\n\r\n{}",
    "empty length": POST + "Content-Length:\r\n\r\n{}",
    "bare LF after the request line": "GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
    "bare LF after a header": "GET /healthz HTTP/1.1\r\nHost: x\n\r\n",
    "bare LF at the end": "GET /healthz HTTP/1.1\r\nHost: x\r\n\n",
    "bare CR in a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\rX-C: d\r\n\r\n",
    "folded header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "space before the colon": POST + "Content-Length : 2\r\n\r\n{}",
    "space before the name": "GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n",
    "NUL in a header": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n",
    "NUL in the target": "GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n",
    "other coding": POST + "Transfer-Encoding: gzip\r\n\r\n",
    "chunked before another": POST + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "another before chunked": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "quoted coding": POST + 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "vertical tab in the coding": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no host": "GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no version": "GET /healthz\r\n\r\n",
    "later version": "GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "odd version": "GET /healthz HTTP/1.1.1\r\nHost: x\r\n\r\n",
    "spaces in the target": "GET /health z HTTP/1.1\r\nHost: x\r\n\r\n",
    "no method": " /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "odd method": "G(E)T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no colon": "GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "empty name": "GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "TLS without TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("what", FRAMING, ids=lambda what: what)
def test_framing_attacks(server, what):
    """400 and close: what follows is never taken for a request."""
    with Connection(server) as connection:
        status, headers, body = connection.send(FRAMING[what].encode("latin-1") + SMUGGLED.encode() * 3).answer()
        assert status in (400, 505) and headers["connection"] == "close", (status, headers, body)
        assert json.loads(body)["code"] == "malformed_request" and headers["x-request-id"]
        assert connection.closed(), "the smuggled request was answered"


@pytest.mark.parametrize("body", ["zz\r\n", "-1\r\nx\r\n", "+5\r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n",
                                  "fffffffffffffffff\r\n", "0x5\r\nhello\r\n", "5 \r\nhelloXX0\r\n\r\n", "\r\n", "5;a\nb\r\nhello\r\n",
                                  "2\r\n{}\r\n0\r\nbad trailer\r\n\r\n", "5;" + "x" * 5000 + "\r\nhello\r\n0\r\n\r\n"],
                         ids=lambda body: repr(body[:24]))
def test_broken_chunks(server, key, body):
    with Connection(server) as connection:
        connection.send(POST + f"X-Tenant-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED * 3)
        status, headers, text = connection.answer()
        assert status == 400 and headers["connection"] == "close", (status, text)
        assert connection.closed()


def test_requests_behind_an_unread_body_are_not_mistaken(server):
    """A refused upload: its body, which looks like requests, is no request."""
    with Connection(server) as connection:
        body = SMUGGLED * 50
        connection.send(POST + f"Content-Length: {len(body)}\r\n\r\n" + body + get())
        status, headers, _ = connection.answer()
        assert status == 401
        if headers.get("connection") == "close":
            assert connection.closed()
        else:
            assert connection.answer()[0] == 200


def test_limits(strict):
    with Connection(strict) as connection:
        status, headers, body = connection.send(get("/" + "x" * 3000)).answer()
        assert (status, json.loads(body)["code"]) == (414, "target_too_long") and connection.closed()
    for extra in ("X-A: " + "x" * 6000 + "\r\n", "X-A: x\r\n" * 200):
        with Connection(strict) as connection:
            status, headers, body = connection.send(get(extra=extra)).answer()
            assert (status, json.loads(body)["code"]) == (431, "headers_too_large") and connection.closed()
    for length in (70_000, 10**12):
        with Connection(strict) as connection:
            connection.send(POST + f"X-Tenant-Key: {strict.tenant.key}\r\nContent-Length: {length}\r\n\r\n" + "x" * 1000)
            status, headers, body = connection.answer()
            assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    with Connection(strict) as connection:
        connection.send(POST + f"X-Tenant-Key: {strict.tenant.key}\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                connection.send("400\r\n" + "x" * 1024 + "\r\n")
        except OSError:
            pass  # it has answered and closed already
        try:
            assert connection.answer()[0] == 413
        except (EOFError, ConnectionResetError):
            pass


def test_deadlines(strict):
    with Connection(strict) as connection:
        connection.send("GET /healthz HTT")
        status, headers, body = connection.answer()
        assert (status, json.loads(body)["code"]) == (408, "request_timeout") and connection.closed()
    with Connection(strict) as connection:
        connection.send(POST + f"X-Tenant-Key: {strict.tenant.key}\r\nContent-Length: 10\r\n\r\n{{")
        status, headers, body = connection.answer()
        assert (status, json.loads(body)["code"]) == (408, "request_timeout") and connection.closed()
    with Connection(strict) as connection:
        assert connection.send(get()).answer()[0] == 200
        assert connection.closed(), "an idle connection is closed without a word"
    with Connection(strict) as connection:
        assert connection.closed(), "so is one that never said anything"


def test_many_idle_connections_disturb_nobody(server):
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    for connection in idle[::2]:
        connection.sendall(b"GET /hea")
    for _ in range(20):
        assert server.anonymous.get("/healthz") == {"status": "ok"}
    for connection in idle:
        connection.close()


def test_request_ids(server):
    given = str(uuid.uuid4())
    assert server.anonymous.call("GET", "/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given
    made = {server.anonymous.call("GET", "/healthz").headers["X-Request-Id"] for _ in range(10)}
    assert len(made) == 10
    for bad in ("x" * 129, "caf\u00e9".encode("latin-1"), "a\tb"):
        assert server.anonymous.call("GET", "/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_access_log(server, admin):
    tenant = admin.create_tenant("Logged")
    ids = {name: str(uuid.uuid4()) for name in ("good", "bad", "open")}
    tenant.api.call("GET", LEADS + "?limit=5&name=eq.secret", 200, headers={"X-Request-Id": ids["good"], "User-Agent": 'a"b\\c'})
    tenant.api.call("GET", "/v1/data/nothing", 404, headers={"X-Request-Id": ids["bad"]})
    server.anonymous.call("GET", "/healthz", 200, headers={"X-Request-Id": ids["open"]})

    def lines():
        return {line.get("request_id"): line for line in server.log_lines()}
    wait_until(lambda: set(ids.values()) <= set(lines()), "the log has the requests")
    good, bad, plain = (lines()[ids[name]] for name in ("good", "bad", "open"))
    assert (good["method"], good["path"], good["status"], good["route"]) == ("GET", LEADS, 200, "/v1/data/{resource}")
    assert good["tenant"] in (tenant.id, tenant.slug) and good["agent"] == 'a"b\\c' and good["peer"].startswith("127.0.0.1")
    assert all(isinstance(good[member], int) for member in ("status", "duration_us", "request_bytes", "response_bytes"))
    assert good["response_bytes"] > 0 and good["error"] == ""
    assert bad["status"] == 404 and bad["error"] == "unknown_resource" and bad["tenant"] == good["tenant"]
    assert plain["route"] == "/healthz" and plain["tenant"] == ""
    log = server.log()
    assert tenant.key not in log and server.admin_token not in log, "no secrets in the log"
    assert all(line["time"] and line["level"] for line in server.log_lines())


@pytest.fixture(scope="module")
def slow(server, admin):
    """A tenant whose function takes as long as it is told."""

    pack = packs.notes("slow-pack", "CREATE FUNCTION nap(seconds integer) RETURNS boolean LANGUAGE sql STABLE"
                                    " BEGIN ATOMIC SELECT pg_sleep(seconds) IS NOT NULL; END;",
                       functions={"nap": {"description": "Sleeps", "operation": "note:use"}})
    admin.call("POST", "/v1/packs", (200, 201), json=packs.bundle(pack))
    return admin.create_tenant("Slow", pack="slow-pack", plan=None)


def napping(server):
    return server.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%nap%%' AND state = 'active'"
                        " AND datname = 'rowhouse_pool_slow_pack'")[0][0]


def test_a_client_that_goes_away_cancels_its_query(server, slow):
    body = '{"seconds": 60}'
    request = (f"POST /v1/rpc/nap HTTP/1.1\r\nHost: x\r\nX-Tenant-Key: {slow.key}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}")
    connections = [Connection(server).send(request) for _ in range(2)]
    wait_until(lambda: napping(server) >= 1, "the query runs")
    started = time.monotonic()
    for connection in connections:
        connection.socket.close()
    wait_until(lambda: napping(server) == 0, "the query is gone", 4)
    if not settings.SANITIZED:
        assert time.monotonic() - started < 5, "sooner than any timeout"
    assert slow.api.get("/v1/data/notes")["data"] == []


def test_slow_statements_end(slow):
    answer = slow.api.call("POST", "/v1/rpc/nap", (200, 503), json={"seconds": 8})
    assert answer.json()["code"] == "statement_timeout", "5 s unless configured otherwise"


def test_slow_requests_do_not_hold_up_others(server, slow):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        naps = [pool.submit(slow.api.with_headers().call, "POST", "/v1/rpc/nap", 200, json={"seconds": 2}) for _ in range(2)]
        for _ in range(30):
            assert slow.api.get("/v1/data/notes")["data"] == []
        assert all(nap.result().json() for nap in naps)


# TLS


def certificate(directory, name="localhost"):
    pair = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(pair[0]),
                    "-keyout", str(pair[1])], check=True, capture_output=True)
    return pair


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls(work):
    chain, private = certificate(work)
    own = Server(work / "tls", env={"ROWHOUSE_PACKS": "tekup"}, options=["--tls-certificate", str(chain), "--tls-key", str(private)], scheme="https",
                 verify=str(chain))
    try:
        own.start()
        tenant = own.admin.create_tenant()
        row = tenant.api.post(LEADS, {"name": "Secret", "custom_fields": {"a": "x" * 60_000}}, 201)
        assert tenant.api.get(f"{LEADS}/{row['id']}") == row
        context = ssl.create_default_context(cafile=str(chain))
        with Connection(own, context=context) as connection:
            assert connection.socket.version() in ("TLSv1.2", "TLSv1.3")
            connection.send(get() * 3)
            assert [connection.answer()[0] for _ in range(3)] == [200] * 3
        with socket.create_connection(("127.0.0.1", own.port), timeout=settings.REQUEST_LIMIT_S) as plain:
            plain.sendall(get().encode())
            assert not plain.recv(100).startswith(b"HTTP/1.1 200"), "no answer without TLS"
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            Connection(own, context=old)
        listed = own.cli("tenant", "list", "--json", "--ca-file", str(chain))
        assert json.loads(listed.stdout)["data"][0]["id"] == tenant.id
        assert own.cli("tenant", "list", expect=5).stderr, "an unknown certificate is not trusted"
        own.stop()
    finally:
        own.clear()


@pytest.mark.parametrize("options", [["--tls-certificate", "/nowhere.crt", "--tls-key", "/nowhere.key"],
                                     ["--tls-certificate", "/etc/hostname", "--tls-key", "/etc/hostname"]])
def test_bad_certificates(work, options):
    own = Server(work / "bad-tls", env={"ROWHOUSE_PACKS": "tekup"}, options=options)
    own.launch()
    try:
        assert own.wait_end() in (1, 2) and options[1] in own.log()
    finally:
        own.clear()


def test_the_reference_page_works_without_the_world_outside(server):
    page = server.anonymous.call("GET", "/docs", 200)
    assert page.headers["Content-Type"].startswith("text/html") and "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "://" not in page.text.replace("http://www.w3.org", ""), "nothing is loaded from elsewhere"
    for path in set(re.findall(r'(?:src|href)="(?!data:)(/?[^"#]+)"', page.text)):
        answer = server.anonymous.call("GET", path if path.startswith("/") else f"/docs/{path}", 200)
        assert answer.headers["Content-Type"], path
    for path in ("/docs/../../etc/passwd", "/docs/%2e%2e%2fpack.json", "/docs/nothing.js"):
        with Connection(server) as connection:
            assert connection.send(get(path)).answer()[0] == 404
