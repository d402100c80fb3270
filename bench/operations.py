#!/usr/bin/python3
"""What durable operations cost: /usr/bin/python3 bench/operations.py --tool PATH [--durable].

Three figures, each with the tool src/operations/operations_bench.cc on the platform database of a `rowhouse up` of its own:
the time of an operation beyond that of its bare effects; how fast two nodes (two processes) finish 1,000 pending
operations, none run twice; and the same while one of the two is frozen (SIGSTOP) for longer than its lease.
With --other BINARY also how many pool-tier tenants a second one process makes, by this binary and by that one, alternating.
"""

import argparse
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support import settings, temporary  # noqa: E402
from support.server import Server  # noqa: E402

PLATFORM = "rowhouse_platform"
PACK = "tekup"
LEASE_MS = 2_000
CLIENTS = 16


class Bench:
    def __init__(self, server, tool):
        self.server = server
        self.command = [tool, os.path.realpath(server.data / "socket"), str(server.data / "secrets" / "superuser-password")]

    def run(self, *words):
        return subprocess.run([*self.command, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def work(self, node, lease_ms):
        return subprocess.Popen([*self.command, "work", node, str(lease_ms)])

    def value(self, sql):
        return self.server.query(sql, (), PLATFORM)[0][0]

    def clear(self):
        connection = self.server.connect(PLATFORM)
        try:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS public.bench_effects; CREATE TABLE public.bench_effects ("
                               "id bigint GENERATED ALWAYS AS IDENTITY, operation uuid, what text, epoch bigint);"
                               "DELETE FROM platform.operations WHERE kind LIKE 'bench.%'")
        finally:
            connection.close()


def overhead(bench, steps, runs):
    bench.clear()
    figures = json.loads(bench.run("overhead", steps, runs))
    one, several = figures["one"] - figures["bare_one"], figures["all"] - figures["bare"]
    print(f"overhead, medians of {runs}: one effect {figures['bare_one']:.2f} ms bare, {figures['one']:.2f} ms as an operation (+{one:.2f} ms); "
          f"{steps} effects {figures['bare']:.2f} ms bare, {figures['all']:.2f} ms as an operation (+{several:.2f} ms)", flush=True)


def two_nodes(bench, count):
    bench.clear()
    bench.run("submit", count)
    began = time.monotonic()
    nodes = [bench.work(name, 15_000) for name in ("one", "two")]
    assert all(node.wait() == 0 for node in nodes)
    seconds = time.monotonic() - began
    rows = bench.value("SELECT count(*) FROM public.bench_effects")
    distinct = bench.value("SELECT count(DISTINCT (operation, what)) FROM public.bench_effects")
    assert rows == distinct == 2 * count, (rows, distinct)
    assert bench.value("SELECT count(*) FROM platform.operations WHERE kind = 'bench.many' AND status = 'succeeded' AND attempts = 1") == count
    print(f"{count} pending operations on two nodes: {count / seconds:.0f} per second, none run twice", flush=True)


def two_nodes_one_frozen(bench, count):
    bench.clear()
    bench.run("submit", count)
    frozen = bench.work("frozen", LEASE_MS)
    while bench.value("SELECT count(*) FROM public.bench_effects") < count // 20:
        time.sleep(0.005)
    frozen.send_signal(signal.SIGSTOP)
    try:
        other = bench.work("other", LEASE_MS)
        assert other.wait() == 0
        before = bench.value("SELECT count(*) FROM public.bench_effects")
    finally:
        frozen.send_signal(signal.SIGCONT)
    assert frozen.wait() == 0
    assert bench.value("SELECT count(*) FROM public.bench_effects") == before, "the frozen node had an effect later"
    assert bench.value("SELECT count(*) FROM platform.operations WHERE kind = 'bench.many' AND status <> 'succeeded'") == 0
    assert bench.value("SELECT count(*) FROM public.bench_effects WHERE what = 'record'") == count, "records run exactly once"
    taken = bench.value("SELECT count(*) FROM platform.operations WHERE kind = 'bench.many' AND attempts > 1")
    late = bench.value("SELECT count(*) FROM public.bench_effects AS older JOIN public.bench_effects AS newer USING (operation) "
                       "WHERE older.id > newer.id AND older.epoch < newer.epoch")
    assert late == 0, "an effect of an older lease after one of a newer"
    print(f"{count} with one node frozen beyond its lease: {taken} taken over, no late effect, every record once", flush=True)


class Client:
    """One keep-alive connection that asks for one tenant after the other; little else, so that the server is what is measured."""

    def __init__(self, server, numbers):
        self.numbers = iter(numbers)
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = (f"POST /v1/tenants HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.admin_token}\r\n"
                     "Content-Type: application/json\r\nContent-Length: ")
        self.received = b""

    def ask(self):
        """False when all were asked for."""
        number = next(self.numbers, None)
        if number is None:
            return False
        body = f'{{"name":"Tenant {number}","slug":"tenant-{number}","pack":"{PACK}","tier":"pool"}}'
        self.received = b""
        self.socket.sendall(f"{self.head}{len(body)}\r\n\r\n{body}".encode())
        return True

    def answered(self):
        self.received += self.socket.recv(65536)
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        assert self.received.startswith(b"HTTP/1.1 201"), self.received
        length = int(re.search(rb"(?i)content-length: *(\d+)", self.received[:end]).group(1))
        return len(self.received) >= end + 4 + length


def create_tenants(server, numbers):
    waiting = selectors.DefaultSelector()
    for first in range(CLIENTS):
        client = Client(server, numbers[first::CLIENTS])
        if client.ask():
            waiting.register(client.socket, selectors.EVENT_READ, client)
    while waiting.get_map():
        for key, _ in waiting.select():
            if key.data.answered() and not key.data.ask():
                waiting.unregister(key.fileobj)
                key.fileobj.close()


def creations(data, binary, count):
    """Pool-tier tenants a second, by as many connections as a busy front end would have."""
    server = Server(data, env={"ROWHOUSE_PACKS": PACK, "ROWHOUSE_WORKERS": "1", "ROWHOUSE_ACCESS_LOG": "off"})
    server.command[0] = str(binary)
    try:
        server.start()
        create_tenants(server, range(1_000_000, 1_000_000 + count // 4))
        began = time.monotonic()
        create_tenants(server, range(count))
        seconds = time.monotonic() - began
        server.stop()
        return count / seconds
    finally:
        server.clear()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="the program of src/operations/operations_bench.cc")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--operations", type=int, default=1_000)
    parser.add_argument("--durable", action="store_true", help="with fsync, as in production")
    parser.add_argument("--other", type=pathlib.Path, help="a binary to compare creations with")
    parser.add_argument("--creations", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    environment = {"ROWHOUSE_PACKS": "none"}
    if options.durable:
        environment["ROWHOUSE_POSTGRES_DURABILITY"] = "full"
    with temporary.directory() as scratch:
        server = Server(pathlib.Path(scratch) / "data", env=environment)
        try:
            server.start()
            bench = Bench(server, options.tool)
            overhead(bench, options.steps, options.runs)
            two_nodes(bench, options.operations)
            two_nodes_one_frozen(bench, options.operations)
            server.stop()
        finally:
            server.clear()
        if options.other:
            rates = {settings.BINARY: [], options.other: []}
            for round_number in range(options.rounds):
                for name, binary in enumerate(rates):
                    rates[binary].append(creations(pathlib.Path(scratch) / f"data-{round_number}-{name}", binary, options.creations))
                    print(f"{binary}: {rates[binary][-1]:.0f} pool tenants per second", flush=True)
            here, there = (statistics.median(rate) for rate in rates.values())
            print(f"medians: {here:.0f} here, {there:.0f} there, ratio {here / there:.2f}")


if __name__ == "__main__":
    main()
