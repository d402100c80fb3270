"""What somebody has who got hold of the master key, or of a runtime role's connection: passwords, keys, signed contexts.

Independent of the server's own code: HKDF (RFC 5869) and the layout of the signature are written down here once more.
"""

import base64
import hashlib
import hmac
import os
import struct
import subprocess
import time
import uuid

import psycopg2

RUNTIME_ROLE = "tenant_service"
KEY_BYTES = 64
LIFETIME_S = 60
POSTGRES_EPOCH_S = 946684800
# The number is signed, but not said.
SET_CONTEXT = ("SELECT rowhouse.set_context(%(key_id)s, %(claims)s,"
               " 'epoch'::timestamptz + (%(expires_at)s || ' microseconds')::interval, %(mac)s)")
CONTEXT_NUMBER = "SELECT rowhouse.context_number()"


def hkdf(master, label, size=32):
    extracted = hmac.digest(b"\0" * 32, master, "sha256")
    made, block, counter = b"", b"", 1
    while len(made) < size:
        block = hmac.digest(extracted, block + label.encode() + bytes([counter]), "sha256")
        made, counter = made + block, counter + 1
    return made[:size]


def claims_of(tenant, principal, role=0):
    """What a context says, as PostgreSQL is told and as it is signed."""
    return f"rowhouse_context_{uuid.UUID(str(tenant)).hex}{uuid.UUID(str(principal)).hex}{role & 0xFFFFFFFF:08x}"


def mac_of(key, context, pid):
    """Over a row of four values: how many, then type (OID), length and bytes of each."""
    claims = context["claims"].encode()
    message = (struct.pack(">iii", 4, 25, len(claims)) + claims + struct.pack(">iiq", 1184, 8, context["expires_at"] - POSTGRES_EPOCH_S * 10**6)
               + struct.pack(">iiq", 20, 8, context["number"]) + struct.pack(">iii", 23, 4, pid))
    assert len(message) == 145 and len(key) == KEY_BYTES
    return hashlib.sha256(key + message).digest()


class Credentials:
    """Of an installation made by `rowhouse up`."""

    def __init__(self, server):
        self.server = server
        self.master = bytes.fromhex((server.data / "secrets" / "master-key").read_text().strip())
        self.host = os.path.realpath(server.data / "socket")

    def password_of(self, role):
        return base64.urlsafe_b64encode(hkdf(self.master, f"password of database role {role}")).rstrip(b"=").decode()

    def context_key(self, database, generation):
        return hkdf(self.master, f"context key {generation} of database {database}", KEY_BYTES)

    def connect(self, database, role=RUNTIME_ROLE, password=None, options=""):
        return psycopg2.connect(host=self.host, dbname=database, user=role, password=password or self.password_of(role),
                                options=options)

    def psql(self, database, script, role=RUNTIME_ROLE, expect=(0, 3)):
        """Output and errors of the real psql; every line of the script is tried."""
        done = subprocess.run(["psql", "-X", "-A", "-t", "-h", self.host, "-U", role, "-d", database, "-f", "-"], input=script,
                              capture_output=True, text=True, timeout=120,
                              env={"PATH": os.environ["PATH"], "PGPASSWORD": self.password_of(role), "LC_ALL": "C"})
        assert done.returncode in expect, done.stderr
        return done.stdout, done.stderr


class Runtime:
    """One connection of a runtime role, as injected SQL would have it: it may say anything."""

    def __init__(self, credentials, database, role=RUNTIME_ROLE):
        self.credentials, self.database, self.role = credentials, database, role
        self.connection = credentials.connect(database, role)
        self.pid = self.connection.info.backend_pid
        (self.generation,), = credentials.server.query("SELECT max(id) FROM rowhouse.context_keys", database=database)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def claims(self, tenant, **changed):
        """The next context that the server would make for `tenant` on this connection; `changed` after it was signed."""
        (last,), = self.run(CONTEXT_NUMBER)
        made = {"key_id": self.generation, "claims": claims_of(tenant, uuid.uuid4()),
                "expires_at": int((time.time() + LIFETIME_S) * 1e6), "number": last + 1}
        made["mac"] = self.sign(made)
        return {**made, **changed}

    def sign(self, claims, key=None, pid=None):
        return mac_of(key or self.credentials.context_key(self.database, self.generation), claims, self.pid if pid is None else pid)

    def run(self, statement, parameters=None):
        """The rows, or [] of what has none. Stays in the transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def set_context(self, claims):
        self.run(SET_CONTEXT, claims)

    def rollback(self):
        self.connection.rollback()

    def commit(self):
        self.connection.commit()

    def as_tenant(self, tenant):
        """Begins a transaction in a tenant's name."""
        self.rollback()
        self.set_context(self.claims(tenant))
        return self

    def attempt(self, statement, parameters=None, tenant=None):
        """(SQLSTATE or None, everything that was told) of a statement in a transaction of its own, rolled back."""
        self.rollback()
        if tenant:
            self.as_tenant(tenant)
        try:
            rows = self.run(statement, parameters)
            state, told = None, repr(rows)
        except psycopg2.Error as error:
            state, told = error.pgcode or "connection", f"{error} {error.diag.message_detail} {error.diag.message_hint}"
        told += "".join(self.connection.notices)
        del self.connection.notices[:]
        if not self.connection.closed:
            self.rollback()
        return state, told
