"""Tarballs whose download breaks again and again: resumed for a while, then given up, and whole when
the upstream is sound again."""

import pytest

from harness.faulty import Reply
from harness.npm_packages import make_package
from harness.npm_shelf import becomes, completed, npm_route, stored_blobs

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
