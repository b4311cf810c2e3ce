"""skopeo and podman through a mirror in registries.conf: the namespace is in the path."""

import pytest

from harness.clients import Skopeo
from harness.httpclient import digest_of
from scenario import (check_stale_after_ttl, hub_with_short_ttl,
                      pull_twice_with_an_outage_between)

pytestmark = pytest.mark.full


@pytest.fixture
def cache(start_daemon, registry):
    return start_daemon(hub_with_short_ttl(registry))


@pytest.fixture
def mirrors(cache):
    return {"docker.io": f"127.0.0.1:{cache.port}/docker.io"}


def test_podman_pulls_again_while_the_upstream_is_gone(make_podman, mirrors, cache, registry,
                                                       stock):
    image = stock["hello"]
    pull_twice_with_an_outage_between(make_podman(mirrors), cache, registry, image,
                                      f"docker.io/{image.repository}:{image.tag}")


def copied(folder) -> dict[str, bytes]:
    """What skopeo wrote: digest → bytes, the manifest included."""
    files = [file for file in folder.iterdir() if file.name != "version"]
    return {digest_of(file.read_bytes()): file.read_bytes() for file in files}


def test_skopeo_copies_again_while_the_upstream_is_gone(tmp_path, mirrors, cache, registry, stock):
    image = stock["hello"]
    skopeo = Skopeo(tmp_path, mirrors)
    name = f"docker.io/{image.repository}:{image.tag}"
    expected = {blob.digest: blob.data for blob in [*image.blobs, *image.manifests]}
    assert copied(skopeo.copy(name)) == expected
    assert registry.blob_gets() == {blob.digest: 1 for blob in image.blobs}

    registry.stop()
    assert copied(skopeo.copy(name)) == expected
    check_stale_after_ttl(cache, image)


def test_skopeo_names_the_cache_itself(tmp_path, cache, stock):
    """No mirror entry: the image's name starts with the cache's address."""
    image = stock["attested"]
    name = f"127.0.0.1:{cache.port}/docker.io/{image.repository}:{image.tag}"
    assert Skopeo(tmp_path).raw_manifest(name).encode() == image.top.data
