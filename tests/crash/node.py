"""A server that is interrupted where a plan says (main.cc)."""

import os
import pathlib
import signal
import time

from support import settings
from support.server import Server, wait_until

LEASE = "1s"
OWN_FILES = {"plan", "plan.new", "trail", "kinds", "empty"}


def binary():
    named = os.environ.get("ROWHOUSE_CRASH_BINARY")
    return pathlib.Path(named).resolve() if named else settings.BINARY.parent / "crash" / "rowhouse_crash"


class Node(Server):
    """`serve` on the PostgreSQL of a world. `directory` belongs to it: plan, trail, kinds, and an empty place to work in."""

    def __init__(self, directory, environment, token, program=None):
        super().__init__(directory, command=["serve"], token=token, env={
            **environment, "ROWHOUSE_CRASH_DIRECTORY": str(directory), "ROWHOUSE_OPERATION_LEASE": LEASE,
            "ROWHOUSE_WORKERS": "1", "ROWHOUSE_PACKS": "tekup", "ROWHOUSE_DRAIN_TIMEOUT": "5s",
            "TMPDIR": str(directory / "empty"), "HOME": str(directory / "empty")})
        self.command[0] = str(program or binary())
        self.plans = 0
        self.directory = directory
        (directory / "empty").mkdir(parents=True)
        self.read_from = 0
        self.follow([])

    def follow(self, rules):
        """From the next point on; rules: (action, nth, point). The passings of points are counted anew."""
        self.plans += 1
        lines = [f"plan-{self.plans}", *(" ".join(map(str, rule)) for rule in rules)]
        (self.directory / "plan.new").write_text("\n".join(lines) + "\n")
        (self.directory / "plan.new").rename(self.directory / "plan")
        return f"plan-{self.plans}"

    def trail(self, plan=None):
        """[(point, action)] in their order, of one plan or since the last forget_trail()."""
        path = self.directory / "trail"
        text = path.read_text() if path.exists() else ""
        # A line that is just being written may be seen in part where it crosses into the next page of the file.
        split = [line.split("\t") for line in text[:text.rfind("\n") + 1].splitlines()]
        return [(point, action) for name, point, action in split if plan in (None, name)]

    def forget_trail(self):
        (self.directory / "trail").unlink(missing_ok=True)

    def kinds(self):
        """{kind: {step: has an undo}}, of all that the server can do."""
        found = {}
        for line in (self.directory / "kinds").read_text().splitlines():
            kind, step, _, undo = line.split("\t")
            found.setdefault(kind, {})[step] = bool(undo)
        return found

    def records(self):
        """(kind, step) of those that are a transaction of the platform database."""
        split = [line.split("\t") for line in (self.directory / "kinds").read_text().splitlines()]
        return {(kind, step) for kind, step, sort, _ in split if sort == "record"}

    def acted(self, plan, action):
        return any(done == action for _, done in self.trail(plan))

    # A process that may be gone or stopped.

    @property
    def dead(self):
        return self.process is None or self.process.poll() is not None

    @property
    def frozen(self):
        try:
            state = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state == "T"

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def listening(self):
        """How many sockets the process listens on."""
        own = set()
        for entry in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue
            if target.startswith("socket:["):
                own.add(target[len("socket:["):-1])
        count = 0
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in pathlib.Path(table).read_text().splitlines()[1:]:
                words = line.split()
                count += words[3] == "0A" and words[9] in own
        return count

    def end(self):
        """At the end of everything, whatever it is doing."""
        if not self.dead:
            self.thaw()
            self.kill()

    def strangers(self):
        """Files that it left where it has no business: its directory, what it takes for home and for temporary files."""
        here = [path for path in self.directory.iterdir() if path.name not in OWN_FILES]
        return sorted(str(path.relative_to(self.directory)) for path in [*here, *(self.directory / "empty").rglob("*")])

    def offspring(self):
        """Other processes that work for it, dead or alive: [(process, command)]."""
        mark = f"ROWHOUSE_CRASH_DIRECTORY={self.directory}\0".encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]))
            except OSError:
                continue  # gone meanwhile
        return found


def wait_for_end(node, limit_s=30):
    wait_until(lambda: node.dead, "the process is gone", limit_s)
    return node.process.returncode


def until(condition, limit_s):
    """Whether it came true in time."""
    deadline = time.monotonic() + limit_s * settings.SLOWDOWN
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
