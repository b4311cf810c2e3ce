"""The same bytes by several routes: one file on disk, and no permission by digest."""

import pytest

from harness import config
from harness.faulty import Reply
from harness.net import until

pytestmark = pytest.mark.quick


def test_the_same_bytes_through_three_protocols_are_one_file(start_daemon, index, wheel,
                                                             wheel_target, make_faulty):
    other = make_faulty()
    digest = other.put_blob("library/same", wheel.data)
    other.script("/dl/same.bin", Reply(headers={"ETag": '"1"', "Cache-Control": "max-age=600"},
                                       body=wheel.data))
    generic = config.route("dl", other.url, protocol="generic", prefix="/files")
    daemon = start_daemon(index.route(), config.hub(other.url), generic)
    assert digest == wheel.digest
    for path in (wheel_target, f"/v2/library/same/blobs/{digest}", "/files/dl/same.bin"):
        assert daemon.completed(path) == wheel.data
        assert daemon.completed(path) == wheel.data
    until(lambda: daemon.stored_files() == [f"blobs/sha256/{digest[7:9]}/{digest[7:]}"], 5,
          "one file on disk")


def test_the_same_bytes_of_two_indexes_are_one_file(start_daemon, make_index, wheel, wheel_target,
                                                    index):
    second = make_index()
    second.add("demo", wheel)
    daemon = start_daemon(index.route(), {**second.route(), "name": "second", "prefix": "/second"})
    assert daemon.completed(wheel_target) == wheel.data
    daemon.wait_stored(wheel.digest)
    assert daemon.completed(second.target("demo", wheel, "/second")) == wheel.data
    until(lambda: len(daemon.stored_files()) == 1, 5, "one file on disk")


def test_held_bytes_are_no_permission_elsewhere(start_daemon, index, wheel, wheel_target,
                                                make_faulty):
    """Their digest is known to the storage, but the other upstream has no such blob."""
    other = make_faulty()
    daemon = start_daemon(index.route(), config.hub(other.url))
    assert daemon.completed(wheel_target) == wheel.data
    daemon.wait_stored(wheel.digest)
    assert daemon.get(f"/v2/library/same/blobs/{wheel.digest}").status == 404
