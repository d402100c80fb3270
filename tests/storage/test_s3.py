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
