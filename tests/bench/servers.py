"""The servers under test, all as caches of one upstream, each in a folder of its own.

The peers' configurations are in peers/: each at the best setting that we know. The programs are
Debian's and run as processes of ours; the services that their packages bring are not used.
"""

import getpass
import json
import os
import string
from pathlib import Path

from harness import config
from harness.net import free_port
from harness.paths import yantian
from harness.process import Process, run
from harness.registry import Registry
from objects import Object
from server import Cache, Server

PEERS = Path(__file__).resolve().parent / "peers"


def fill_template(name: str, to: Path, **values):
    """A file of peers/, with the values of this run."""
    to.write_text(string.Template((PEERS / name).read_text()).substitute(values))


class Yantian(Cache):
    name = "yantian"

    def __init__(self, folder: Path, upstream: Registry, access_log: bool,
                 more_routes: tuple[dict, ...] = (), only_route: str = ""):
        """With only_route all requests belong to that one."""
        self.port = free_port()
        address = {"address": f"127.0.0.1:{self.port}"}
        file = folder / "yantian.yaml"
        super().__init__(folder, [yantian(), "serve", "-c", file])
        file.write_text(config.to_yaml({
            "listen": [{**address, "route": only_route} if only_route else address],
            "admin": {"address": f"127.0.0.1:{free_port()}"},
            "storage": {"path": str(self.storage)},
            "log": {"access": access_log},
            "routes": [config.hub(upstream.url, ttl="3650d"), *more_routes],
        }))

    def is_stored(self, thing: Object) -> bool:
        hexadecimal = thing.digest.split(":")[1]
        return (self.storage / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal).exists()


class Nginx(Cache):
    def __init__(self, folder: Path, upstream: Registry, access_log: bool, tcp_nopush: bool):
        self.name = "nginx nopush" if tcp_nopush else "nginx"
        self.port = free_port()
        file = folder / "nginx.conf"
        super().__init__(folder, ["nginx", "-c", file, "-g", "daemon off;"])
        fill_template(
            "nginx.conf", file, user=getpass.getuser(), folder=folder, storage=self.storage,
            port=self.port, upstream_port=upstream.port, tcp_nopush="on" if tcp_nopush else "off",
            access_log=f"{folder}/access.log combined buffer=64k flush=1s" if access_log
            else "off")


class Files(Server):
    """nginx with files, not with a cache: all that is in `root`, and FILE.gz to whoever takes that."""
    name = "nginx"

    def __init__(self, folder: Path, root: Path):
        self.port = free_port()
        for place in (folder, root):
            place.mkdir(parents=True, exist_ok=True)
        file = folder / "nginx.conf"
        super().__init__(folder, ["nginx", "-c", file, "-g", "daemon off;"])
        fill_template("files.conf", file, user=getpass.getuser(), folder=folder, root=root,
                      port=self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class ProxyRegistry(Cache):
    """The reference registry as a pull-through cache."""
    name = "registry"
    asks_for_tags = True
    memory_counts = True

    def __init__(self, folder: Path, upstream: Registry, access_log: bool):
        self.port = free_port()
        file = folder / "registry.yml"
        super().__init__(folder, ["docker-registry", "serve", file])
        # YAML 1.2 holds all of JSON.
        file.write_text(json.dumps({
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": not access_log}},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)},
                        "cache": {"blobdescriptor": "inmemory"}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
            "proxy": {"remoteurl": upstream.url},
        }, indent=1))


class Varnish(Cache):
    """Holds bodies in memory (malloc), which is its fastest storage; a stop loses them."""
    name = "varnish"
    memory_counts = True
    # Threads for all connections of the largest row; no queue bounds what waits for one.
    CROWD = {"thread_pools": 2, "thread_pool_min": 600, "thread_queue_limit": 10000}
    LEAN = {"thread_pools": 2, "thread_queue_limit": 10000}

    def __init__(self, folder: Path, upstream: Registry, access_log: bool, lean: bool):
        self.port = free_port()
        work, file = folder / "work", folder / "varnish.vcl"
        parameters = {**(self.LEAN if lean else self.CROWD), "timeout_idle": 300}
        if not access_log:
            parameters["vsl_mask"] = ",".join(f"-{tag}" for tag in self.log_tags())
        options = [word for key, value in parameters.items() for word in ("-p", f"{key}={value}")]
        super().__init__(folder, ["varnishd", "-F", "-j", "none", "-n", work, "-f", file,
                                  "-a", f"127.0.0.1:{self.port}", "-s", "malloc,2G", *options])
        self.logger = Process("varnishncsa", ["varnishncsa", "-n", work, "-w",
                                              folder / "access.log"], folder) \
            if access_log else None
        fill_template("varnish.vcl", file, upstream_port=upstream.port)

    @staticmethod
    def log_tags() -> list[str]:
        """All kinds of records of the log in memory, which costs time even if nobody reads it."""
        lines = run(["varnishd", "-x", "vsl"]).stdout.splitlines()
        return [title.split()[0] for title, line in zip(lines, lines[1:])
                if line and not line.strip("-")]

    def start(self) -> "Varnish":
        super().start()
        if self.logger:
            self.logger.start()
        return self

    def stop(self):
        if self.logger and self.logger.running:
            self.logger.stop()
        super().stop()

    def pids(self) -> list[int]:
        more = [self.logger.pid] if self.logger and self.logger.running else []
        return super().pids() + more


class TrafficServer(Cache):
    """Apache Traffic Server; its RAM cache holds all objects of the benchmark."""
    name = "trafficserver"
    memory_counts = True

    def __init__(self, folder: Path, upstream: Registry, access_log: bool, lean: bool):
        self.port = free_port()
        settings = folder / "etc"
        for place in (settings, folder / "log", folder / "state"):
            place.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, ["traffic_server", f"--run-root={settings / 'runroot.yaml'}"])
        for file in (PEERS / "trafficserver").iterdir():
            fill_template(f"trafficserver/{file.name}", settings / file.name, folder=folder,
                          storage=self.storage, port=self.port, upstream_port=upstream.port,
                          threads=os.cpu_count(), logging=2 if access_log else 0,
                          ram_size="64M" if lean else "2G", ram_object="4M" if lean else "1G")


def caches(folder: Path, upstream: Registry, access_log: bool = False, lean: bool = False,
           nginx_only: bool = False) -> list[Cache]:
    """Yantian and its peers; the same folder gives them the same storage again. lean: set for
    little memory, where that differs from what is fastest."""
    near = [Yantian(folder / "yantian", upstream, access_log),
            Nginx(folder / "nginx-nopush", upstream, access_log, True),
            Nginx(folder / "nginx", upstream, access_log, False)]
    return near if nginx_only else [
        *near, Varnish(folder / "varnish", upstream, access_log, lean),
        TrafficServer(folder / "trafficserver", upstream, access_log, lean),
        ProxyRegistry(folder / "registry", upstream, access_log)]
