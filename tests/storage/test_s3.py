"""Objects in S3: the conformance suite and failures, against the RADOS gateway of Ceph."""

import pytest

from harness import Suite
from support.services.ceph import Ceph


@pytest.fixture(scope="module")
def suite(work):
    with Ceph() as service:
        service.refused = [
            {"name": "another secret", "config": {**service.config, "secret_key": "x" * 40}, "code": "storage_failed"},
            {"name": "an unknown key", "config": {**service.config, "access_key": "ROWHOUSEUNKNOWN00"}, "code": "storage_failed"},
            {"name": "no such bucket", "config": {**service.config, "bucket": "rowhouse-nowhere"}, "code": "storage_failed"},
            {"name": "any port of this machine", "config": {**service.config, "endpoint": "127.0.0.1:9"}, "code": "address_refused"},
        ]
        yield Suite(service, work)


def test_conformance(suite):
    suite.conformance()


def test_service_dies(suite):
    suite.service_dies()


def test_client_dies(suite):
    suite.client_dies()


class OverHttps:
    """The same gateway by TLS, where bodies go unsigned and are compared by what the server answers."""

    def __init__(self, ceph, **extra):
        self.provider, self.config, self.extra = ceph.provider, ceph.https_config, extra
        self.egress = [f"127.0.0.1:{ceph.tls_port}"]


def test_conformance_over_https(suite, work):
    (work / "https").mkdir()
    Suite(OverHttps(suite.service, ca_file=str(suite.service.ca_file)), work / "https").conformance()


def test_an_unknown_authority_is_not_trusted(suite, work):
    (work / "stranger").mkdir()
    stranger = Suite(OverHttps(suite.service), work / "stranger")
    out = stranger.finish(stranger.step("put", "stranger/object", 1, 1000), status=3)
    assert "failed server_unreachable" in out, out
