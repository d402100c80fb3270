"""Fixtures of the black-box tests. Each file of tests is one pytest process with one server (see CMakeLists.txt)."""

import pathlib
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


@pytest.fixture
def new_server(work):
    """A factory of servers of a test's own; all are gone afterwards."""
    made = []

    def make(name="own", **options):
        made.append(Server(work / f"{name}-{len(made)}-{id(made):x}", **options))
        return made[-1]

    yield make
    for running in made:
        running.clear()


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
