"""HTTP on the wire: hostile requests, ranges, pipelining, limits, deadlines, crowds."""

import contextlib
import re
import socket
import time

import pytest

import hostile_requests
from harness import config
from harness.daemon import Daemon
from harness.faulty import Faulty, Gate
from harness.httpclient import Closed, Connection, request_bytes
from harness.images import random_bytes
from harness.net import until
from harness.paths import sanitized

quick = pytest.mark.quick
full = pytest.mark.full

DATA = random_bytes(1 << 20, "http")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for all the rows: none of them may harm it. Short deadlines."""
    upstream = Faulty().start()
    daemon = Daemon(tmp_path_factory.mktemp("http"), {
        "routes": [config.hub(upstream.url, ttl="1h")],
        "client": {"request_timeout": "2s", "idle_timeout": "60s"}}).start()
    daemon.digest = upstream.put_blob("library/http", DATA)
    daemon.blob = f"/v2/library/http/blobs/{daemon.digest}"
    assert daemon.get(daemon.blob).body == DATA
    yield daemon
    daemon.stop()
    upstream.stop()


# -- hostile requests -----------------------------------------------------------------------

def answers(daemon, data: bytes) -> tuple[list[int], bool]:
    """The statuses of all answers to these bytes, and whether the server closed."""
    statuses = []
    with daemon.connect(timeout=5) as client:
        with contextlib.suppress(ConnectionError):
            client.send(data)
        try:
            while True:
                statuses.append(client.response().status)
        except (Closed, ConnectionError):
            return statuses, True
        except TimeoutError:
            return statuses, False


def names(rows):
    return [row[0] for row in rows]


@quick
@pytest.mark.parametrize("name, data", hostile_requests.REJECTED,
                         ids=names(hostile_requests.REJECTED))
def test_a_malformed_request_gets_one_answer_and_the_end(shared, name, data):
    statuses, closed = answers(shared, data)
    assert len(statuses) == 1 and statuses[0] in (400, 413, 414, 431, 501, 505), statuses
    assert closed


@quick
@pytest.mark.parametrize("name, data", hostile_requests.REFUSED,
                         ids=names(hostile_requests.REFUSED))
def test_a_hostile_target_is_refused(shared, name, data):
    with shared.connect(timeout=5) as client:
        client.send(data)
        assert 400 <= client.response().status < 600


@quick
@pytest.mark.parametrize("name, data, count", hostile_requests.ACCEPTED,
                         ids=names(hostile_requests.ACCEPTED))
def test_an_odd_but_legal_request_is_answered(shared, name, data, count):
    with shared.connect(timeout=5) as client:
        client.send(data)
        assert [client.response().status for _ in range(count)] == [200] * count


@quick
def test_bytes_may_come_one_at_a_time(shared):
    with shared.connect(timeout=5) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request_bytes("GET", "/v2/", [("X", "y")]):
            client.send(bytes([byte]))
        assert client.response().status == 200


@quick
def test_oversized_fields_are_431(shared):
    assert shared.get("/v2/", [("X", "a" * 70_000)]).status == 431


@quick
def test_a_request_with_own_name_in_via_is_a_loop(shared):
    own = shared.get("/v2/").header("Via")
    assert shared.get("/v2/", [("Via", f"1.1 proxy, {own}")]).status == 508
    assert shared.get("/v2/", [("Via", "1.1 yantian-of-somebody-else")]).status == 200


# -- methods, expectations, connections -----------------------------------------------------

@quick
def test_head_has_the_fields_of_get_and_no_body(shared):
    with shared.connect() as client:
        head = client.ask("HEAD", shared.blob)
        got = client.ask("GET", shared.blob)
    assert head.status == 200 and head.length == len(DATA) == len(got.body)
    for name in ("Content-Type", "Docker-Content-Digest", "ETag", "Accept-Ranges"):
        assert head.header(name) == got.header(name)
    assert head.header("ETag") == f'"{shared.digest}"'


@quick
def test_answers_carry_what_is_promised(shared):
    answer = shared.get(shared.blob)
    assert "hit" in answer.cache and int(answer.cache.get("ttl", 1)) > 0
    assert int(answer.header("Age")) >= 0
    assert answer.header("Via").startswith("1.1 yantian-")
    assert answer.header("X-Request-Id")
    assert answer.header("X-Request-Id") != shared.get(shared.blob).header("X-Request-Id")
    assert answer.header("Date")


@quick
@pytest.mark.parametrize("form", ['"{}"', "{}", 'W/"{}"', '"other", "{}"', "*"])
def test_if_none_match_with_the_digest_is_304(shared, form):
    answer = shared.get(shared.blob, [("If-None-Match", form.format(shared.digest))])
    assert (answer.status, answer.body) == (304, b"")
    assert answer.header("ETag") == f'"{shared.digest}"'


@quick
def test_if_none_match_with_another_digest_is_200(shared):
    assert shared.get(shared.blob, [("If-None-Match", '"sha256:other"')]).status == 200


@quick
def test_pipelined_requests_are_answered_in_order(shared):
    ranges = [(number * 1000, number * 1000 + 99) for number in range(20)]
    with shared.connect() as client:
        client.send(b"".join(request_bytes("GET", shared.blob, [("Range", f"bytes={a}-{b}")])
                             for a, b in ranges))
        for first, last in ranges:
            assert client.response().body == DATA[first:last + 1]


@quick
def test_many_requests_use_one_connection(shared):
    with shared.connect() as client:
        for _ in range(200):
            assert client.ask("HEAD", shared.blob).status == 200


@quick
def test_connection_close_is_obeyed_and_said(shared):
    with shared.connect() as client:
        answer = client.ask("GET", shared.blob, [("Connection", "close")])
        assert answer.body == DATA
        assert answer.header("Connection").lower() == "close"
        assert client.at_end()


@quick
def test_http_1_0_closes_unless_told(shared):
    with shared.connect() as client:
        client.send(b"GET /v2/ HTTP/1.0\r\n\r\n")
        assert client.response().status == 200
        assert client.at_end()


@quick
def test_expect_100_is_answered_before_the_body(shared):
    with shared.connect(timeout=5) as client:
        client.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                    b"Expect: 100-continue\r\n\r\n")
        first = client.read_head()
        if first.status == 100:
            client.send(b"AAAAA")
            assert client.response().status == 200
        else:
            assert first.status == 200, "a final answer may come at once instead"


@quick
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(shared, method):
    with shared.connect() as client:
        assert client.ask(method, shared.blob).status in (405, 501)


# -- ranges ---------------------------------------------------------------------------------

SIZE = len(DATA)


@quick
@pytest.mark.parametrize("asked, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=1000-", 1000, SIZE - 1),
    ("bytes=-500", SIZE - 500, SIZE - 1), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
    (f"bytes=5-{SIZE + 1000}", 5, SIZE - 1), (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
    (f"bytes=5-{2**80}", 5, SIZE - 1), ("Bytes=0-4", 0, 4), ("bytes=0-4,", 0, 4)])
def test_a_single_range(shared, asked, first, last):
    answer = shared.get(shared.blob, [("Range", asked)])
    assert answer.status == 206
    assert answer.header("Content-Range") == f"bytes {first}-{last}/{SIZE}"
    assert answer.body == DATA[first:last + 1]


@quick
@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0",
                                   f"bytes={2**80}-"])
def test_a_range_that_cannot_be_satisfied(shared, asked):
    answer = shared.get(shared.blob, [("Range", asked)])
    assert answer.status == 416
    assert answer.header("Content-Range") == f"bytes */{SIZE}"


@quick
@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "bytes 0-1",
                                   "lines=0-1", "bytes=0-1,x", "bytes=1", "bytes=--5",
                                   "bytes=0x1-5", "bytes=+1-5"])
def test_a_range_that_is_none_is_ignored_or_refused(shared, asked):
    """RFC 9110: an invalid Range is ignored; 416 and 400 are lawful for a malformed one too."""
    answer = shared.get(shared.blob, [("Range", asked)])
    assert answer.status in (200, 400, 416)
    if answer.status == 200:
        assert answer.body == DATA


@quick
@pytest.mark.parametrize("validator, status", [
    ('"{}"', 206), ('W/"{}"', 200), ('"sha256:other"', 200),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 200)])
def test_if_range_compares_strongly(shared, validator, status):
    answer = shared.get(shared.blob, [("Range", "bytes=0-9"),
                                      ("If-Range", validator.format(shared.digest))])
    assert answer.status == status
    assert answer.body == (DATA[:10] if status == 206 else DATA)


@quick
def test_a_range_with_head_is_ignored(shared):
    answer = shared.head(shared.blob, [("Range", "bytes=0-9")])
    assert (answer.status, answer.length) == (200, SIZE)


def parts_of(answer) -> list[tuple[int, int, bytes]]:
    """(first, last, bytes) of each part of a multipart/byteranges body."""
    boundary = re.fullmatch(r"multipart/byteranges; *boundary=([A-Za-z0-9'_]+)",
                            answer.header("Content-Type"))[1].encode()
    pieces = (b"\r\n" + answer.body).split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1].strip() == b"--"
    parts = []
    for piece in pieces[1:-1]:
        head, body = piece.split(b"\r\n\r\n", 1)
        found = re.search(rb"Content-Range: bytes (\d+)-(\d+)/(\d+)", head, re.I)
        assert int(found[3]) == SIZE
        parts.append((int(found[1]), int(found[2]), body))
    return parts


@quick
@pytest.mark.parametrize("ranges", [
    [(0, 9), (100, 109)], [(100, 109), (0, 9)], [(0, 99), (50, 149)], [(0, 9), (0, 9)],
    [(n * 1000, n * 1000 + 99) for n in range(1024)]],
    ids=["in order", "backwards", "overlapping", "twice the same", "1024 ranges"])
def test_many_ranges_get_one_part_each_in_order(shared, ranges):
    asked = "bytes=" + ",".join(f"{first}-{last}" for first, last in ranges)
    answer = shared.get(shared.blob, [("Range", asked)])
    assert answer.status == 206
    assert answer.length == len(answer.body)
    assert parts_of(answer) == [(first, last, DATA[first:last + 1]) for first, last in ranges]


@quick
def test_ranges_that_multiply_the_body_are_not_an_amplifier(shared):
    """1024 times the whole body would be 1 GiB for one request: 200, 400 or 416 instead."""
    answer = shared.get(shared.blob, [("Range", "bytes=" + ",".join(["0-"] * 1024))])
    assert answer.status in (200, 206, 400, 416)
    assert len(answer.body) <= 2 * SIZE


@quick
def test_what_cannot_be_satisfied_among_many_is_left_out(shared):
    answer = shared.get(shared.blob, [("Range", f"bytes=0-4,{SIZE}-,10-14")])
    assert parts_of(answer) == [(0, 4, DATA[:5]), (10, 14, DATA[10:15])]


# -- deadlines ------------------------------------------------------------------------------

@quick
def test_a_slow_writer_is_dropped_at_the_deadline(shared):
    """A head that trickles in has request_timeout in all, not for each byte."""
    begin = time.monotonic()
    with shared.connect(timeout=10) as slow:
        try:
            for byte in request_bytes("GET", "/v2/", [("X", "y" * 200)]):
                slow.send(bytes([byte]))
                time.sleep(0.1)
                assert shared.get("/v2/").status == 200
                assert time.monotonic() - begin < 8, "still not dropped"
        except ConnectionError:
            pass
    assert time.monotonic() - begin > 1.5


@quick
def test_a_connection_without_a_request_is_dropped(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url), client={"idle_timeout": "1s",
                                                          "request_timeout": "1s"})
    with daemon.connect() as silent, daemon.connect() as idle:
        assert idle.ask("GET", "/v2/").status == 200
        for client in (silent, idle):
            assert client.at_end(timeout=5)


@full
def test_a_slow_reader_is_dropped_while_others_are_served(start_daemon, faulty):
    big = random_bytes(32 << 20, "slow reader")
    digest = faulty.put_blob("library/http", big)
    target = f"/v2/library/http/blobs/{digest}"
    daemon = start_daemon(config.hub(faulty.url), client={"send_timeout": "1s"})
    assert daemon.get(target).sha256 == digest
    before = daemon.open_descriptors()
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(daemon.connect(receive_buffer=4096)) for _ in range(16)]
        for client in slow:
            client.request("GET", target)
        until(lambda: daemon.open_descriptors() >= before + len(slow), 5, "all to be connected")
        assert daemon.get(target).sha256 == digest, "another client is not served"
        until(lambda: daemon.open_descriptors() <= before, 10, "the slow readers to be dropped")
        assert daemon.get(target).sha256 == digest


@quick
def test_idle_costs_little_memory(start_daemon, faulty, record_property):
    """After its start and one answer."""
    daemon = start_daemon(config.hub(faulty.url))
    assert daemon.get("/v2/").status == 200
    record_property("memory", f"idle: {daemon.resident_kib()} KiB")
    if not sanitized():
        assert daemon.resident_kib() < 10 * 1024


@full
@pytest.mark.parametrize("kind", ["hit", "miss"])
def test_slow_clients_cost_little_memory(start_daemon, faulty, kind, record_property):
    """64 of them on a big body: bytes wait in the file, not in the daemon."""
    big = random_bytes(128 << 20, "memory")
    digest = faulty.put_blob("library/http", big)
    target = f"/v2/library/http/blobs/{digest}"
    daemon = start_daemon(config.hub(faulty.url), log={"level": "info"})
    assert daemon.get("/v2/").status == 200
    if kind == "hit":
        assert daemon.get(target).sha256 == digest
    before = daemon.resident_kib()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            slow = stack.enter_context(daemon.connect(receive_buffer=4096))
            slow.request("GET", target)
            slow.read_head()
            slow.read_exactly(10_000)
        daemon.wait_stored(digest, timeout=30)
        after = daemon.resident_kib()
    record_property("memory", f"64 slow clients on a {kind}: {before} KiB before, {after} KiB "
                              f"with them")
    if not sanitized():
        assert after - before < 8 * 1024


@full
def test_a_reader_that_is_slow_but_takes_its_bytes_is_not_dropped(start_daemon, faulty):
    big = random_bytes(4 << 20, "steady reader")
    digest = faulty.put_blob("library/http", big)
    daemon = start_daemon(config.hub(faulty.url), client={"send_timeout": "1s"})
    with daemon.connect(receive_buffer=65536) as client:
        client.request("GET", f"/v2/library/http/blobs/{digest}")
        client.read_head()
        body = b""
        while len(body) < len(big):
            body += client.read_exactly(min(128 << 10, len(big) - len(body)))
            time.sleep(0.1)
    assert body == big


@quick
def test_a_client_that_waits_for_an_answer_is_told_503_in_time(start_daemon, faulty):
    faulty.fallback = faulty.blob_reply(DATA, head_delay=3600)
    daemon = start_daemon(config.hub(faulty.url), client={"wait_timeout": "1s"},
                          egress={"response_timeout": "30s"})
    begin = time.monotonic()
    answer = daemon.get("/v2/library/http/manifests/1")
    assert answer.status == 503
    assert 0.8 < time.monotonic() - begin < 3


# -- clients that leave, and crowds ---------------------------------------------------------

@quick
def test_a_client_that_leaves_frees_its_connection(start_daemon, faulty):
    gate = Gate()
    digest = faulty.put_blob("library/http", DATA, hold_at=1000, gate=gate)
    daemon = start_daemon(config.hub(faulty.url))
    before = daemon.open_descriptors()
    gone = [daemon.connect() for _ in range(20)]
    for number, client in enumerate(gone):
        client.request("GET", f"/v2/library/http/blobs/{digest}")
        client.read_head()
        client.close() if number % 2 else client.reset()
    until(lambda: daemon.open_descriptors() <= before + 6, 5, "the connections to be closed")
    gate.open()
    assert daemon.get(f"/v2/library/http/blobs/{digest}").body == DATA


@quick
def test_connections_beyond_the_limit_do_not_harm_the_others(start_daemon, faulty):
    daemon = start_daemon(config.hub(faulty.url), client={"max_connections": 50})
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(daemon.connect(timeout=2)) for _ in range(50)]
        # Until each has an answer, some may wait to be accepted and count for nothing yet.
        assert all(client.ask("GET", "/v2/").status == 200 for client in held)
        surplus = [stack.enter_context(daemon.connect(timeout=1)) for _ in range(20)]
        for client in surplus:
            with contextlib.suppress(ConnectionError, Closed, TimeoutError):
                assert client.ask("GET", "/v2/").status == 503
        assert all(client.ask("GET", "/v2/").status == 200 for client in held)
    until(lambda: daemon.get("/v2/").status == 200, 5, "a place to be free again")


@full
@pytest.mark.timeout(120)
def test_ten_thousand_idle_connections(start_daemon, faulty, record_property):
    digest = faulty.put_blob("library/http", DATA)
    daemon = start_daemon(config.hub(faulty.url), log={"level": "info"},
                          client={"idle_timeout": "5m"})
    target = f"/v2/library/http/blobs/{digest}"
    assert daemon.get(target).body == DATA
    before = daemon.resident_kib()
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(10_000):
            idle.append(stack.enter_context(Connection(daemon.address, timeout=10)))
        for client in idle:
            client.request("GET", "/v2/")
        assert all(client.response().status == 200 for client in idle)
        after = daemon.resident_kib()
        assert daemon.get(target).body == DATA
        assert all(client.ask("GET", "/v2/").status == 200 for client in idle[::500])
    each = (after - before) * 1024 / len(idle)
    record_property("memory", f"10,000 idle connections: {before} KiB before, {after} KiB with "
                              f"them, {each:.0f} bytes each")
    if not sanitized():
        assert each <= 1024, "more than 1 KiB for each idle connection"
    until(lambda: daemon.open_descriptors() < 100, 10, "the connections to be closed")
