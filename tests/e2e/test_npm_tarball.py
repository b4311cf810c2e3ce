"""Tarballs: by their canonical address, proven by the packument that names them, also when nobody
has asked for the packument."""

import time

import pytest

from harness import config
from harness.faulty import Reply
from harness.httpclient import Crowd
from harness.net import until
from harness.npm_packages import ACCEPT_ABBREVIATED, integrity_of, make_package, shasum_of
from harness.npm_shelf import (document_of, error_of, npm_error, npm_route, stored_blobs,
                               tarball_links, tarball_reply)

pytestmark = pytest.mark.quick

TARGET = "/npm/left/-/left-1.0.0.tgz"


@pytest.fixture
def package():
    """Big enough to be a file on disk."""
    return make_package("left", size=100_000)


@pytest.fixture
def cache(start_daemon, shelf):
    return start_daemon(npm_route(shelf.url, ttl="1h"))


def hit(daemon, target: str = TARGET):
    return until(lambda: "hit" in (answer := daemon.get(target)).cache and answer, 5, "a hit")


def test_a_lockfile_is_enough(cache, shelf, package):
    """Nobody asks for the packument: the cache does, because it must know the hash."""
    shelf.put(package)
    miss = cache.get(TARGET)
    assert (miss.status, miss.body) == (200, package.data)
    asked = shelf.asked("left")
    assert (len(asked.packuments), len(asked.tarballs)) == (1, 1)
    again = hit(cache)
    assert again.body == package.data
    for answer in (miss, again):
        assert answer.header("Content-Type") == "application/octet-stream"
        assert answer.length == len(package.data)
        assert answer.header("Content-Encoding") is None
        assert answer.header("Cache-Control") == "public, max-age=31536000, immutable"
    cache.wait_stored(package.digest)
    asked = shelf.asked("left")
    assert (len(asked.packuments), len(asked.tarballs)) == (1, 1)
    assert document_of(cache.get("/npm/left", [ACCEPT_ABBREVIATED]))
    assert len(shelf.asked("left").packuments) == 1, "the packument is held by now"


def test_no_coding_is_asked_for_what_is_hashed(cache, shelf, package):
    shelf.put(package)
    cache.get(TARGET, [("Accept-Encoding", "gzip")])
    assert shelf.asked("left").tarballs[0].header("Accept-Encoding") in (None, "identity")


def test_head_of_a_tarball(cache, shelf, package):
    shelf.put(package)
    assert cache.head(TARGET).status == 200
    cache.get(TARGET)
    hit(cache)
    head = cache.head(TARGET)
    assert (head.status, head.length, head.body) == (200, len(package.data), b"")
    assert cache.head("/npm/left/-/left-9.9.9.tgz").status == 404


def test_a_part_of_a_tarball(cache, shelf, package):
    shelf.put(package)
    for _ in range(2):
        answer = cache.get(TARGET, [("Range", "bytes=1000-1999")])
        assert answer.status == 206
        assert answer.body == package.data[1000:2000]
        hit(cache)


def test_a_tarball_that_no_packument_names(cache, shelf, package):
    """It lies on the upstream, and nobody vouches for it."""
    shelf.put(package)
    unnamed = make_package("left", "6.6.6", size=100_000)
    shelf.put_tarball(unnamed, tarball_reply(unnamed.data))
    for _ in range(2):
        answer = cache.get("/npm/left/-/left-6.6.6.tgz")
        assert answer.status == 404
        assert error_of(answer)
    assert not shelf.asked("left").tarballs
    assert stored_blobs(cache) == set()


def test_a_tarball_of_a_package_that_is_not(cache, shelf, package):
    shelf.put_tarball(package, tarball_reply(package.data))
    assert cache.get(TARGET).status == 404
    assert not shelf.asked("left").tarballs


def test_a_tarball_that_is_listed_before_it_is_there(start_daemon, shelf, package):
    """As with registries whose servers learn of a new version one after the other: the 404 is
    forgotten soon."""
    daemon = start_daemon(npm_route(shelf.url, ttl="1h", negative_ttl="200ms"))
    shelf.put(package)
    shelf.put_tarball(package, npm_error(404, "not here yet"))
    answer = daemon.get(TARGET)
    assert answer.status == 404 and error_of(answer)
    shelf.put_tarball(package, tarball_reply(package.data))
    daemon.wait_body(TARGET, package.data, timeout=5)


def test_a_tarball_of_another_package_under_this_name(cache, shelf, package):
    """Only the packument of `left` may vouch for what is below /left/-/."""
    other = make_package("other", size=100_000)
    shelf.put(package)
    shelf.put(other)
    shelf.upstream.script("/left/-/other-1.0.0.tgz", tarball_reply(other.data))
    assert cache.get("/npm/left/-/other-1.0.0.tgz").status == 404
    assert cache.get("/npm/@scope/left/-/left-1.0.0.tgz").status == 404
    assert not shelf.asked("left").tarballs


def test_a_version_that_was_published_a_moment_ago(start_daemon, shelf, package):
    """The packument that is held does not name it yet: it is looked at again, once."""
    shelf.put(package)
    daemon = start_daemon(npm_route(shelf.url, ttl="1h", negative_ttl="200ms"))
    assert daemon.get(TARGET).status == 200
    newer = make_package("left", "1.0.1", size=100_000)
    assert daemon.get("/npm/left/-/left-1.0.1.tgz").status == 404
    shelf.put(package, newer)
    answer = until(lambda: (got := daemon.get("/npm/left/-/left-1.0.1.tgz")).status == 200 and got,
                   5, "the new version", interval=0.1)
    assert answer.body == newer.data


@pytest.mark.parametrize("path", ["/files/aa/bb/left.tgz", "/left/download/left-1.0.0.tgz",
                                  "/left/-/some-other-name.tgz", "/~/x%2fy/left%20one.tgz"])
def test_an_upstream_with_odd_paths(cache, shelf, package, path):
    shelf.put(package.saying(tarball=shelf.url + path))
    link = tarball_links(document_of(cache.get("/npm/left", [ACCEPT_ABBREVIATED])))["1.0.0"]
    assert link.endswith(TARGET)
    answer = cache.get(TARGET)
    assert (answer.status, answer.body) == (200, package.data)
    assert shelf.upstream.seen("GET")[-1].target == path


def test_a_version_with_build_metadata(cache, shelf):
    package = make_package("left", "1.0.0-rc.1+build.5", size=100_000)
    shelf.put(package)
    answer = cache.get("/npm/left/-/left-1.0.0-rc.1.tgz")
    assert (answer.status, answer.body) == (200, package.data)


HASHES = {
    "sha512": lambda data: {},
    "shasum alone, as before 2017": lambda data: {"integrity": None},
    "sha1 as integrity": lambda data: {"integrity": integrity_of(data, "sha1"), "shasum": None},
    "sha384": lambda data: {"integrity": integrity_of(data, "sha384"), "shasum": None},
    "sha256": lambda data: {"integrity": integrity_of(data, "sha256"), "shasum": None},
    "the strongest of several counts": lambda data: {
        "integrity": f"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA= {integrity_of(data)}"},
    "an unknown algorithm beside": lambda data: {
        "integrity": f"sha999-AAAA {integrity_of(data)}?option"},
    "nothing at all": lambda data: {"integrity": None, "shasum": None},
    "an unknown algorithm, and shasum": lambda data: {"integrity": "sha999-AAAA",
                                                      "shasum": shasum_of(data)},
}


@pytest.mark.parametrize("hashes", HASHES)
def test_every_kind_of_hash_that_registries_list(cache, shelf, package, hashes):
    shelf.put(package.saying(**HASHES[hashes](package.data)))
    for _ in range(2):
        answer = cache.get(TARGET)
        assert (answer.status, answer.body) == (200, package.data)


def test_many_clients_cause_one_download(cache, shelf, package):
    shelf.delay = 0.2
    shelf.put(package)
    assert set(Crowd(30).run(lambda _: cache.get(TARGET).body)) == {package.data}
    asked = shelf.asked("left")
    assert (len(asked.packuments), len(asked.tarballs)) == (1, 1)


def test_a_tarball_that_is_called_coded(cache, shelf, package):
    """Some file servers call a .tgz a coded .tar: what is hashed is what goes out, uncoded."""
    shelf.put(package)
    shelf.put_tarball(package, Reply(headers={"Content-Type": "application/x-tar",
                                              "Content-Encoding": "gzip"}, body=package.data))
    for _ in range(2):
        answer = cache.get(TARGET, [("Accept-Encoding", "gzip")])
        assert (answer.status, answer.body) == (200, package.data)
        assert answer.header("Content-Encoding") is None


def test_a_tarball_is_served_when_the_upstream_is_gone(start_daemon, shelf, package):
    daemon = start_daemon(npm_route(shelf.url, ttl="200ms", stale_while_refreshing="0s"))
    shelf.put(package)
    daemon.get(TARGET)
    hit(daemon)
    shelf.upstream.refuse()
    time.sleep(0.3)
    begin = time.monotonic()
    answer = daemon.get(TARGET)
    assert (answer.status, answer.body) == (200, package.data)
    assert time.monotonic() - begin < 0.5
    assert answer.header("Warning") is None, "what cannot change is not stale"


def test_the_same_bytes_on_two_routes_are_one_blob(start_daemon, shelf, package):
    """Cross-protocol sharing: once through npm, once as a plain download."""
    shelf.put(package)
    generic = config.route("plain", shelf.url, protocol="generic", prefix="/plain",
                           immutable=["/left/-/**"])
    daemon = start_daemon(npm_route(shelf.url), generic)
    for target in (TARGET, "/plain/left/-/left-1.0.0.tgz"):
        answer = daemon.get(target)
        assert (answer.status, answer.body) == (200, package.data)
        hit(daemon, target)
    daemon.wait_stored(package.digest)
    assert stored_blobs(daemon) == {package.digest}
