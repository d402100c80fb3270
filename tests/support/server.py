"""Starts, watches and stops the real binary."""

import json
import os
import pathlib
import signal
import subprocess
import time

import psycopg2
import requests

from . import settings
from .api import Admin, Api
from .temporary import free_port

# Small, so that several clusters fit on a small machine. Tests of durability ask for the real thing.
ENVIRONMENT = {"ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "32", "ROWHOUSE_POSTGRES_DURABILITY": "none_for_tests"}
SUPERUSER = "rowhouse_admin"
SANITIZER_FINDINGS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "ThreadSanitizer")


def environment(extra=None):
    """What a child gets: nothing of ROWHOUSE_* that the surroundings happen to set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROWHOUSE_")}
    return {**kept, **ENVIRONMENT, **(extra or {})}


class Server:
    """`rowhouse up` (or another command line) on a data directory."""

    def __init__(self, data, command=None, options=(), env=None, port=None, scheme="http", verify=True, token=None):
        self.data = pathlib.Path(data)
        self.port = port or free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.verify = verify
        self.command = [str(settings.BINARY)] + (command or ["up", "--data", str(self.data)])
        self.command += ["--listen", f"127.0.0.1:{self.port}", *options]
        self.env = environment(env)
        self.log_path = pathlib.Path(str(self.data) + f".{self.port}.log")
        self.process = None
        self._token = token

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        return self

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self, limit_s=settings.START_LIMIT_S):
        deadline = time.monotonic() + limit_s
        while True:
            self.check_alive()
            try:
                if requests.get(self.url + "/readyz", timeout=10, verify=self.verify).status_code == 200:
                    return
            except requests.RequestException:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready after {limit_s} s; log:\n{self.log_tail()}")
            time.sleep(0.05)

    def check_alive(self):
        status = self.process.poll()
        if status is not None:
            raise AssertionError(f"the server ended with status {status}; log:\n{self.log_tail()}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, size=8000):
        return self.log()[-size:]

    def log_lines(self):
        """The lines that are JSON objects."""
        found = []
        for line in self.log().splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found

    def wait_end(self, limit_s=settings.STOP_LIMIT_S):
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {limit_s} s; log:\n{self.log_tail()}") from None

    def stop(self, with_signal=signal.SIGTERM):
        """Ends the server the polite way, which must end with status 0 and nothing from a sanitizer."""
        if self.process is None:
            return
        self.check_alive()
        self.process.send_signal(with_signal)
        status = self.wait_end()
        self.process = None
        assert status == 0, f"ended with status {status}; log:\n{self.log_tail()}"
        self.check_log()

    def check_log(self):
        log = self.log()
        for finding in SANITIZER_FINDINGS:
            assert finding not in log, log[-20000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def clear(self):
        """For the end of a test: no process and no log is left, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(settings.STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log_path.unlink(missing_ok=True)

    # Clients

    @property
    def admin_token(self):
        return self._token or (self.data / "admin.token").read_text().strip()

    @property
    def admin(self):
        return Admin(self.url, self.admin_token, self.verify)

    @property
    def anonymous(self):
        return Api(self.url, verify=self.verify)

    def with_key(self, key):
        return Api(self.url, {"X-Tenant-Key": key}, self.verify)

    def cli(self, *words, expect=0, stdin="", env=None):
        return cli(*words, expect=expect, stdin=stdin,
                   env={"ROWHOUSE_URL": self.url, "ROWHOUSE_ADMIN_TOKEN": self.admin_token, **(env or {})})

    # PostgreSQL beneath

    @property
    def postmaster_pid(self):
        return int((self.data / "postgres" / "postmaster.pid").read_text().split("\n")[0])

    def connect(self, database="postgres"):
        """As superuser, over the socket, with the password of the data directory."""
        password = (self.data / "secrets" / "superuser-password").read_text().strip()
        connection = psycopg2.connect(host=os.path.realpath(self.data / "socket"), dbname=database,
                                      user=SUPERUSER, password=password)
        connection.autocommit = True
        return connection

    def query(self, sql, parameters=(), database="postgres"):
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall()
        finally:
            connection.close()


def cli(*words, expect=0, stdin="", env=None):
    """Runs the command line to its end; `expect`: exit status or statuses."""
    done = subprocess.run([str(settings.BINARY), *words], input=stdin, capture_output=True, text=True,
                          timeout=settings.START_LIMIT_S, env=environment(env))
    wanted = (expect,) if isinstance(expect, int) else expect
    assert done.returncode in wanted, f"rowhouse {' '.join(words)} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    for finding in SANITIZER_FINDINGS:
        assert finding not in done.stderr, done.stderr
    return done


def wait_until(condition, what, limit_s=30):
    """Polls a condition of another process. The limit is for hangs; nothing is asserted about speed. `what` for people: a text, or
    a function that says it in the end."""
    deadline = time.monotonic() + limit_s * settings.SLOWDOWN
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {limit_s} s for: {what() if callable(what) else what}"
        time.sleep(max(0.02, time.monotonic() - began))  # a look that costs a lot does not keep everybody busy
