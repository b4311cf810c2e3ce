#!/usr/bin/env python3
"""The main job on a machine with no way out: pull through the cache, kill the upstream, pull again.

Run by `make demo`. The script starts itself anew in a network namespace of its own, where only
loopback is up: what it shows cannot come from anywhere else. It needs root.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import config, images                      # noqa: E402
from harness.clients import Dockerd, Skopeo             # noqa: E402
from harness.daemon import Daemon                       # noqa: E402
from harness.httpclient import ACCEPT_ALL, digest_of    # noqa: E402
from harness.net import until                           # noqa: E402
from harness.registry import Registry                   # noqa: E402

INSIDE = "YANTIAN_DEMO_INSIDE"


def say(text: str):
    print(f"  {text}", flush=True)


def step(title: str):
    print(f"\n== {title}", flush=True)


def enter_namespace():
    """Replace this process by the same script without any network but loopback."""
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--", sys.executable, __file__])


def check(truth: bool, text: str):
    if not truth:
        raise SystemExit(f"FAILED: {text}")
    say(f"yes: {text}")


def no_way_out():
    step("No way out of this machine")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    links = subprocess.run(["ip", "-brief", "link"], check=True, capture_output=True, text=True)
    check([line.split()[0] for line in links.stdout.splitlines()] == ["lo"],
          "loopback is the only network there is")


def start_upstream(folder: Path, image) -> Registry:
    step("An upstream: the reference registry, and an image made on the spot")
    registry = Registry(folder / "upstream", folder / "upstream-storage").start()
    images.push(registry.address, image)
    say(f"{image.repository}:{image.tag} is {image.digest}")
    return registry


def start_cache(folder: Path, registry: Registry) -> Daemon:
    step("The cache")
    daemon = Daemon(folder / "cache", {"routes": [
        config.hub(registry.url, ttl="2s", stale_while_refreshing="0s", patience="500ms")]})
    daemon.start()
    say(f"Yantian serves docker.io at {daemon.url}; its upstream is {registry.url}")
    return daemon


def pull_with_skopeo(folder: Path, cache: Daemon, image):
    skopeo = Skopeo(folder, {"docker.io": f"127.0.0.1:{cache.port}/docker.io"})
    begin = time.monotonic()
    target = skopeo.copy(f"docker.io/{image.repository}:{image.tag}")
    seconds = time.monotonic() - begin
    check(digest_of((target / "manifest.json").read_bytes()) == image.digest,
          f"skopeo got exactly this image through the cache, in {seconds * 1000:.0f} ms")


def pull_with_docker(dockerd: Dockerd, image):
    name = f"busybox:{image.tag}"
    dockerd.remove_all()
    dockerd.pull(name)
    check(dockerd.digest(name) == image.digest, f"docker pull {name} got exactly this image")
    check(dockerd.run(name) == image.prints, f"docker run {name} printed {image.prints!r}")


def kill_upstream(registry: Registry, cache: Daemon, image):
    step("The upstream dies")
    fetched = registry.blob_gets()
    check(fetched == {blob.digest: 1 for blob in image.blobs},
          "so far the upstream was asked for each blob exactly once")
    registry.stop()
    say("the registry was killed; what follows comes from the cache alone")
    target = f"/v2/{image.repository}/manifests/{image.tag}"
    stale = until(lambda: int((answer := cache.get(target, [ACCEPT_ALL])).cache["ttl"]) < 0
                  and answer, 15, "the tag to be stale", interval=0.2)
    say(f"the tag is past its time to live; the cache says so: {stale.header('Cache-Status')}")


def main():
    if INSIDE not in os.environ:
        enter_namespace()
    no_way_out()
    image = images.hello(greeting="hello from a machine with no way out")
    # A short path: it holds Unix sockets, and their names have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="yantian-demo-", ignore_cleanup_errors=True) as name:
        run_in(Path(name), image)
    print("\nDEMO PASSED: pulled through the cache, upstream killed, pulled again, byte for byte")


def run_in(folder: Path, image):
    (folder / "docker").mkdir()
    registry = start_upstream(folder, image)
    cache = start_cache(folder, registry)
    dockerd = Dockerd(folder / "docker", cache.url, network=False).start()
    try:
        step("Pulled through the cache")
        pull_with_skopeo(folder, cache, image)
        pull_with_docker(dockerd, image)
        kill_upstream(registry, cache, image)
        step("Pulled again")
        pull_with_skopeo(folder, cache, image)
        pull_with_docker(dockerd, image)
    finally:
        dockerd.stop()
        registry.stop()
        if cache.process.running:
            cache.stop()


if __name__ == "__main__":
    main()
