"""Google Cloud Storage: the emulator of firebase-tools behind a front that adds what it lacks; see tests/node/gcs_emulator.cjs."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from .. import settings
from ..temporary import free_port
from .process import Child, answers, wait_for

SCRIPT = settings.ROOT / "tests" / "node" / "gcs_emulator.cjs"


class Gcs:
    provider = "gcs"

    def __init__(self, bucket="rowhouse-test"):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rh-gcs-"))
        self.port, self.backend_port, self.bucket = free_port(), free_port(), bucket
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.backend = self.front = None
        self.private_key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
                                          capture_output=True, check=True, text=True).stdout
        public_key = subprocess.run(["openssl", "pkey", "-pubout"], input=self.private_key, capture_output=True, check=True,
                                    text=True).stdout
        self.account = {"type": "service_account", "project_id": "demo-rowhouse", "private_key_id": "0123456789abcdef",
                        "client_email": "rowhouse@demo-rowhouse.iam.gserviceaccount.com", "token_uri": self.endpoint + "/token"}
        (self.root / "account.json").write_text(json.dumps({**self.account, "public_key": public_key, "buckets": [bucket]}))
        try:
            self.backend = self._child("backend", self.backend_port)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def egress(self):
        return [f"127.0.0.1:{self.port}"]

    @property
    def config(self):
        return {"service_account_key": {**self.account, "private_key": self.private_key}, "bucket": self.bucket,
                "project_id": "demo-rowhouse", "endpoint": self.endpoint}

    def _child(self, role, port, *arguments):
        child = Child(["node", SCRIPT, role, port, *arguments], self.root / f"{role}.out")
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), f"the {role} of Google's storage", [child])
        return child

    def kept(self):
        """What the front holds of uploads that are not complete."""
        return [path.name for path in self.root.glob("*.data")]

    def start(self):
        self.front = self._child("front", self.port, self.backend_port, self.root)

    def kill(self):
        self.front.kill()

    def stop(self):
        self.front.stop()

    def close(self):
        for child in (self.front, self.backend):
            if child is not None:
                child.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
