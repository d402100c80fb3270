"""Fixtures of the black-box tests. Each file of tests is one pytest process with one server (see CMakeLists.txt)."""

import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

pytest.register_assert_rewrite("support")  # before anything imports it
from support import settings, temporary  # noqa: E402
from support.server import Server  # noqa: E402


def pytest_configure(config):
    if not settings.BINARY.exists():
        pytest.exit(f"{settings.BINARY} does not exist: build it, or set ROWHOUSE_BINARY", returncode=1)


@pytest.fixture(scope="session")
def work():
    """A directory for everything that the tests of a file leave behind."""
    with temporary.directory() as path:
        yield pathlib.Path(path)


@pytest.fixture(scope="session")
def server(work):
    """The server that the tests of a file share. Ends by SIGTERM, with status 0."""
    running = Server(work / "data")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.clear()


@pytest.fixture(autouse=True)
def no_crash(request):
    """A test that brought the shared server down fails, with the server's log."""
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").check_alive()


SMALL = {"ROWHOUSE_PACKS": "tekup"}


@pytest.fixture(scope="session")
def stopped(work):
    """A data directory with one pack, after a clean stop: servers of a test's own begin as copies of it."""
    made = Server(work / "stopped", env=SMALL)
    try:
        made.start()
        made.stop()
    finally:
        made.clear()
    return made.data


@pytest.fixture
def new_server(work, request):
    """A factory of servers of a test's own; all are gone afterwards. fresh=True: on an empty directory."""
    made = []

    def make(name="own", fresh=False, env=None, **options):
        data = work / f"{name}-{id(made):x}-{len(made)}"
        if not fresh:
            subprocess.run(["cp", "-a", str(request.getfixturevalue("stopped")), str(data)], check=True)
        made.append(Server(data, env={**SMALL, **(env or {})}, **options))
        return made[-1]

    yield make
    for running in made:
        running.clear()
        shutil.rmtree(running.data, ignore_errors=True)


@pytest.fixture(scope="session")
def admin(server):
    return server.admin


@pytest.fixture
def tenant(admin):
    """A new tekup tenant of the pool."""
    return admin.create_tenant()


@pytest.fixture(scope="module")
def crm(admin):
    """A tekup tenant with the sample rows, for tests that only read."""
    return admin.create_tenant("Shared CRM", sample_data=True)
