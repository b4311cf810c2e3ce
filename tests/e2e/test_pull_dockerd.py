"""docker pull and docker run through `registry-mirrors`."""

import pytest

from scenario import hub_with_short_ttl, pull_twice_with_an_outage_between

pytestmark = pytest.mark.full


@pytest.fixture
def cache(start_daemon, registry, mirror_port):
    return start_daemon(hub_with_short_ttl(registry), port=mirror_port)


def test_docker_pulls_again_while_the_upstream_is_gone(dockerd, cache, registry, stock):
    image = stock["hello"]
    pull_twice_with_an_outage_between(dockerd, cache, registry, image,
                                      f"busybox:{image.tag}")


def test_a_pull_after_a_restart_needs_no_upstream(dockerd, cache, registry, stock):
    image = stock["multi"]
    name = f"multi:{image.tag}"
    dockerd.pull(name)
    cache.restart()
    registry.stop()
    dockerd.remove_all()
    dockerd.pull(name)
    assert dockerd.digest(name) == image.digest
    assert dockerd.run(name) == image.prints


def test_docker_pulls_by_the_caches_own_name(dockerd, cache, registry, stock):
    """`docker pull cache/docker.io/busybox`: the path names the namespace, library/ is missing."""
    image = stock["hello"]
    name = f"127.0.0.1:{cache.port}/docker.io/busybox:{image.tag}"
    dockerd.pull(name)
    assert dockerd.digest(name) == image.digest
    assert dockerd.run(name) == image.prints
