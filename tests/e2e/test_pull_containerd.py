"""containerd's ctr through a hosts directory: requests carry `ns=`."""

import pytest

from harness import config

from scenario import hub_with_short_ttl, pull_twice_with_an_outage_between

pytestmark = pytest.mark.full


@pytest.fixture
def cache(start_daemon, registry, containerd):
    # No default route: a request that did not carry ns= would be 404.
    daemon = start_daemon({**hub_with_short_ttl(registry), "default": False})
    containerd.mirror("docker.io", daemon.url, "https://registry-1.docker.io")
    return daemon


def test_ctr_pulls_again_while_the_upstream_is_gone(containerd, cache, registry, stock):
    image = stock["hello"]
    pull_twice_with_an_outage_between(containerd, cache, registry, image,
                                      f"docker.io/{image.repository}:{image.tag}")


def test_ctr_pulls_a_namespace_that_is_not_docker_io(containerd, start_daemon, registry, stock):
    """Any registry can be mirrored, not only Docker Hub; nothing inserts library/ here."""
    image = stock["multi"]
    daemon = start_daemon(config.route("quay", registry.url, namespaces=["quay.test"]))
    containerd.mirror("quay.test", daemon.url)
    name = f"quay.test/{image.repository}:{image.tag}"
    containerd.pull(name)
    assert containerd.digest(name) == image.digest
    assert containerd.run(name) == image.prints
