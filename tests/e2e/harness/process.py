"""A program that runs beside a test, with its output in files."""

import os
import signal
import subprocess
from pathlib import Path

from .net import until


class Process:
    """One program, started and ended any number of times; output is appended to two files."""

    def __init__(self, name: str, argv: list, folder: Path, env: dict | None = None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.folder = folder
        self.env = {**os.environ, **(env or {})}
        self.out_path = folder / f"{name}.out"
        self.err_path = folder / f"{name}.err"
        self._popen: subprocess.Popen | None = None

    def start(self):
        assert not self.running, f"{self.name} runs already"
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self._popen = subprocess.Popen(
                self.argv, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True)

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    def wait_ready(self, ready, timeout: float, interval: float = 0.02):
        """Wait until ready() is true; an exit before that fails at once, with the output."""
        def check():
            if not self.running:
                raise AssertionError(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")
            return ready()
        try:
            until(check, timeout, f"{self.name} to be ready", interval)
        except AssertionError as failure:
            self.kill()
            raise AssertionError(f"{failure}\n{self.tail()}") from None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll() if self._popen else None

    def signal(self, number: int):
        self._popen.send_signal(number)

    def wait(self, timeout: float) -> int:
        """The exit code, once the program has ended."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s:\n"
                                 f"{self.tail()}") from None

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, then the exit code."""
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """SIGKILL to the program and what it started."""
        if self._popen is None:
            return
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait(10)

    def output(self) -> str:
        return self.out_path.read_text(errors="replace") if self.out_path.exists() else ""

    def errors(self) -> str:
        return self.err_path.read_text(errors="replace") if self.err_path.exists() else ""

    def tail(self, characters: int = 3000) -> str:
        return (self.output() + self.errors())[-characters:]


def run(argv: list, timeout: float = 60, env: dict | None = None, check: bool = True,
        cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run a program to its end; with check, a failure shows all that it printed."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout,
                          env={**os.environ, **(env or {})}, cwd=cwd)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n"
                             f"{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done
