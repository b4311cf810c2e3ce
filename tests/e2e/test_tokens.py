"""Bearer tokens: 401, token, 200; expiry, refusal, pinned realms, the cache's own account."""

import pytest

from harness import config
from harness.faulty import oci_error
from harness.httpclient import ACCEPT_ALL, Crowd
from harness.images import random_bytes, small_manifest
from harness.net import until
from harness.registry import basic_auth
from harness.tokens import TokenServer, basic

pytestmark = pytest.mark.quick

DATA = random_bytes(100_000, "behind a token")
PASSWORD = "s3cret-of-the-account"


@pytest.fixture
def guarded(make_registry, stock, token_server, tmp_path):
    """The reference registry in token mode."""
    return make_registry(auth=token_server.registry_auth(tmp_path))


@pytest.fixture
def bearer_only(faulty, token_server):
    """The faulty upstream, letting in only tokens of `accepted`; an empty set takes any that were
    issued."""
    faulty.accepted = set()

    def guard(reply, repository):
        def answer(seen):
            token = (seen.header("Authorization") or "").removeprefix("Bearer ")
            if token in (faulty.accepted or set(token_server.issued)):
                return reply
            error = "invalid_token" if token else ""
            return oci_error(401, "UNAUTHORIZED", WWW_Authenticate=token_server.challenge(
                f"repository:{repository}:pull", error))
        return answer

    faulty.guard = guard
    return faulty


@pytest.fixture
def start_with_account(start_daemon, tmp_path):
    """A daemon that has an account at the upstream with this URL."""
    def start(url):
        file = tmp_path / "password"
        file.write_text(PASSWORD + "\n")
        return start_daemon(config.hub({"url": url, "username": "yantian",
                                        "password_file": str(file)}))
    return start


def put_guarded_blob(upstream, data: bytes, repository: str = "library/guarded") -> str:
    digest = upstream.put_blob(repository, data)
    target = f"/v2/{repository}/blobs/{digest}"
    upstream.script(target, upstream.guard(upstream.blob_reply(data), repository))
    return target


def manifest_target(image) -> str:
    return f"/v2/{image.repository}/manifests/{image.tag}"


def test_a_pull_gets_one_token_for_its_repository(start_daemon, guarded, token_server, stock):
    daemon = start_daemon(config.hub(guarded.url))
    image = stock["hello"]
    assert daemon.get(manifest_target(image), [ACCEPT_ALL]).body == image.top.data
    for blob in image.blobs:
        assert daemon.get(f"/v2/{image.repository}/blobs/{blob.digest}").sha256 == blob.digest
    assert token_server.scopes() == ["repository:library/busybox:pull"]
    assert {request.service for request in token_server.requests} == {TokenServer.SERVICE}


def test_each_repository_gets_its_own_scope(start_daemon, guarded, token_server, stock):
    daemon = start_daemon(config.hub(guarded.url))
    for kind in ("hello", "multi"):
        assert daemon.get(manifest_target(stock[kind]), [ACCEPT_ALL]).status == 200
    assert sorted(token_server.scopes()) == ["repository:library/busybox:pull",
                                             "repository:library/multi:pull"]


def test_library_is_inserted_into_the_scope_too(start_daemon, guarded, token_server, stock):
    daemon = start_daemon(config.hub(guarded.url))
    image = stock["hello"]
    answer = daemon.get(f"/v2/docker.io/busybox/manifests/{image.tag}", [ACCEPT_ALL])
    assert answer.body == image.top.data
    assert token_server.scopes() == ["repository:library/busybox:pull"]


def test_many_requests_at_once_get_one_token(start_daemon, guarded, token_server, stock):
    token_server.delay = 0.3
    daemon = start_daemon(config.hub(guarded.url))
    image = stock["forty"]
    targets = [f"/v2/{image.repository}/blobs/{blob.digest}" for blob in image.blobs]
    answers = Crowd(len(targets)).run(lambda number: daemon.get(targets[number]))
    assert [got.sha256 for got in answers] == [blob.digest for blob in image.blobs]
    assert len(token_server.requests) == 1


def test_a_token_that_expires_during_a_pull_is_replaced(start_daemon, bearer_only, token_server):
    """The upstream no longer takes the token: invalid_token, a new one, one more try."""
    daemon = start_daemon(config.hub(bearer_only.url))
    first, second = (put_guarded_blob(bearer_only, DATA + bytes([n])) for n in range(2))
    assert daemon.get(first).status == 200
    bearer_only.accepted = {"only one that is issued from now on"}
    old = set(token_server.issued)

    def accept_new(seen):
        bearer_only.accepted = set(token_server.issued) - old or bearer_only.accepted
        return bearer_only.guard(bearer_only.blob_reply(DATA + b"\1"), "library/guarded")(seen)
    bearer_only.script(second, accept_new)
    assert daemon.get(second).body == DATA + b"\1"
    assert len(token_server.requests) == 2


def test_a_broken_connection_is_resumed_with_a_token(start_daemon, bearer_only):
    """The second request of a fill carries the token as the first did."""
    daemon = start_daemon(config.hub(bearer_only.url))
    target = put_guarded_blob(bearer_only, DATA)
    cut = bearer_only.guard(bearer_only.blob_reply(DATA, stop_at=50_000), "library/guarded")
    whole = bearer_only.guard(bearer_only.blob_reply(DATA), "library/guarded")
    bearer_only.script(target, cut, cut, whole)
    assert daemon.get(target).body == DATA
    assert bearer_only.requests[-1].status == 206


@pytest.mark.parametrize("refusal", [401, 403, "grants nothing"])
def test_a_refusal_is_final(start_daemon, guarded, token_server, stock, refusal):
    """No loop between registry and token server, nothing that sends the client's login away."""
    if refusal == "grants nothing":
        token_server.grants = False
    else:
        token_server.refuse = refusal
    daemon = start_daemon(config.hub(guarded.url))
    answer = daemon.get(manifest_target(stock["hello"]), [ACCEPT_ALL])
    assert answer.status in (401, 403, 404)
    assert answer.header("WWW-Authenticate") is None
    assert len(token_server.requests) <= 2
    assert len(guarded.accesses()) <= 3


def test_who_is_refused_gets_no_stale_copy(start_daemon, faulty):
    """401 and 403 are answers, not failures of the upstream."""
    manifest = small_manifest("private")
    faulty.put_manifest("library/private", "1", manifest)
    daemon = start_daemon(config.hub(faulty.url, ttl="1s", stale_while_refreshing="0s",
                                     patience="5s"))
    target = "/v2/library/private/manifests/1"
    assert daemon.get(target, [ACCEPT_ALL]).body == manifest
    faulty.script(target, oci_error(403, "DENIED"))
    until(lambda: daemon.get(target, [ACCEPT_ALL]).status != 200, 5, "the refusal to be believed",
          interval=0.2)
    assert daemon.get(target, [ACCEPT_ALL]).status in (401, 403, 404)


def test_a_token_server_that_fails_is_an_upstream_failure(start_daemon, bearer_only,
                                                          token_server):
    """What is held is served; what is not held is 503, not 404 and not 401."""
    daemon = start_daemon(config.hub(bearer_only.url))
    held, cold = (put_guarded_blob(bearer_only, DATA + bytes([n]), f"library/n{n}")
                  for n in range(2))
    assert daemon.get(held).status == 200
    token_server.refuse = 500
    assert daemon.get(held).status == 200
    assert daemon.get(cold).status == 503


def test_a_foreign_realm_is_never_asked(start_with_account, faulty):
    """A hostile 401 would otherwise collect the account's password."""
    thief = TokenServer(host="localhost").start()
    try:
        faulty.fallback = oci_error(401, "UNAUTHORIZED", WWW_Authenticate=thief.challenge(
            "repository:library/guarded:pull"))
        daemon = start_with_account(faulty.url)
        answer = daemon.get("/v2/library/guarded/manifests/1", [ACCEPT_ALL])
        assert answer.status >= 400
        assert thief.requests == []
    finally:
        thief.stop()


def test_a_realm_that_the_config_allows_is_asked(start_daemon, bearer_only, token_server):
    token_server.host = "localhost"
    daemon = start_daemon(config.hub({"url": bearer_only.url, "token_realms": ["localhost"]}))
    assert daemon.get(put_guarded_blob(bearer_only, DATA)).body == DATA


def test_the_account_goes_to_the_token_server_only(start_with_account, guarded, token_server,
                                                      stock):
    token_server.account = ("yantian", PASSWORD)
    daemon = start_with_account(guarded.url)
    image = stock["hello"]
    assert daemon.get(manifest_target(image), [ACCEPT_ALL]).body == image.top.data
    assert token_server.requests[-1].authorization == basic("yantian", PASSWORD)


def test_the_password_is_not_sent_to_a_registry_that_wants_bearer(start_with_account, bearer_only,
                                                                  token_server):
    token_server.account = ("yantian", PASSWORD)
    daemon = start_with_account(bearer_only.url)
    assert daemon.get(put_guarded_blob(bearer_only, DATA)).body == DATA
    sent = {seen.header("Authorization") for seen in bearer_only.requests}
    assert all(value is None or value.startswith("Bearer ") for value in sent)


def test_basic_account_at_a_registry_with_basic(start_with_account, make_registry, stock,
                                                tmp_path):
    registry = make_registry(auth=basic_auth(tmp_path, "yantian", PASSWORD))
    daemon = start_with_account(registry.url)
    image = stock["hello"]
    assert daemon.get(manifest_target(image), [ACCEPT_ALL]).body == image.top.data
    blob = image.blobs[0]
    assert daemon.get(f"/v2/{image.repository}/blobs/{blob.digest}").sha256 == blob.digest


def test_a_wrong_password_is_an_answer_not_a_loop(start_with_account, make_registry, stock,
                                                  tmp_path):
    registry = make_registry(auth=basic_auth(tmp_path, "yantian", "another password"))
    daemon = start_with_account(registry.url)
    answer = daemon.get(manifest_target(stock["hello"]), [ACCEPT_ALL])
    assert answer.status in (401, 403, 404)
    assert len(registry.accesses()) <= 3


def test_the_v2_page_asks_nobody_for_a_login(start_daemon, guarded):
    """A challenge would make dockerd offer its Docker Hub password to the mirror."""
    daemon = start_daemon(config.hub(guarded.url))
    answer = daemon.get("/v2/")
    assert (answer.status, answer.body.strip()) == (200, b"{}")
    assert answer.header("WWW-Authenticate") is None
    assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0"
    assert guarded.accesses() == []
