"""Directories for servers: short (a unix socket lives inside) and open to the user that PostgreSQL runs as."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading


@contextlib.contextmanager
def directory(prefix="rh-"):
    path = tempfile.mkdtemp(prefix=prefix)
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port(span=1):
    """A port that nobody listens on, outside the range that outgoing connections take theirs from. The `span` ports from there on are
    given to nobody else of this process."""
    first = 20000 + (os.getpid() * 61) % 12000
    with free_port.lock:  # services are started in threads
        for offset in range(12000):
            port = 20000 + (first - 20000 + offset + free_port.given) % 12000
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            free_port.given += offset + span
            return port
    raise RuntimeError("no free port")


free_port.given, free_port.lock = 0, threading.Lock()
