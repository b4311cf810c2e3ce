"""apt through a generic route: a cold cache, a warm one, and a warm one without its upstream."""

import pytest

from harness import config
from harness.apt import Apt, Repository, build_package
from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.full


@pytest.fixture
def package(tmp_path):
    return build_package(tmp_path, "demo", random_bytes(300_000, "demo"))


def test_apt(start_daemon, faulty, package, tmp_path):
    Repository(faulty, package)
    daemon = start_daemon(config.route(
        "debian", faulty.url, protocol="generic", prefix="/debian", ttl="1s",
        immutable=["/pool/**", "/dists/**/by-hash/**"]))

    def install(name: str) -> bytes:
        apt = Apt(tmp_path / name, f"{daemon.url}/debian")
        apt.update()
        return apt.download("demo")

    assert install("cold") == package.read_bytes()
    until(lambda: daemon.stored_files() and not any("partial" in file for file in
                                                    daemon.stored_files()), 10, "the blob")
    cold = len(faulty.seen())
    assert install("warm") == package.read_bytes()
    assert len(faulty.seen(path_part="/pool/")) == 1
    assert len(faulty.seen(path_part="/by-hash/")) == 1
    assert len(faulty.seen()) - cold < cold, "what is held is at most validated"
    faulty.refuse()
    assert install("without-upstream") == package.read_bytes()
