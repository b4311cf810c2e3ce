"""Routes that a path prefix selects, beside those that a host, a listener or /v2/ selects."""

import pytest

from harness import config
from harness.faulty import Reply
from harness.images import small_manifest
from harness.net import free_port

pytestmark = pytest.mark.quick

NAMES = ["files", "deep", "own", "hub"]


@pytest.fixture
def upstreams(make_faulty):
    """Each answers every path with its own name and the target that it was asked for."""
    made = {name: make_faulty() for name in NAMES}
    for name, upstream in made.items():
        upstream.fallback = lambda seen, name=name: Reply(
            headers={"Content-Type": "text/plain"}, body=f"{name} {seen.target}".encode())
    return made


def generic(name: str, upstream, **keys) -> dict:
    return config.route(name, upstream.url, protocol="generic", **keys)


@pytest.fixture
def routes(upstreams):
    return [config.hub(upstreams["hub"].url),
            generic("files", upstreams["files"], prefix="/files"),
            generic("deep", upstreams["deep"], prefix="/files/deep/er"),
            generic("own", upstreams["own"], hosts=["own.test"])]


@pytest.fixture
def cache(start_daemon, routes):
    return start_daemon(*routes)


def answer(cache, target: str, host: str = "cache.test") -> str:
    got = cache.get(target, [("Host", host)])
    assert got.status == 200, got.body
    return got.body.decode()


@pytest.mark.parametrize("target, said", [
    ("/files/a.txt", "files /a.txt"), ("/files/a/b?c=d%2fe", "files /a/b?c=d%2fe"),
    ("/files/", "files /"), ("/files", "files /"), ("/files?x", "files /?x"),
    ("/files/files/x", "files /files/x"), ("/files/a%2Fb", "files /a%2Fb"),
    ("/files/v2/", "files /v2/"), ("/files/deep/ER/x", "files /deep/ER/x"),
    ("/files/deep/er/x", "deep /x"), ("/files/deep/er", "deep /"),
    ("/files/deep/err/x", "files /deep/err/x")])
def test_the_longest_prefix_selects_and_is_taken_off(cache, target, said):
    assert answer(cache, target) == said


def test_the_host_goes_before_the_prefix_and_takes_the_path_whole(cache):
    assert answer(cache, "/files/a.txt", "own.test") == "own /files/a.txt"
    assert answer(cache, "/x", "OWN.test:5000") == "own /x"


def test_a_listener_goes_before_the_prefix(start_daemon, routes):
    shared, own = free_port(), free_port()
    daemon = start_daemon(*routes, port=shared,
                          listen=[{"address": f"127.0.0.1:{shared}"},
                                  {"address": f"127.0.0.1:{own}", "route": "own"}])
    assert answer(daemon, "/files/a.txt") == "files /a.txt"
    daemon.port = own
    assert answer(daemon, "/files/a.txt") == "own /files/a.txt"


def test_what_is_under_v2_stays_with_the_registries(cache, upstreams):
    manifest = small_manifest("hub")
    upstreams["hub"].put_manifest("library/files", "1", manifest)
    assert cache.get("/v2/library/files/manifests/1").body == manifest


@pytest.mark.parametrize("target", ["/", "/file", "/filesx/a", "/FILES/a", "/%66iles/a",
                                    "//files/a", "/x/files/a", "/files%2fa"])
def test_a_path_that_no_prefix_selects_is_404_with_what_is_served(cache, upstreams, target):
    got = cache.get(target)
    assert got.status == 404
    assert b"/files" in got.body and b"own.test" in got.body
    assert all(upstream.requests == [] for upstream in upstreams.values())


@pytest.mark.parametrize("target", [
    "/files/../x", "/files/..", "/files/%2e%2e/x", "/files/.%2E/x", "/files/a%2f..%2fb",
    "/files/%2e%2e%2fx", "/files/a/%5c..%5cb", "/files/a\\..\\b", "/files/%00", "/files/%"])
def test_dot_segments_in_every_encoding_are_refused(cache, upstreams, target):
    assert cache.get(target).status == 400
    assert all(upstream.requests == [] for upstream in upstreams.values())
