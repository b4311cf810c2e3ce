"""A packument of 40 MB: 20 clients at once cost the daemon next to nothing."""

import gzip
import json
import re
import threading
import time
from pathlib import Path

import pytest

from harness.faulty import Reply
from harness.httpclient import Crowd, digest_of, download
from harness.net import until
from harness.npm_packages import ACCEPT_FULL, FULL, make_package
from harness.npm_shelf import json_reply, npm_route, tarball_reply
from harness.paths import sanitized

pytestmark = pytest.mark.full

SIZE = 40 << 20
CLIENTS = 20
ALLOWED = 16 << 10  # KiB
HOST = ("Host", "cache.test")


class Memory:
    """What a process takes, watched while something runs."""

    def __init__(self, pid: int):
        self._folder = Path(f"/proc/{pid}")
        self._stop = threading.Event()

    def _field(self, name: str) -> int:
        return int(re.search(rf"{name}:\s+(\d+) kB", (self._folder / "status").read_text())[1])

    def __enter__(self):
        (self._folder / "clear_refs").write_text("5")   # VmHWM begins anew
        self._rss, self._anon = self._field("VmRSS"), self._field("RssAnon")
        self._most_anon = self._anon
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self):
        while not self._stop.wait(0.02):
            self._most_anon = max(self._most_anon, self._field("RssAnon"))

    def __exit__(self, *_):
        self._stop.set()
        self._watch.join()
        self.peak = self._field("VmHWM") - self._rss
        self.anon = self._most_anon - self._anon


def huge_packument(base: str, *others) -> str:
    """A package with a version a day for many years, as nightly builds are; and others."""
    template = json.dumps({**make_package("huge", "@VERSION@").described(base),
                           "description": "d" * 600, "scripts": {"build": "b" * 900}})
    count = SIZE // len(template) + 1
    versions = [f'"1.0.{number}": {template.replace("@VERSION@", f"1.0.{number}")}'
                for number in range(count)]
    versions += [f'"{package.version}": {json.dumps(package.described(base))}'
                 for package in others]
    return f'{{"name": "huge", "dist-tags": {{"latest": "1.0.{count - 1}"}}, ' \
           f'"versions": {{{", ".join(versions)}}}, "readme": ""}}'


def fetch_at_once(daemon, *headers) -> tuple[int, str]:
    """20 clients; size and digest of what all of them got."""
    got = Crowd(CLIENTS).run(lambda _: download(
        daemon.address, "/npm/huge", [HOST, ACCEPT_FULL, *headers], timeout=120), timeout=150)
    assert {(answer.status, answer.complete) for answer in got} == {(200, True)}
    assert len({(answer.size, answer.digest) for answer in got}) == 1
    return got[0].size, got[0].digest


@pytest.mark.parametrize("coding", ["plain upstream", "upstream with gzip"])
def test_40_megabytes_for_20_clients(start_daemon, shelf, record_property, coding):
    text = huge_packument(shelf.url)
    body = text.encode()
    assert len(body) >= SIZE
    headers = {"Content-Type": FULL, "ETag": '"huge"'}
    if "gzip" in coding:
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    shelf.put_raw("huge", Reply(headers=headers, body=body, ranges=False))
    shelf.put_raw("small", json_reply({"name": "small", "versions": {}}))
    daemon = start_daemon(npm_route(shelf.url, ttl="1h"))
    daemon.get("/npm/small", [HOST, ACCEPT_FULL])

    figures = {}
    runs = {"cold": [], "warm": [], "cold, gzip": [("Accept-Encoding", "gzip")],
            "warm, gzip": [("Accept-Encoding", "gzip")]}
    for name, more in runs.items():
        begin = time.monotonic()
        with Memory(daemon.process.pid) as memory:
            figures[name] = (fetch_at_once(daemon, *more), memory)
        if not sanitized():
            record_property("memory", f"40 MB packument, {coding}, {CLIENTS} clients, {name}: peak "
                            f"+{memory.peak} KiB, anonymous +{memory.anon} KiB, "
                            f"{time.monotonic() - begin:.1f} s")
    assert len(shelf.asked("huge").packuments) == 1
    assert figures["cold"][0] == figures["warm"][0]
    assert figures["cold, gzip"][0] == figures["warm, gzip"][0]

    plain = daemon.get("/npm/huge", [HOST, ACCEPT_FULL], timeout=60)
    assert digest_of(plain.body) == figures["cold"][0][1]
    assert json.loads(plain.body) == json.loads(text.replace(shelf.url, "http://cache.test/npm"))
    coded = daemon.get("/npm/huge", [HOST, ACCEPT_FULL, ("Accept-Encoding", "gzip")], timeout=60)
    assert gzip.decompress(coded.body) == plain.body
    if not sanitized():
        for name, (_, memory) in figures.items():
            assert memory.peak < ALLOWED and memory.anon < ALLOWED, name


def test_a_tarball_behind_a_huge_packument(start_daemon, shelf):
    """Its hash is found while the packument streams by."""
    package = make_package("huge", "2.0.0", size=100_000)
    text = huge_packument(shelf.url, package)
    shelf.put_raw("huge", Reply(headers={"Content-Type": FULL}, body=text.encode(), ranges=False))
    shelf.put_tarball(package, tarball_reply(package.data))
    daemon = start_daemon(npm_route(shelf.url, ttl="1h"))
    for _ in range(2):
        answer = daemon.get(f"/npm{package.tarball_path}", timeout=60)
        assert (answer.status, answer.body) == (200, package.data)
        until(lambda: daemon.blob_file(package.digest).exists(), 10, "the tarball on disk")
    assert len(shelf.asked("huge").packuments) == 1
