"""The public suite of tests for HTTP caches: its origin, and a client that goes through a cache."""

import json
from pathlib import Path

from . import config
from .net import accepts, free_port
from .npm_tools import NODE
from .paths import BUILD, ROOT
from .process import Process, run

_OURS = ROOT / "tests" / "e2e" / "http-cache-tests"
_MODULES = BUILD / "http-cache-tests" / "node_modules"
_SUITE = _MODULES / "http-cache-tests"


class Origin:
    """The suite's own server, which answers each test's requests as the test wants."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self.process = Process(
            "origin", [NODE, "--require", _OURS / "loopback.cjs", _SUITE / "server" / "server.mjs"],
            folder, env={"npm_config_protocol": "http", "npm_config_port": str(self.port),
                         "npm_config_pidfile": str(folder / "origin.pid")})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Origin":
        self.process.start()
        self.process.wait_ready(lambda: accepts(self.port), 20)
        return self

    def stop(self):
        self.process.kill()


def _run(*words) -> dict:
    script = [NODE, "--no-warnings", _OURS / "run.mjs", _MODULES]
    return json.loads(run([*script, *words], timeout=150).stdout)


def routes(origin: Origin, **keys) -> list[dict]:
    """What run.mjs expects of the cache: one route for most tests, one for each that hurts."""
    names = ["main", *(f"alone{number}" for number in range(_run()["alone"]))]
    return [config.route(name, origin.url, protocol="generic", prefix=f"/{name}", **keys)
            for name in names]


def results(cache_url: str, *ids: str) -> dict:
    """Run the tests (all, without ids): {id: {name, kind, needs, result}}."""
    return _run(cache_url, *ids)


def passed(told: dict, test_id: str) -> bool:
    """As the suite counts: a test whose prerequisites failed has shown nothing."""
    test = told[test_id]
    return test["result"] is True and all(passed(told, need) for need in test["needs"])


def why(told: dict, test_id: str) -> str:
    """For a test that did not pass: what was wrong."""
    test = told[test_id]
    if test["result"] is not True:
        return ": ".join(str(word) for word in test["result"])
    return "shows nothing: needs " + ", ".join(n for n in test["needs"] if not passed(told, n))
