"""Memory that is ready to be used.

Under a virtual machine a page that lay free for some seconds may have been taken back: its next use
waits for the host, at many times the cost, and hits on a file that lies in such pages cost more ever
after (the one that was filled first: a tenth more CPU). A program then pays for what happened before
its turn. So whoever writes much begins with pages that were in use a moment ago, as a file's: as much
anonymous memory, filled and freed, did not help.
"""

from pathlib import Path

READY_BYTES = 1 << 30       # for files of 512 and 128 MiB, and what lies in sockets
PIECE = bytes(1 << 20)


def make_ready(folder: Path):
    """By a file there, which is gone again at the end."""
    path = folder / "free-memory"
    with path.open("wb", buffering=0) as file:
        path.unlink()
        for _ in range(READY_BYTES // len(PIECE)):
            file.write(PIECE)
