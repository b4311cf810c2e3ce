"""Fixtures: each test gets its own daemon and upstreams; images and client daemons are shared."""

import contextlib
import resource
import shutil
import tempfile
from pathlib import Path

import pytest

from harness import clients, config, images, npm_tools
from harness.daemon import Daemon
from harness.faulty import Faulty
from harness.net import free_port
from harness.npm_registry import Verdaccio, project_storage
from harness.npm_shelf import Shelf
from harness.process import run
from harness.pypi_index import Index, make_wheel
from harness.registry import Registry
from harness.tokens import TokenServer


def pytest_configure():
    """Thousands of connections need as many descriptors; failures outside of tests need words."""
    pytest.register_assert_rewrite("scenario")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_itemcollected(item):
    """Every test is either part of the quick half or of the full run. Those that share dockerd are
    run in turn by one worker of pytest-xdist."""
    kinds = [mark for mark in ("quick", "full") if item.get_closest_marker(mark)]
    if len(kinds) != 1:
        raise pytest.UsageError(f"{item.nodeid}: mark it quick or full, not {kinds}")
    if "_dockerd" in item.fixturenames:
        item.add_marker(pytest.mark.xdist_group("dockerd"))


def pytest_terminal_summary(terminalreporter):
    """What tests measured, and the counts on a plain line."""
    for report in terminalreporter.stats.get("passed", []):
        for _, measured in report.user_properties:
            terminalreporter.write_line(measured)
    count = {kind: len(terminalreporter.stats.get(kind, []))
             for kind in ("passed", "failed", "error", "skipped")}
    terminalreporter.write_line(f"{count['passed']} passed, {count['failed'] + count['error']} "
                                f"failed, {count['skipped']} skipped")


# -- the daemon -----------------------------------------------------------------------------

@pytest.fixture
def make_daemon(tmp_path):
    """make_daemon(route, ..., section=...): a daemon with those routes, not started yet. At the
    end of the test every one that still runs must end cleanly."""
    made = []

    def make(*routes, port=0, host="127.0.0.1", **sections) -> Daemon:
        settings = {**sections, "routes": list(routes)}
        made.append(Daemon(tmp_path / f"yantian-{len(made)}", settings, port, host))
        return made[-1]

    yield make
    with contextlib.ExitStack() as ends:
        for daemon in made:
            ends.callback(daemon.finish)


@pytest.fixture
def start_daemon(make_daemon):
    """The same, started."""
    return lambda *routes, **sections: make_daemon(*routes, **sections).start()


@pytest.fixture
def cache(start_daemon, faulty):
    """A daemon in front of the faulty upstream, with the default route only."""
    return start_daemon(config.hub(faulty.url, ttl="1h"))


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder])
    yield folder
    run(["umount", "-l", folder])


# -- upstreams ------------------------------------------------------------------------------

@pytest.fixture
def make_faulty():
    """make_faulty(): one more faulty upstream."""
    made = []

    def make(**options) -> Faulty:
        made.append(Faulty(**options).start())
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def faulty(make_faulty):
    return make_faulty()


@pytest.fixture
def make_index(make_faulty):
    """make_index(): a Python package index, pages and files on two origins; it is empty."""
    return lambda: Index(make_faulty(), make_faulty())


@pytest.fixture
def index(make_index):
    return make_index()


@pytest.fixture(scope="module")
def shared_index():
    """An index for tests that only add projects to it, each its own."""
    pages, files = Faulty().start(), Faulty().start()
    yield Index(pages, files)
    pages.stop()
    files.stop()


@pytest.fixture(scope="module")
def shared_pypi(shared_index, tmp_path_factory):
    """A daemon in front of it, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("pypi")
    daemon = Daemon(folder, {"routes": [shared_index.route()]}).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def wheel(index):
    """The one file of the index's project `demo`, big enough to be a file on disk."""
    made = make_wheel("demo", data=images.random_bytes(200_000, "wheel"))
    index.add("demo", made)
    return made


@pytest.fixture
def wheel_target(index, wheel):
    """Where a client of the daemon asks for it."""
    return index.target("demo", wheel)


@pytest.fixture
def make_shelf(make_faulty):
    """make_shelf(gzips=...): an npm registry whose answers are scripted; it is empty."""
    return lambda **options: Shelf(make_faulty(), **options)


@pytest.fixture
def shelf(make_shelf):
    return make_shelf()


@pytest.fixture
def verdaccio(tmp_path):
    """An npm registry that holds the packages of the project."""
    storage = tmp_path / "verdaccio-storage"
    shutil.copytree(project_storage(), storage)
    registry = Verdaccio(tmp_path / "verdaccio", storage).start()
    yield registry
    registry.stop()


@pytest.fixture(scope="session")
def stock(tmp_path_factory):
    """The small images by name, all of them in the shared registry storage."""
    made = {"hello": images.hello(), "forty": images.forty_layers(), "zstd": images.zstd(),
            "multi": images.multi_arch(), "attested": images.attested()}
    registry = Registry(tmp_path_factory.mktemp("stock"), images.REGISTRY_STORAGE).start()
    for image in made.values():
        if not images.holds(registry.address, image):
            images.push(registry.address, image)
    registry.stop()
    return made


@pytest.fixture
def make_registry(tmp_path):
    """make_registry(auth=..., storage=...): a started reference registry, by default on the shared
    storage."""
    made = []

    def make(storage=images.REGISTRY_STORAGE, **options) -> Registry:
        name = f"registry-{len(made)}"
        made.append(Registry(tmp_path, storage, name=name, **options).start())
        return made[-1]

    yield make
    for registry in made:
        registry.stop()


@pytest.fixture
def registry(make_registry, stock):
    """A reference registry that holds the stock of images."""
    return make_registry()


@pytest.fixture
def token_server():
    server = TokenServer().start()
    yield server
    server.stop()


# -- clients --------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def mirror_port():
    """dockerd learns its mirror when it starts: daemons that serve it listen here."""
    return free_port()


@pytest.fixture(scope="session")
def _dockerd(tmp_path_factory, mirror_port):
    client = clients.Dockerd(tmp_path_factory.mktemp("dockerd"), f"http://127.0.0.1:{mirror_port}")
    client.start()
    yield client
    client.stop()


@pytest.fixture
def dockerd(_dockerd):
    """dockerd without any image."""
    _dockerd.remove_all()
    return _dockerd


@pytest.fixture
def containerd(tmp_path):
    folder = tmp_path / "containerd"
    folder.mkdir()
    client = clients.Containerd(folder).start()
    yield client
    client.stop()


@pytest.fixture
def make_npm_client(tmp_path):
    """make_npm_client(name, registry): a client with an empty home and an empty project. They write
    tens of thousands of small files: into memory, if there is room."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    folder = Path(tempfile.mkdtemp(prefix="npm-", dir=memory if roomy else tmp_path))
    made = []

    def make(name: str, registry: str) -> npm_tools.Client:
        made.append(npm_tools.CLIENTS[name](folder / str(len(made)), registry))
        return made[-1]
    yield make
    shutil.rmtree(folder)


@pytest.fixture
def make_podman(tmp_path):
    """make_podman({prefix: location}): a podman with those mirrors."""
    made = []

    def make(mirrors) -> clients.Podman:
        folder = tmp_path / f"podman-{len(made)}"
        folder.mkdir()
        made.append(clients.Podman(folder, mirrors))
        return made[-1]

    yield make
    for client in made:
        client.stop()
