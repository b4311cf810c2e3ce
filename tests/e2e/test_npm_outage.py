"""The registry fails: what is held is served within `patience`, what is not is 503, and nothing
ever becomes a 404."""

import time

import pytest

from harness.faulty import Reply, hanging
from harness.npm_packages import ACCEPT_ABBREVIATED, ACCEPT_FULL, make_package
from harness.npm_shelf import document_of, error_of, json_reply, npm_error, npm_route

pytestmark = pytest.mark.quick

FAILURES = {
    "429": npm_error(429, "slow down", Retry_After="60"),
    "500": npm_error(500, "internal error"),
    "502": Reply(502, {"Content-Type": "text/html"}, b"<h1>Bad Gateway</h1>"),
    "503": npm_error(503, "maintenance"),
    "hang": hanging(),
    "garbage": Reply(raw=b"garbage\r\n\r\n"),
    "closed": Reply(raw=b""),
}
TARBALL = "/npm/left/-/left-1.0.0.tgz"
PACKAGE = make_package("left", size=100_000)
# What a client may ask for when all it has is the name of a package, or a lockfile.
TARGETS = {
    "packument": ("/npm/left", [ACCEPT_ABBREVIATED]),
    "full packument": ("/npm/left", [ACCEPT_FULL, ("Accept-Encoding", "gzip")]),
    "tarball": (TARBALL, []),
    "tags": ("/npm/-/package/left/dist-tags", []),
    "search": ("/npm/-/v1/search?text=left", []),
    "keys": ("/npm/-/npm/v1/keys", []),
}


@pytest.fixture
def held(start_daemon, shelf):
    """A daemon that holds the package, past its ttl."""
    daemon = start_daemon(npm_route(shelf.url, ttl="200ms", stale_while_refreshing="0s",
                                    patience="200ms"))
    shelf.put(PACKAGE)
    for target, headers in (TARGETS["packument"], TARGETS["full packument"], TARGETS["tarball"]):
        assert daemon.get(target, headers).status == 200
    time.sleep(0.3)
    shelf.upstream.forget()
    return daemon


def fail(shelf, failure: str):
    """From now on every path fails."""
    shelf.upstream.script("/left", FAILURES[failure])
    shelf.put_tarball(PACKAGE, FAILURES[failure])
    shelf.upstream.fallback = FAILURES[failure]


@pytest.mark.parametrize("failure", FAILURES)
def test_what_is_held_is_served_within_patience(held, shelf, failure):
    fail(shelf, failure)
    for name in ("packument", "full packument"):
        target, headers = TARGETS[name]
        begin = time.monotonic()
        answer = held.get(target, headers)
        assert time.monotonic() - begin < 1, "patience was 200 ms"
        assert answer.status == 200 and answer.complete and answer.body
        assert "hit" in answer.cache and answer.cache["fwd"] == "stale"
        assert answer.header("Warning").startswith("299 ")
    begin = time.monotonic()
    answer = held.get(TARBALL)
    assert (answer.status, answer.body) == (200, PACKAGE.data)
    assert time.monotonic() - begin < 0.5, "nobody needs to be asked"


def test_what_is_held_is_served_when_connections_are_refused(held, shelf):
    shelf.upstream.refuse()
    target, headers = TARGETS["packument"]
    answer = held.get(target, headers)
    assert "left" in document_of(answer)["name"]
    assert answer.cache["fwd"] == "stale"
    # Another view of the same packument is made from what is held.
    other = held.get(target, [*headers, ("Host", "another.test"), ("Accept-Encoding", "gzip")])
    assert other.status == 200 and other.header("Content-Encoding") == "gzip"
    assert other.cache["fwd"] == "stale"


def test_small_documents_are_served_when_the_upstream_is_gone(start_daemon, shelf):
    daemon = start_daemon(npm_route(shelf.url, ttl="200ms", stale_while_refreshing="0s"))
    targets = [TARGETS[name][0] for name in ("tags", "search", "keys")]
    for target in targets:
        shelf.upstream.script(target.removeprefix("/npm").partition("?")[0],
                              json_reply({"asked": target}))
        assert document_of(daemon.get(target)) == {"asked": target}
    time.sleep(0.3)
    shelf.upstream.refuse()
    for target in targets:
        answer = daemon.get(target)
        assert document_of(answer) == {"asked": target}
        assert answer.cache["fwd"] == "stale"


@pytest.mark.parametrize("failure", [name for name in FAILURES if name != "hang"])
def test_what_is_not_held_is_503_and_never_404(start_daemon, shelf, failure):
    daemon = start_daemon(npm_route(shelf.url))
    fail(shelf, failure)
    for target, headers in TARGETS.values():
        answer = daemon.get(target, headers)
        assert answer.status == 503, target
        assert error_of(answer)
        assert answer.header("Retry-After") is not None


def test_a_tarball_is_503_when_only_its_packument_is_held(held, shelf):
    """A version that was never fetched; and one of which nobody knows whether it exists."""
    newer = make_package("left", "2.0.0")
    shelf.put(PACKAGE, newer)
    assert document_of(held.get("/npm/left", [ACCEPT_ABBREVIATED]))
    fail(shelf, "503")
    shelf.put_tarball(newer, FAILURES["503"])
    assert held.get("/npm/left/-/left-2.0.0.tgz").status == 503
    time.sleep(0.3)
    assert held.get("/npm/left/-/left-3.0.0.tgz").status == 503


def test_the_next_upstream_answers_for_the_first(start_daemon, make_shelf):
    """Tarballs too, although each names its own."""
    broken, sound = make_shelf(), make_shelf()
    fail(broken, "503")
    sound.put(PACKAGE)
    daemon = start_daemon(npm_route(broken.url, sound.url))
    assert document_of(daemon.get("/npm/left", [ACCEPT_ABBREVIATED]))["name"] == "left"
    answer = daemon.get(TARBALL)
    assert (answer.status, answer.body) == (200, PACKAGE.data)


def test_a_tarball_comes_from_the_upstream_that_is_left(start_daemon, make_shelf):
    """The first named it and went away; its mirror has the same bytes below its own base."""
    first, mirror = make_shelf(), make_shelf()
    first.put(PACKAGE)
    mirror.put(PACKAGE)
    daemon = start_daemon(npm_route(first.url, mirror.url))
    assert document_of(daemon.get("/npm/left", [ACCEPT_ABBREVIATED]))["name"] == "left"
    first.upstream.refuse()
    answer = daemon.get(TARBALL)
    assert (answer.status, answer.body) == (200, PACKAGE.data)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_no_404(start_daemon, shelf, status):
    daemon = start_daemon(npm_route(shelf.url))
    shelf.put_raw("left", npm_error(status, "go away", WWW_Authenticate='Basic realm="upstream"'))
    answer = daemon.get("/npm/left", [ACCEPT_ABBREVIATED])
    assert answer.status == 403
    assert "upstream" not in (answer.header("WWW-Authenticate") or "")
    assert error_of(answer)
