"""Kinds of images: by digest, for several architectures, of many layers, with zstd, attested."""

import pytest

from harness import config, images
from harness.clients import Skopeo
from harness.httpclient import ACCEPT_ALL, download
from harness.paths import sanitized

pytestmark = pytest.mark.full

KINDS = ["hello", "forty", "zstd", "multi", "attested"]


@pytest.fixture
def cache(start_daemon, registry, mirror_port):
    return start_daemon(config.hub(registry.url), port=mirror_port)


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_equals_the_upstreams(cache, registry, stock, kind):
    """Manifests with their types, children and blobs, named by digest; twice: miss and hit."""
    image = stock[kind]
    for _ in range(2):
        for manifest in image.manifests:
            answer = cache.get(f"/v2/{image.repository}/manifests/{manifest.digest}", [ACCEPT_ALL])
            assert (answer.status, answer.body) == (200, manifest.data)
            assert answer.header("Content-Type") == manifest.media_type
            assert answer.header("Docker-Content-Digest") == manifest.digest
        for blob in image.blobs:
            answer = cache.get(f"/v2/{image.repository}/blobs/{blob.digest}")
            assert (answer.status, answer.sha256) == (200, blob.digest)
    assert set(registry.blob_gets().values()) == {1}


@pytest.mark.parametrize("kind", KINDS)
def test_skopeo_copies_all_of_it(cache, tmp_path, stock, kind):
    """--all and --preserve-digests: skopeo verifies every digest of every child."""
    image = stock[kind]
    folder = Skopeo(tmp_path).copy(f"127.0.0.1:{cache.port}/docker.io/{image.repository}:"
                                   f"{image.tag}", "--all")
    assert (folder / "manifest.json").read_bytes() == image.top.data


def test_docker_pulls_a_tag_with_a_digest(dockerd, cache, stock):
    image = stock["hello"]
    name = f"busybox:{image.tag}@{image.digest}"
    dockerd.pull(name)
    assert dockerd.digest(f"busybox@{image.digest}") == image.digest


def test_ctr_pulls_a_tag_with_a_digest(containerd, cache, stock):
    image = stock["multi"]
    containerd.mirror("docker.io", cache.url)
    name = f"docker.io/{image.repository}:{image.tag}@{image.digest}"
    containerd.pull(name)
    assert containerd.digest(name) == image.digest


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_docker_pulls_each_architecture(dockerd, cache, stock, architecture):
    image = stock["multi"]
    name = f"multi:{image.tag}"
    dockerd.pull(name, "--platform", f"linux/{architecture}")
    shown = dockerd.docker("image", "inspect", "-f", "{{.Architecture}}", name).stdout.strip()
    assert shown == architecture
    assert dockerd.digest(name) == image.digest


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_ctr_pulls_each_architecture(containerd, cache, stock, architecture):
    image = stock["multi"]
    containerd.mirror("docker.io", cache.url)
    containerd.pull(f"docker.io/{image.repository}:{image.tag}", "--platform",
                    f"linux/{architecture}")
    held = containerd.ctr("content", "ls", "-q").stdout.split()
    assert image.children[architecture].digest in held


def test_docker_runs_the_image_of_forty_layers(dockerd, cache, registry, stock):
    image = stock["forty"]
    name = f"forty:{image.tag}"
    dockerd.pull(name)
    assert dockerd.digest(name) == image.digest
    assert dockerd.run(name) == image.prints
    assert registry.blob_gets() == {blob.digest: 1 for blob in image.blobs}


def test_docker_runs_an_attested_image(dockerd, cache, stock):
    image = stock["attested"]
    name = f"attested:{image.tag}"
    dockerd.pull(name)
    assert dockerd.digest(name) == image.digest
    assert dockerd.run(name) == image.prints


def test_ctr_runs_the_image_with_zstd_layers(containerd, cache, stock):
    image = stock["zstd"]
    containerd.mirror("docker.io", cache.url)
    name = f"docker.io/{image.repository}:{image.tag}"
    containerd.pull(name)
    assert containerd.digest(name) == image.digest
    assert containerd.run(name) == image.prints


@pytest.mark.timeout(300)
def test_docker_runs_the_image_with_a_layer_of_512_mib(dockerd, cache, registry):
    image = images.big()
    if not images.holds(registry.address, image):
        images.push(registry.address, image)
    name = f"big:{image.tag}"
    dockerd.pull(name, timeout=240)
    assert dockerd.digest(name) == image.digest
    assert dockerd.run(name) == image.prints
    assert set(registry.blob_gets().values()) == {1}

    registry.stop()
    layer = image.blobs[1]
    again = download(cache.address, f"/v2/{image.repository}/blobs/{layer.digest}")
    assert (again.complete, again.digest) == (True, layer.digest)
    if not sanitized():
        assert cache.resident_kib() < 64 * 1024, "the layer is held in memory"
