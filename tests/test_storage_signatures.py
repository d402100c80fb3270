"""The signatures that our own are compared with (storage/signatures.json) are those of the providers' clients."""

import subprocess

from support import settings

NODE = settings.ROOT / "tests" / "node"
LIMIT_S = 120


def test_file_is_what_the_clients_sign():
    done = subprocess.run(["node", NODE / "storage_signatures.cjs"], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    kept = (settings.ROOT / "tests" / "storage" / "signatures.json").read_text(encoding="utf-8")
    assert done.stdout.splitlines() == kept.splitlines()
