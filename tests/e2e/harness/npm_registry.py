"""verdaccio as the upstream of an npm route."""

import base64
import collections
import concurrent.futures
import fcntl
import hashlib
import json
import shutil
from pathlib import Path
from urllib.parse import quote

from .httpclient import fetch
from .net import accepts, free_port
from .npm_packages import PUBLISHED, Package, project_packages
from .npm_tools import TOOLS, tool
from .paths import CACHE
from .process import Process, run
from .tokens import basic

ALICE, BOB = "alice", "bob"
PRIVATE_SCOPE = "@alice"
# What verdaccio's storage of the project depends on, besides the lockfile of the tools.
_RECIPE = "2"
# Tags that packages of the project depend on: package, tag.
_TAGS = [("node-fetch", "cjs")]


def password(user: str) -> str:
    return f"{user}-secret"


def login(user: str) -> tuple[str, str]:
    """The Authorization field of a user."""
    return ("Authorization", basic(user, password(user)))


def publication(package: Package, base: str) -> bytes:
    """The document by which a client publishes a package."""
    return json.dumps({
        "_id": package.name, "name": package.name, "access": None,
        "dist-tags": {"latest": package.version},
        "versions": {package.version: package.described(base)},
        "_attachments": {package.file: {
            "content_type": "application/octet-stream", "length": len(package.data),
            "data": base64.b64encode(package.data).decode()}},
    }).encode()


class Verdaccio:
    """One verdaccio with the users alice and bob. Everybody reads everything, and who is logged in
    publishes; but what is in @alice is alice's alone."""

    def __init__(self, folder: Path, storage: Path):
        folder.mkdir(parents=True, exist_ok=True)
        storage.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        users = folder / "htpasswd"
        users.write_text("".join(run(["htpasswd", "-nbB", "-C", "4", user, password(user)]).stdout
                                 .strip() + "\n" for user in (ALICE, BOB)))
        config = {
            "storage": str(storage),
            "auth": {"htpasswd": {"file": str(users), "max_users": -1}},
            "uplinks": {},
            "packages": {
                f"{PRIVATE_SCOPE}/*": {"access": ALICE, "publish": ALICE},
                "**": {"access": "$all", "publish": "$authenticated",
                       "unpublish": "$authenticated"},
            },
            "server": {"keepAliveTimeout": 60},
            "max_body_size": "100mb",
            "log": {"type": "stdout", "format": "json", "level": "http"},
        }
        file = folder / "verdaccio.yaml"
        file.write_text(json.dumps(config, indent=1))
        self.process = Process("verdaccio", [*tool("verdaccio", "bin/verdaccio"), "--config", file,
                                             "--listen", f"127.0.0.1:{self.port}"], folder,
                               env={"NODE_ENV": "production"})

    def start(self) -> "Verdaccio":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), 30)
        return self

    def stop(self):
        """Gone at once: connections are refused from now on."""
        self.process.kill()

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, target: str, headers=(), **options):
        return fetch(self.address, "GET", target, headers, **options)

    def publish(self, package: Package, user: str = ALICE):
        """What `npm publish` sends."""
        answer = fetch(self.address, "PUT", f"/{quote(package.name, safe='@')}",
                       [login(user), ("Content-Type", "application/json")],
                       publication(package, self.url))
        assert answer.status == 201, f"{package.name}@{package.version}: {answer}: {answer.body!r}"

    def tag(self, name: str, tag: str, version: str, user: str = ALICE):
        """What `npm dist-tag add` sends."""
        answer = fetch(self.address, "PUT", f"/-/package/{quote(name, safe='@')}/dist-tags/{tag}",
                       [login(user), ("Content-Type", "application/json")],
                       json.dumps(version).encode())
        assert answer.status == 201, f"{answer}: {answer.body!r}"

    def gets(self) -> collections.Counter:
        """How often each target was asked for by GET."""
        lines = (json.loads(line) for line in self.process.output().splitlines()
                 if line.startswith("{"))
        requests = (line["req"] for line in lines if "req" in line)
        return collections.Counter(request["url"] for request in requests
                                   if request["method"] == "GET")

    def tarball_gets(self) -> collections.Counter:
        return collections.Counter({target: count for target, count in self.gets().items()
                                    if target.endswith(".tgz")})


# -- the storage with the project's packages ---------------------------------------------------

def project_storage() -> Path:
    """A storage folder that holds the packages of the project; made once for many runs."""
    lock = (TOOLS / "package-lock.json").read_bytes()
    folder = CACHE / f"verdaccio-{hashlib.sha256(lock + _RECIPE.encode()).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "verdaccio.lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not folder.exists():
            _make_project_storage(folder)
    return folder


def _make_project_storage(folder: Path):
    unfinished = folder.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    storage = unfinished / "storage"
    registry = Verdaccio(unfinished / "run", storage).start()
    try:
        packages = project_packages()
        _publish_all(registry, packages)
        latest = {package.name: package.version for package in packages}
        for name, tag in _TAGS:
            registry.tag(name, tag, latest[name])
    finally:
        registry.stop()
    for file in storage.rglob("package.json"):
        _date_back(file)
    storage.rename(folder)
    shutil.rmtree(unfinished)


def _publish_all(registry: Verdaccio, packages: list[Package]):
    """Versions of one package one after the other, packages side by side."""
    by_name = collections.defaultdict(list)
    for package in packages:
        by_name[package.name].append(package)

    def publish(name: str):
        for package in by_name[name]:
            registry.publish(package)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(publish, by_name))


def _date_back(file: Path):
    """Clients of today do not install what was published a moment ago."""
    document = json.loads(file.read_text())
    document["time"] = {key: PUBLISHED for key in document["time"]}
    file.write_text(json.dumps(document))
