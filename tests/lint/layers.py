#!/usr/bin/env python3
"""Checks who includes whom; ARCHITECTURE.md says why. Prints FILE:LINE: what is wrong.

- Includes point downwards only: KNOWS lists what each folder may use.
- "folder/x.h" is include/folder/x.h, "x.h" stands beside the file that includes it.
- A header in include/ is used by another folder than its own; otherwise it belongs beside its .c.
- A third-party library is touched by one .c file.
- Any other header is of the C library or the kernel, and listed here.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

PLAN = "plan"  # include/plan.h: what a protocol tells the floors around it

KNOWS = {
    "base": {"base"},
    "http": {"base", "http"},
    "io": {"base", "io"},
    "upstream": {"base", "http", "io", "upstream"},
    "storage": {"base", "storage"},
    PLAN: {"base", "http"},
    "cache": {"base", "http", "io", "upstream", "storage", PLAN, "cache"},
    "protocol": {"base", "http", PLAN, "protocol"},
    "server": {"base", "http", "io", "upstream", "storage", PLAN, "cache", "protocol", "server"},
    "cli": {"base", "http", "io", "upstream", "storage", PLAN, "cache", "protocol", "server",
            "cli"},
}

LIBRARIES = {
    "event2/": "libevent",
    "curl/": "libcurl",
    "lmdb.h": "LMDB",
    "yajl/": "yajl",
    "yaml.h": "libyaml",
    "openssl/": "OpenSSL",
    "zlib.h": "zlib",
}

SYSTEM = set("""
    arpa/inet.h assert.h ctype.h dirent.h endian.h errno.h fcntl.h inttypes.h limits.h
    link.h netdb.h netinet/in.h netinet/tcp.h poll.h pthread.h sched.h setjmp.h signal.h
    stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h
    strings.h sys/eventfd.h sys/file.h sys/mman.h sys/random.h sys/resource.h sys/sendfile.h
    sys/signalfd.h sys/socket.h sys/stat.h sys/statvfs.h sys/syscall.h sys/types.h sys/uio.h
    sys/un.h sys/wait.h time.h unistd.h
""".split())

MAIN = Path("daemon/main.c")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path: Path) -> str:
    """The folder (a key of KNOWS) that a file belongs to; path is relative to the root."""
    parts = path.parts
    if parts[0] == "storage":
        return "storage"
    if path == Path("include/plan.h"):
        return PLAN
    if path == MAIN:
        return "cli"
    return parts[1]


class Check:
    def __init__(self, root: Path):
        self.root = root
        self.faults: list[str] = []
        self.library_users = defaultdict(dict)  # library → file → line
        self.users = defaultdict(set)           # header in include/ → folders

    def run(self) -> list[str]:
        for top in ("daemon", "storage", "include"):
            for file in sorted((self.root / top).rglob("*.[ch]")):
                self.check_file(file.relative_to(self.root))
        self.check_libraries()
        self.check_headers()
        return self.faults

    def fault(self, path: Path, line: int, text: str):
        self.faults.append(f"{path}:{line}: {text}")

    def check_file(self, path: Path):
        folder = folder_of(path)
        if folder not in KNOWS:
            self.fault(path, 1, f"folder {folder} is on no floor")
            return
        text = (self.root / path).read_text()
        for line, words in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(words)
            if found and found[1] == "<":
                self.check_angle(path, line, found[2])
            elif found:
                self.check_quoted(path, folder, line, found[2])

    def check_angle(self, path: Path, line: int, name: str):
        for prefix, library in LIBRARIES.items():
            if name.startswith(prefix):
                self.library_users[library].setdefault(path, line)
                if path.suffix == ".h":
                    self.fault(path, line, f"{library} in a header: every user would touch it")
                return
        if name not in SYSTEM:
            self.fault(path, line, f"<{name}> is no known header: see tests/lint/layers.py")

    def check_quoted(self, path: Path, folder: str, line: int, name: str):
        if (self.root / "include" / name).is_file():
            target = Path("include") / name
            other = folder_of(target)
            self.users[target].add(folder)
            if other not in KNOWS[folder]:
                self.fault(path, line, f'{folder} may not use {other} ("{name}")')
        elif path == MAIN and name.startswith("cli/"):
            pass  # one floor: main.c is the front door of cli
        elif "/" in name:
            self.fault(path, line, f'"{name}" is not in include/: private headers stay private')
        elif not (self.root / path.parent / name).is_file():
            self.fault(path, line, f'"{name}" does not stand beside this file')

    def check_libraries(self):
        for library, users in self.library_users.items():
            if len(users) > 1:
                for path, line in users.items():
                    others = ", ".join(str(other) for other in users if other != path)
                    self.fault(path, line, f"{library} is touched by {others} too")

    def check_headers(self):
        for file in sorted((self.root / "include").rglob("*.h")):
            path = file.relative_to(self.root)
            own = folder_of(path)
            if not self.users[path] - {own}:
                self.fault(path, 1, f"used by {own} only: it belongs beside its .c file")


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    faults = Check(root).run()
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
