"""A file host whose connections break again and again: the download is resumed for a while, with
growing pauses, before it is given up."""

import pytest

from harness.faulty import Reply

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
