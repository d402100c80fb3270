"""Many objects over several connections: the same files for every store, whose content follows from their number."""

import hashlib
import http.client
import itertools
import json
import os
import random
import socket
import threading
import time
import unicodedata
import urllib.parse

from . import settings

MIB = 1 << 20
SMALL_BYTES, LARGE_BYTES = 64 << 10, 8 * MIB
LARGE_EVERY = 500  # one of so many files is 1 to 8 MiB
PIECE_BYTES = MIB

# Names that some store, protocol or file system is known to spoil. What begins with another one's name and a slash, too.
ODD_KEYS = [
    "a", "A", "a/b", "a/B", "a/b/c", "plain.txt", "plain.txt/inside", "Plain.TXT", " leading space", "trailing space ", "trailing dot.",
    "two  spaces", "percent%41", "percent%2Fslash", "plus+plus", "question?mark", "hash#tag", "quote'quote\"", "back\\slash", "colon:colon",
    "pipe|star*less<more>", "semicolon;a=b&c=d", "comma,comma", "bracket[0]{1}(2)", "tilde~tilde", "caret^caret", "exclamation!d", "at@sign$",
    "back`tick", ".hidden", "..two", "...", "-dash", "con", "NUL.txt", "com1", "aux/con.txt", "desktop.ini", "Thumbs.db", "longna~1.txt",
    ".rowhouse-tmp/mine", ".rowhouse-uploads/mine", ".rowhouse-meta/00/mine", ".rowhouse-control/mine.txt", "ümläut/straße.txt",
    unicodedata.normalize("NFC", "é/é"), unicodedata.normalize("NFD", "é/é"), "日本語/ファイル.txt", "emoji/🐘.png", "\u200bzero width",
    "rtl/\u202eabc", "combining/a\u0301\u0302", "İstanbul/ı", "x" * 255, "y" * 700, "deep/" + "d/" * 120 + "end", "ö" * 380,
]


def check_of(data):
    return hashlib.sha256(data).hexdigest()


class Files:
    """`count` files: key, size and content by number."""

    def __init__(self, count, seed=6):
        chance = random.Random(seed)
        self.noise = chance.randbytes(LARGE_BYTES + MIB)
        self.keys = [ODD_KEYS[at] if at < len(ODD_KEYS) else f"folder {at % 37}/{at % 11}/{at}.bin" for at in range(count)]
        assert len(set(self.keys)) == count, "each key is one file"
        self.sizes = [self._size(at, chance) for at in range(count)]
        self.checks = [check_of(self.content(at)) for at in range(count)]

    def __len__(self):
        return len(self.keys)

    @staticmethod
    def _size(at, chance):
        edges = (0, 1, 2, SMALL_BYTES - 1, SMALL_BYTES)
        if at < len(edges):
            return edges[at]
        if at % LARGE_EVERY == LARGE_EVERY // 3:
            return chance.randrange(MIB, LARGE_BYTES + 1)
        return int(2 ** chance.uniform(0, 16))

    def content(self, at, version=0):
        """Another version: other bytes, the same length."""
        size = self.sizes[at]
        begin = f"{at}:{version}:".encode()
        offset = (at * 7919 + version * 104729) % MIB
        return (begin + self.noise[offset:offset + size])[:size]

    @property
    def bytes(self):
        return sum(self.sizes)


class Connection:
    """One connection that is kept. Answers are whole: (status, headers, body)."""

    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=settings.REQUEST_LIMIT_S)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"X-Tenant-Key": key, "Accept": "*/*"}

    def request(self, method, path, body=None, **headers):
        self.connection.request(method, path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def close(self):
        self.connection.close()


def path_of(key):
    return "/v1/objects/" + urllib.parse.quote(key, "/~")


def at_once(url, key, connections, items, work):
    """work(connection, item) for each item, on several connections. Returns the seconds; the first fault is raised."""
    queue, lock, faults = iter(items), threading.Lock(), []

    def run():
        connection = Connection(url, key)
        try:
            while not faults:
                with lock:
                    item = next(queue, queue)
                if item is queue:
                    return
                work(connection, item)
        except BaseException as fault:  # pylint: disable=broad-except
            faults.append(fault)
        finally:
            connection.close()

    began = time.monotonic()
    threads = [threading.Thread(target=run) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return time.monotonic() - began


def put(connection, files, at, version=0, expect=201):
    data = files.content(at, version)
    status, headers, body = connection.request("PUT", path_of(files.keys[at]), data)
    assert status == expect, f"PUT {files.keys[at]!r} of {len(data)} bytes → {status} {body[:500]}"
    assert headers["X-Checksum-SHA256"] == (check_of(data) if version else files.checks[at]), files.keys[at]


def get(connection, files, at, version=0):
    status, headers, body = connection.request("GET", path_of(files.keys[at]))
    assert status == 200, f"GET {files.keys[at]!r} → {status} {body[:500]}"
    wanted = check_of(files.content(at, version)) if version else files.checks[at]
    assert len(body) == files.sizes[at] and check_of(body) == wanted == headers["X-Checksum-SHA256"], files.keys[at]


def delete(connection, files, at):
    status, _, body = connection.request("DELETE", path_of(files.keys[at]))
    assert status == 204, f"DELETE {files.keys[at]!r} → {status} {body[:500]}"


def remove_many(connection, files, numbers):
    body = json.dumps({"keys": [files.keys[at] for at in numbers]})
    status, _, answer = connection.request("POST", "/v1/objects/remove", body, **{"Content-Type": "application/json"})
    assert status == 200 and json.loads(answer) == {"removed": len(numbers)}, f"{status} {answer[:500]}"


class Traffic:
    """Clients that go on reading, replacing, deleting and storing the files until stop(); each has files of its own. `versions`: what
    was acknowledged last of each file, None when it was deleted."""

    def __init__(self, url, key, files, clients):
        self.files, self.versions, self.done = files, [0] * len(files), 0
        self._ending = threading.Event()
        self._faults = []
        self._threads = [threading.Thread(target=self._run, args=(Connection(url, key), list(range(first, len(files), clients)), first))
                         for first in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, connection, own, seed):
        chance = random.Random(seed)
        try:
            while not self._ending.is_set() and not self._faults:
                self._step(connection, chance.choice(own), chance.random())
                self.done += 1
        except BaseException as fault:  # pylint: disable=broad-except
            self._faults.append(fault)
        finally:
            connection.close()

    def _step(self, connection, at, chance):
        version = self.versions[at]
        if version is None:
            if chance < 0.5:
                status, _, body = connection.request("GET", path_of(self.files.keys[at]))
                assert status == 404, f"GET of the deleted {self.files.keys[at]!r} → {status} {body[:500]}"
            else:
                put(connection, self.files, at, 1)
                self.versions[at] = 1
        elif chance < 0.5:
            get(connection, self.files, at, version)
        elif chance < 0.85:
            put(connection, self.files, at, version + 1, 200)
            self.versions[at] = version + 1
        else:
            delete(connection, self.files, at)
            self.versions[at] = None

    def check(self):
        if self._faults:
            raise self._faults[0]

    def stop(self):
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self.check()


def in_batches(items, size):
    items = iter(items)
    return iter(lambda: list(itertools.islice(items, size)), [])


# ---------------------------------------------------------------------------------------------- one object that is very large

class SparseFile:
    """A large file that takes little room: zeros, and at the begin of each MARK_EVERY bytes something that is there alone."""

    MARK_EVERY, MARK_BYTES = 16 * MIB, 64 << 10

    def __init__(self, path, size):
        self.path, self.size = path, size
        with open(path, "wb") as file:
            file.truncate(size)
            for at in range(0, size, self.MARK_EVERY):
                file.seek(at)
                file.write(os.urandom(min(self.MARK_BYTES, size - at)))
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
        self.check = digest.hexdigest()


def put_file(url, key, name, file):
    """Streams a file from the kernel to the kernel, so that this side costs little."""
    connection = Connection(url, key)
    try:
        http_connection = connection.connection
        http_connection.putrequest("PUT", path_of(name))
        for header, value in {**connection.headers, "Content-Length": file.size, "X-Checksum-SHA256": file.check}.items():
            http_connection.putheader(header, value)
        http_connection.endheaders()
        with open(file.path, "rb") as source:
            http_connection.sock.sendfile(source)
        http_connection.sock.settimeout(settings.REQUEST_LIMIT_S * 10)  # the provider reads it once more, perhaps
        answer = http_connection.getresponse()
        body = answer.read()
        assert answer.status == 201, f"PUT of {file.size} bytes → {answer.status} {body[:500]}"
        assert answer.headers["X-Checksum-SHA256"] == file.check
    finally:
        connection.close()


def check_file(url, key, name, file):
    connection = Connection(url, key)
    try:
        connection.connection.request("GET", path_of(name), headers=connection.headers)
        answer = connection.connection.getresponse()
        assert answer.status == 200 and int(answer.headers["Content-Length"]) == file.size, answer.status
        digest, piece, seen = hashlib.sha256(), bytearray(PIECE_BYTES), 0
        while count := answer.readinto(piece):
            digest.update(memoryview(piece)[:count])
            seen += count
        assert (seen, digest.hexdigest()) == (file.size, file.check)
    finally:
        connection.close()


class PeakMemory:
    """How far a process's resident memory rises above where it was: `with PeakMemory(pid) as peak: …; peak.growth`, in bytes."""

    def __init__(self, pid):
        self.status, self.reset = f"/proc/{pid}/status", f"/proc/{pid}/clear_refs"

    def _read(self, name):
        with open(self.status, encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name + ":"))

    def __enter__(self):
        with open(self.reset, "w", encoding="ascii") as reset:
            reset.write("5")  # proc(5): VmHWM begins again
        self.before, self.peak = self._read("VmRSS"), 0
        return self

    def __exit__(self, *_):
        self.peak = self._read("VmHWM")

    @property
    def growth(self):
        return self.peak - self.before
