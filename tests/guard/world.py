"""What is measured: the daemon in front of scripted upstreams, and the hits it is asked for."""

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import config                                      # noqa: E402
from harness.daemon import Daemon                               # noqa: E402
from harness.faulty import Faulty                               # noqa: E402
from harness.httpclient import ACCEPT_ALL, Connection           # noqa: E402
from harness.net import until                                   # noqa: E402
from harness.npm_packages import ABBREVIATED, make_package         # noqa: E402
from harness.npm_shelf import Shelf, npm_route                  # noqa: E402
from harness.pypi_index import ACCEPT_PIP, Index                # noqa: E402

START_SECONDS = 60              # a profiler is slow, and so is a busy machine
MARK = "/healthz"
REPOSITORY = "library/busybox"

# The fields that the clients send.
DOCKER = (ACCEPT_ALL, ("Accept-Encoding", "gzip"),
          ("User-Agent", "docker/28.2.2 go/go1.24.2 git-commit/26.1.5 kernel/6.1.0 os/linux "
                         "arch/amd64 UpstreamClient(Docker-Client/28.2.2)"))
PIP = (ACCEPT_PIP, ("Accept-Encoding", "gzip, deflate"), ("Cache-Control", "max-age=0"),
       ("User-Agent", 'pip/26.3 {"ci":null,"cpu":"x86_64","distro":{"name":"Debian GNU/Linux"}}'))
NPM = (("Accept", f"{ABBREVIATED}; q=1.0, application/json; q=0.8, */*"),
       ("Accept-Encoding", "gzip,deflate"), ("pacote-req-type", "packument"),
       ("User-Agent", "npm/11.19.1 node/v24.19.0 linux x64 workspaces/false"))


@dataclass(frozen=True)
class Hit:
    """A request whose answer is held."""
    name: str
    target: str
    headers: tuple
    method: str = "GET"
    status: int = 200
    logged: bool = False        # by a daemon that writes an access log


class World:
    """The upstreams, and what is asked of the cache in front of them. All names, and the lengths of
    all texts, are the same in every run: the instructions of a hit depend on them."""

    def __init__(self):
        self.servers = [Faulty().start() for _ in range(4)]
        hub, pages, files, npm = self.servers
        self.index, self.shelf = Index(pages, files), Shelf(npm)
        self.index.add_wheel("demo")
        self.shelf.put(make_package("demo"))
        digest = hub.put_manifest(REPOSITORY, "latest", _manifest())
        blob = hub.put_blob(REPOSITORY, bytes(range(256)) * 256)
        by_digest = f"/v2/{REPOSITORY}/manifests/{digest}"
        self.hits = [
            Hit("manifest by digest", by_digest, DOCKER),
            Hit("manifest by tag", f"/v2/{REPOSITORY}/manifests/latest", DOCKER),
            Hit("manifest, HEAD", by_digest, DOCKER, method="HEAD"),
            Hit("manifest, 304", by_digest, (*DOCKER, ("If-None-Match", f'"{digest}"')),
                status=304),
            Hit("manifest, access log", by_digest, DOCKER, logged=True),
            Hit("blob of 64 KiB", f"/v2/{REPOSITORY}/blobs/{blob}", DOCKER),
            Hit("simple page", "/pypi/simple/demo/", PIP),
            Hit("packument", "/npm/demo", NPM),
        ]

    def settings(self, logged: bool) -> dict:
        """One worker, which does all that a hit takes, and no deadline within a run."""
        return {"workers": 1, "log": {"level": "info", "access": logged},
                "client": {"request_timeout": "1h", "idle_timeout": "1d"},
                "routes": [config.hub(self.servers[0].url, ttl="1d"), self.index.route(ttl="1d"),
                           npm_route(self.shelf.url, ttl="1d")]}

    def stop(self):
        for server in self.servers:
            server.stop()


def _manifest() -> bytes:
    kind = "application/vnd.oci.image"
    layers = [{"mediaType": f"{kind}.layer.v1.tar+gzip", "digest": f"sha256:{number:064x}",
               "size": 32654} for number in range(3)]
    document = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
                "config": {"mediaType": f"{kind}.config.v1+json", "digest": "sha256:" + "a" * 64,
                           "size": 7023}, "layers": layers}
    return json.dumps(document, indent=3).encode()


class Subject:
    """A running daemon, and the conversation with it on one connection that is kept."""

    def __init__(self, daemon: Daemon, hits: list[Hit]):
        self.daemon = daemon
        self.hits = hits
        self.client = daemon.connect(timeout=START_SECONDS)
        self.admin = Connection(("127.0.0.1", daemon.admin_port), START_SECONDS)

    def ask(self, hit: Hit):
        return check(hit, self.client.ask(hit.method, hit.target, hit.headers))

    def mark(self):
        """A request that whoever watches the daemon can tell from all others."""
        assert self.admin.ask("GET", MARK).status == 200


def check(hit: Hit, answer):
    assert answer.status == hit.status and answer.complete, f"{hit.name}: {answer}"
    return answer


def rounded(counts: dict[str, float]) -> dict[str, float]:
    """To hundredths, without what never happens."""
    near = {what: round(count, 2) for what, count in counts.items()}
    return {what: int(count) if count == int(count) else count
            for what, count in near.items() if count}


@contextmanager
def running(folder: Path, world: World, logged: bool, under: tuple = ()):
    """A daemon, ended in order so that a program that watches it ends well too."""
    daemon = Daemon(folder, world.settings(logged), under=under)
    try:
        daemon.start(START_SECONDS)
        subject = Subject(daemon, [hit for hit in world.hits if hit.logged == logged])
        yield subject
        subject.client.close()
        subject.admin.close()
        daemon.stop(START_SECONDS)
    finally:
        daemon.process.kill()


@contextmanager
def watched(folder: Path, world: World, logged: bool, under: tuple):
    """A daemon that a program watches. It begins with a store that holds everything: no fill may go
    on beside what is measured."""
    with running(folder, world, logged) as subject:
        for hit in subject.hits:
            until(lambda hit=hit: "hit" in subject.ask(hit).cache, START_SECONDS, hit.name)
    with running(folder, world, logged, under) as subject:
        for hit in subject.hits:
            assert "hit" in subject.ask(hit).cache, f"not held: {hit.name}"
        yield subject
