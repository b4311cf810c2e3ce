"""`cache: false`: the same answers, links and refusals, all from the upstream; nothing stored."""

import gzip

import pytest

from harness.faulty import Reply
from harness.npm_packages import ACCEPT_ABBREVIATED, ACCEPT_FULL, make_package, packument
from harness.npm_shelf import (completed, document_of, error_of, npm_error, npm_route,
                               stored_blobs, tarball_reply)
from harness.tokens import basic

pytestmark = pytest.mark.quick

TARGET = "/npm/left/-/left-1.0.0.tgz"
PACKAGE = make_package("left", size=100_000)
HOST = ("Host", "cache.test")


@pytest.fixture
def relay(start_daemon, shelf):
    return start_daemon(npm_route(shelf.url, cache=False, ttl="1h"))


def assert_nothing_is_stored(daemon):
    assert stored_blobs(daemon) == set()
    assert not list((daemon.storage / "partial").rglob("*"))
    assert daemon.metric("yantian_store_entries") == 0


def test_packuments_are_rewritten_as_they_pass(relay, shelf):
    shelf.put(PACKAGE)
    for asked in (1, 2):
        for accept in (ACCEPT_ABBREVIATED, ACCEPT_FULL):
            answer = relay.get("/npm/left", [HOST, accept])
            assert document_of(answer) == packument([PACKAGE], "http://cache.test/npm",
                                                    accept == ACCEPT_ABBREVIATED)
            assert "hit" not in answer.cache
        assert len(shelf.asked("left").packuments) == 2 * asked
    coded = relay.get("/npm/left", [HOST, ACCEPT_FULL, ("Accept-Encoding", "gzip")])
    assert coded.header("Content-Encoding") in (None, "gzip")
    plain = gzip.decompress(coded.body) if coded.header("Content-Encoding") else coded.body
    assert plain == relay.get("/npm/left", [HOST, ACCEPT_FULL]).body
    assert_nothing_is_stored(relay)


def test_tarballs_are_proven_as_they_pass(relay, shelf):
    shelf.put(PACKAGE)
    for asked in (1, 2):
        answer = relay.get(TARGET)
        assert (answer.status, answer.body) == (200, PACKAGE.data)
        assert len(shelf.asked("left").tarballs) == asked
    shelf.put_tarball(PACKAGE, tarball_reply(PACKAGE.data[:-1] + b"x"))
    assert completed(relay, TARGET) is None
    assert relay.get("/npm/left/-/left-6.6.6.tgz").status == 404
    assert_nothing_is_stored(relay)


def test_the_same_is_refused(relay, shelf, make_faulty):
    elsewhere = make_faulty()
    elsewhere.fallback = tarball_reply(PACKAGE.data)
    shelf.put(PACKAGE.saying(tarball=f"{elsewhere.url}/left.tgz"))
    assert relay.get(TARGET).status == 403
    assert not elsewhere.seen()
    with relay.connect() as connection:
        answer = connection.ask("PUT", "/npm/left", [], b"{}")
    assert answer.status == 405 and error_of(answer)
    assert not shelf.upstream.seen("PUT")


@pytest.mark.parametrize("failure", [npm_error(429, "slow down"), npm_error(500, "broken"),
                                     Reply(raw=b"")], ids=["429", "500", "closed"])
def test_without_the_upstream_there_is_nothing(relay, shelf, failure):
    shelf.put(PACKAGE)
    assert relay.get("/npm/left", [HOST]).status == 200
    assert relay.get(TARGET).status == 200
    shelf.put_raw("left", failure)
    shelf.put_tarball(PACKAGE, failure)
    for target in ("/npm/left", TARGET):
        answer = relay.get(target, [HOST])
        assert answer.status == 503
        assert error_of(answer)


def test_credentials_pass_too(start_daemon, shelf):
    alice, bob = basic("alice", "a"), basic("bob", "b")
    shelf.put(PACKAGE, readers={alice})
    relay = start_daemon(npm_route(shelf.url, cache=False, auth="passthrough"))
    for target in ("/npm/left", TARGET):
        assert relay.get(target, [HOST, ("Authorization", alice)]).status == 200
        assert relay.get(target, [HOST, ("Authorization", bob)]).status in (403, 404)
        assert relay.get(target, [HOST]).status in (401, 404)
    assert_nothing_is_stored(relay)
