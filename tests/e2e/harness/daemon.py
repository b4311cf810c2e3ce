"""The daemon under test."""

import json
import os
import re
import signal
from pathlib import Path

from . import config as configs
from . import httpclient
from .net import free_port, until
from .paths import yantian
from .process import Process, run

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Memory|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:")
_SANITIZER_ENV = {
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0"),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1"),
}
_FIELD = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')


def parse_log_line(line: str) -> dict | None:
    """One log line, text or JSON, as a mapping; None for a line of another kind."""
    if line.startswith("{"):
        return json.loads(line)
    head = line.split(" ", 3)
    if len(head) < 3 or not re.match(r"\d{4}-\d\d-\d\dT", head[0]):
        return None
    fields = {"time": head[0], "level": head[1], "event": head[2]}
    for key, value in _FIELD.findall(head[3] if len(head) > 3 else ""):
        fields[key] = json.loads(value) if value.startswith('"') else value
    return fields


class Daemon:
    """One daemon with its own folder, ports and storage."""

    def __init__(self, folder: Path, settings: dict, port: int = 0, host: str = "127.0.0.1",
                 under: tuple = ()):
        """under: the words of a program that runs the daemon, a profiler or a tracer."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.admin_port = free_port()
        self.storage = folder / "storage"
        own = {
            "listen": [{"address": f"{host}:{self.port}"}],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "storage": {"path": str(self.storage)},
        }
        self.settings = configs.merge(configs.merge(configs.DEFAULTS, own), settings)
        self.config_file = folder / "yantian.yaml"
        self.write_config()
        self.process = Process("yantian", [*under, yantian(), "serve", "-c", self.config_file],
                               folder, env=_SANITIZER_ENV)

    def write_config(self):
        self.config_file.write_text(configs.to_yaml(self.settings))

    # -- life ------------------------------------------------------------------------------

    def start(self, timeout: float = 15) -> "Daemon":
        self.process.start()
        self.process.wait_ready(self.is_ready, timeout)
        return self

    def is_ready(self) -> bool:
        try:
            return self.admin("/readyz", timeout=2).status == 200
        except OSError:
            return False

    def stop(self, timeout: float = 20):
        """SIGTERM; the daemon must end with 0 and no sanitizer may have a complaint."""
        code = self.process.stop(timeout)
        self.check_no_sanitizer_report()
        assert code == 0, f"exit code {code} on SIGTERM:\n{self.process.tail()}"

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait(10)

    def finish(self):
        """The end of a test: stop it if it runs; if it ended, then not by a crash."""
        try:
            if self.process.running:
                self.stop()
            self.check_no_sanitizer_report()
            assert self.process.exit_code in (None, 0, 1, -signal.SIGKILL), self.process.tail()
        finally:
            self.process.kill()

    def restart(self):
        """Start again on the same storage and ports, whatever ended the last run."""
        if self.process.running:
            self.stop()
        self.start()

    def check_no_sanitizer_report(self):
        errors = self.process.errors()
        found = SANITIZER_REPORT.search(errors)
        assert not found, errors[max(found.start() - 300, 0):found.start() + 6000]

    # -- talk ------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, target: str, headers=(), **options) -> httpclient.Response:
        return httpclient.fetch(self.address, "GET", target, headers, **options)

    def head(self, target: str, headers=(), **options) -> httpclient.Response:
        return httpclient.fetch(self.address, "HEAD", target, headers, **options)

    def completed(self, target: str, headers=()) -> bytes | None:
        """The body of a 200 that a client would take for whole; None if there is none."""
        try:
            answer = self.get(target, headers)
        except httpclient.Closed:
            return None
        return answer.body if answer.status == 200 and answer.complete else None

    def connect(self, **options) -> httpclient.Connection:
        return httpclient.Connection(self.address, **options)

    def wait_stale(self, target: str, timeout: float = 15):
        """Wait until a held tag is past its ttl."""
        until(lambda: int(self.head(target, [httpclient.ACCEPT_ALL]).cache.get("ttl", 0)) < 0,
              timeout, f"{target} to be stale", interval=0.1)

    def wait_body(self, target: str, body: bytes, timeout: float = 15):
        """Wait until a target answers with this body: a refresh behind an answer is over."""
        until(lambda: self.get(target, [httpclient.ACCEPT_ALL]).body == body, timeout,
              f"{target} to answer with {body[:60]!r}", interval=0.1)

    def admin(self, target: str, **options) -> httpclient.Response:
        return httpclient.fetch(("127.0.0.1", self.admin_port), "GET", target, **options)

    def metric(self, name: str) -> float:
        """The sum of a metric over all its labels; 0 if it is absent."""
        page = self.admin("/metrics").body.decode()
        values = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? ([0-9.eE+-]+)$", page, re.M)
        return sum(float(value) for value in values)

    # -- look ------------------------------------------------------------------------------

    def log(self, event: str = "") -> list[dict]:
        """The parsed log lines so far, of one event or of all."""
        lines = (parse_log_line(line) for line in self.process.errors().splitlines())
        return [line for line in lines if line and event in ("", line["event"])]

    def wait_stored(self, digest: str, timeout: float = 10):
        """Wait until a blob is in the storage, and see that it is the right one."""
        until(self.blob_file(digest).exists, timeout, f"{digest} to be stored")
        assert httpclient.digest_of(self.blob_file(digest).read_bytes()) == digest

    def blob_file(self, digest: str) -> Path:
        """Where the storage keeps a blob."""
        hexadecimal = digest.split(":")[1]
        return self.storage / "blobs" / "sha256" / hexadecimal[:2] / hexadecimal

    def stored_files(self) -> list[str]:
        """The files of bytes in the storage, whole ones and parts; small bodies are in none."""
        return sorted(str(file.relative_to(self.storage)) for folder in ("blobs", "partial")
                      for file in (self.storage / folder).rglob("*") if file.is_file())

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_kib(self, field: str = "VmRSS") -> int:
        """The memory in use now, or at its highest (VmHWM)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def check_config(file: Path):
    """`yantian check-config` on a file; the finished process."""
    return run([yantian(), "check-config", "-c", file], check=False, env=_SANITIZER_ENV)
