"""A real SMTP server, and what arrived at it."""

import email
import email.policy
import re
import ssl
import subprocess
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from .server import wait_until
from .temporary import free_port

LINK = re.compile(r"https?://\S+/account/#/(invitation|password|email)/(rhl_[A-Za-z0-9_-]{43})")


class Message:
    """One that arrived: the envelope, and the parts as a reader sees them."""

    def __init__(self, sender, recipients, data):
        self.sender, self.recipients, self.data = sender, recipients, data
        self.parsed = email.message_from_bytes(data, policy=email.policy.default)
        self.to = recipients[0]
        self.subject = self.parsed["Subject"]
        self.text = self.parsed.get_body(("plain",)).get_content()
        self.html = self.parsed.get_body(("html",)).get_content()

    @property
    def link(self):
        """(kind, token)"""
        found = LINK.search(self.text)
        assert found, self.text
        assert found.group(0) in self.html
        return found.group(1), found.group(2)

    @property
    def token(self):
        return self.link[1]


class Handler:
    def __init__(self):
        self.lock = threading.Lock()
        self.messages, self.refusals, self.tried = [], [], 0

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.tried += 1
            if self.refusals:
                return self.refusals.pop(0)
            self.messages.append(Message(envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody-"):
            with self.lock:
                self.tried += 1
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 fine"


class MailServer:
    """Starts with start(); goes away with stop(), and comes back on the same port."""

    def __init__(self, port=None, **options):
        self.port = port or free_port()
        self.options = options
        self.handler = Handler()
        self.controller = None

    def start(self):
        self.controller = Controller(self.handler, hostname="127.0.0.1", port=self.port, **self.options)
        self.controller.start()
        return self

    def stop(self):
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    @property
    def messages(self):
        with self.handler.lock:
            return list(self.handler.messages)

    @property
    def tried(self):
        with self.handler.lock:
            return self.handler.tried

    def refuse_next(self, *answers):
        with self.handler.lock:
            self.handler.refusals += answers

    def to(self, address):
        return [message for message in self.messages if message.to == address]

    def wait_for(self, address, count=1):
        """The newest message to an address, of so many."""
        wait_until(lambda: len(self.to(address)) >= count, f"mail to {address}")
        return self.to(address)[-1]


def certificate(directory):
    """A private one for 127.0.0.1: (certificate, key)."""
    cert, key = directory / "smtp.pem", directory / "smtp.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
                    "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


def tls_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def only(user, password):
    """An authenticator that knows one user."""
    def check(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=right)
    return check
