"""The main job, the same for every client: pull, lose the upstream, pull again."""

import time

from harness import config
from harness.httpclient import ACCEPT_ALL
from harness.net import until


def pull_twice_with_an_outage_between(client, cache, upstream, image, name: str):
    """client pulls name, which is image, through cache from upstream; then upstream goes away."""
    client.pull(name)
    assert client.digest(name) == image.digest
    assert client.run(name) == image.prints
    fetched = upstream.blob_gets()
    assert fetched == {blob.digest: 1 for blob in image.blobs}

    upstream.stop()
    client.remove_all()
    begin = time.monotonic()
    client.pull(name)
    assert time.monotonic() - begin < 10, "the held image was not served at once"
    assert client.digest(name) == image.digest
    assert client.run(name) == image.prints
    check_stale_after_ttl(cache, image)


def check_stale_after_ttl(cache, image):
    """Once ttl is over and the upstream gone, the tag is still answered, and said to be stale."""
    target = f"/v2/{image.repository}/manifests/{image.tag}?ns=docker.io"

    def stale():
        answer = cache.get(target, [ACCEPT_ALL])
        assert answer.status == 200 and answer.body == image.top.data
        return int(answer.cache["ttl"]) < 0 and answer
    answer = until(stale, 10, "Cache-Status with a negative ttl", interval=0.2)
    assert "hit" in answer.cache
    assert answer.header("Docker-Content-Digest") == image.digest


def hub_with_short_ttl(upstream) -> dict:
    return config.hub(upstream.url, ttl="1s", stale_while_refreshing="1s", patience="500ms")
