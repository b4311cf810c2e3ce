"""npm users with accounts at the registry, through `auth: passthrough`: private packages,
publishing, and what somebody without passthrough is told."""

import json

import pytest

from harness.net import free_port
from harness.npm_packages import ACCEPT_FULL, make_package
from harness.npm_registry import ALICE, BOB, login, password
from harness.npm_shelf import document_of, npm_route
from harness.npm_tools import CLIENTS, Npm, NpmOfDebian

pytestmark = pytest.mark.full

SECRET = make_package("@alice/secret", size=30_000)
NPM_ONLY = pytest.mark.parametrize("client", [Npm.name, NpmOfDebian.name])


@pytest.fixture
def start(make_daemon, verdaccio):
    """start(auth=...): a daemon before verdaccio, with a listener of its own; and the registry's
    address."""
    def start(**keys):
        port = free_port()
        daemon = make_daemon(npm_route(verdaccio.url, **{"ttl": "1h", **keys}))
        daemon.settings["listen"].append({"address": f"127.0.0.1:{port}", "route": "npm"})
        daemon.write_config()
        return daemon.start(), f"http://127.0.0.1:{port}"
    return start


@pytest.fixture
def make_user(make_npm_client):
    """make_user(client, registry, user): a client that is logged in as the user, or as nobody."""
    def make(name: str, registry: str, user: str | None = None):
        client = make_npm_client(name, registry)
        if user:
            client.log_in(user, password(user))
        return client
    return make


def issue_token(daemon, user: str) -> str:
    """Log in as `npm login --auth-type=legacy` does."""
    name = f"org.couchdb.user:{user}"
    body = json.dumps({"_id": name, "name": user, "password": password(user), "type": "user",
                       "roles": []}).encode()
    with daemon.connect() as connection:
        answer = connection.ask("PUT", f"/npm/-/user/{name}",
                                [login(user), ("Content-Type", "application/json")], body)
    assert answer.status == 201, f"{answer}: {answer.body!r}"
    return json.loads(answer.body)["token"]


def install_secret(client):
    client.depend(**{SECRET.name: "1.0.0"})
    client.make_lock()
    client.install_locked()
    assert client.installed() == {SECRET.name: {"1.0.0"}}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_private_package_is_for_its_owner(start, make_user, verdaccio, client):
    verdaccio.publish(SECRET)
    daemon, registry = start(auth="passthrough")
    owner = make_user(client, registry, ALICE)
    install_secret(owner)
    daemon.wait_stored(SECRET.digest)
    for user in (BOB, None):
        stranger = make_user(client, registry, user)
        stranger.depend(**{SECRET.name: "1.0.0"})
        with pytest.raises(AssertionError, match="ended with"):
            stranger.make_lock()
        stranger.take_lock(owner.lock)
        with pytest.raises(AssertionError, match="ended with"):
            stranger.install_locked()
        assert SECRET.name not in stranger.installed()


@NPM_ONLY
def test_publish_tag_and_whoami_through_the_cache(start, make_user, verdaccio, client):
    daemon, registry = start(auth="passthrough")
    npm = make_user(client, registry)
    npm.add_to_npmrc(f"{npm.registry_key}:_authToken={issue_token(daemon, ALICE)}")
    assert npm.run("whoami").stdout.strip() == ALICE

    for version in ("1.0.0", "1.1.0"):
        (npm.project / "package.json").write_text(json.dumps(
            {"name": "@scope/made-here", "version": version, "main": "index.js"}))
        (npm.project / "index.js").write_text("module.exports = 'made here';\n")
        npm.run("publish", "--access", "public")
        assert npm.run("view", "@scope/made-here", "version").stdout.strip() == version
    npm.run("dist-tag", "add", "@scope/made-here@1.0.0", "old")
    assert "old: 1.0.0" in npm.run("dist-tag", "ls", "@scope/made-here").stdout
    truth = document_of(verdaccio.get("/@scope%2fmade-here", [ACCEPT_FULL]))
    assert truth["dist-tags"] == {"latest": "1.1.0", "old": "1.0.0"}

    reader = make_user(client, registry)
    reader.depend(**{"@scope/made-here": "old"})
    reader.make_lock()
    reader.install_locked()
    assert reader.execute("console.log(require('@scope/made-here'))").strip() == "made here"

    stranger = make_user(client, registry)
    (stranger.project / "package.json").write_text(json.dumps(
        {"name": "@scope/made-here", "version": "6.6.6"}))
    refused = stranger.run("publish", check=False)
    assert refused.returncode != 0
    assert "6.6.6" not in document_of(verdaccio.get("/@scope%2fmade-here"))["versions"]


@NPM_ONLY
def test_without_passthrough_npm_says_why_it_cannot_publish(start, make_user, verdaccio, client):
    _, registry = start()
    npm = make_user(client, registry, ALICE)
    (npm.project / "package.json").write_text(json.dumps({"name": "mine", "version": "1.0.0"}))
    refused = npm.run("publish", check=False)
    assert refused.returncode != 0
    assert "405" in refused.stderr and "read-only" in refused.stderr
    assert verdaccio.get("/mine").status == 404
    assert npm.run("dist-tag", "add", "lodash@4.17.21", "x", check=False).returncode != 0


@NPM_ONLY
def test_what_a_user_typed_is_in_no_log(start, make_user, verdaccio, client):
    verdaccio.publish(SECRET)
    daemon, registry = start(auth="passthrough")
    token = issue_token(daemon, ALICE)
    npm = make_user(client, registry)
    npm.add_to_npmrc(f"{npm.registry_key}:_authToken={token}")
    npm.run("whoami")
    install_secret(npm)
    daemon.stop()
    log = daemon.process.errors() + daemon.process.output()
    assert "secret" in log, "the log does not show what was asked"
    for secret in (token, password(ALICE), login(ALICE)[1].split()[1]):
        assert secret not in log
