"""The tour of README.md, line by line, in one shell: every ```sh block, with what each line promises behind "# →"."""

import os
import re
import signal
import subprocess
import threading

import pytest

from support import settings
from support.server import SANITIZER_FINDINGS, environment, wait_until

END = "==end of line=="
PROMISE = re.compile(r"\s*#\s*→\s*(.+)$")
LINE_LIMIT_S = 120 * settings.SLOWDOWN


def statements(text):
    """(what the shell gets, what its output must contain or None) for every line of the sh blocks; a here-document
    belongs to the line that begins it."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
        lines = iter(block.splitlines())
        for line in lines:
            promise = PROMISE.search(line)
            statement = PROMISE.sub("", line)
            if heredoc := re.search(r"<<'(\w+)'", statement):
                while not statement.endswith(f"\n{heredoc.group(1)}"):
                    statement += "\n" + next(lines)
            yield statement, promise and promise.group(1).strip()


class Shell:
    """A bash that is fed one statement at a time."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=folder, env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, statement):
        """Status and output. What hangs is ended with the shell."""
        watch = threading.Timer(LINE_LIMIT_S, self.process.kill)
        watch.start()
        try:
            self.process.stdin.write(f"{statement}\nprintf '\\n{END} %s\\n' \"$?\"\n")
            self.process.stdin.flush()
            output = ""
            for line in self.process.stdout:
                if line.startswith(END):
                    return int(line.split()[-1]), output
                output += line
            raise AssertionError(f"the shell ended in: {statement}\n{output}")
        finally:
            watch.cancel()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def shell(work, new_server):
    """A shell in which `rowhouse` is the binary under test and its defaults are those of a server with demo tenants."""
    server = new_server("tour", fresh=True, options=["--demo"], env={"ROWHOUSE_PACKS": "all"}).start()
    tools = work / "bin"
    tools.mkdir()
    (tools / "rowhouse").symlink_to(settings.BINARY)
    env = environment({"PATH": f"{tools}:{os.environ['PATH']}", "ROWHOUSE_DATA": str(server.data),
                       "ROWHOUSE_URL": server.url, "ROWHOUSE_LISTEN": f"127.0.0.1:{server.port}", "TMPDIR": str(work)})
    own = Shell(work, env)
    yield own
    own.close()
    stop_successor(server)


def stop_successor(server):
    """The tour kills the server and starts another one in the background: it must end politely, too."""
    pid = int((server.data / "rowhouse.lock").read_text())
    if pid == server.process.pid:
        return
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the server that the tour started",
               settings.STOP_LIMIT_S)


def test_every_line_of_the_tour_does_what_it_says(shell):
    tour = list(statements((settings.ROOT / "README.md").read_text()))
    assert len(tour) > 40 and sum(promise is not None for _, promise in tour) > 30
    for statement, promise in tour:
        status, output = shell.run(statement)
        where = f"README.md: {statement}\n→ status {status}\n{output[-3000:]}"
        assert status == 0, where
        assert promise is None or promise in output, f"expected “{promise}”\n{where}"
        for finding in SANITIZER_FINDINGS:
            assert finding not in output, where
