"""npm, pnpm and yarn through the cache: a project of 300 real packages, scopes, views, audits."""

import collections
import json
import shutil

import pytest

from harness.net import free_port
from harness.npm_packages import PROJECT, make_package, project_packages
from harness.npm_shelf import json_reply, npm_route
from harness.npm_tools import CLIENTS, Npm, NpmOfDebian, Yarn1

pytestmark = pytest.mark.full

BULK = "/-/npm/v1/security/advisories/bulk"
MAIN_CLIENTS = pytest.mark.parametrize("client", ["npm", "pnpm", "yarn 1", "yarn berry"])
EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS)
NPM_ONLY = pytest.mark.parametrize("client", [Npm.name, NpmOfDebian.name])


@pytest.fixture
def start_root(make_daemon):
    """start_root(url, key=...): a daemon with a listener of its own for npm, and the address to
    configure as registry."""
    def start(url: str, **keys):
        port = free_port()
        daemon = make_daemon(npm_route(url, **{"ttl": "1s", "stale_while_refreshing": "0s",
                                               "patience": "1s", **keys}))
        daemon.settings["listen"].append({"address": f"127.0.0.1:{port}", "route": "npm"})
        daemon.write_config()
        return daemon.start(), f"http://127.0.0.1:{port}"
    return start


# -- the project of 300 packages ------------------------------------------------------------------

@pytest.fixture(scope="module")
def project() -> dict[str, set[str]]:
    """What must be installed: name → versions."""
    versions = collections.defaultdict(set)
    for package in project_packages():
        versions[package.name].add(package.version)
    assert sum(map(len, versions.values())) >= 200
    assert any(name.startswith("@") for name in versions)
    return dict(versions)


def make_project_lock(make_npm_client, name: str, registry: str) -> str:
    client = make_npm_client(name, registry)
    client.depend(**{PROJECT: "*"})
    client.make_lock()
    return client.lock


def install(make_npm_client, name: str, registry: str, lock: str, project):
    """A clean machine installs what the lockfile says."""
    client = make_npm_client(name, registry)
    client.depend(**{PROJECT: "*"})
    client.take_lock(lock)
    client.install_locked()
    assert client.installed() == project
    version, = project[PROJECT]
    program = f"console.log(require('{PROJECT}/package.json').version)"
    assert client.execute(program).strip() == version
    assert client.lock == lock, "the lockfile was changed"


@pytest.mark.timeout(400)
@EVERY_CLIENT
def test_a_project_of_300_packages_cold_warm_and_without_the_upstream(
        start_root, make_npm_client, verdaccio, project, client):
    daemon, registry = start_root(verdaccio.url)
    lock = make_project_lock(make_npm_client, client, registry)
    # Nothing is left but the lockfile: tarballs are asked for, of which no packument is held.
    daemon.stop()
    shutil.rmtree(daemon.storage)
    daemon.start()

    before = verdaccio.tarball_gets()
    install(make_npm_client, client, registry, lock, project)
    cold = verdaccio.tarball_gets() - before
    assert sum(cold.values()) == sum(map(len, project.values()))
    assert set(cold.values()) == {1}

    install(make_npm_client, client, registry, lock, project)
    assert verdaccio.tarball_gets() == before + cold, "fetched again although it is held"

    verdaccio.stop()
    install(make_npm_client, client, registry, lock, project)


@pytest.mark.timeout(400)
@MAIN_CLIENTS
def test_lockfiles_serve_with_the_cache_and_without(start_root, make_npm_client, verdaccio, project,
                                                    client):
    """Made through the cache and used without it, and the other way round. yarn 1 writes whole
    addresses and asks just them: its tarballs come from where the lockfile was made."""
    daemon, registry = start_root(verdaccio.url)
    through = make_project_lock(make_npm_client, client, registry)
    direct = make_project_lock(make_npm_client, client, verdaccio.url)
    assert through.replace(registry, verdaccio.url) == direct
    install(make_npm_client, client, registry, direct, project)
    if client != Yarn1.name:
        daemon.stop()
    install(make_npm_client, client, verdaccio.url, through, project)


# -- all the shapes of packages -------------------------------------------------------------------

@pytest.fixture
def shapes(shelf):
    """A small project with what is rare: scopes, build metadata, old hashes, odd paths."""
    scoped = make_package("@scope/left", dependencies={"old": "^1.0.0", "odd": "^1.0.0"})
    old = make_package("old", size=30_000).saying(integrity=None)
    odd = make_package("odd", size=30_000).saying(tarball=f"{shelf.url}/files/aa/odd.bin")
    build = make_package("build", "1.0.0+build.5")
    for package in (scoped, old, odd, build):
        shelf.put(package)
    return {"@scope/left": "^1.0.0", "build": "^1.0.0"}


SHAPES = {"@scope/left": {"1.0.0"}, "old": {"1.0.0"}, "odd": {"1.0.0"}, "build": {"1.0.0+build.5"}}


def install_shapes(make_npm_client, name: str, registry: str, shapes):
    first = make_npm_client(name, registry)
    first.depend(**shapes)
    first.make_lock()
    client = make_npm_client(name, registry)
    client.depend(**shapes)
    client.take_lock(first.lock)
    client.install_locked()
    assert client.installed() == SHAPES
    assert client.execute("console.log(require('@scope/left'), require('build'))").split() == [
        "@scope/left@1.0.0", "build@1.0.0+build.5"]


@EVERY_CLIENT
@pytest.mark.parametrize("mount", ["prefix", "root"])
def test_every_shape_of_package(start_root, make_npm_client, shelf, shapes, client, mount):
    daemon, registry = start_root(shelf.url)
    if mount == "prefix":
        registry = f"{daemon.url}/npm"
    install_shapes(make_npm_client, client, registry, shapes)
    shelf.upstream.refuse()
    install_shapes(make_npm_client, client, registry, shapes)


@MAIN_CLIENTS
def test_a_route_that_stores_nothing(start_root, make_npm_client, shelf, shapes, client):
    """`cache: false`: the same answers, each from the upstream."""
    daemon, registry = start_root(shelf.url, cache=False)
    install_shapes(make_npm_client, client, registry, shapes)
    first = len(shelf.asked("old").tarballs)
    assert first >= 1
    install_shapes(make_npm_client, client, registry, shapes)
    assert len(shelf.asked("old").tarballs) == 2 * first
    assert not [file for file in (daemon.storage / "blobs").rglob("*") if file.is_file()]


# -- what npm does besides ------------------------------------------------------------------------

@NPM_ONLY
@pytest.mark.parametrize("mount", ["prefix", "root"])
def test_npm_view(start_root, make_npm_client, verdaccio, client, mount):
    daemon, registry = start_root(verdaccio.url)
    if mount == "prefix":
        registry = f"{daemon.url}/npm"
    npm = make_npm_client(client, registry)
    for name in ("lodash", "@cypress/request"):
        seen = json.loads(npm.run("view", f"{name}@latest", "--json").stdout)
        seen = seen[0] if isinstance(seen, list) else seen
        truth = json.loads(verdaccio.get(f"/{name.replace('/', '%2f')}").body)
        latest = truth["dist-tags"]["latest"]
        assert (seen["name"], seen["version"]) == (name, latest)
        assert seen["dist"]["integrity"] == truth["versions"][latest]["dist"]["integrity"]
        assert seen["dist"]["tarball"].startswith(f"{registry}/{name}/-/")
    tags = npm.run("dist-tag", "ls", "node-fetch").stdout.split()
    assert "cjs:" in tags
    assert npm.run("ping").returncode == 0
    absent = npm.run("view", "no-such-package", check=False)
    assert absent.returncode != 0 and "E404" in absent.stderr


@NPM_ONLY
def test_npm_audit(start_root, make_npm_client, shelf, client):
    left = make_package("left")
    shelf.put(left)
    shelf.upstream.script(f"POST {BULK}", json_reply({"left": [{
        "id": 7, "url": "https://example.com/advisories/7", "title": "It is not right",
        "severity": "high", "vulnerable_versions": "<2.0.0", "cwe": [], "cvss": {"score": 7}}]}))
    _, registry = start_root(shelf.url)
    npm = make_npm_client(client, registry)
    npm.depend(left="^1.0.0")
    npm.make_lock()
    report = npm.run("audit", "--json", check=False)
    assert json.loads(report.stdout)["vulnerabilities"]["left"]["severity"] == "high"
    asked = shelf.upstream.seen("POST", BULK)
    assert len(asked) == 1 and asked[0].header("Content-Encoding") == "gzip"


@NPM_ONLY
def test_npm_search(start_root, make_npm_client, verdaccio, client):
    _, registry = start_root(verdaccio.url)
    found = json.loads(make_npm_client(client, registry).run("search", "lodash", "--json").stdout)
    assert "lodash" in [package["name"] for package in found]


@MAIN_CLIENTS
def test_a_tarball_that_is_not_what_the_lockfile_says(start_root, make_npm_client, shelf, client):
    """The cache refuses it, and the client does not install."""
    left = make_package("left", size=30_000)
    shelf.put(left)
    _, registry = start_root(shelf.url)
    first = make_npm_client(client, registry)
    first.depend(left="^1.0.0")
    first.make_lock()
    shelf.upstream.forget()
    second, other = start_root(shelf.url)
    shelf.put_tarball(left, json_reply({"not": "a tarball"}))
    victim = make_npm_client(client, other)
    victim.depend(left="^1.0.0")
    victim.take_lock(first.lock.replace(registry, other))
    with pytest.raises(AssertionError, match="ended with"):
        victim.install_locked()
    assert shelf.asked("left").tarballs, "the client gave up before it asked"
    shelf.put(left)
    install_client = make_npm_client(client, other)
    install_client.depend(left="^1.0.0")
    install_client.take_lock(first.lock.replace(registry, other))
    install_client.install_locked()
    assert install_client.installed() == {"left": {"1.0.0"}}
