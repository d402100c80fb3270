"""Objects on an SMB share: the conformance suite and failures, against Samba."""

import pytest

from harness import Suite
from support.services.samba import Samba


@pytest.fixture(scope="module")
def suite(work):
    with Samba() as service:
        service.extra = {"paged_keys": 1_000}  # each call is several round trips, one after the other
        good = service.config
        service.refused = [
            {"name": "wrong password", "config": {**good, "password": "another one"}, "code": "storage_failed"},
            {"name": "unknown user", "config": {**good, "username": "daemon"}, "code": "storage_failed"},
            {"name": "no such share", "config": {**good, "share_path": f"//127.0.0.1:{service.port}/other"}, "code": "storage_failed"},
            {"name": "no such folder", "config": {**good, "share_path": f"//127.0.0.1:{service.port}/share/missing"},
             "code": "storage_failed"},
            {"name": "another port of this machine", "config": {**good, "share_path": "//127.0.0.1:5432/share"},
             "code": "address_refused"},
        ]
        yield Suite(service, work)


def test_conformance(suite):
    suite.conformance()


def test_service_dies(suite):
    suite.service_dies()


def test_client_dies(suite):
    suite.client_dies()


def test_replacing_is_never_half_done(suite):
    """The two names of an object (src/storage/smb_store.cc): whatever a crash left, one version counts and the next put heals."""
    share = suite.service.share
    old, new = ("two.bin", 1, 1_000), ("two.bin", 2, 2_000)
    suite.finish(suite.step("put", *old))
    (share / "two.bin").rename(share / "two.bin!n")  # died before the new version had its usual name
    suite.finish(suite.step("check", *old))
    suite.finish(suite.step("put", *new))
    suite.finish(suite.step("check", *new))
    suite.finish(suite.step("put", "other.bin", 1, 1_000))
    (share / "other.bin").rename(share / "two.bin!n")  # died before the old version was removed
    suite.finish(suite.step("check", *old))
    suite.finish(suite.step("put", *new))
    suite.finish(suite.step("check", *new))
    assert len([path for path in share.iterdir() if path.name.startswith("two")]) == 1
