"""A small HTTP/1.1 client on raw sockets: it sends any bytes, reads as slowly as asked, and says
truthfully whether a body was complete."""

import hashlib
import socket
import threading
import time
from dataclasses import dataclass, field

ACCEPT_ALL = ("Accept", ", ".join([
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
]))


class Closed(Exception):
    """The peer closed or reset the connection before the message was complete."""


@dataclass
class Response:
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = field(default=b"", repr=False)
    complete: bool = True

    def header(self, name: str, default: str | None = None) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else default

    @property
    def cache(self) -> dict[str, str]:
        """The parameters of Cache-Status: `yantian; hit; ttl=5` is {"hit": "", "ttl": "5"}."""
        name, *parts = (part.strip() for part in self.header("Cache-Status", "").split(";"))
        assert name == "yantian", f"Cache-Status: {self.header('Cache-Status')!r}"
        return dict((part.split("=", 1) + [""])[:2] for part in parts)

    @property
    def length(self) -> int:
        return int(self.header("Content-Length"))

    @property
    def sha256(self) -> str:
        return digest_of(self.body)


@dataclass
class Download:
    """What became of a big body that was hashed and not kept."""
    status: int
    headers: list[tuple[str, str]]
    size: int
    digest: str
    complete: bool
    head_after: float = 0
    first_byte_after: float = 0
    seconds: float = 0


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def request_bytes(method: str, target: str, headers=(), body: bytes = b"") -> bytes:
    """A well-formed request; Host is added unless given."""
    lines = [f"{method} {target} HTTP/1.1"]
    headers = list(headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", "cache.test"))
    if body:
        headers.append(("Content-Length", str(len(body))))
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Connection:
    """One client connection."""

    def __init__(self, address: tuple[str, int], timeout: float = 20,
                 receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self._held = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Close with RST, as a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)

    def request(self, method: str, target: str, headers=(), body: bytes = b""):
        self.send(request_bytes(method, target, headers, body))

    def ask(self, method: str, target: str, headers=(), body: bytes = b"") -> Response:
        self.request(method, target, headers, body)
        return self.response(method)

    # -- reading ---------------------------------------------------------------------------

    def read_some(self, limit: int = 1 << 18) -> bytes:
        """The next bytes; empty at the end of the connection."""
        if self._held:
            data, self._held = self._held[:limit], self._held[limit:]
            return data
        try:
            return self.socket.recv(limit)
        except ConnectionError:
            return b""

    def _more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed("closed in the middle of a message")
        self._held += data

    def _line(self) -> bytes:
        while b"\r\n" not in self._held:
            self._more()
        line, self._held = self._held.split(b"\r\n", 1)
        return line

    def read_head(self) -> Response:
        """Status line and fields of the next response."""
        while b"\r\n\r\n" not in self._held:
            self._more()
        head, self._held = self._held.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = (first.split(" ", 2) + ["", ""])[:3]
        assert version == "HTTP/1.1" and status.isdigit(), f"not a status line: {first!r}"
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        return Response(int(status), reason, headers)

    def read_exactly(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            data = self.read_some(min(left, 1 << 20))
            if not data:
                raise Closed(f"{left} of {size} bytes missing")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def body_parts(self, head: Response, method: str = "GET"):
        """Yield the body of the response piece by piece; Closed if it is cut short."""
        if method == "HEAD" or head.status in (204, 304) or head.status < 200:
            return
        if head.header("Transfer-Encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif head.header("Content-Length") is not None:
            yield from self._counted(head.length)
        else:
            yield from iter(self.read_some, b"")

    def _counted(self, left: int):
        while left:
            data = self.read_some(min(left, 1 << 18))
            if not data:
                raise Closed(f"{left} bytes missing")
            left -= len(data)
            yield data

    def _chunks(self):
        while size := int(self._line().split(b";")[0], 16):
            yield from self._counted(size)
            assert self._line() == b"", "no line end after chunk data"
        while self._line():
            pass

    def response(self, method: str = "GET") -> Response:
        """The next final response with its body; complete is false if it was cut short."""
        response = self.read_head()
        while response.status in (100, 102, 103):
            response = self.read_head()
        parts = []
        try:
            for part in self.body_parts(response, method):
                parts.append(part)
        except (Closed, ConnectionError):
            response.complete = False
        response.body = b"".join(parts)
        return response

    def at_end(self, timeout: float = 5) -> bool:
        """True if the peer closed and nothing more was sent."""
        self.socket.settimeout(timeout)
        try:
            return self.read_some(1) == b""
        except TimeoutError:
            return False


def fetch(address: tuple[str, int], method: str, target: str, headers=(), body: bytes = b"",
          timeout: float = 20) -> Response:
    """One request on a connection of its own."""
    with Connection(address, timeout) as connection:
        return connection.ask(method, target, headers, body)


def download(address: tuple[str, int], target: str, headers=(), timeout: float = 60,
             leave_after: int | None = None) -> Download:
    """GET a big body and hash it; with leave_after, go away after so many bytes."""
    begin = time.monotonic()
    with Connection(address, timeout) as connection:
        connection.request("GET", target, headers)
        head = connection.read_head()
        got = Download(head.status, head.headers, 0, "", True, time.monotonic() - begin)
        hasher = hashlib.sha256()
        try:
            for part in connection.body_parts(head):
                got.first_byte_after = got.first_byte_after or time.monotonic() - begin
                hasher.update(part)
                got.size += len(part)
                if leave_after is not None and got.size >= leave_after:
                    got.complete = False
                    break
        except (Closed, ConnectionError):
            got.complete = False
    got.digest = "sha256:" + hasher.hexdigest()
    got.seconds = time.monotonic() - begin
    return got


@dataclass
class _Outcome:
    value: object = None
    failure: BaseException | None = None


@dataclass
class Crowd:
    """Many clients that start together, each in a thread of its own."""
    size: int
    outcomes: list[_Outcome] = field(default_factory=list)

    def run(self, work, timeout: float = 120) -> list:
        """work(number) for each client; their results in order, or the first failure."""
        self.start(work)
        return self.join(timeout)

    def start(self, work):
        barrier = threading.Barrier(self.size)
        self.outcomes = [_Outcome() for _ in range(self.size)]
        self._threads = [threading.Thread(target=self._one, args=(work, number, barrier),
                                          daemon=True) for number in range(self.size)]
        for thread in self._threads:
            thread.start()

    def _one(self, work, number, barrier):
        try:
            barrier.wait(30)
            self.outcomes[number].value = work(number)
        except BaseException as failure:  # handed to the test's own thread
            self.outcomes[number].failure = failure

    def join(self, timeout: float = 120) -> list:
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        assert not any(thread.is_alive() for thread in self._threads), \
            f"clients still busy after {timeout:g} s"
        for outcome in self.outcomes:
            if outcome.failure:
                raise outcome.failure
        return [outcome.value for outcome in self.outcomes]
