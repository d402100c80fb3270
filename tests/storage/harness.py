"""What the tests of all providers share: run the conformance suite against a service, and kill the service in the middle.

A service is an object with `provider`, `config` (what a tenant would set), `egress` (what the operator would allow), start(), kill()
and, where there are some, `refused` (a list of {"name", "config", "code"}: configurations that must be refused, and how) and
`extra` (further members of the suite's file).
"""

import json
import os
import pathlib
import subprocess

from support import settings

CONFORMANCE = pathlib.Path(os.environ.get("ROWHOUSE_STORAGE_CONFORMANCE", settings.BINARY.parent / "storage_conformance")).resolve()
LIMIT_S = 240 * settings.SLOWDOWN
MIB = 1 << 20


class Suite:
    def __init__(self, service, directory):
        self.service = service
        self.directory = pathlib.Path(directory)
        self.file = self.directory / "store.json"
        refused = [{"provider": service.provider, **one} for one in getattr(service, "refused", [])]
        self.file.write_text(json.dumps({"provider": service.provider, "config": service.config, "egress_allow": service.egress,
                                         "refused": refused, **getattr(service, "extra", {})}))

    def conformance(self, skip=()):
        """Every case of the suite, each on its own line of the output."""
        # Sanitizers keep memory back; what they do not measure, other builds do.
        skipped = [*skip, *(["constant_memory"] if settings.SANITIZED else [])]
        arguments = [part for name in skipped for part in ("--skip", name)]
        done = subprocess.run([CONFORMANCE, self.file, *arguments], capture_output=True, text=True, timeout=LIMIT_S)
        print(done.stdout)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def step(self, *arguments):
        return subprocess.Popen([CONFORMANCE, self.file, "--crash", *map(str, arguments)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, step, status=0):
        out, error = step.communicate("\n", timeout=LIMIT_S)
        assert step.returncode == status, f"{out}\n{error}"
        return out

    def until_half(self, step):
        said = ""
        for line in step.stdout:
            if line == "half\n":
                return
            said += line
        raise AssertionError(f"ended before the half: {said}\n{step.stderr.read()}")

    def service_dies(self):
        """Killed in the middle of a put and of a part: the former object stays, the upload goes on where it was."""
        key, first, second = "crash/object.bin", (1, 300_000), (2, 16 * MIB + 5)
        self.finish(self.step("put", key, *first))

        putting = self.step("put-and-wait", key, *second)
        self.until_half(putting)
        self.service.kill()
        self.failed(putting)
        self.service.start()
        self.finish(self.step("check", key, *first))

        state = self.directory / "upload"
        uploading = self.step("upload", key, *second, state, 3)
        self.until_half(uploading)
        self.service.kill()
        self.failed(uploading)
        self.service.start()
        self.finish(self.step("check", key, *first))
        out = self.finish(self.step("upload", key, *second, state, 0))
        assert "parts 2\n" in out, f"two parts had arrived: {out}"
        self.finish(self.step("check", key, *second))

    def failed(self, step):
        out = self.finish(step, status=3)
        assert "failed server_unreachable" in out or "failed storage_failed" in out, out

    def client_dies(self):
        """This side is killed in the middle of a put: nobody sees what it left."""
        key, first, second = "crash/client.bin", (1, 100_000), (2, 8 * MIB)
        self.finish(self.step("put", key, *first))
        putting = self.step("put-and-wait", key, *second)
        self.until_half(putting)
        putting.kill()
        putting.communicate()
        self.finish(self.step("check", key, *first))
        self.finish(self.step("put", key, *second))
        self.finish(self.step("check", key, *second))
