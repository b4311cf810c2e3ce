"""The reference registry, Debian's docker-registry, as upstream."""

import collections
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .net import accepts, free_port
from .process import Process, run

# Apache's combined format, as the registry prints it to standard output.
_ACCESS = re.compile(
    r'^\S+ \S+ \S+ \[[^\]]*\] "(\S+) (\S+) HTTP/[0-9.]+" (\d+) (\d+) "[^"]*" "([^"]*)"', re.M)


@dataclass(frozen=True)
class Access:
    method: str
    target: str
    status: int
    size: int
    agent: str


def basic_auth(folder: Path, user: str, password: str) -> dict:
    """The `auth` section for Basic credentials."""
    file = folder / "htpasswd"
    file.write_text(run(["htpasswd", "-nbB", user, password]).stdout)
    return {"htpasswd": {"realm": "registry", "path": str(file)}}


class Registry:
    """One registry process; several may share a storage folder."""

    def __init__(self, folder: Path, storage: Path, auth: dict | None = None, port: int = 0,
                 name: str = "registry"):
        folder.mkdir(parents=True, exist_ok=True)
        storage.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        config = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(storage)}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "for tests"},
        }
        if auth:
            config["auth"] = auth
        # YAML 1.2 holds all of JSON.
        file = folder / f"{name}.yml"
        file.write_text(json.dumps(config, indent=1))
        self.process = Process(name, ["docker-registry", "serve", file], folder)

    def start(self) -> "Registry":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), 15)
        return self

    def stop(self):
        """Gone at once, as a machine that lost its power: connections are refused from now on."""
        self.process.kill()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accesses(self) -> list[Access]:
        """The access log so far."""
        return [Access(method, target, int(status), int(size), agent)
                for method, target, status, size, agent in _ACCESS.findall(self.process.output())]

    def blob_gets(self) -> collections.Counter:
        """How often each blob's bytes were fetched, by digest."""
        found = (re.search(r"/blobs/(sha256:[0-9a-f]{64})", access.target)
                 for access in self.accesses() if access.method == "GET" and access.status < 300)
        return collections.Counter(match[1] for match in found if match)

    def manifest_requests(self, method: str) -> list[str]:
        """The targets of the manifest requests with one method."""
        return [access.target for access in self.accesses()
                if access.method == method and "/manifests/" in access.target]
