"""SIGTERM: what is in flight finishes, nothing new is taken, the exit code is 0."""

import signal
import time

import pytest

from harness import config
from harness.faulty import Gate
from harness.httpclient import Closed
from harness.images import random_bytes
from harness.net import accepts, until

pytestmark = pytest.mark.quick

DATA = random_bytes(1 << 20, "stop")


@pytest.fixture
def held(faulty):
    """A blob of which the upstream holds back the second half: (target, gate)."""
    gate = Gate()
    digest = faulty.put_blob("library/stop", DATA, hold_at=500_000, gate=gate)
    yield f"/v2/library/stop/blobs/{digest}", gate
    gate.open()


def test_an_answer_in_flight_finishes(cache, held):
    target, gate = held
    with cache.connect() as client:
        client.request("GET", target)
        client.read_head()
        begun = client.read_exactly(400_000)
        cache.process.signal(signal.SIGTERM)
        until(lambda: not accepts(cache.port), 5, "new connections to be refused")
        assert cache.process.running
        gate.open()
        assert begun + client.read_exactly(len(DATA) - 400_000) == DATA
    assert cache.process.wait(5) == 0
    cache.check_no_sanitizer_report()


def test_a_slow_client_finishes_too(cache, faulty):
    big = random_bytes(16 << 20, "slow at the end")
    digest = faulty.put_blob("library/stop", big)
    target = f"/v2/library/stop/blobs/{digest}"
    assert cache.get(target).body == big
    with cache.connect(receive_buffer=4096) as client:
        client.request("GET", target)
        client.read_head()
        cache.process.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert client.read_exactly(len(big)) == big
    assert cache.process.wait(5) == 0


def test_idle_connections_do_not_delay_the_end(cache):
    with cache.connect() as idle, cache.connect() as silent:
        assert idle.ask("GET", "/v2/").status == 200
        begin = time.monotonic()
        cache.stop()
        assert time.monotonic() - begin < 2
        assert idle.at_end() and silent.at_end()


def test_stop_timeout_is_the_longest_wait(start_daemon, faulty, held):
    target, _ = held
    daemon = start_daemon(config.hub(faulty.url), client={"stop_timeout": "1s"},
                          egress={"stall_timeout": "60s"})
    with daemon.connect() as client:
        client.request("GET", target)
        client.read_head()
        begin = time.monotonic()
        daemon.stop()
        assert 0.8 < time.monotonic() - begin < 4
        with pytest.raises(Closed):
            client.read_exactly(len(DATA))


def test_what_had_arrived_is_kept_for_the_next_start(start_daemon, faulty, held):
    target, gate = held
    daemon = start_daemon(config.hub(faulty.url), client={"stop_timeout": "500ms"})
    with daemon.connect() as client:
        client.request("GET", target)
        client.read_head()
        client.read_exactly(400_000)
        daemon.stop()
    gate.open()
    daemon.start()
    assert daemon.get(target).body == DATA
    assert faulty.seen("GET")[-1].status == 206


def test_sigint_is_the_same(cache):
    cache.process.signal(signal.SIGINT)
    assert cache.process.wait(5) == 0


def test_a_restart_answers_quickly_from_what_is_held(cache, faulty, held):
    target, gate = held
    gate.open()
    assert cache.get(target).body == DATA
    cache.stop()
    faulty.refuse()
    begin = time.monotonic()
    cache.start()
    assert time.monotonic() - begin < 2
    answer = cache.get(target)
    assert answer.body == DATA and "hit" in answer.cache
