"""Many sockets at once, and what they cost the server."""

import os
import pathlib
import resource
import select
import socket
import struct
import time

from . import settings

FILES = 12_000


def raise_limit():
    """For this process and the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("no VmRSS")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(port):
    made = socket.create_connection(("127.0.0.1", port), timeout=settings.REQUEST_LIMIT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def reset(connection):
    """Closes with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Crowd:
    """Connections that are watched together: what each has got, and whether the server has closed it."""

    def __init__(self, port, count):
        self.sockets = {}
        self.got, self.ended = {}, set()
        self.poll = select.epoll()
        for _ in range(count):
            made = connect(port)
            made.setblocking(False)
            self.sockets[made.fileno()] = made
            self.got[made.fileno()] = b""
            self.poll.register(made.fileno(), select.EPOLLIN | select.EPOLLRDHUP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for made in self.sockets.values():
            made.close()
        self.poll.close()

    def living(self):
        return [number for number in self.sockets if number not in self.ended]

    def send(self, number, data):
        try:
            self.sockets[number].send(data)
        except (BrokenPipeError, ConnectionResetError):
            self._end(number)
        except BlockingIOError:
            pass

    def _end(self, number):
        if number not in self.ended:
            self.ended.add(number)
            self.poll.unregister(number)

    def listen(self, seconds):
        """Takes what comes within this time."""
        until = time.monotonic() + seconds
        while self.living() and (left := until - time.monotonic()) > 0:
            for number, _ in self.poll.poll(left, 1000):
                try:
                    piece = self.sockets[number].recv(1 << 16)
                except ConnectionResetError:
                    piece = b""
                except BlockingIOError:
                    continue
                self.got[number] += piece
                if not piece:
                    self._end(number)

    def status(self, number):
        """Of the first answer; None if there is none."""
        head = self.got[number].split(b"\r\n", 1)[0].split(b" ")
        return int(head[1]) if len(head) > 1 else None
