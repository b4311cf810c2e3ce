"""What all servers under test have in common; the programs themselves are in servers.py."""

import shutil
from pathlib import Path

import proc
from harness.net import accepts, free_port
from harness.paths import BUILD
from harness.process import Process
from objects import Object

START_SECONDS = 15
STOP_SECONDS = 45
HEAD_BYTES = 64 << 10           # no stored head is longer


class Server:
    """One program; a subclass says how it is started."""
    name: str
    memory_counts = False       # does a start lose what makes it fast?

    def __init__(self, folder: Path, argv: list):
        self.process = Process(self.name, argv, folder)

    def start(self) -> "Server":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), START_SECONDS)
        return self

    def stop(self):
        if self.process.running:
            self.process.stop(STOP_SECONDS)

    def pids(self) -> list[int]:
        return proc.tree(self.process.pid)

    def cpu_seconds(self) -> float:
        return proc.cpu_seconds(self.pids())

    def memory(self) -> proc.Memory:
        return proc.memory(self.pids())

    def written_bytes(self) -> int:
        return proc.written_bytes(self.pids())


class Raw(Server):
    """The limit: a fixed answer and nothing else. It serves one object, whatever is asked. With an
    access log it writes a fixed line for each answer."""
    name = "raw"

    def __init__(self, folder: Path, thing: Object, access_log: bool = False):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        head = folder / "head"
        head.write_bytes(self.head(thing))
        log = ["-l", folder / "access.log"] if access_log else []
        super().__init__(folder, [BUILD / "bench" / "raw", *log, self.port, head, thing.path])

    def body_files(self, thing: Object) -> list[Path]:
        """Where it has a big body on the disk."""
        return [thing.path]

    @staticmethod
    def head(thing: Object) -> bytes:
        lines = ["HTTP/1.1 200 OK", "Date: Sun, 22 Nov 2026 21:30:00 GMT",
                 f"Content-Length: {thing.size}", f"Content-Type: {thing.media_type}",
                 f"Docker-Content-Digest: {thing.digest}", f'ETag: "{thing.digest}"']
        return "\r\n".join([*lines, "", ""]).encode()


class Cache(Server):
    """A cache with storage of its own."""
    asks_for_tags = False       # does it ask its upstream for each request of a tag?

    def __init__(self, folder: Path, argv: list):
        self.storage = folder / "storage"
        self.storage.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, argv)

    def empty(self):
        """Forget all that is stored; only while it is stopped."""
        shutil.rmtree(self.storage)
        self.storage.mkdir()

    def body_files(self, thing: Object) -> list[Path]:
        """Found by their size: some keep a head in front of the body."""
        sizes = range(thing.size, thing.size + HEAD_BYTES)
        return [file for file in self.storage.rglob("*")
                if file.is_file() and file.stat().st_size in sizes]

    def is_stored(self, thing: Object) -> bool:
        """After the answer is out: is the work of storing it done too?"""
        return True


class RawFill(Cache):
    """The limit of a miss: it stores what it passes on, with or without a hash. One client at a
    time; nothing is served out of the storage."""

    def __init__(self, folder: Path, upstream, hashes: bool):
        self.name = "raw fill" if hashes else "raw fill, no hash"
        self.port = free_port()
        options = [] if hashes else ["-n"]
        super().__init__(folder, [BUILD / "bench" / "raw_fill", *options, self.port, upstream.port,
                                  folder / "storage" / "body"])
