"""Pages and files of a PyPI route on a disk that is full, and through kill -9 at any moment."""

import os
import random
import time

import pytest

from harness.faulty import Gate, Reply
from harness.httpclient import Closed, digest_of, download
from harness.images import random_bytes
from harness.net import until
from harness.pypi_index import ACCEPT_HTML, ACCEPT_JSON, JSON_TYPE, long_page, make_wheel
from harness.pypi_pages import restored

pytestmark = pytest.mark.full

MIB = 1 << 20
KILLS = 5 if os.environ.get("CHECK") else 40


def test_pages_and_files_that_do_not_fit_are_relayed(start_daemon, index, tiny_disk):
    daemon = start_daemon(index.route(), storage={"path": str(tiny_disk / "storage"),
                                                  "max_size": "1GiB"})
    big = make_wheel("demo", data=random_bytes(40 * MIB, "big"))
    index.add("demo", big)
    page = long_page(index, "demo", 40 * MIB)
    index.pages.script("/simple/demo/", Reply(headers={"Content-Type": JSON_TYPE}, body=page))
    for _ in range(2):
        answer = daemon.get("/pypi/simple/demo/", [ACCEPT_JSON])
        assert answer.status == 200 and answer.complete and restored(answer.body) == page
        got = download(daemon.address, index.target("demo", big))
        assert (got.status, got.complete, got.digest) == (200, True, big.digest)


def test_pages_that_were_lost_on_disk_are_there_again(start_daemon, index):
    """An index row without its bytes must not answer 500 for ever."""
    index.sends_gzip = False
    wheels = [make_wheel("demo", f"1.{number}") for number in range(100)]
    index.add("demo", *wheels)
    daemon = start_daemon(index.route())
    first = daemon.completed("/pypi/simple/demo/", [ACCEPT_JSON])
    assert restored(first) == index.json_page("demo")

    def stored():
        files = daemon.stored_files()
        return len(files) == 2 and all(name.startswith("blobs/") for name in files) and files
    for wheel, lost in zip(wheels, until(stored, 5, "source and page as files")):
        daemon.stop()
        (daemon.storage / lost).unlink()
        daemon.start()
        assert daemon.completed("/pypi/simple/demo/", [ACCEPT_JSON]) == first
        assert daemon.completed(index.target("demo", wheel)) == wheel.data


def test_a_download_that_was_killed_after_its_last_byte(start_daemon, index, wheel, wheel_target):
    """Nothing is left to ask for: the upstream answers 416 to who does."""
    gate = Gate()
    index.files.script(wheel.path, Reply(body=wheel.data, hold_at=len(wheel.data) - 1, gate=gate))
    daemon = start_daemon(index.route())
    with daemon.connect() as client:
        client.request("GET", wheel_target)
        client.read_head()
        client.read_exactly(len(wheel.data) // 2)
        part = until(lambda: [file for file in daemon.storage.glob("partial/**/*")
                              if file.is_file() and file.stat().st_size == len(wheel.data) - 1],
                     5, "all but the last byte")[0]
        daemon.kill()
    with open(part, "ab") as opened:
        opened.write(wheel.data[-1:])
    gate.open()
    daemon.start()
    answer = daemon.get(wheel_target)
    assert (answer.status, answer.complete, answer.body) == (200, True, wheel.data)


class Torture:
    """Kills at random moments, then questions about everything that was asked for."""

    def __init__(self, daemon, index, seed: int):
        self.daemon = daemon
        self.index = index
        self.random = random.Random(seed)
        self.names: list[str] = []

    def new_project(self) -> str:
        """One more project, its page and its file of random sizes."""
        name = f"torture-{len(self.names)}"
        files = self.random.choice([1, 100])
        data = self.random.randbytes(self.random.choice([1000, 100_000, 2 * MIB]))
        self.index.add(name, *(make_wheel(name, f"1.{number}", data=b"" if number else data)
                               for number in range(files)))
        self.names.append(name)
        return name

    def targets(self, name: str) -> list[tuple[str, tuple, bytes]]:
        """What a client may ask of a project, and what it must get."""
        page, wheel = f"/pypi/simple/{name}/", self.index.projects[name].uploads[0]
        return [(page, ACCEPT_JSON, self.index.json_page(name)),
                (page, ACCEPT_HTML, self.index.html_page(name)),
                (self.index.target(name, wheel), ACCEPT_JSON, wheel.data)]

    def kill_during_fills(self):
        for target, accept, _ in self.targets(self.new_project()):
            self.daemon.connect().request("GET", target, [accept])
        time.sleep(self.random.uniform(0, 0.06))
        self.daemon.kill()

    def check(self, names):
        for name in names:
            for target, accept, expected in self.targets(name):
                try:
                    answer = self.daemon.get(target, [accept])
                except (Closed, ConnectionError):
                    answer = self.daemon.get(target, [accept])
                body = answer.body if "/files/" in target else restored(answer.body)
                assert (answer.status, answer.complete, body) == (200, True, expected), target


@pytest.mark.timeout(300)
def test_random_kills_never_spoil_a_byte(start_daemon, index, record_property):
    seed = int(os.environ.get("SEED", time.time()))
    record_property("kills", f"{KILLS} random kills on a PyPI route, SEED={seed}")
    print(f"SEED={seed}")
    daemon = start_daemon(index.route(), log={"level": "warn"})
    torture = Torture(daemon, index, seed)
    for _ in range(KILLS):
        torture.kill_during_fills()
        daemon.start()
        torture.check(torture.random.sample(torture.names, 1))
    torture.check(torture.names)
    for name in daemon.stored_files():
        if name.startswith("blobs/"):
            assert digest_of((daemon.storage / name).read_bytes()).endswith(name.split("/")[-1])
