"""Instructions for each hit, and its calls of costly library functions, counted by callgrind.

Callgrind counts what the worker's thread executes, and writes the counts out and begins anew
whenever the function MARK_FUNCTION is entered. So what lies between two marks is known to the
instruction, and what the marks themselves cost is known from two with nothing between them.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from world import Hit, Subject, World, rounded, watched

WINDOWS, HITS = 10, 50
MARK_FUNCTION = "admin_page"
# A figure that is not found twice, but for this part of it, says nothing.
SPREAD = 0.002

# The C library and libcrypto choose their code by the CPU, and valgrind's CPU depends on the real
# one: both are told that it can do nothing special. (So SHA-256 weighs more here than it does.)
PLAIN_CPU = ("GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-BMI1,-BMI2,-ERMS,"
             "-FSRM,-LZCNT,-MOVBE,-SSE4_1,-SSE4_2,-SSSE3,-AVX_Fast_Unaligned_Load",
             "OPENSSL_ia32cap=0:0")

# What lies within these is a row of its own, with what they call.
PARTS = {
    "manifest by digest": ["exchange_run", "http_request_parse", "route_request", "plan_request",
                           "lookup_start", "respond_answer", "deliver", "exchange_free"],
    "manifest, access log": ["log_event"],
    "simple page": ["plan_request"],
    "packument": ["plan_request"],
}

# Calls of these are counted, whoever makes them.
LIBRARY = {
    "allocations": {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"},
    "locks": {"pthread_mutex_lock", "pthread_rwlock_rdlock", "pthread_rwlock_wrlock"},
    "clock readings": {"clock_gettime", "gettimeofday"},
}

COST = re.compile(r"[-+*\d]\S* \d+$")


@dataclass
class Profile:
    """One file of callgrind's: of each function the instructions, with those of what it calls, and
    how often it was called."""
    total: int = 0
    inclusive: Counter = field(default_factory=Counter)
    calls: Counter = field(default_factory=Counter)

    @classmethod
    def read(cls, file: Path) -> "Profile":
        profile, names, function, callee = cls(), {}, "", ""
        for line in file.read_text().splitlines():
            key, _, value = line.partition("=")
            if key == "fn":
                function = _name(value, names)
            elif key == "cfn":
                callee = _name(value, names)
            elif key == "calls":
                profile.calls[callee] += int(value.split()[0])
            elif COST.match(line):
                # The line behind "calls=" has what the callee cost, all others the function's own.
                if callee != function:
                    profile.inclusive[function] += int(line.split()[1])
                callee = ""
            elif line.startswith("summary:"):
                profile.total = int(line.split()[1])
        return profile


def _name(text: str, names: dict) -> str:
    """(7) NAME says what (7) is from here on. Cut off: the version of a symbol, the depth of a
    recursion, which part of a function the compiler took out of it."""
    number, _, name = text.partition(" ")
    if name:
        names[number] = re.split(r"@@|'|\.", name)[0]
    return names[number]


class Profiler:
    """What is counted in a daemon under callgrind."""

    def __init__(self, subject: Subject, folder: Path):
        self.folder = folder
        self.subject = subject
        self.seen = set()
        self.window(lambda: None)
        self.empty = [self.window(lambda: None) for _ in range(WINDOWS)]

    def window(self, work) -> Profile:
        """What was executed since the last mark."""
        work()
        self.subject.mark()
        files = set(self.folder.glob("profile.*-*")) - self.seen
        assert files, f"no profile: is {MARK_FUNCTION}() not entered any more?"
        self.seen |= files
        return Profile.read(max(files, key=lambda file: int(re.split("[.-]", file.name)[1])))

    def windows(self, hit: Hit) -> list[Profile]:
        def many():
            for _ in range(HITS):
                self.subject.ask(hit)
        self.window(many)       # buffers grow to their size
        return [self.window(many) for _ in range(WINDOWS)]

    def settle(self, row: str, windows: list[Profile], figure) -> float:
        """The figure of one hit. Whatever comes between, as the end of a second does (the date is
        written anew), adds to it, so the least counts."""
        nothing = min(map(figure, self.empty))
        least, second, *_ = sorted((figure(window) - nothing) / HITS for window in windows)
        assert second - least <= max(SPREAD * least, 1), f"{row}: {least:g}, then {second:g}"
        return least

    def instructions(self, hit: Hit, windows: list[Profile]):
        """Yield the rows of the hit."""
        yield hit.name, round(self.settle(hit.name, windows, lambda profile: profile.total))
        for part in PARTS.get(hit.name, ()):
            row = f"{hit.name}: {part}"
            called = all(window.calls[part] for window in windows)
            assert called, f"{row}() is never called; see PARTS"
            yield row, round(self.settle(row, windows, lambda profile: profile.inclusive[part]))

    def calls(self, hit: Hit, windows: list[Profile]) -> dict[str, float]:
        counts = {}
        for what, functions in LIBRARY.items():
            counts[what] = self.settle(f"{hit.name}: {what}", windows, lambda profile: sum(
                profile.calls[function] for function in functions))
        return rounded(counts)


def measure(world: World, folder: Path) -> dict[str, dict]:
    """Kinds of figures, and their rows."""
    instructions, calls = {}, {}
    for logged in (False, True):
        place = folder / f"profiled-{logged}"
        under = ("env", "-i", "PATH=/usr/bin:/bin", *PLAIN_CPU, "valgrind", "--tool=callgrind",
                 "--separate-threads=yes", f"--dump-before={MARK_FUNCTION}",
                 f"--callgrind-out-file={place}/profile")
        with watched(place, world, logged, under) as subject:
            profiler = Profiler(subject, place)
            for hit in subject.hits:
                windows = profiler.windows(hit)
                instructions.update(profiler.instructions(hit, windows))
                calls[hit.name] = profiler.calls(hit, windows)
    return {"instructions": instructions, "library calls": calls}
