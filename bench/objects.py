"""What /v1/objects costs beside direct access to the same store: the same client, alternating.

    /usr/bin/python3 bench/objects.py [small] [large] [list] [upload] [--rounds 5] [--seconds 4] [--connections 16]

small   4 KiB put and get on Ceph RGW, through Rowhouse and with presigned URLs at the gateway itself (wrk)
large   one object of --megabytes 512: from Ceph RGW directly and through Rowhouse; from nginx and from the directory store (curl)
list    pages of 1,000 of 1,000,000 keys: the first, one in the middle, the last
upload  --gigabytes 5 through /v1/objects into each store: what the server's memory grew to

Prints every figure, the medians, and ratios. Needs wrk, nginx, curl, and the services of tests/support/services.
"""

import argparse
import datetime
import hashlib
import hmac
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from support.server import Server  # noqa: E402
from support.services.azurite import Azurite  # noqa: E402
from support.services.ceph import Ceph  # noqa: E402
from support.services.gcs import Gcs  # noqa: E402
from support.services.process import Child, answers, wait_for  # noqa: E402
from support.temporary import free_port  # noqa: E402

KEYS = 200
SMALL = 4096
LUA = """
local targets, count, body = {{}}, 0, {body}
for line in io.lines("{targets}") do targets[#targets + 1] = line end
wrk.method = "{method}"
function request()
  count = count % #targets + 1
  return wrk.format(nil, targets[count], nil, body)
end
"""


def presigned(ceph, method, key, expires_s=7200):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    query = "&".join(f"{name}={urllib.parse.quote(value, '-_.~')}" for name, value in sorted({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{ceph.access_key}/{scope}", "X-Amz-Date": now,
        "X-Amz-Expires": str(expires_s), "X-Amz-SignedHeaders": "host"}.items()))
    path = f"/{ceph.bucket}/{urllib.parse.quote(key)}"
    canonical = "\n".join([method, path, query, f"host:127.0.0.1:{ceph.port}", "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    secret = ("AWS4" + ceph.secret_key).encode()
    for part in (now[:8], "us-east-1", "s3", "aws4_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    return f"{path}?{query}&X-Amz-Signature={hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}"


class Bench:
    def __init__(self, chosen):
        self.chosen = chosen
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="rowhouse-bench-"))
        self.directory.chmod(0o755)
        self.closing = []

    def close(self):
        for close in reversed(self.closing):
            close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def service(self, kind):
        service = kind()
        self.closing.append(service.close)
        return service

    def serve(self, name, allow=()):
        server = Server(self.directory / name, env={"ROWHOUSE_WORKERS": "1", "ROWHOUSE_PACKS": "deeplens", "ROWHOUSE_ACCESS_LOG": "off",
                                                    "ROWHOUSE_EGRESS_ALLOW": ",".join(allow),
                                                    "ROWHOUSE_POSTGRES_SHARED_BUFFERS_MB": "256"})
        self.closing.append(server.clear)
        return server.start()

    @staticmethod
    def tenant(server, slug, service=None):
        tenant = server.admin.create_tenant(slug=slug, pack="deeplens", plan="enterprise",
                                            storage="provisioned" if service is None else "byos")
        if service is not None:
            tenant.api.call("PUT", "/v1/storage", 200, json={"provider": service.provider, "config": service.config})
        return tenant

    def wrk(self, url, method, targets, header=None):
        listed = self.directory / "targets"
        listed.write_text("\n".join(targets) + "\n")
        script = self.directory / "script.lua"
        body = f'string.rep("x", {SMALL})' if method == "PUT" else "nil"
        script.write_text(LUA.format(targets=listed, method=method, body=body))
        done = subprocess.run(["wrk", "-t1", f"-c{self.chosen.connections}", f"-d{self.chosen.seconds}s", "-s", str(script),
                               *(["-H", header] if header else []), url], check=True, capture_output=True, text=True)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise SystemExit(f"answers that are no answers\n{done.stdout}")
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])

    def compare(self, what, unit, direct, through):
        """Both alternating; the first round warms up."""
        figures = {"direct": [], "through": []}
        for round_number in range(self.chosen.rounds + 1):
            for name, measure in (("direct", direct), ("through", through)):
                figure = measure()
                if round_number:
                    figures[name].append(figure)
        for name, values in figures.items():
            print(f"  {what:24} {name:8} median {statistics.median(values):10.1f} {unit}   {[round(value, 1) for value in values]}")
        ratio = statistics.median(figures["through"]) / statistics.median(figures["direct"])
        print(f"  {what:24} ratio {ratio:.2f}", flush=True)


def fetch(url, header=None):
    done = subprocess.run(["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{speed_download}", *(["-H", header] if header else []), url],
                          check=True, capture_output=True, text=True)
    return float(done.stdout) / 1e6


def send(url, header, path):
    done = subprocess.run(["curl", "-sS", "--fail-with-body", "-T", str(path), "-H", header, "-w", "\n%{speed_upload}", url], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{url}: {done.stdout}{done.stderr}")
    return float(done.stdout.splitlines()[-1]) / 1e6


def sparse(directory, size):
    path = directory / "content"
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def small(bench):
    ceph = bench.service(Ceph)
    server = bench.serve("small", ceph.egress)
    tenant = bench.tenant(server, "small", ceph)
    header = f"X-Tenant-Key: {tenant.key}"
    names = [f"k-{number:04}" for number in range(KEYS)]
    through = [f"/v1/objects/{name}" for name in names]
    direct = {method: [presigned(ceph, method, name) for name in names] for method in ("GET", "PUT")}
    for method in ("PUT", "GET"):
        bench.compare(f"4 KiB {method}, RGW", "requests/s", lambda method=method: bench.wrk(ceph.endpoint, method, direct[method]),
                      lambda method=method: bench.wrk(server.url, method, through, header))


def large(bench):
    ceph = bench.service(Ceph)
    server = bench.serve("large", ceph.egress)
    content = sparse(bench.directory, bench.chosen.megabytes << 20)
    byos, own = bench.tenant(server, "byos", ceph), bench.tenant(server, "own")
    header = {tenant: f"X-Tenant-Key: {tenant.key}" for tenant in (byos, own)}
    for tenant in (byos, own):
        send(server.url + "/v1/objects/large", header[tenant], content)
    subprocess.run(["curl", "-sS", "--fail", "-T", str(content), ceph.endpoint + presigned(ceph, "PUT", "direct")], check=True)
    bench.compare(f"get {bench.chosen.megabytes} MiB, RGW", "MB/s", lambda: fetch(ceph.endpoint + presigned(ceph, "GET", "direct")),
                  lambda: fetch(server.url + "/v1/objects/large", header[byos]))
    port = free_port()
    configuration = bench.directory / "nginx.conf"
    configuration.write_text(f"""daemon off; master_process off; pid {bench.directory}/nginx.pid; error_log {bench.directory}/nginx.log;
events {{}} http {{ access_log off; sendfile on; client_body_temp_path {bench.directory}; proxy_temp_path {bench.directory};
fastcgi_temp_path {bench.directory}; uwsgi_temp_path {bench.directory}; scgi_temp_path {bench.directory};
server {{ listen 127.0.0.1:{port}; root {bench.directory}; }} }}""")
    nginx = Child(["nginx", "-c", configuration], bench.directory / "nginx.out")
    bench.closing.append(nginx.stop)
    wait_for(lambda: answers(f"http://127.0.0.1:{port}"), "nginx", [nginx])
    bench.compare(f"get {bench.chosen.megabytes} MiB, directory", "MB/s", lambda: fetch(f"http://127.0.0.1:{port}/content"),
                  lambda: fetch(server.url + "/v1/objects/large", header[own]))


def listing(bench):
    server = bench.serve("list")
    tenant = bench.tenant(server, "list")
    database = server.query("SELECT database_name FROM platform.tenant_databases WHERE tenant_id = %s::uuid", (tenant.id,), "rowhouse_platform")[0][0]
    connection = server.connect(database)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO rowhouse.objects (tenant_id, key, version, bytes, content_type) SELECT %s::uuid, "
                       "'folder-' || lpad((n / 1000)::text, 4, '0') || '/' || lpad(n::text, 7, '0'), repeat('v', 22), 1, 'text/plain' "
                       "FROM generate_series(0, 999999) n", (tenant.id,))
        cursor.execute("ANALYZE")
    connection.close()
    times, cursor, seen = [], "", 0
    while True:
        begun = time.perf_counter()
        page = tenant.api.get("/v1/objects?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        times.append((time.perf_counter() - begun) * 1000)
        seen += len(page["data"])
        cursor = page.get("next_cursor")
        if not cursor:
            break
    print(f"  {seen} keys in {len(times)} pages; ms a page, medians: first hundred {statistics.median(times[:100]):.1f}, "
          f"middle {statistics.median(times[450:550]):.1f}, last hundred {statistics.median(times[-100:]):.1f}", flush=True)


def memory(server, name):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", text)[1]) / 1024


def upload(bench):
    from support.services.ganesha import Ganesha
    from support.services.samba import Samba
    content = sparse(bench.directory, bench.chosen.gigabytes << 30)
    for kind in (None, Ceph, Azurite, Gcs, Ganesha, Samba):
        name = "directory" if kind is None else kind.__name__.lower()
        service = kind() if kind is not None else None
        try:
            server = bench.serve(f"upload-{name}", service.egress if service else ())
            tenant = bench.tenant(server, "upload", service)
            before = memory(server, "VmRSS")
            speed = send(server.url + "/v1/objects/large", f"X-Tenant-Key: {tenant.key}", content)
            print(f"  upload of {bench.chosen.gigabytes} GiB, {name:10} {speed:7.1f} MB/s   resident: {before:.0f} MiB before, "
                  f"{memory(server, 'VmHWM'):.0f} MiB at most", flush=True)
            server.clear()
        finally:
            if service is not None:
                service.close()
        shutil.rmtree(bench.directory / f"upload-{name}", ignore_errors=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"small": small, "large": large, "list": listing, "upload": upload}
    options.add_argument("part", nargs="*", choices=[[], *parts])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--connections", type=int, default=16)
    options.add_argument("--megabytes", type=int, default=512)
    options.add_argument("--gigabytes", type=int, default=5)
    chosen = options.parse_args()
    for name in chosen.part or parts:
        print(f"{name}:", flush=True)
        bench = Bench(chosen)
        try:
            parts[name](bench)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
