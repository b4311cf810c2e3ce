"""Packuments: big documents as the npm registry has them, a registry that serves them, and
verdaccio as a cache of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import loads
from harness.httpclient import Connection, Response
from harness.net import free_port
from harness.npm_packages import ACCEPT_ABBREVIATED, ACCEPT_FULL, PUBLISHED, integrity_of
from harness.npm_registry import Verdaccio
from harness.npm_tools import tool
from objects import KIB, MIB
from server import Cache
from servers import Files

INDENT = 2                      # verdaccio's way; the sizes count it
WORDS = "core util loader parser plugin server stream config types runtime helper schema".split()
PEOPLE = [f"maintainer-{number}" for number in range(12)]


@dataclass(frozen=True)
class Packument:
    """What is asked for: one package, in one of the forms that clients want."""
    name: str
    package: str
    fields: list[tuple[str, str]]

    @property
    def target(self) -> str:
        return f"/{self.package}"

    @property
    def file(self) -> str:
        """What nginx serves for it, with gzip_static."""
        return self.package + (".gz" if ("Accept-Encoding", "gzip") in self.fields else "")


BIG = Packument("7 MB packument", "big", [ACCEPT_FULL])
BIG_INSTALL = Packument("the same for an install, gzip", "big",
                        [ACCEPT_ABBREVIATED, ("Accept-Encoding", "gzip")])
SMALL = Packument("small packument", "small", [ACCEPT_FULL])
HUGE = Packument("40 MB packument", "huge", [ACCEPT_FULL])
SIZES = {"big": 7 * MIB, "small": 14 * KIB, "huge": 40 * MIB}


# -- the documents; the same from run to run -------------------------------------------------

def _dependencies(seed: int, count: int) -> dict[str, str]:
    return {f"@scope/{WORDS[(seed + i) % len(WORDS)]}-{i}": f"^{1 + i % 9}.{(seed + i) % 40}.{i}"
            for i in range(count)}


def _version(name: str, number: int, base: str) -> dict:
    """A version of a package with a long history, as its publisher's tools describe it."""
    version = f"{number // 100}.{number // 10 % 10}.{number % 10}"
    about = f"{name}@{version}".encode()
    return {
        "name": name, "version": version, "description": f"The {name} of everything. " * 4,
        "main": "lib/index.js", "types": "types/index.d.ts", "license": "MIT",
        "repository": {"type": "git", "url": f"git+https://example.org/{name}/{name}.git"},
        "engines": {"node": ">=18"}, "bin": {name: f"bin/{name}.js"},
        "scripts": {f"build:{word}": f"node build/{word}.js --mode production --level {number}"
                    for word in WORDS},
        "dependencies": _dependencies(number, 24),
        "devDependencies": _dependencies(number + 7, 48),
        "peerDependencies": _dependencies(number + 3, 6),
        "maintainers": [{"name": person, "email": f"{person}@example.org"} for person in PEOPLE],
        "_id": f"{name}@{version}", "_nodeVersion": "20.11.1", "_npmVersion": "10.2.4",
        "gitHead": hashlib.sha1(about).hexdigest(), "_hasShrinkwrap": False,
        "dist": {"integrity": integrity_of(about), "shasum": hashlib.sha1(about).hexdigest(),
                 "tarball": f"{base}/{name}/-/{name}-{version}.tgz",
                 "fileCount": 400 + number, "unpackedSize": 5_000_000 + number,
                 "signatures": [{"keyid": "SHA256:" + integrity_of(b"key", "sha256"),
                                 "sig": integrity_of(about + b"sig")}]},
    }


def document(name: str, base: str = "http://127.0.0.1") -> dict:
    """The whole packument; `base` is what the links to tarballs start with."""
    one = {"versions": {"0.0.0": _version(name, 0, base)}}
    count = round(SIZES[name] / len(json.dumps(one, indent=INDENT)))
    versions = [_version(name, number, base) for number in range(count)]
    return {"_id": name, "name": name, "dist-tags": {"latest": versions[-1]["version"]},
            "versions": {version["version"]: version for version in versions},
            "time": {"created": PUBLISHED, "modified": PUBLISHED,
                     **{version["version"]: PUBLISHED for version in versions}},
            "readme": f"# {name}\n" * 20}


def ask(port: int, thing) -> Response:
    """The whole answer to one request."""
    with Connection((loads.HOST, port), timeout=60) as connection:
        answer = connection.ask("GET", thing.target, [("Host", loads.HOST), *thing.fields])
    assert answer.status == 200 and answer.complete, f"{thing.name}: {answer}"
    return answer


def files(folder: Path, things: list[Packument]) -> Files:
    """A plain server that plays a registry."""
    root = folder / "root"
    root.mkdir(parents=True)
    for thing in things:
        (root / thing.package).write_text(json.dumps(document(thing.package), indent=INDENT))
    return Files(folder, root)


# -- verdaccio -------------------------------------------------------------------------------

def registry(folder: Path) -> Verdaccio:
    """verdaccio with the big packument and the small one in its storage, as if published."""
    storage = folder / "storage"
    for name in ("big", "small"):
        (storage / name).mkdir(parents=True)
        (storage / name / "package.json").write_text(json.dumps(
            {**document(name), "_rev": "1-0", "_uplinks": {}, "_distfiles": {},
             "_attachments": {}, "users": {}}))
    return Verdaccio(folder, storage)


class VerdaccioCache(Cache):
    """verdaccio as a cache of another registry."""
    name = "verdaccio"
    is_peer = True

    def __init__(self, folder: Path, upstream_url: str):
        self.port = free_port()
        file = folder / "verdaccio.yaml"
        super().__init__(folder, [*tool("verdaccio", "bin/verdaccio"), "--config", file,
                                  "--listen", f"127.0.0.1:{self.port}"])
        self.process.env["NODE_ENV"] = "production"
        # YAML holds all of JSON.
        file.write_text(json.dumps({
            "storage": str(self.storage),
            "auth": {"htpasswd": {"file": str(folder / "htpasswd"), "max_users": -1}},
            "uplinks": {"up": {"url": upstream_url, "maxage": "2h", "timeout": "30s",
                               "cache": True}},
            "packages": {"**": {"access": "$all", "proxy": "up"}},
            "server": {"keepAliveTimeout": 60},
            "log": {"type": "stdout", "format": "json", "level": "warn"},
        }, indent=1))
