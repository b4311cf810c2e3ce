"""Stores that are filled without an upstream (fill_store.c), for the rows about scale."""

import json
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import loads
from harness.httpclient import Connection, digest_of
from harness.paths import BUILD
from harness.process import run
from objects import REPOSITORY

MAX_BYTES = 100 << 30
FILES_SHARE = 5000              # one object of so many is in a file of its own
BYTES_EACH = 3000               # more than an object takes of the disk
FILL_SECONDS = 600


@dataclass(frozen=True)
class Filled:
    """What the tool did."""
    seconds: float
    put: int
    held_before: int
    held: int

    @property
    def evicted(self) -> int:
        return self.held_before + self.put - self.held


def fill(folder: Path, tag: str, count: int, files: int = 0, max_bytes: int = MAX_BYTES) -> Filled:
    """max_bytes 0: no more than it holds now."""
    done = run([BUILD / "bench" / "fill_store", folder, tag, count, files, max_bytes],
               timeout=FILL_SECONDS)
    return Filled(**json.loads(done.stdout))


def make(folder: Path, count: int):
    """A store with the tags t0 to t(count - 1), kept from run to run."""
    mark = folder.with_name(folder.name + ".made")
    if mark.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=_quick_place(count)) as place:
        fill(Path(place), "t", count, count // FILES_SHARE)
        shutil.copytree(place, folder)
    mark.touch()


def _quick_place(count: int) -> Path | None:
    """In memory if there is room: each commit waits for its disk. None: where Python likes it."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < count * BYTES_EACH:
        return None
    return memory


def forget(folder: Path):
    """So that it is made anew."""
    folder.with_name(folder.name + ".made").unlink(missing_ok=True)


def ask_random(port: int, count: int):
    """One of the objects, with the right bytes, out of the store."""
    tag = f"t{random.randrange(count)}"
    with Connection((loads.HOST, port)) as connection:
        answer = connection.ask("GET", f"/v2/{REPOSITORY}/manifests/{tag}")
    assert answer.status == 200 and "hit" in answer.cache, f"{tag}: {answer}"
    assert f'"{tag}"'.encode() in answer.body, f"{tag}: {answer.body[:200]!r}"
    assert digest_of(answer.body) == answer.header("Docker-Content-Digest"), f"{tag}: {answer}"
