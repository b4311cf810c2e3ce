"""What takes its time: downloads that break again and again, an upstream that says nothing, and how
all is well again when the upstream is."""

import time

import pytest

from harness.faulty import Reply, hanging
from harness.npm_packages import ACCEPT_ABBREVIATED, make_package
from harness.npm_shelf import (becomes, completed, document_of, error_of, npm_error, npm_route,
                               stored_blobs)

pytestmark = pytest.mark.full

TARGET = "/npm/left/-/left-1.0.0.tgz"
PACKAGE = make_package("left", size=100_000)
BREAKING = {
    "cut off before the last byte": dict(stop_at=len(PACKAGE.data) - 1, ranges=False),
    "reset": dict(stop_at=1000, then="reset", ranges=False),
    "stalled": dict(stop_at=1000, then="stall", ranges=False),
}


@pytest.mark.parametrize("kind", BREAKING)
def test_a_tarball_that_breaks_again_and_again(start_daemon, shelf, kind):
    daemon = start_daemon(npm_route(shelf.url, ttl="1s", patience="500ms", negative_ttl="0s"),
                          egress={"stall_timeout": "500ms"}, client={"wait_timeout": "5s"})
    # Proven by the weaker hash, as old packages are.
    package = PACKAGE.saying(integrity=None)
    shelf.put(package)
    shelf.put_tarball(package, Reply(body=package.data, **BREAKING[kind]))
    assert completed(daemon, TARGET) in (None, package.data)
    assert stored_blobs(daemon) <= {package.digest}
    shelf.put(package)
    becomes(daemon, TARGET, lambda body: body == package.data)


def test_an_upstream_that_says_nothing(start_daemon, shelf):
    """503 in bounded time, whatever is asked for."""
    daemon = start_daemon(npm_route(shelf.url), egress={"response_timeout": "1s"},
                          client={"wait_timeout": "2s"})
    shelf.upstream.fallback = hanging()
    for target in ("/npm/left", TARGET, "/npm/-/v1/search?text=left", "/npm/-/npm/v1/keys"):
        begin = time.monotonic()
        answer = daemon.get(target, [ACCEPT_ABBREVIATED])
        assert time.monotonic() - begin < 4
        assert answer.status == 503, target
        assert error_of(answer) and answer.header("Retry-After") is not None


def test_the_cache_recovers(start_daemon, shelf):
    daemon = start_daemon(npm_route(shelf.url))
    shelf.upstream.fallback = npm_error(503, "maintenance")
    for _ in range(4):
        assert daemon.get(TARGET).status == 503
    shelf.put(PACKAGE)
    becomes(daemon, TARGET, lambda body: body == PACKAGE.data)
    assert document_of(daemon.get("/npm/left", [ACCEPT_ABBREVIATED]))["name"] == "left"
