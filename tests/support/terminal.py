"""The command line as a person at a terminal meets it."""

import os
import pty
import select
import signal
import time

from . import settings
from .server import environment


class Terminal:
    """A command on a pseudo-terminal, to be talked to."""

    def __init__(self, server, *words):
        self.child, self.descriptor = pty.fork()
        if self.child == 0:
            env = environment({"ROWHOUSE_URL": server.url, "ROWHOUSE_ADMIN_TOKEN": server.admin_token, "TERM": "xterm"})
            os.execve(str(settings.BINARY), [str(settings.BINARY), *words], env)
        self.text = ""

    def _piece(self, deadline, what):
        """What it says next; "" once it has ended."""
        ready, _, _ = select.select([self.descriptor], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            os.kill(self.child, signal.SIGKILL)
            raise AssertionError(f"waited for {what} after: {self.text}")
        try:
            return os.read(self.descriptor, 4096).decode(errors="replace")
        except OSError:
            return ""

    def read_until(self, wanted):
        deadline = time.monotonic() + settings.REQUEST_LIMIT_S
        while wanted not in self.text:
            piece = self._piece(deadline, repr(wanted))
            assert piece, f"ended before {wanted!r}: {self.text}"
            self.text += piece
        return self.text

    def type(self, line):
        os.write(self.descriptor, line.encode() + b"\n")

    def press_interrupt(self):
        os.write(self.descriptor, b"\x03")

    def end(self):
        deadline = time.monotonic() + settings.REQUEST_LIMIT_S
        while piece := self._piece(deadline, "the end"):
            self.text += piece
        _, status = os.waitpid(self.child, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)
