"""Objects in Azure Blob Storage: the conformance suite and failures, against Azurite."""

import base64

import pytest

from harness import Suite
from support.services.azurite import Azurite


@pytest.fixture(scope="module")
def suite(work):
    with Azurite() as service:
        connection = service.config["connection_string"]
        other_key = base64.b64encode(b"x" * 64).decode()
        service.refused = [
            {"name": "another key", "config": {**service.config, "connection_string": connection.replace(service.key, other_key)},
             "code": "storage_failed"},
            {"name": "no such container", "config": {**service.config, "container": "rowhouse-nowhere"}, "code": "storage_failed"},
            {"name": "any port of this machine",
             "config": {**service.config, "connection_string": connection.replace(f":{service.port}/", ":9/")},
             "code": "address_refused"},
        ]
        yield Suite(service, work)


def test_conformance(suite):
    suite.conformance()


def test_service_dies(suite):
    suite.service_dies()


def test_client_dies(suite):
    suite.client_dies()
