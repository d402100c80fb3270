"""Samba: a real SMB server with one user and one share, on a free loopback port."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from ..temporary import free_port
from .ganesha import listens
from .process import Child, wait_for

CONFIGURATION = """
[global]
  workgroup = TESTERS
  server role = standalone server
  security = user
  map to guest = Never
  interfaces = 127.0.0.1/8 lo
  bind interfaces only = yes
  smb ports = {port}
  disable netbios = yes
  server min protocol = SMB2
  passdb backend = tdbsam:{root}/private/passdb.tdb
  private dir = {root}/private
  lock directory = {root}/lock
  state directory = {root}/state
  cache directory = {root}/cache
  pid directory = {root}/pid
  ncalrpc dir = {root}/ncalrpc
  log file = {root}/samba.log
  load printers = no
  printing = bsd
  printcap name = /dev/null
[share]
  path = {share}
  read only = no
  valid users = {user}
  force user = {owner}
"""
# A user of the system that has no password there; Samba keeps one of its own.
USER = "nobody"


class Samba:
    """Gives `share` out as //127.0.0.1:PORT/share."""

    provider = "smb"

    def __init__(self, password="p%ss w@rd;#"):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rh-smb-"))
        self.root.chmod(0o755)
        self.share = self.root / "share"
        self.port, self.password, self.server = free_port(), password, None
        self.file = self.root / "smb.conf"
        try:
            for name in ("share", "private", "lock", "state", "cache", "pid", "ncalrpc"):
                (self.root / name).mkdir(mode=0o755)
            owner = pwd.getpwuid(os.geteuid()).pw_name
            self.file.write_text(CONFIGURATION.format(root=self.root, share=self.share, port=self.port, user=USER, owner=owner))
            subprocess.run(["smbpasswd", "-c", str(self.file), "-s", "-a", USER], input=f"{password}\n{password}\n", text=True, check=True,
                           stdout=subprocess.DEVNULL)
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def config(self):
        return {"share_path": f"//127.0.0.1:{self.port}/share", "username": USER, "password": self.password}

    @property
    def egress(self):
        return [f"127.0.0.1:{self.port}"]

    def start(self):
        self.server = Child(["smbd", "--foreground", "--no-process-group", "-s", self.file, "--debug-stdout"], self.root / "smbd.out")
        wait_for(lambda: listens(self.port), "Samba", [self.server])

    def kill(self):
        """smbd has a process for each client: they are its children."""
        parent = self.server.process.pid
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        self.server.kill()
        for child in children:
            try:
                os.kill(int(child), 9)
            except ProcessLookupError:
                pass

    def close(self):
        if self.server is not None and self.server.running():
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
