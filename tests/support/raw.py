"""HTTP by hand: bytes out, bytes in, for what no decent client would send."""

import socket
import ssl

from . import settings


class Connection:
    def __init__(self, server, context=None):
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=settings.REQUEST_LIMIT_S)
        self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def _more(self):
        piece = self.socket.recv(1 << 16)
        self.rest += piece
        return bool(piece)

    def _line(self):
        while b"\r\n" not in self.rest:
            if not self._more():
                raise EOFError(f"closed after {self.rest!r}")
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def _take(self, size):
        while len(self.rest) < size:
            if not self._more():
                raise EOFError(f"closed after {self.rest!r}")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def answer(self, head=False):
        """The next answer: (status, headers in lower case, body)."""
        status = int(self._line().split(b" ")[1])
        headers = {}
        while line := self._line():
            name, value = line.decode("latin-1").split(":", 1)
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        if head or status in (204, 304) or status < 200:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            body = b""
            while size := int(self._line().split(b";")[0], 16):
                body += self._take(size)
                assert self._take(2) == b"\r\n"
            assert self._line() == b""
            return status, headers, body
        return status, headers, self._take(int(headers["content-length"]))

    def closed(self):
        """Waits for the server to close; False if it sends something instead."""
        try:
            return self.rest == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


def exchange(server, data, **options):
    """One connection, some bytes: the first answer, and whether the server closed afterwards."""
    with Connection(server, **options) as connection:
        connection.send(data)
        return (*connection.answer(), connection)
