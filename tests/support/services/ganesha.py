"""NFS-Ganesha: a real NFS server (version 3) in user space, on free loopback ports.

Version 3 tells rpcbind its ports and does not start without one. An rpcbind of the test's own shares nothing with the machine: it
runs in a network namespace (it would listen on port 111 of every address) and a mount namespace with its own /run, where the
server finds its socket. Clients are given the ports instead.
"""

import pathlib
import shutil
import tempfile

from ..temporary import free_port
from .process import Child, wait_for

CONFIGURATION = """
NFS_CORE_PARAM {{
  Protocols = 3;
  NFS_Port = {nfs_port};
  MNT_Port = {mount_port};
  Bind_addr = 127.0.0.1;
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Plugins_Dir = /usr/lib/x86_64-linux-gnu/ganesha;
  mount_path_pseudo = true;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {state}; }}
EXPORT_DEFAULTS {{ SecType = sys; }}
EXPORT {{
  Export_Id = 1; Path = {share}; Pseudo = /share; Access_Type = RW; Squash = No_Root_Squash; Protocols = 3; Transports = TCP;
  FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


class Ganesha:
    """Exports `share` as /share."""

    provider = "nfs"

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rh-nfs-"))
        self.share = self.root / "share"
        self.nfs_port, self.mount_port = free_port(), free_port()
        self.rpcbind = self.server = None
        try:
            for path in (self.share, self.root / "state"):
                path.mkdir()
            self._start_rpcbind()
            self.start()
        except BaseException:
            self.close()
            raise

    def share_path(self, export="/share"):
        return f"nfs://127.0.0.1{export}?version=3&nfsport={self.nfs_port}&mountport={self.mount_port}"

    @property
    def config(self):
        return {"share_path": self.share_path()}

    @property
    def egress(self):
        return [f"127.0.0.1:{self.nfs_port}", f"127.0.0.1:{self.mount_port}"]

    def _start_rpcbind(self):
        self.rpcbind = Child(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                              "mount -t tmpfs none /run && exec unshare --net rpcbind -f -w"], self.root / "rpcbind.log")
        socket = pathlib.Path(f"/proc/{self.rpcbind.process.pid}/root/run/rpcbind.sock")
        wait_for(socket.exists, "rpcbind", [self.rpcbind])

    def start(self):
        configuration = self.root / "ganesha.conf"
        configuration.write_text(CONFIGURATION.format(nfs_port=self.nfs_port, mount_port=self.mount_port, share=self.share,
                                                      state=self.root / "state"))
        self.server = Child(["nsenter", f"--mount=/proc/{self.rpcbind.process.pid}/ns/mnt", "ganesha.nfsd", "-F", "-f", configuration,
                             "-L", "STDOUT", "-p", self.root / "ganesha.pid"], self.root / "ganesha.log")
        wait_for(lambda: listens(self.nfs_port) and listens(self.mount_port), "Ganesha", [self.server])

    def kill(self):
        self.server.kill()

    def close(self):
        for child in (self.server, self.rpcbind):
            if child is not None:
                child.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def listens(port):
    """Is there a listener on this port, on any address of the machine? Connecting would be taken for a client."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False
