"""The container image: built by a real dockerd without any way out, and serving a pull."""

import pytest

from harness import config
from harness.basetree import import_base, source_tree
from harness.daemon import Daemon
from harness.httpclient import Closed, fetch
from harness.net import free_port, until
from harness.paths import ROOT

pytestmark = pytest.mark.full

BASE, IMAGE = "yantian-test-base:1", "yantian-test:1"


@pytest.fixture(scope="module")
def built(_dockerd, tmp_path_factory):
    """dockerd with the image built from docker/Dockerfile."""
    folder, dockerfile = tmp_path_factory.mktemp("image"), ROOT / "docker" / "Dockerfile"
    import_base(_dockerd.docker, folder, dockerfile, BASE)
    _dockerd.docker("build", "--network", "none", "--build-arg", f"BASE={BASE}", "-t", IMAGE,
                    "-f", dockerfile, source_tree(folder, ROOT), timeout=400)
    yield _dockerd
    _dockerd.remove_all()


@pytest.fixture
def settings(tmp_path, registry):
    """A configuration for the daemon in the container; it shares the host's network."""
    daemon = Daemon(tmp_path / "config", {
        "storage": {"path": "/var/lib/yantian"},
        "routes": [config.hub(registry.url)]})
    daemon.folder.chmod(0o755)
    return daemon


def inspect(docker, what: str) -> str:
    return docker("image", "inspect", "-f", what, IMAGE).stdout.strip()


@pytest.mark.timeout(500)
def test_the_image_is_built_and_serves_a_pull(built, settings, stock):
    docker, image = built.docker, stock["hello"]
    assert inspect(docker, "{{.Config.User}}") not in ("", "root", "0"), "runs as root"
    assert inspect(docker, "{{json .Config.Healthcheck}}") != "null"

    container = docker("run", "-d", "--network", "host", "--read-only",
                       "--mount", "type=volume,dst=/var/lib/yantian",
                       "-v", f"{settings.config_file}:/etc/yantian/yantian.yaml:ro",
                       IMAGE).stdout.strip()
    try:
        until(settings.is_ready, 20, "the container to be ready")
        name = f"127.0.0.1:{settings.port}/docker.io/{image.repository}:{image.tag}"
        built.pull(name)
        assert built.digest(name) == image.digest
        assert built.run(name) == image.prints
        docker("stop", "-t", "20", container)
        code = docker("inspect", "-f", "{{.State.ExitCode}}", container).stdout.strip()
        assert code == "0", docker("logs", container).stderr
    finally:
        docker("rm", "-f", "-v", container)


@pytest.mark.timeout(500)
def test_the_shipped_configuration_runs_in_the_image(built):
    """Without any file mounted: the image's own configuration, on the bridge network."""
    docker, port = built.docker, free_port()
    container = docker("run", "-d", "-p", f"127.0.0.1:{port}:5000", "--health-interval", "1s",
                       IMAGE).stdout.strip()
    try:
        until(lambda: answers(port), 20, "the published port to answer")
        until(lambda: docker("inspect", "-f", "{{.State.Health.Status}}",
                             container).stdout.strip() == "healthy", 60,
              "the health check to pass", interval=0.5)
    finally:
        docker("rm", "-f", "-v", container)


def answers(port: int) -> bool:
    """dockerd's proxy accepts and closes as long as nobody listens in the container."""
    try:
        return fetch(("127.0.0.1", port), "GET", "/v2/", timeout=2).status == 200
    except (OSError, Closed):
        return False
