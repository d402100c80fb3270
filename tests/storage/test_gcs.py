"""Objects in Google Cloud Storage: the conformance suite and failures, against the emulator."""

import subprocess

import pytest

from harness import Suite
from support.services.gcs import Gcs


@pytest.fixture(scope="module")
def suite(work):
    with Gcs() as service:
        account = service.config["service_account_key"]
        other_key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                                   capture_output=True, check=True, text=True).stdout
        service.refused = [
            {"name": "another key", "config": {**service.config, "service_account_key": {**account, "private_key": other_key}},
             "code": "storage_failed"},
            {"name": "another account",
             "config": {**service.config, "service_account_key": {**account, "client_email": "nobody@example.com"}},
             "code": "storage_failed"},
            {"name": "no such bucket", "config": {**service.config, "bucket": "rowhouse-nowhere"}, "code": "storage_failed"},
            {"name": "any port of this machine", "config": {**service.config, "endpoint": "http://127.0.0.1:9"},
             "code": "address_refused"},
            {"name": "tokens from any port of this machine",
             "config": {**service.config, "service_account_key": {**account, "token_uri": "http://127.0.0.1:9/token"}},
             "code": "address_refused"},
        ]
        yield Suite(service, work)


def test_conformance(suite):
    suite.conformance()


def test_service_dies(suite):
    suite.service_dies()


def test_client_dies(suite):
    suite.client_dies()
