"""pypiserver as a second real upstream of a PyPI route: plain HTML, links from the root."""

import re
from pathlib import Path

from . import config
from .net import accepts, free_port
from .process import Process
from .pypi_clients import TOOLS


class Pypiserver:
    """One pypiserver on a folder of packages."""

    def __init__(self, folder: Path, packages: Path):
        self.port = free_port()
        self.process = Process("pypiserver", [
            TOOLS / "pypiserver" / "bin" / "pypi-server", "run", "-i", "127.0.0.1", "-p", self.port,
            "-v", "--disable-fallback", "--hash-algo", "sha256", packages], folder)

    def start(self) -> "Pypiserver":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), 20)
        return self

    def stop(self):
        self.process.kill()

    def route(self, **keys) -> dict:
        """A route of the daemon with this server as its upstream."""
        return config.route("pypi", f"http://127.0.0.1:{self.port}", **{
            "protocol": "pypi", "prefix": "/pypi", "ttl": "1h", **keys})

    def file_gets(self) -> list[str]:
        """The names of the files that were fetched."""
        log = self.process.output() + self.process.errors()
        return re.findall(r'"GET /packages/(\S+) HTTP', log)
