"""System calls for each hit, and of connections that come, go and stay idle, counted by strace in
all threads of the daemon. What the marks themselves take is known from two with nothing between.
"""

import re
import socket
import subprocess
import time
from collections import Counter
from functools import reduce
from operator import and_
from pathlib import Path

from harness.httpclient import request_bytes
from harness.net import until
from world import MARK, START_SECONDS, Hit, Subject, World, check, rounded, watched

WINDOWS, TIMES = 3, 20
PIPELINED = 8
IDLE_CONNECTIONS, IDLE_SECONDS = 20, 2

CALL = re.compile(r"^\d+ +(\w+)\(")
# The same by other names, on other machines.
SAME = {"epoll_pwait": "epoll_wait", "newfstatat": "fstat", "sendfile64": "sendfile"}
# Where the clock can be read without the kernel these are none.
CLOCK = {"clock_gettime", "gettimeofday", "time"}
# A worker offers its CPU by the clock, not by the request; slowed by strace it does so all the time.
BY_TIME = {"sched_yield"}


def obstacle() -> str:
    """Why nothing can be traced here; empty if it can."""
    probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else probe.stderr.strip().partition("\n")[0]


class Tracer:
    """What is counted in a daemon under strace: things done between marks."""

    def __init__(self, subject: Subject, file: Path):
        self.subject = subject
        self.file = file
        self.marks = 0
        self.done: list[tuple[str, int, range]] = []    # what, how often, in which windows
        self.trace("nothing", lambda: None)

    def mark(self):
        self.subject.mark()
        self.marks += 1

    def trace(self, name: str, work, times: int = TIMES, windows: int = WINDOWS):
        """Do it so many times in each window; once before, so that what is made once is there."""
        work()
        self.mark()
        numbers = range(self.marks - 1, self.marks - 1 + windows)
        for _ in numbers:
            for _ in range(times):
                work()
            self.mark()
        self.done.append((name, times, numbers))

    def rows(self) -> dict[str, dict[str, float]]:
        """The calls of each thing done, once; when the daemon has ended. A deadline of its own may
        cost a window a call, so the fewest of all windows count."""
        until(lambda: self.file.read_text().endswith("+++\n"), START_SECONDS, "strace to end")
        windows = _windows(self.file.read_text())
        rows, nothing = {}, Counter()
        for name, times, numbers in self.done:
            fewest = reduce(and_, (windows[number] for number in numbers))
            if name == "nothing":
                nothing = fewest
                continue
            rows[name] = rounded({call: (count - nothing[call]) / times
                                  for call, count in sorted(fewest.items())})
        return rows


def _windows(text: str) -> list[Counter]:
    """The calls behind each mark, up to the next one."""
    windows = [Counter()]
    for line in text.splitlines():
        found = CALL.match(line)
        if found and found[1] not in CLOCK | BY_TIME:
            windows[-1][SAME.get(found[1], found[1])] += 1
        # This may be the second line of a call, if another thread's came between.
        if f'"GET {MARK} ' in line:
            windows.append(Counter())
    return windows[1:]


def _pipeline(subject: Subject, hit: Hit):
    subject.client.send(request_bytes(hit.method, hit.target, hit.headers) * PIPELINED)
    for _ in range(PIPELINED):
        check(hit, subject.client.response())


def _connect(subject: Subject, hit: Hit):
    """One request; when this ends the daemon has closed its end too."""
    with subject.daemon.connect() as connection:
        check(hit, connection.ask(hit.method, hit.target, hit.headers))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.at_end(START_SECONDS), "the daemon does not close"


def _trace_connections(tracer: Tracer):
    subject, hit = tracer.subject, tracer.subject.hits[0]
    tracer.trace("connection with one hit", lambda: _connect(subject, hit))
    idle = [subject.daemon.connect() for _ in range(IDLE_CONNECTIONS)]
    for connection in idle:
        check(hit, connection.ask(hit.method, hit.target, hit.headers))
    tracer.trace("idle connections", lambda: time.sleep(IDLE_SECONDS), times=1, windows=1)
    for connection in idle:
        connection.close()


def measure(world: World, folder: Path) -> dict[str, dict]:
    """Kinds of figures, and their rows."""
    rows = {}
    for logged in (False, True):
        place = folder / f"traced-{logged}"
        # -D: strace is the child, so that signals reach the daemon.
        under = ("strace", "-D", "-f", "-o", place / "calls")
        with watched(place, world, logged, under) as subject:
            tracer = Tracer(subject, place / "calls")
            for hit in subject.hits:
                tracer.trace(hit.name, lambda hit=hit: subject.ask(hit))
            first = subject.hits[0]
            tracer.trace(f"{first.name}, {PIPELINED} pipelined",
                         lambda first=first: _pipeline(subject, first))
            if not logged:
                _trace_connections(tracer)
        rows.update(tracer.rows())
    return {"system calls": rows}
