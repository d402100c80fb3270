"""A PostgreSQL server that belongs to the test, as an operator would have one."""

import glob
import os
import pathlib
import pwd
import subprocess

import psycopg2

from .temporary import free_port

PASSWORD = "operator's secret/%"


def binaries():
    return sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))[-1]


class OwnPostgres:
    """initdb, start, stop. Listens on 127.0.0.1 with scram."""

    def __init__(self, directory, encoding="UTF8"):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.encoding = encoding
        self.user = "postgres" if os.geteuid() == 0 else None

    def run(self, program, *arguments):
        subprocess.run([f"{binaries()}/{program}", *arguments], check=True, user=self.user, cwd="/", stdout=subprocess.DEVNULL,
                       env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, stdin=subprocess.DEVNULL)

    def start(self):
        self.directory.mkdir()
        password = self.directory.parent / f"{self.directory.name}.password"
        password.write_text(PASSWORD)
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.run("initdb", "--pgdata", str(self.directory), "--username=operator", f"--encoding={self.encoding}",
                 "--auth=scram-sha-256", f"--pwfile={password}", "--locale=C", "--no-sync")
        password.unlink()
        self.run("pg_ctl", "start", "--wait", "--pgdata", str(self.directory), "--log", str(self.directory / "log"), "--options",
                 f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
                 " -c fsync=off -c shared_buffers=32MB -c max_connections=200")
        return self

    def stop(self):
        if (self.directory / "postmaster.pid").exists():
            self.run("pg_ctl", "stop", "--wait", "--mode=immediate", "--pgdata", str(self.directory))

    def restart(self):
        self.run("pg_ctl", "restart", "--wait", "--mode=fast", "--pgdata", str(self.directory), "--log", str(self.directory / "log"))

    def url(self, user="operator", password="operator%27s%20secret%2F%25"):
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/postgres"

    def query(self, sql, database="postgres"):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="operator", password=PASSWORD, dbname=database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()
