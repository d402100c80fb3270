"""Objects as files of a directory: the conformance suite, kill -9, and what a hostile share holds."""

import os
import subprocess

import pytest

from harness import CONFORMANCE, Suite


class Directory:
    """A directory that the operator has mounted, seen as an NFS tenant sees it."""

    provider, egress = "nfs", []

    def __init__(self, work):
        self.root = work / "mounted"
        self.root.mkdir()
        self.config = {"mount_path": str(self.root)}
        (work / "elsewhere").mkdir()
        (work / "link").symlink_to(work / "elsewhere")
        self.extra = {"mount_roots": [str(work)]}
        self.refused = [
            {"name": "not there", "config": {"mount_path": str(work / "missing")}, "code": "storage_failed", **self.extra},
            {"name": "a link", "config": {"mount_path": str(work / "link")}, "code": "storage_failed", **self.extra},
        ]


@pytest.fixture(scope="module")
def suite(work):
    return Suite(Directory(work), work)


def test_conformance(suite):
    suite.conformance()


def test_nothing_but_the_own_folders_is_left(suite):
    left = [path for path, _, files in os.walk(suite.service.root) if files]
    assert left == []


def test_client_dies(suite):
    suite.client_dies()


def test_temporaries_of_the_dead_are_swept(suite):
    temporaries = suite.service.root / ".rowhouse-tmp"
    for path, age_days in ((temporaries / "old", 2), (temporaries / "new", 0.5)):
        path.write_bytes(b"half an object")
        before = path.stat().st_mtime - age_days * 86_400
        os.utime(path, (before, before))
    suite.finish(suite.step("put", "swept.bin", 1, 10))
    assert not (temporaries / "old").exists()
    assert (temporaries / "new").exists()


def test_links_lead_nowhere(suite, work):
    """Symbolic links that somebody else put into the share: as a folder, as an object, as our own folders."""
    outside = work / "outside"
    outside.mkdir()
    (outside / "secret.bin").write_bytes(b"not yours")
    root = suite.service.root
    (root / "folder").symlink_to(outside)
    (root / "object.bin").symlink_to(outside / "secret.bin")
    assert "failed storage_failed" in suite.finish(suite.step("put", "folder/new.bin", 1, 10), status=3)
    assert "failed storage_failed" in suite.finish(suite.step("check", "folder/secret.bin", 1, 9), status=3)
    assert suite.finish(suite.step("check", "object.bin", 1, 9), status=3).startswith("failed")
    suite.finish(suite.step("put", "object.bin", 1, 10))  # takes the link's place
    assert (outside / "secret.bin").read_bytes() == b"not yours"
    assert sorted(path.name for path in outside.iterdir()) == ["secret.bin"]
    assert (root / "object.bin").read_bytes() != b"not yours" and not (root / "object.bin").is_symlink()


def test_a_full_disk(work):
    """The error says so, the former object stays, and there is room again afterwards."""
    small = work / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
    try:
        service = type("Small", (), {"provider": "nfs", "egress": [], "config": {"mount_path": str(small)},
                                     "extra": {"mount_roots": [str(work)]}})
        suite = Suite(service, work)
        suite.finish(suite.step("put", "object.bin", 1, 1_000_000))
        assert "failed disk_full" in suite.finish(suite.step("put", "object.bin", 2, 8_000_000), status=3)
        suite.finish(suite.step("check", "object.bin", 1, 1_000_000))
        suite.finish(suite.step("put", "object.bin", 3, 2_000_000))
        suite.finish(suite.step("check", "object.bin", 3, 2_000_000))
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_suite_has_its_cases():
    """A suite that runs nothing would pass everywhere."""
    names = subprocess.run([CONFORMANCE, "--list"], capture_output=True, text=True, check=True).stdout.split()
    assert len(names) >= 30 and {"odd_keys", "parts_resumed", "conditional_create", "constant_memory"} <= set(names)
