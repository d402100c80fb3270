"""A network between a client and the server, which can be cut at a chosen word."""

import socket
import threading


class Relay:
    """Passes connections on. Once the server has said `word`, the next `refused` connections are closed at once."""

    def __init__(self, port, word, refused):
        self.target = ("127.0.0.1", port)
        self.word = word.encode()
        self.refusals = refused
        self.left = 0
        self.refused = 0
        self.said = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.left > 0:
                self.left -= 1
                self.refused += 1
                client.close()
                continue
            server = socket.create_connection(self.target)
            threading.Thread(target=self.pass_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(server, client, True), daemon=True).start()

    def pass_on(self, source, sink, listens):
        tail = b""
        try:
            while piece := source.recv(65536):
                if listens and not self.said and self.word in tail + piece:
                    self.said = True
                    self.left = self.refusals
                tail = (tail + piece)[-len(self.word):]
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
