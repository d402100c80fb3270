"""Azurite, Microsoft's own emulator of Azure Blob Storage (npm): SharedKey and SAS are enforced."""

import base64
import datetime
import hashlib
import hmac
import os
import pathlib
import shutil
import tempfile
import time
import urllib.parse

import requests

from .. import settings
from ..temporary import free_port
from .process import Child, answers, wait_for

SCRIPT = settings.ROOT / "tests" / "node" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
VERSION = "2021-08-06"
SAVED_WITHIN_S = 7


class Azurite:
    provider = "azure_blob"

    def __init__(self, container="rowhouse-test"):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rh-azurite-"))
        self.port = free_port()
        self.account, self.key = "rowhousetest", base64.b64encode(os.urandom(64)).decode()
        self.container, self.endpoint, self.child = container, f"http://127.0.0.1:{self.port}/{self.account}", None
        try:
            self.start()
            self.create_container(container)
        except BaseException:
            self.close()
            raise

    @property
    def egress(self):
        return [f"127.0.0.1:{self.port}"]

    @property
    def config(self):
        return {"connection_string": f"DefaultEndpointsProtocol=http;AccountName={self.account};AccountKey={self.key};"
                                     f"BlobEndpoint={self.endpoint};", "container": self.container}

    # An own signer, so that the tests share no code with what they test.
    def request(self, method, path="", query=None, body=b"", headers=None):
        """`path`: container, or container/blob, unescaped."""
        query = query or {}
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        sent = {"x-ms-date": date, "x-ms-version": VERSION, **(headers or {})}
        address = urllib.parse.quote(f"/{self.account}/{path}", "/~")
        own = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent) if name.startswith("x-ms-"))
        asked = "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        text = f"{method}\n\n\n{len(body) or ''}\n\n\n\n\n\n\n\n\n{own}/{self.account}{address}{asked}"
        signature = base64.b64encode(hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"http://127.0.0.1:{self.port}{address}?{urllib.parse.urlencode(query)}", timeout=300, data=body,
                                   headers={**sent, "Content-Length": str(len(body)),
                                            "Authorization": f"SharedKey {self.account}:{signature}"})

    def create_container(self, name):
        answer = self.request("PUT", name, {"restype": "container"})
        assert answer.status_code == 201, answer.text

    def start(self):
        environment = {**os.environ, "AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}
        self.child = Child(["node", SCRIPT, "--blobHost", "127.0.0.1", "--blobPort", self.port, "--location", self.root,
                            "--skipApiVersionCheck", "--disableTelemetry", "--silent"], self.root / "azurite.out", environment)
        wait_for(lambda: answers(self.endpoint), "Azurite", [self.child])

    def kill(self):
        # Its indexes are in memory and go to disk every five seconds, if they have changed: what was answered before
        # would be lost with them, which no real service does.
        begin = time.time()
        while time.time() < begin + SAVED_WITHIN_S and any(os.stat(file).st_mtime < begin for file in self.indexes()):
            time.sleep(0.05)
        self.child.kill()

    def indexes(self):
        return [self.root / name for name in ("__azurite_db_blob__.json", "__azurite_db_blob_extent__.json")]

    def stop(self):
        self.child.stop()

    def close(self):
        if self.child is not None:
            self.child.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
