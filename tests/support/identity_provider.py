"""Identity providers for the tests: the real npm oidc-provider, and a hostile one that signs whatever it is told."""

import base64
import functools
import hashlib
import http.server
import json
import queue
import subprocess
import threading
import urllib.parse

import requests

from . import settings
from .people import encoded
from .temporary import free_port

SCRIPT = settings.ROOT / "tests" / "node" / "identity_provider.cjs"
START_LIMIT_S = 60


class RealProvider:
    """tests/node/identity_provider.cjs. `accounts`: subject → claims."""

    def __init__(self, redirect_uri, accounts, clients=("rowhouse",), resources=(), userinfo=False):
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.secret = "secret of the client, with : and % in it"
        described = [{"client_id": name, "client_secret": self.secret, "redirect_uris": [redirect_uri],
                      "grant_types": ["authorization_code"]} for name in clients]
        self.process = subprocess.Popen(["node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.process.stdin.write(json.dumps({"port": self.port, "clients": described, "accounts": accounts,
                                             "resources": list(resources), "userinfo": userinfo}))
        self.process.stdin.close()
        said = queue.Queue()
        threading.Thread(target=lambda: [said.put(line) for line in self.process.stdout], daemon=True).start()
        seen = []
        while "ready\n" not in seen:
            seen.append(said.get(timeout=START_LIMIT_S))

    def close(self):
        self.process.terminate()
        self.process.wait(30)


def authorize(url, subject, issuer):
    """What a browser does at the provider: follows it until it sends the browser away. Returns where to."""
    parts = urllib.parse.urlsplit(url)
    query = {**dict(urllib.parse.parse_qsl(parts.query)), "login_hint": subject}
    at = urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
    browser = requests.Session()
    browser.trust_env = False
    for _ in range(10):
        answer = browser.get(at, allow_redirects=False, timeout=30)
        assert answer.status_code in (302, 303), answer.text
        at = urllib.parse.urljoin(at, answer.headers["Location"])
        if not at.startswith(issuer + "/"):
            return at
    raise AssertionError(f"the provider never sent the browser back: {at}")


# RSA by hand, so that nothing is needed but Python: only for tests.

class RsaKey:
    def __init__(self, kid="key"):
        pem = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, check=True).stdout
        text = subprocess.run(["openssl", "rsa", "-noout", "-text"], input=pem, capture_output=True, check=True).stdout.decode()
        numbers, name = {}, None
        for line in text.splitlines():
            if not line.startswith(" "):
                name, _, rest = line.partition(":")
                numbers[name] = rest.strip()
            else:
                numbers[name] += line.strip()
        self.n = int(numbers["modulus"].replace(":", ""), 16)
        self.d = int(numbers["privateExponent"].replace(":", ""), 16)
        self.kid = kid

    def jwk(self):
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": encoded(self.n.to_bytes(256, "big")),
                "e": encoded((65537).to_bytes(3, "big"))}

    def sign(self, text):
        digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text).digest()
        padded = b"\x00\x01" + b"\xff" * (256 - len(digest) - 3) + b"\x00" + digest
        return pow(int.from_bytes(padded, "big"), self.d, self.n).to_bytes(256, "big")

    def token(self, claims, **header):
        header = {key: value for key, value in {"alg": "RS256", "kid": self.kid, "typ": "JWT", **header}.items() if value is not None}
        text = f"{encoded(header)}.{encoded(claims)}".encode()
        return text.decode() + "." + base64.urlsafe_b64encode(self.sign(text)).rstrip(b"=").decode()


@functools.cache
def shared_key(name):
    """Making one takes a while."""
    return RsaKey()


class HostileProvider:
    """Discovery, keys and a token endpoint that answers with `id_token(code)`, whatever that is."""

    def __init__(self):
        provider = self
        self.key, self.id_token, self.requests, self.userinfo = shared_key("hostile"), lambda code: "", [], {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider.requests.append(self.path)
                self.answer({"/.well-known/openid-configuration": provider.metadata(),
                             "/jwks": {"keys": [provider.key.jwk()]}, "/me": provider.userinfo}.get(self.path))

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                provider.requests.append((self.path, form, self.headers.get("Authorization")))
                self.answer({"access_token": "opaque", "token_type": "Bearer", "id_token": provider.id_token(form["code"])})

            def answer(self, document):
                body = json.dumps(document).encode()
                self.send_response(200 if document is not None else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def metadata(self):
        return {"issuer": self.issuer, "authorization_endpoint": self.issuer + "/auth", "token_endpoint": self.issuer + "/token",
                "jwks_uri": self.issuer + "/jwks", "userinfo_endpoint": self.issuer + "/me"}

    def close(self):
        self.server.shutdown()
        self.server.server_close()
