"""An emulated long link between the caches and their upstream (link.c), and the way without a cache."""

from contextlib import contextmanager
from pathlib import Path

import proc
from harness.net import accepts, free_port
from harness.paths import BUILD
from harness.process import Process

DELAY_MS = 10                   # one way; a round trip takes twice that
START_SECONDS = 5


class Link:
    """Stands for the upstream, as far as a cache needs to know one."""

    def __init__(self, folder: Path, upstream, bytes_per_second: float):
        self.port = free_port()
        argv = [BUILD / "bench" / "link", self.port, upstream.port, f"{bytes_per_second:.0f}",
                DELAY_MS]
        folder.mkdir(parents=True, exist_ok=True)
        self.process = Process("link", argv, folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def open_link(folder: Path, upstream, bytes_per_second: float):
    link = Link(folder, upstream, bytes_per_second)
    link.process.start()
    link.process.wait_ready(lambda: accepts(link.port), START_SECONDS)
    try:
        yield link
    finally:
        link.process.kill()


class Direct:
    """The way to the upstream without a cache; takes part like a server."""
    name = "direct"

    def __init__(self, upstream):
        self.port = upstream.port
        self.process = upstream.process

    def cpu_seconds(self) -> float:
        return proc.cpu_seconds(proc.tree(self.process.pid))
