"""Objects on an NFS export: the conformance suite and failures, against NFS-Ganesha."""

import pytest

from harness import Suite
from support.services.ganesha import Ganesha


@pytest.fixture(scope="module")
def suite(work):
    with Ganesha() as service:
        service.refused = [
            {"name": "another export", "config": {"share_path": service.share_path("/other")}, "code": "storage_failed"},
            {"name": "nobody listens", "config": {"share_path": "nfs://127.0.0.1/share?nfsport=9&mountport=9"},
             "code": "address_refused"},
            {"name": "any port of this machine", "config": {"share_path": "127.0.0.1:/share"}, "code": "address_refused"},
        ]
        yield Suite(service, work)


def test_conformance(suite):
    suite.conformance()


def test_service_dies(suite):
    suite.service_dies()


def test_client_dies(suite):
    suite.client_dies()


def test_links_lead_nowhere(suite):
    share = suite.service.share
    (share / "inside").mkdir()
    (share / "inside" / "secret.bin").write_bytes(b"not yours")
    (share / "folder").symlink_to("inside")
    (share / "object.bin").symlink_to("inside/secret.bin")
    assert "failed storage_failed" in suite.finish(suite.step("put", "folder/new.bin", 1, 10), status=3)
    assert "failed storage_failed" in suite.finish(suite.step("check", "folder/secret.bin", 1, 9), status=3)
    assert "failed not_found" in suite.finish(suite.step("check", "object.bin", 1, 9), status=3)
    suite.finish(suite.step("put", "object.bin", 1, 10))  # takes the link's place
    assert sorted(path.name for path in (share / "inside").iterdir()) == ["secret.bin"]
    assert (share / "inside" / "secret.bin").read_bytes() == b"not yours"
