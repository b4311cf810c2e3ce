"""pip, an old pip and uv through the cache: installs, hashes, lockfiles, private projects."""

import re
import shutil
import time

import pytest

from harness.faulty import Reply
from harness.images import random_bytes
from harness.net import until
from harness.pypi_clients import STOCK, Pip, Uv
from harness.pypi_index import hexdigest, load_file, make_wheel
from harness.pypiserver import Pypiserver

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]

CLIENTS = {"pip": Pip, "pip-2022": lambda folder: Pip(folder, "pip-2022"), "uv": Uv}
# A package with a dozen dependencies of its own, and theirs.
PACKAGE = "mkdocs"
NEEDED = {"click", "ghp_import", "jinja2", "markdown", "markupsafe", "mergedeep", "mkdocs",
          "mkdocs_get_deps", "packaging", "pathspec", "platformdirs", "python_dateutil", "pyyaml",
          "pyyaml_env_tag", "tzdata", "watchdog"}


@pytest.fixture
def index(make_index):
    made = make_index()
    made.add_folder(STOCK)
    # pip of 2022 compares names in metadata that HTML announces letter by letter.
    made.metadata_attributes = ["data-core-metadata"]
    return made


@pytest.fixture(params=CLIENTS)
def client(request, tmp_path):
    return CLIENTS[request.param](tmp_path)


@pytest.fixture
def pip(tmp_path):
    return Pip(tmp_path)


@pytest.fixture
def uv(tmp_path):
    return Uv(tmp_path)


def simple(daemon) -> str:
    """The index URL that people configure."""
    return f"{daemon.url}/pypi/simple/"


def install_and_use(client, url: str):
    """A clean client installs the package, and it works."""
    client.forget()
    client.install(url, PACKAGE)
    assert client.installed() == NEEDED
    assert "version 1.6.1" in client.python("-m", "mkdocs", "--version")


def install_cold_warm_and_without_upstream(client, daemon, upstream):
    install_and_use(client, simple(daemon))
    wheels = [name for name in upstream.file_gets() if name.endswith(".whl")]
    assert len(wheels) == len(set(wheels)) == len(NEEDED)

    upstream_gets = len(upstream.file_gets())
    install_and_use(client, simple(daemon))
    assert len(upstream.file_gets()) == upstream_gets, "a warm cache asked for a file"

    upstream.stop()
    time.sleep(2.2)
    install_and_use(client, simple(daemon))


@pytest.fixture
def stale_soon(start_daemon):
    """A daemon that must ask again after two seconds, so that an outage is felt."""
    return lambda upstream: start_daemon(upstream.route(
        ttl="2s", stale_while_refreshing="0s", patience="500ms"))


def test_install_cold_warm_and_without_the_upstream(client, index, stale_soon):
    install_cold_warm_and_without_upstream(client, stale_soon(index), index)


def test_install_with_pypiserver_as_upstream(client, stale_soon, tmp_path):
    """It has HTML alone, and no metadata."""
    upstream = Pypiserver(tmp_path, STOCK).start()
    try:
        install_cold_warm_and_without_upstream(client, stale_soon(upstream), upstream)
    finally:
        upstream.stop()


def test_install_through_a_relay(client, index, start_daemon):
    daemon = start_daemon(index.route(cache=False))
    install_and_use(client, simple(daemon))
    assert daemon.stored_files() == []


def test_source_distributions_and_what_builds_them(client, index, start_daemon):
    """The build's own requirements come through the cache too."""
    daemon = start_daemon(index.route())
    client.install(simple(daemon), "docopt", "text-unidecode", *client.BUILDS_APART)
    assert client.python("-c", "import docopt; print(docopt.__version__)") == "0.6.2\n"
    assert sorted(name for name in index.file_gets() if name.endswith(".tar.gz")) == [
        "docopt-0.6.2.tar.gz", "text-unidecode-1.3.tar.gz"]
    assert "setuptools-80.9.0-py3-none-any.whl" in index.file_gets()


# -- hashes ---------------------------------------------------------------------------------

def pinned(folder, wrong: str = ""):
    """A requirements file with every hash; `wrong` names the project whose hash is not right."""
    lines = []
    for file in sorted(STOCK.glob("*.whl")):
        name, upload = load_file(file)
        if name.replace("-", "_") in NEEDED:
            digest = "0" * 64 if name == wrong else hexdigest(upload.data)
            lines.append(f"{name}=={upload.version} --hash=sha256:{digest}")
    assert len(lines) == len(NEEDED)
    made = folder / "requirements.txt"
    made.write_text("\n".join(lines) + "\n")
    return made


def test_hashes_required(client, index, start_daemon, tmp_path):
    daemon = start_daemon(index.route())
    client.install(simple(daemon), "--require-hashes", "-r", pinned(tmp_path))
    assert client.installed() == NEEDED
    client.forget()
    failed = client.install(simple(daemon), "--require-hashes", "-r", pinned(tmp_path, "click"),
                            check=False)
    assert failed.returncode != 0 and "hash" in failed.stderr.lower()


# -- lockfiles ------------------------------------------------------------------------------

def test_uv_lock_then_sync_from_the_lock_through_a_cold_cache(uv, index, make_daemon):
    """The lock's URLs go straight to files: no page is asked for by the client."""
    daemon = make_daemon(index.route()).start()
    project = uv.project(simple(daemon), PACKAGE)
    uv.uv("lock", cwd=project)
    lock = (project / "uv.lock").read_text()
    urls = re.findall(r'url = "([^"]+)"', lock)
    assert len(urls) >= len(NEEDED)
    assert all(url.startswith(f"{daemon.url}/pypi/simple/") for url in urls), urls

    for cold in (True, False):
        daemon.stop()
        if cold:
            shutil.rmtree(daemon.storage)
        daemon.start()
        sync(uv, project)
        assert bool(index.file_gets()) == cold
        index.forget()
    index.stop()
    sync(uv, project)


def sync(uv, project):
    """A clean client installs from the lock."""
    uv.forget()
    shutil.rmtree(project / ".venv", ignore_errors=True)
    uv.uv("sync", "--frozen", cwd=project)
    shown = uv.uv("run", "--frozen", "--no-sync", "mkdocs", "--version", cwd=project)
    assert "version 1.6.1" in shown.stdout


def test_a_lock_is_still_right_after_the_upstream_has_more(uv, index, start_daemon):
    daemon = start_daemon(index.route(ttl="1s", stale_while_refreshing="0s"))
    project = uv.project(simple(daemon), "mergedeep")
    uv.uv("lock", cwd=project)
    index.upload("mergedeep", make_wheel("mergedeep", "99.0"))
    time.sleep(1.2)
    uv.forget()
    uv.uv("sync", "--frozen", cwd=project)
    shown = uv.uv("run", "--frozen", "--no-sync", "python", "-c",
                  "from importlib.metadata import version; print(version('mergedeep'))",
                  cwd=project)
    assert shown.stdout == "1.3.4\n"


# -- what pages say of files ----------------------------------------------------------------

@pytest.fixture
def versions(index):
    """A project of three versions: 3.0 is yanked, 2.0 is young."""
    uploads = [make_wheel("chosen", version) for version in ("1.0", "2.0", "3.0")]
    uploads[1].uploaded, uploads[2].yanked = "2026-01-01T00:00:00.000000Z", "broken"
    index.add("chosen", *uploads)
    return uploads


def chosen(client) -> str:
    return client.python("-c", "import chosen; print(chosen.__version__)").strip()


@pytest.mark.parametrize("form", ["json", "html"])
def test_a_yanked_version_is_not_chosen(client, index, versions, start_daemon, form):
    index.speaks_json = form == "json"
    daemon = start_daemon(index.route())
    client.install(simple(daemon), "chosen")
    assert chosen(client) == "2.0"
    client.forget()
    client.install(simple(daemon), "chosen==3.0")
    assert chosen(client) == "3.0"


def test_a_cooldown_by_upload_time_works(uv, index, versions, start_daemon):
    daemon = start_daemon(index.route())
    uv.install(simple(daemon), "chosen", "--exclude-newer", "2025-01-01")
    assert chosen(uv) == "1.0"


def test_uv_reads_metadata_by_range_where_there_is_no_metadata_file(uv, index, start_daemon):
    big = make_wheel("big", data=random_bytes(2_000_000, "big"))
    big.metadata = None
    index.add("big", big)
    daemon = start_daemon(index.route())
    project = uv.project(simple(daemon), "big")
    uv.uv("lock", cwd=project)
    assert [line["status"] for line in daemon.log("request") if "206" == line["status"]]


# -- failures -------------------------------------------------------------------------------

@pytest.mark.parametrize("lie", [dict(stop_at=20_000, ranges=False), dict(length=10 ** 6)],
                         ids=["cut off", "too short"])
def test_a_truncated_file_is_an_error_and_the_next_attempt_succeeds(client, index, start_daemon,
                                                                   lie):
    daemon = start_daemon(index.route(), egress={"stall_timeout": "500ms"},
                          client={"wait_timeout": "4s"})
    upload = index.projects["click"].uploads[0]
    index.files.script(upload.path, Reply(body=upload.data, **lie))
    assert client.install(simple(daemon), "click", check=False).returncode != 0
    assert not daemon.blob_file(upload.digest).exists()
    index.files.script(upload.path, index.files.fallback)
    client.forget()
    client.install(simple(daemon), "click")
    assert client.installed() == {"click"}


def test_a_wrong_file_is_an_error(client, index, start_daemon):
    """The client itself is not asked to check any hash."""
    daemon = start_daemon(index.route())
    upload = index.projects["click"].uploads[0]
    evil = make_wheel("click", "8.5.1")
    index.files.script(upload.path, Reply(body=evil.data))
    assert client.install(simple(daemon), "click", check=False).returncode != 0
    assert client.installed() == set()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_upstream_sends_uv_to_no_other_index(uv, index, make_index, start_daemon, status):
    """Else who owns the name there owns the machine: dependency confusion."""
    public = make_index()
    public.add_wheel("ours", "99.0")
    index.add_wheel("ours", "1.0")
    daemon = start_daemon(index.route())
    words = ("--index", simple(daemon), "ours")
    index.fail(Reply(status))
    failed = uv.install(f"{public.url}/simple/", *words, check=False)
    assert failed.returncode != 0 and uv.installed() == set()
    index.mend()
    until(lambda: daemon.get("/pypi/simple/ours/").status == 200, 90, "the upstream to be used",
          0.5)
    uv.forget()
    uv.install(f"{public.url}/simple/", *words)
    assert uv.python("-c", "import ours; print(ours.__version__)") == "1.0\n"


# -- credentials ----------------------------------------------------------------------------

@pytest.mark.parametrize("own_files", [True, False])
def test_a_private_project_with_passthrough(client, index, start_daemon, own_files):
    index.own_files = own_files
    index.accounts = {"alice": "alices-Pa55word", "bob": "bobs-Pa55word"}
    index.add_wheel("secret", readers={"alice"})
    daemon = start_daemon(index.route(auth="passthrough"))
    urls = {user: simple(daemon).replace("//", f"//{user}:{password}@")
            for user, password in index.accounts.items()}
    for user, may in [("bob", False), ("alice", True), ("bob", False), ("alice", True)]:
        client.forget()
        done = client.install(urls[user], "secret", check=False)
        assert (done.returncode == 0, client.installed()) == (may, {"secret"} if may else set())
    client.forget()
    assert client.install(simple(daemon), "secret", check=False).returncode != 0
    client.forget()
    client.install(simple(daemon), "click")
    assert not any(seen.header("Authorization") for seen in index.files.requests)
    assert "Pa55word" not in daemon.process.errors()


def test_credentials_of_a_netrc_work(pip, index, start_daemon):
    index.accounts = {"alice": "alices-Pa55word"}
    index.add_wheel("secret", readers={"alice"})
    daemon = start_daemon(index.route(auth="passthrough"))
    netrc = pip.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login alice password alices-Pa55word\n")
    netrc.chmod(0o600)
    pip.install(simple(daemon), "secret")
    assert pip.installed() == {"secret"}
