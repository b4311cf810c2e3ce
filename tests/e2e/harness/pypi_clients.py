"""The real clients of Python package indexes, each with a cache and a home of its own.

They see nothing of this machine's settings: the environment is made anew for each call.
"""

import tempfile
from pathlib import Path

from .paths import BUILD
from .process import run

TOOLS = BUILD / "pypi"
STOCK = TOOLS / "stock"
PYTHON = "/usr/bin/python3"


class _Client:
    """What every call of a client has in common."""

    def __init__(self, folder: Path):
        self.folder = Path(tempfile.mkdtemp(prefix="client-", dir=folder))
        self.forget()

    def forget(self):
        """A clean home and a clean cache, as on a new machine."""
        self.home = Path(tempfile.mkdtemp(prefix="home-", dir=self.folder))
        self.target = self.home / "installed"

    def _run(self, *argv, check: bool = True, cwd: Path | None = None, **env):
        # `env -i`: indexes, proxies and credentials that are set for this machine must not count.
        # The proxy is none: a client that means to ask the outside fails at once.
        words = {"HOME": self.home, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8",
                 "TMPDIR": self.home, "XDG_CONFIG_DIRS": self.home,
                 "HTTPS_PROXY": "http://127.0.0.1:9", **env}
        return run(["env", "-i", *(f"{name}={value}" for name, value in words.items()), *argv],
                   timeout=150, check=check, cwd=cwd)

    def python(self, *words) -> str:
        """What a Python program prints that finds the installed packages."""
        return self._run(PYTHON, *words, PYTHONPATH=self.target).stdout

    def installed(self) -> set[str]:
        """The projects that are installed, as their wheels spell them."""
        return {folder.name.split("-")[0].lower() for folder in self.target.glob("*.dist-info")}


class Pip(_Client):
    """pip in a venv of its own; `tool` names it."""

    BUILDS_APART = ["--use-pep517"]     # source distributions, as the standards have it

    def __init__(self, folder: Path, tool: str = "pip"):
        super().__init__(folder)
        self.program = TOOLS / tool / "bin" / "pip"

    def install(self, index_url: str, *words, check: bool = True):
        """Install into the target folder; the finished process."""
        return self._run(self.program, "install", "--no-compile", "--target", self.target,
                         "--index-url", index_url, *words, check=check,
                         PIP_CONFIG_FILE="/dev/null", PIP_DISABLE_PIP_VERSION_CHECK="1",
                         PIP_NO_INPUT="1", PIP_RETRIES="1", PIP_RESUME_RETRIES="1")


class Uv(_Client):
    """uv with the system's Python."""

    PROGRAM = TOOLS / "uv" / "bin" / "uv"
    BUILDS_APART = []

    def uv(self, *words, check: bool = True, cwd: Path | None = None):
        return self._run(self.PROGRAM, *words, check=check, cwd=cwd, UV_PYTHON=PYTHON,
                         UV_PYTHON_DOWNLOADS="never", UV_HTTP_RETRIES="0", UV_LINK_MODE="copy")

    def install(self, index_url: str, *words, check: bool = True):
        return self.uv("pip", "install", "--target", self.target, "--default-index", index_url,
                       *words, check=check)

    def project(self, index_url: str, *requirements) -> Path:
        """A new project with these requirements; its folder."""
        folder = Path(tempfile.mkdtemp(prefix="project-", dir=self.folder))
        listed = ", ".join(f'"{one}"' for one in requirements)
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\n'
            f"dependencies = [{listed}]\n\n"
            f'[[tool.uv.index]]\nurl = "{index_url}"\ndefault = true\n')
        return folder
