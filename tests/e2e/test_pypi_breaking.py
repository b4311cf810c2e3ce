"""What takes long on a PyPI route: file hosts whose connections break again and again (a download
is resumed for a while, with growing pauses, before it is given up), hangs, and huge pages."""

import pytest

from harness.faulty import Reply, hanging
from harness.httpclient import Crowd, download
from harness.paths import sanitized
from harness.pypi_index import ACCEPT_JSON, JSON_TYPE, long_page
from harness.pypi_pages import restored

pytestmark = pytest.mark.full

BREAKING = {
    "cut off": dict(stop_at=100_000, ranges=False),
    "cut off, then resumed": dict(stop_at=50_000),
    "reset": dict(stop_at=100_000, then="reset", ranges=False),
    "stalled": dict(stop_at=100_000, then="stall", ranges=False),
}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kind", BREAKING)
def test_a_file_that_breaks_is_whole_or_an_error(start_daemon, index, wheel, wheel_target, kind,
                                                 kept):
    daemon = start_daemon(index.route(cache=kept), egress={"stall_timeout": "500ms"},
                          client={"wait_timeout": "5s"})
    index.files.script(wheel.path, Reply(body=wheel.data, **BREAKING[kind]))
    assert daemon.completed(wheel_target) in (None, wheel.data)
    index.files.script(wheel.path, index.files.fallback)
    for _ in range(2):
        answer = daemon.get(wheel_target)
        assert (answer.status, answer.complete, answer.body) == (200, True, wheel.data)


def test_a_relay_of_a_hanging_upstream_ends(start_daemon, index, wheel_target):
    daemon = start_daemon(index.route(cache=False), egress={"response_timeout": "1s"})
    index.fail(hanging())
    for target in ("/pypi/simple/demo/", wheel_target):
        assert daemon.get(target, [ACCEPT_JSON]).status in (502, 503, 504)


@pytest.mark.skipif(sanitized(), reason="a sanitizer's memory says nothing")
@pytest.mark.parametrize("kept, clients", [(True, 20), (False, 4)])
def test_a_huge_page_costs_little_memory(start_daemon, index, wheel, kept, clients,
                                         record_property):
    """Forty megabytes, cold and warm."""
    body = long_page(index, "demo", 40_000_000)
    index.pages.script("/simple/demo/", Reply(headers={"Content-Type": JSON_TYPE}, body=body))
    daemon = start_daemon(index.route(cache=kept))
    assert daemon.get("/pypi/simple/absent/").status == 404
    before = daemon.resident_kib()
    for _ in range(2):
        got = Crowd(clients).run(lambda _: download(
            daemon.address, "/pypi/simple/demo/", [ACCEPT_JSON]))
        assert {(one.status, one.complete) for one in got} == {(200, True)}
        assert len({one.digest for one in got}) == 1
    more = (daemon.resident_kib("VmHWM") - before) / 1024
    assert more < 16, f"{more:.1f} MiB more"
    record_property("memory", f"a page of 40 MB, {clients} clients at once"
                    f"{'' if kept else ', cache: false'}: {more:.1f} MiB more resident")
    assert restored(daemon.get("/pypi/simple/demo/", [ACCEPT_JSON]).body) == body
