"""`rowhouse up`: directories it must not touch, full disks, ports, Ctrl-C, kill -9 of the server and of PostgreSQL."""

import concurrent.futures
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

from support import settings
from support.server import Server, cli, wait_until
from support.temporary import free_port

LEADS = "/v1/data/leads"


def failing(data, *options, port=None):
    """A start that must fail: what it says."""
    done = cli("up", "--data", str(data), "--listen", f"127.0.0.1:{port or free_port()}", *options, expect=(1, 2))
    return done.stdout + done.stderr


def processes_in(data):
    """Processes whose command line names the directory."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(data).encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has ended
    return found


def test_first_start_makes_everything(server):
    for name in ("secrets/superuser-password", "secrets/master-key", "admin.token"):
        path = server.data / name
        assert path.stat().st_mode & 0o077 == 0, f"{name} is readable by others"
    assert (server.data / "socket").stat().st_mode & 0o077 == 0
    postmaster = pathlib.Path(f"/proc/{server.postmaster_pid}")
    assert postmaster.stat().st_uid != 0, "PostgreSQL does not run as root"
    assert server.query("SHOW listen_addresses") == [("",)]
    assert server.query("SHOW password_encryption") == [("scram-sha-256",)]
    assert server.query("SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("scram-sha-256",)]
    assert server.query("SHOW server_encoding") == [("UTF8",)]
    assert {pack["name"] for pack in server.admin.get("/v1/packs")["data"]} == set(settings.PACKS)


def test_second_server_on_the_directory(server):
    said = failing(server.data)
    assert str(server.process.pid) in said and str(server.data) in said
    server.check_alive()
    assert server.anonymous.get("/readyz")


def test_port_in_use(server, work):
    said = failing(work / "port", port=server.port)
    assert str(server.port) in said and "in use" in said
    assert not processes_in(work / "port"), "nothing keeps running"


def test_bad_addresses(work):
    for address in ("nonsense", "127.0.0.1", "127.0.0.1:99999", "203.0.113.77:8080"):
        done = cli("up", "--data", str(work / "address"), "--listen", address, expect=(1, 2))
        assert address.split(":")[0] in done.stderr, done.stderr


def test_directories_of_others(server, work):
    foreign = work / "foreign"
    foreign.mkdir()
    (foreign / "precious.txt").write_text("keep")
    said = failing(foreign)
    assert "precious.txt" in said and sorted(path.name for path in foreign.iterdir()) == ["precious.txt"]
    said = failing(server.data / "postgres")
    assert str(server.data / "postgres") in said
    said = failing("/proc/nowhere")
    assert "/proc/nowhere" in said


def test_another_version(new_server):
    own = new_server("version")
    own.start()
    own.stop()
    version = own.data / "postgres" / "PG_VERSION"
    before = version.read_text()
    version.write_text("14\n")
    said = failing(own.data)
    assert "14" in said and before.strip() in said
    version.write_text(before)
    own.start()
    own.stop()


def test_lost_secrets(new_server):
    own = new_server("secrets")
    own.start()
    own.stop()
    key = own.data / "secrets" / "master-key"
    key.rename(key.with_name("moved"))
    said = failing(own.data)
    assert "master-key" in said and not key.exists(), "a new key would open nothing"


def mount_tmpfs(place, size):
    """Fails where it is not allowed: a full disk that was not tried must not read as passed."""
    options = f"size={size},mode=755"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True)
    assert done.returncode == 0, f"this test needs a small file system; run the suite as root: {done.stderr}"


@pytest.fixture
def small_disk(work):
    """A file system with room for hardly anything."""
    place = work / "small"
    place.mkdir()
    mount_tmpfs(place, "64m")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_no_room_for_a_cluster(small_disk):
    said = failing(small_disk / "data")
    assert "MB" in said and "space" in said
    assert not processes_in(small_disk)


def test_a_disk_that_fills_up(work, new_server):
    """Writes are refused, reads go on, nothing that was acknowledged is lost, and room heals it."""
    place = work / "filling"
    place.mkdir()
    mount_tmpfs(place, "900m")
    own = Server(place / "data", env={"ROWHOUSE_PACKS": "tekup"})
    own.log_path = work / "filling.log"
    try:
        own.start()
        tenant = own.admin.create_tenant()
        kept = tenant.api.post(LEADS, {"name": "Kept"}, 201)
        filler = place / "filler"
        with open(filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(b"\0" * (1 << 20))
            except OSError:
                out.truncate(max(0, out.tell() - (2 << 20)))  # a little is left
        acknowledged, refused = [kept["id"]], []
        for i in range(60):
            body = [{"name": f"{i}", "custom_fields": {"a": os.urandom(20000).hex()}} for _ in range(20)]
            answer = tenant.api.call("POST", LEADS, (201, 503, 507), json=body)
            if answer.status_code == 201:
                acknowledged += [row["id"] for row in answer.json()["data"]]
            else:
                refused.append(answer.json()["code"])
                break
        assert refused, "the disk never filled up"
        filler.unlink()
        wait_until(lambda: tenant.api.call("POST", LEADS, json={"name": "After"}).status_code == 201, "writes work again", 90)
        assert set(acknowledged) <= {row["id"] for row in tenant.rows("leads", "select=id")}
        own.stop()
    finally:
        own.clear()
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_interrupt_ends_everything(new_server):
    own = new_server("interrupt")
    own.start()
    postmaster = own.postmaster_pid
    own.stop(with_signal=signal.SIGINT)
    assert not pathlib.Path(f"/proc/{postmaster}").exists()
    assert not (own.data / "postgres" / "postmaster.pid").exists(), "PostgreSQL was shut down cleanly"


def test_interrupt_drains_running_requests(new_server):
    """Requests that run when the server is asked to stop are answered; new ones are refused."""
    own = new_server("drain")
    own.start()
    tenant = own.admin.create_tenant()
    tenant.api.post(LEADS, {"name": "x"}, 201)
    started = threading.Event()

    def slow_import():
        def pieces():
            yield b"name\n"
            for i in range(40):
                yield b"row\n" * 50
                if i == 20:  # by then the server has accepted the connection and reads
                    started.set()
                time.sleep(0.05)
        return tenant.api.call("POST", "/v1/import/leads", 200, data=pieces(), headers={"Content-Type": "text/csv"}).json()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow_import)
        assert started.wait(settings.REQUEST_LIMIT_S)
        own.process.send_signal(signal.SIGINT)
        assert running.result()["inserted"] == 2000
    assert own.wait_end() == 0
    own.check_log()
    own.process = None
    own.start()
    assert tenant.count("leads") == 2001
    own.stop()


def test_a_second_interrupt_does_not_wait(new_server):
    own = new_server("impatient")
    own.start()
    tenant = own.admin.create_tenant()
    with socket.create_connection(("127.0.0.1", own.port)) as hanging:
        hanging.sendall(b"POST /v1/import/leads HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nX-Tenant-Key: "
                        + tenant.key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nname\n\r\n")
        wait_until(lambda: own.admin.get("/v1/status")["node"], "the server is busy with it")
        own.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(own), "nothing new is accepted")
        own.process.send_signal(signal.SIGTERM)
        own.wait_end()
    own.process = None
    assert not (own.data / "postgres" / "postmaster.pid").exists()
    own.start()
    assert tenant.count("leads") == 0
    own.stop()


def refused(server):
    try:
        return requests.get(server.url + "/readyz", timeout=5).status_code == 503
    except requests.RequestException:
        return True


def test_kill_of_the_server(new_server):
    own = new_server("killed")
    own.start()
    tenant = own.admin.create_tenant(tier="database")
    row = tenant.api.post(LEADS, {"name": "Kept"}, 201)
    token = own.admin_token
    own.kill()
    own.start()
    assert own.admin_token == token
    assert tenant.api.get(f"{LEADS}/{row['id']}") == row
    own.stop()


def test_kill_while_the_cluster_is_made(new_server):
    own = new_server("early", fresh=True)
    for wait_s in (0.3, 0.9):
        own.launch()
        time.sleep(wait_s * settings.SLOWDOWN)
        own.kill()
    own.start()
    assert own.admin.create_tenant().count("leads") == 0
    own.stop()


def test_kill_of_postgresql(new_server):
    """Meanwhile 503 with Retry-After; then it goes on by itself, on the same connections and keys."""
    own = new_server("postmaster")
    own.start()
    tenants = [own.admin.create_tenant(tier=tier) for tier in settings.TIERS]
    for tenant in tenants:
        tenant.api.post(LEADS, {"name": "Kept"}, 201)
    for _ in range(3):
        victim = own.postmaster_pid
        os.kill(victim, signal.SIGKILL)
        seen = set()

        def recovered():
            statuses = {tenant.api.call("GET", LEADS, (200, 503)).status_code for tenant in tenants}
            seen.update(statuses)
            assert own.anonymous.call("GET", "/healthz").status_code == 200, "the process lives"
            return statuses == {200} and own.anonymous.call("GET", "/readyz").status_code == 200
        wait_until(lambda: not pathlib.Path(f"/proc/{victim}").exists(), "the postmaster is gone")
        wait_until(recovered, "requests are answered again", 60)
        assert own.postmaster_pid != victim
        assert 503 in seen, "nobody was told to come back later"
        for tenant in tenants:
            assert tenant.count("leads") == 1
    own.stop()


def test_a_backend_that_dies(new_server):
    """PostgreSQL ends all its connections when one of its processes crashes; the server gets over it."""
    own = new_server("backend")
    own.start()
    tenant = own.admin.create_tenant()
    tenant.api.post(LEADS, {"name": "Kept"}, 201)
    (backend,), *_ = own.query("SELECT pid FROM pg_stat_activity WHERE usename = 'tenant_service'")
    os.kill(backend, signal.SIGKILL)
    wait_until(lambda: tenant.api.call("GET", LEADS, (200, 503)).status_code == 200, "requests are answered again", 60)
    assert tenant.count("leads") == 1
    own.stop()


def test_an_unprivileged_user(work):
    """Not root: everything runs as that user."""
    home = work / "home"
    home.mkdir()
    own = Server(home / "data", env={"ROWHOUSE_PACKS": "tekup"})
    own.log_path = work / "nobody.log"
    if os.geteuid() == 0:
        shutil.chown(home, "nobody", "nogroup")
        own.command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *own.command]
    try:
        own.start()
        assert own.admin.create_tenant(tier="database").count("leads") == 0
        own.stop()
    finally:
        own.clear()
