"""Ceph as an S3 server: a monitor, one OSD on a sparse file, the RADOS gateway. What operators of their own storage run.

The user of `config` is also an administrator of the gateway (`/admin/…`, capabilities users and buckets), so the same keys serve the
tests of provisioned storage. Twenty seconds to start and half a gigabyte of memory. Nothing of it needs root.
"""

import datetime
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import tempfile
import shutil
import urllib.parse
import uuid

import requests

from ..temporary import free_port
from .process import Child, answers, wait_for

PORTS = 100  # of its daemons, among themselves

CONF = """[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
ms bind port min = {low}
ms bind port max = {high}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
mon data avail warn = 2
mon data avail crit = 1
osd objectstore = bluestore
bluestore block size = 8589934592
bluestore fsck on mount = false
osd memory target = 939524096
debug mon = 0/0
debug osd = 0/0
debug paxos = 0/0
debug bluestore = 0/0
debug rocksdb = 0/0
debug rgw = 0/0
run dir = {root}/run
admin socket = {root}/run/$cluster-$name.asok
log file = {root}/log/$name.log
pid file = {root}/run/$name.pid
keyring = {root}/keyring
crash dir = {root}/crash
[mon]
mon data = {root}/data/mon.$id
mon cluster log file = {root}/log/cluster.log
[mgr]
mgr data = {root}/data/mgr.$id
mgr initial modules =
[osd]
osd data = {root}/data/osd.$id
osd crush update on start = true
[client.rgw.r]
keyring = {root}/keyring
rgw frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={root}/server.pem ssl_private_key={root}/server.key
rgw data = {root}/data/rgw
rgw enable usage log = false
rgw gc obj min wait = 5
rgw gc processor period = 5
rgw gc processor max time = 5
"""


class Ceph:
    provider = "minio"

    def __init__(self, bucket="rowhouse-test"):
        # Short: a unix socket lives in it.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rh-ceph-"))
        self.port, self.tls_port = free_port(), free_port()
        self.ca_file = self.root / "ca.pem"
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.bucket, self.access_key, self.secret_key = bucket, "ROWHOUSETESTACCESS", "rowhouse/test+secret/" + uuid.uuid4().hex
        self.environment = {**os.environ, "CEPH_CONF": str(self.root / "ceph.conf")}
        self.children, self.gateway, self.osd = [], None, None
        try:
            self._bootstrap()
            self._make_user()
            self.create_bucket(bucket)
        except BaseException:
            self.close()
            raise

    @property
    def egress(self):
        return [f"127.0.0.1:{self.port}"]

    @property
    def config(self):
        return {"endpoint": f"127.0.0.1:{self.port}", "secure": False, "access_key": self.access_key,
                "secret_key": self.secret_key, "bucket": self.bucket}

    @property
    def https_config(self):
        """The same bucket over TLS, with a certificate of `ca_file`."""
        return {**self.config, "endpoint": f"127.0.0.1:{self.tls_port}", "secure": True}

    def _make_certificate(self):
        root, key = self.root, ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        self._run("openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=Test authority", "-keyout", root / "ca.key", "-out", self.ca_file)
        self._run("openssl", "req", *key, "-subj", "/CN=rgw", "-keyout", root / "server.key", "-out", root / "server.csr")
        (root / "server.ext").write_text("subjectAltName = IP:127.0.0.1\n")
        self._run("openssl", "x509", "-req", "-days", "2", "-in", root / "server.csr", "-CA", self.ca_file, "-CAkey", root / "ca.key",
                  "-CAcreateserial", "-extfile", root / "server.ext", "-out", root / "server.pem")

    def _run(self, *arguments, text=None):
        done = subprocess.run([str(argument) for argument in arguments], input=text, capture_output=True, text=True, timeout=120,
                              env=self.environment, check=False)
        assert done.returncode == 0, f"{arguments[:3]}: {done.stdout}{done.stderr}"
        return done.stdout

    def _daemon(self, name, *arguments):
        return Child(arguments, self.root / "log" / f"{name}.out", self.environment)

    def _bootstrap(self):
        root, fsid = self.root, str(uuid.uuid4())
        for folder in ("data/mon.a", "data/mgr.x", "data/osd.0", "data/rgw", "run", "log", "crash"):
            (root / folder).mkdir(parents=True)
        self._make_certificate()
        low = free_port(PORTS)
        (root / "ceph.conf").write_text(CONF.format(fsid=fsid, root=root, mon1=free_port(), mon2=free_port(), low=low, high=low + PORTS - 1,
                                                    port=self.port, tls_port=self.tls_port))
        keyring, monmap = root / "keyring", root / "monmap"
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *", "--cap", "osd", "allow *",
                  "--cap", "mgr", "allow *")
        monitor = (root / "ceph.conf").read_text().split("mon host = ")[1].split("\n")[0]
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", monitor, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self.children.append(self._daemon("mon", "ceph-mon", "-i", "a", "-f"))
        self._wait("the monitor", "quorum", "ceph", "mon", "stat")
        identity, key = str(uuid.uuid4()), self._run("ceph-authtool", "--gen-print-key").strip()
        self._run("ceph", "osd", "new", identity, "-i", "-", text=json.dumps({"cephx_secret": key}))
        self._run("ceph-authtool", keyring, "--name", "osd.0", "--add-key", key)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        gateway = self._run("ceph", "auth", "get-or-create", "client.rgw.r", "mon", "allow rwx", "osd", "allow rwx")
        with open(keyring, "a", encoding="ascii") as keys:
            keys.write(gateway)
        self.osd = self._daemon("osd", "ceph-osd", "-i", "0", "-f")
        self._wait("the OSD", "1 up", "ceph", "osd", "stat")
        self.start()

    def _wait(self, what, text, *arguments):
        def said():
            done = subprocess.run(["timeout", "10", *arguments], capture_output=True, text=True, env=self.environment, check=False)
            return text in done.stdout + done.stderr
        wait_for(said, what, self.children + ([self.osd] if self.osd else []))

    def _make_user(self):
        self._run("radosgw-admin", "user", "create", "--uid=rowhouse", "--display-name=Rowhouse", f"--access-key={self.access_key}",
                  f"--secret-key={self.secret_key}", "--caps=users=*;buckets=*;metadata=*;usage=*", "--max-buckets=0")

    # An own signer, so that the tests share no code with what they test.
    def request(self, method, path, query=None, body=b""):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        day, digest = now[:8], hashlib.sha256(body).hexdigest()
        quoted = "&".join(f"{urllib.parse.quote(name, '-_.~')}={urllib.parse.quote(value, '-_.~')}"
                          for name, value in sorted((query or {}).items()))
        headers = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        canonical = "\n".join([method, path, quoted, *(f"{name}:{value}" for name, value in headers.items()), "", names, digest])
        scope = f"{day}/us-east-1/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in (day, "us-east-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, "
                                    f"Signature={signature}")
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.endpoint + path + ("?" + quoted if quoted else ""), headers=headers, data=body, timeout=60)

    def create_bucket(self, name):
        answer = self.request("PUT", f"/{name}")
        assert answer.status_code == 200, answer.text

    def start(self):
        self.gateway = self._daemon("rgw", "radosgw", "-n", "client.rgw.r", "-f")
        wait_for(lambda: answers(self.endpoint), "the gateway", [*self.children, self.osd, self.gateway], patience_s=180)

    def kill(self):
        self.gateway.kill()

    def stop(self):
        self.gateway.stop()

    def close(self):
        # The OSD last but one, and with patience: it writes its log out.
        for child in [self.gateway, self.osd, *reversed(self.children)]:
            if child is not None:
                child.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
