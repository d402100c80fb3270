"""Places where a customer keeps files, each looked into by its own means: the provider's protocol or the disk, never our drivers.

A place: `storage` and `config` (as a tenant is made with them), `egress` and `roots` (what the operator allows), put(name, data) and
get(name) for what the customer has there himself, and names(): everything that is in it, also what no list of objects shows (parts of
uploads, folders).
"""

import os
import re
import urllib.parse
import xml.etree.ElementTree

import requests


class Place:
    storage, egress, roots = "byos", (), ()

    def __init__(self, name, service, prefix=""):
        self.name, self.service = name, service
        self.config = {"provider": service.provider, "config": {**service.config, **({"prefix": prefix} if prefix else {})}}
        self.egress = tuple(service.egress)


class S3Place(Place):
    """Asks the gateway with the signer of the tests."""

    def __init__(self, name, service, prefix=""):
        super().__init__(name, service, prefix)
        self.bucket = service.bucket

    def put(self, name, data):
        assert self.service.request("PUT", f"/{self.bucket}/{urllib.parse.quote(name, '/~')}", body=data).status_code == 200

    def get(self, name):
        return self.service.request("GET", f"/{self.bucket}/{urllib.parse.quote(name, '/~')}").content

    def names(self):
        return s3_names(self.service, self.bucket)


def s3_names(service, bucket):
    found, marker = [], ""
    while True:
        page = _xml(service.request("GET", f"/{bucket}", {"encoding-type": "url", "marker": marker}))
        keys = [element.text for element in page.iter("Key")]
        found += [urllib.parse.unquote(key) for key in keys]
        if page.findtext("IsTruncated") != "true":
            break
        marker = urllib.parse.unquote(page.findtext("NextMarker") or keys[-1])
    uploads = _xml(service.request("GET", f"/{bucket}", {"uploads": ""}))
    return found + [f"upload of {element.findtext('Key')}" for element in uploads.iter("Upload")]


class AzurePlace(Place):
    def put(self, name, data):
        answer = self.service.request("PUT", f"{self.service.container}/{name}", body=data, headers={"x-ms-blob-type": "BlockBlob"})
        assert answer.status_code == 201, answer.text

    def get(self, name):
        return self.service.request("GET", f"{self.service.container}/{name}").content

    def names(self):
        found, marker = [], ""
        while True:
            query = {"restype": "container", "comp": "list", "include": "uncommittedblobs", **({"marker": marker} if marker else {})}
            page = _xml(self.service.request("GET", self.service.container, query))
            found += [element.findtext("Name") for element in page.iter("Blob")]
            marker = page.findtext("NextMarker")
            if not marker:
                return found


class GcsPlace(Place):
    """Asks the emulator behind the front, as its administrator."""

    def _ask(self, method, path, **options):
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"http://127.0.0.1:{self.service.backend_port}{path}", timeout=60,
                                     headers={"Authorization": "Bearer owner", **options.pop("headers", {})}, **options)
        assert answer.status_code == 200, answer.text
        return answer

    def put(self, name, data):
        self._ask("POST", f"/upload/storage/v1/b/{self.service.bucket}/o?uploadType=media&name={urllib.parse.quote(name, '')}", data=data,
                  headers={"Content-Type": "application/octet-stream"})

    def get(self, name):
        return self._ask("GET", f"/storage/v1/b/{self.service.bucket}/o/{urllib.parse.quote(name, '')}?alt=media").content

    def names(self):
        found, token = self.service.kept(), ""
        while token is not None:
            page = self._ask("GET", f"/b/{self.service.bucket}/o?maxResults=1000" + (f"&pageToken={urllib.parse.quote(token)}" if token else ""))
            found += [item["name"] for item in page.json().get("items", [])]
            token = page.json().get("nextPageToken")
        return found


class SharePlace(Place):
    """A directory that a file server gives out, or that the operator mounted."""

    def __init__(self, name, service, prefix=""):
        super().__init__(name, service, prefix)
        self.share = service.share

    def put(self, name, data):
        path = self.share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get(self, name):
        return (self.share / name).read_bytes()

    def names(self):
        return files_below(self.share)


class Mount:
    """What the operator has mounted."""

    provider, egress = "nfs", ()

    def __init__(self, share):
        self.share = share
        share.mkdir()

    @property
    def config(self):
        return {"mount_path": str(self.share)}


class MountPlace(SharePlace):
    def __init__(self, name, service, prefix=""):
        super().__init__(name, service, prefix)
        self.roots = (str(service.share.parent),)


class ProvisionedDirectory:
    """`rowhouse up` makes a directory for each tenant below its data."""

    name, storage, config, egress, roots = "provisioned-directory", "provisioned", None, (), ()

    def __init__(self, root):
        self.root = root

    def put(self, name, data):
        (self.root / name).write_bytes(data)

    def get(self, name):
        return (self.root / name).read_bytes()

    def names(self):
        return files_below(self.root)


class ProvisionedBucket(Place):
    """A gateway where each tenant gets a user and a bucket."""

    name, storage, config, egress, roots = "provisioned-ceph", "provisioned", None, (), ()

    def __init__(self, service):  # pylint: disable=super-init-not-called
        self.service = service

    def settings(self):
        return {"ROWHOUSE_STORAGE_PROVISIONED": "ceph_rgw", "ROWHOUSE_STORAGE_ENDPOINT": self.service.endpoint,
                "ROWHOUSE_STORAGE_ADMIN_ACCESS_KEY": self.service.access_key,
                "ROWHOUSE_STORAGE_ADMIN_SECRET_KEY": self.service.secret_key}

    # The customer's own: the bucket that the gateway had before.
    def put(self, name, data):
        S3Place.put(self._own(), name, data)

    def get(self, name):
        return S3Place.get(self._own(), name)

    def _own(self):
        return S3Place("own", self.service)

    def names(self):
        """Users, buckets, and what is in the buckets that were made."""
        users = [f"user {user}" for user in self._admin("/admin/metadata/user")]
        buckets = self._admin("/admin/bucket")
        inside = [f"{bucket}/{name}" for bucket in buckets for name in self._inside(bucket)]
        return users + [f"bucket {bucket}" for bucket in buckets] + inside

    def _admin(self, path):
        return self.service.request("GET", path, {"format": "json"}).json()

    def _inside(self, bucket):
        if bucket == self.service.bucket:
            return s3_names(self.service, bucket)
        stats = self.service.request("GET", "/admin/bucket", {"bucket": bucket, "stats": "true", "format": "json"}).json()
        return range(stats["usage"].get("rgw.main", {}).get("num_objects", 0))


def files_below(root):
    """Files and folders, as paths below the root; a folder ends with a slash."""
    found = []
    for path, folders, files in os.walk(root):
        below = os.path.relpath(path, root)
        found += [os.path.normpath(os.path.join(below, name)) for name in files]
        found += [os.path.normpath(os.path.join(below, name)) + "/" for name in folders]
    return found


def _xml(answer):
    assert answer.status_code == 200, answer.text
    return xml.etree.ElementTree.fromstring(re.sub(r' xmlns="[^"]+"', "", answer.text.lstrip("\ufeff"), count=1))
