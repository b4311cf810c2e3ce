"""The admin listener: alive, ready, counters."""

import re

import pytest

from harness.images import random_bytes
from harness.net import until

pytestmark = pytest.mark.quick

DATA = random_bytes(100_000, "admin")


def test_alive_and_ready(cache):
    healthy = cache.admin("/healthz")
    assert (healthy.status, healthy.body.strip()) == (200, b"ok")
    assert cache.admin("/readyz").status == 200


def test_other_pages_are_404(cache):
    assert cache.admin("/").status == 404
    assert cache.admin("/v2/").status == 404


def test_admin_pages_are_not_on_the_public_listener(cache):
    for page in ("/metrics", "/healthz", "/readyz", "/api/v1/status"):
        assert cache.get(page).status == 404


def test_metrics_are_in_the_format_of_prometheus(cache):
    answer = cache.admin("/metrics")
    assert answer.header("Content-Type").startswith("text/plain")
    sample = re.compile(r'yantian_[a-z0-9_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? '
                        r'-?[0-9.e+]+')
    lines = answer.body.decode().splitlines()
    samples = [line for line in lines if line and not line.startswith("#")]
    assert samples and all(sample.fullmatch(line) for line in samples)
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    for line in samples:
        name = re.match(r"[a-z0-9_]+", line)[0]
        assert re.sub(r"_(bucket|sum|count)$", "", name) in typed or name in typed


def test_requests_are_counted(cache, faulty):
    """A miss, then hits: each in its own counter, and the upstream's one request too."""
    target = "/v2/library/admin/blobs/" + faulty.put_blob("library/admin", DATA)
    assert cache.get(target).body == DATA
    assert cache.metric("yantian_misses_total") == 1
    assert cache.metric("yantian_upstream_requests_total") == 1
    until(lambda: "hit" in cache.get(target).cache, 5, "a hit")
    before = cache.metric("yantian_hits_total")
    for _ in range(3):
        assert cache.get(target).body == DATA
    assert cache.metric("yantian_hits_total") == before + 3
    assert cache.metric("yantian_misses_total") == 1
    assert cache.metric("yantian_client_bytes_sent_total") >= 4 * len(DATA)


def test_counters_never_go_down(cache, faulty):
    target = "/v2/library/admin/blobs/" + faulty.put_blob("library/admin", DATA)
    before = counters(cache)
    assert cache.get(target).body == DATA
    after = counters(cache)
    totals = [key for key in before if "_total" in key]
    assert totals and all(after[key] >= before[key] for key in totals)


def counters(daemon) -> dict[str, float]:
    page = daemon.admin("/metrics").body.decode()
    return {key: float(value) for key, value in
            re.findall(r"^(yantian_\S+) ([0-9.e+-]+)$", page, re.M)}
