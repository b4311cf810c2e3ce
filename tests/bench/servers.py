"""The servers under test, all as caches of one upstream, each in a folder of its own."""

import getpass
import json
import shutil
import string
from pathlib import Path

import proc
from harness import config
from harness.net import accepts, free_port
from harness.paths import BUILD, yantian
from harness.process import Process
from harness.registry import Registry
from objects import Object

HERE = Path(__file__).resolve().parent
START_SECONDS = 15
STOP_SECONDS = 45


class Server:
    """One program; a subclass says how it is started."""
    name: str
    is_peer = False             # a cache that others use

    def __init__(self, folder: Path, argv: list):
        self.process = Process(self.name, argv, folder)

    def start(self) -> "Server":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), START_SECONDS)
        return self

    def stop(self):
        if self.process.running:
            self.process.stop(STOP_SECONDS)

    def pids(self) -> list[int]:
        return proc.tree(self.process.pid)

    def cpu_seconds(self) -> float:
        return proc.cpu_seconds(self.pids())

    def memory(self) -> proc.Memory:
        return proc.memory(self.pids())

    def written_bytes(self) -> int:
        return proc.written_bytes(self.pids())


class Raw(Server):
    """The limit: a fixed answer and nothing else. It serves one object, whatever is asked."""
    name = "raw"

    def __init__(self, folder: Path, thing: Object):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        head = folder / "head"
        head.write_bytes(self.head(thing))
        super().__init__(folder, [BUILD / "bench" / "raw", self.port, head, thing.path])

    @staticmethod
    def head(thing: Object) -> bytes:
        lines = ["HTTP/1.1 200 OK", "Date: Sun, 22 Nov 2026 21:30:00 GMT",
                 f"Content-Length: {thing.size}", f"Content-Type: {thing.media_type}",
                 f"Docker-Content-Digest: {thing.digest}", f'ETag: "{thing.digest}"']
        return "\r\n".join([*lines, "", ""]).encode()


class Cache(Server):
    """A cache with storage of its own, which survives a stop."""

    def __init__(self, folder: Path, argv: list):
        self.storage = folder / "storage"
        self.storage.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, argv)

    def empty(self):
        """Forget all that is stored; only while it is stopped."""
        shutil.rmtree(self.storage)
        self.storage.mkdir()

    def is_stored(self, thing: Object) -> bool:
        """After the answer is out: is the work of storing it done too?"""
        return True


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
            "routes": [config.hub(upstream.url, ttl="2h"), *more_routes],
        }))

    def is_stored(self, thing: Object) -> bool:
        hexadecimal = thing.digest.split(":")[1]
        return (self.storage / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal).exists()


class Nginx(Cache):
    is_peer = True

    def __init__(self, folder: Path, upstream: Registry, access_log: bool, tcp_nopush: bool):
        self.name = "nginx nopush" if tcp_nopush else "nginx"
        self.port = free_port()
        file = folder / "nginx.conf"
        super().__init__(folder, ["nginx", "-c", file, "-g", "daemon off;"])
        template = string.Template((HERE / "peers" / "nginx.conf").read_text())
        file.write_text(template.substitute(
            user=getpass.getuser(), folder=folder, storage=self.storage, port=self.port,
            upstream_port=upstream.port, tcp_nopush="on" if tcp_nopush else "off",
            access_log=f"{folder}/access.log combined buffer=64k flush=1s" if access_log
            else "off"))


class Files(Server):
    """nginx with files, not with a cache: all that is in `root`, and FILE.gz to whoever takes that."""
    name = "nginx"

    def __init__(self, folder: Path, root: Path):
        self.port = free_port()
        for place in (folder, root):
            place.mkdir(parents=True, exist_ok=True)
        file = folder / "nginx.conf"
        super().__init__(folder, ["nginx", "-c", file, "-g", "daemon off;"])
        template = string.Template((HERE / "peers" / "files.conf").read_text())
        file.write_text(template.substitute(user=getpass.getuser(), folder=folder, root=root,
                                            port=self.port))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class ProxyRegistry(Cache):
    """The reference registry as a pull-through cache."""
    name = "registry"
    is_peer = True

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


def caches(folder: Path, upstream: Registry, access_log: bool = False) -> list[Cache]:
    """Yantian and its peers; the same folder gives them the same storage again."""
    return [Yantian(folder / "yantian", upstream, access_log),
            Nginx(folder / "nginx-nopush", upstream, access_log, True),
            Nginx(folder / "nginx", upstream, access_log, False),
            ProxyRegistry(folder / "registry", upstream, access_log)]
