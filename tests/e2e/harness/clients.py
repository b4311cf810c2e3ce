"""The real clients: dockerd, containerd, skopeo and podman, each with storage of its own."""

import fcntl
import json
import shutil
import tempfile
import uuid
from pathlib import Path

from .process import Process, run


def socket_folder() -> Path:
    """A short path: a Unix socket's name has at most 107 bytes, pytest's folders are longer."""
    return Path(tempfile.mkdtemp(prefix="yt-"))


class Dockerd:
    """A Docker daemon that knows a mirror for docker.io."""

    DOCKERD, DOCKER = "/usr/sbin/dockerd", "/usr/bin/docker"

    def __init__(self, folder: Path, mirror: str, network: bool = True):
        self.folder = folder
        self.sockets = socket_folder()
        self.host = f"unix://{self.sockets}/d.sock"
        (folder / "daemon.json").write_text("{}")
        argv = [self.DOCKERD, "-H", self.host, "--data-root", folder / "data",
                "--exec-root", self.sockets / "exec", "--pidfile", self.sockets / "pid",
                "--config-file", folder / "daemon.json", "--registry-mirror", mirror]
        if not network:
            argv += ["--bridge", "none", "--iptables=false"]
        # Only loopback: a proxy of the machine must not come between.
        self.process = Process("dockerd", argv, folder, env={"NO_PROXY": "127.0.0.1"})

    def start(self) -> "Dockerd":
        """One at a time on a machine: they all make the same iptables chains when they start."""
        with open(Path(tempfile.gettempdir(), "yantian-test-dockerd.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.process.start()
            self.process.wait_ready(lambda: self.docker("info", check=False).returncode == 0, 60)
        return self

    def stop(self):
        self.process.stop(30)
        for mounted in (self.sockets / "exec" / "netns").glob("*"):
            run(["umount", mounted], check=False)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def docker(self, *words, timeout: float = 120, check: bool = True):
        return run([self.DOCKER, "-H", self.host, *words], timeout, check=check)

    def pull(self, name: str, *options, timeout: float = 120):
        """Pull by Docker Hub's name, so through the mirror."""
        self.docker("pull", *options, name, timeout=timeout)

    def run(self, name: str) -> str:
        return self.docker("run", "--rm", "--network", "none", name).stdout.strip()

    def digest(self, name: str) -> str:
        """The digest of what the registry answered for the name."""
        known = json.loads(self.docker("image", "inspect", "-f", "{{json .RepoDigests}}",
                                       name).stdout)
        assert len(known) == 1, known
        return known[0].split("@")[1]

    def remove_all(self):
        """Forget every image and layer, so that a pull must fetch them again."""
        self.docker("image", "prune", "--all", "--force")
        assert not self.docker("images", "-qa").stdout.split(), "images left behind"


class Containerd:
    """A containerd with its ctr; mirrors are named in a hosts directory."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.sockets = socket_folder()
        self.hosts = folder / "hosts"
        self.hosts.mkdir()
        self.address = self.sockets / "c.sock"
        config = folder / "containerd.toml"
        config.write_text(
            "version = 2\n"
            f'root = "{folder}/root"\nstate = "{self.sockets}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self.address}"\n')
        self.process = Process("containerd", ["containerd", "-c", config], folder)

    def start(self) -> "Containerd":
        self.process.start()
        self.process.wait_ready(lambda: self.ctr("version", check=False).returncode == 0, 30)
        return self

    def stop(self):
        self.process.stop(30)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def mirror(self, namespace: str, url: str, server: str = ""):
        """Send the pulls of a namespace to url; server is the registry that the namespace means."""
        folder = self.hosts / namespace
        folder.mkdir(exist_ok=True)
        (folder / "hosts.toml").write_text(
            f'server = "{server or "https://" + namespace}"\n'
            f'[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')

    def ctr(self, *words, timeout: float = 120, check: bool = True):
        return run(["ctr", "-a", self.address, *words], timeout, check=check)

    def pull(self, name: str, *options, timeout: float = 120):
        self.ctr("images", "pull", "--hosts-dir", self.hosts, *options, name, timeout=timeout)

    def digest(self, name: str) -> str:
        row = self.ctr("images", "ls", f"name=={name}").stdout.splitlines()[1]
        return row.split()[2]

    def run(self, name: str) -> str:
        """What the container prints; ctr sometimes ends before it has copied that, so it asks again."""
        for _ in range(3):
            container = f"test{uuid.uuid4().hex}"  # a temporary folder's name may not serve as one
            printed = self.ctr("run", "--rm", name, container).stdout.strip()
            if printed:
                break
        return printed

    def remove_all(self):
        """Forget every image and its content; --sync waits for the garbage collector."""
        names = self.ctr("images", "ls", "-q").stdout.split()
        if names:
            self.ctr("images", "rm", "--sync", *names)
        assert not self.ctr("content", "ls", "-q").stdout.split(), "content left behind"


def registries_conf(folder: Path, mirrors: dict[str, str]) -> Path:
    """A registries.conf that sends each prefix to a plain-http mirror location."""
    file = folder / "registries.conf"
    file.write_text("".join(
        f'[[registry]]\nprefix = "{prefix}"\nlocation = "{prefix}"\n'
        f'[[registry.mirror]]\nlocation = "{location}"\ninsecure = true\n'
        for prefix, location in mirrors.items()))
    return file


class Skopeo:
    """skopeo with mirrors of its own."""

    def __init__(self, folder: Path, mirrors: dict[str, str] | None = None):
        self.folder = folder
        self.registries = registries_conf(folder, mirrors or {})

    def skopeo(self, *words, timeout: float = 120, check: bool = True):
        return run(["skopeo", "--registries-conf", self.registries, *words], timeout, check=check)

    def copy(self, name: str, *options, timeout: float = 120) -> Path:
        """Copy an image from a registry into a new folder; the folder."""
        target = Path(tempfile.mkdtemp(prefix="copy-", dir=self.folder))
        self.skopeo("copy", "--src-tls-verify=false", "--preserve-digests", *options,
                    f"docker://{name}", f"dir:{target}", timeout=timeout)
        return target

    def raw_manifest(self, name: str) -> str:
        return self.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}").stdout


class Podman:
    """podman with storage of its own and mirrors from registries.conf."""

    def __init__(self, folder: Path, mirrors: dict[str, str]):
        self.folder = folder
        self.run_folder = socket_folder()
        self.env = {"CONTAINERS_REGISTRIES_CONF": str(registries_conf(folder, mirrors))}

    def podman(self, *words, timeout: float = 120, check: bool = True):
        return run(["podman", "--root", self.folder / "root", "--runroot", self.run_folder,
                    "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs",
                    "--runtime", "runc", "--events-backend", "none", *words],
                   timeout, env=self.env, check=check)

    def pull(self, name: str, *options, timeout: float = 120):
        self.podman("pull", *options, name, timeout=timeout)

    def run(self, name: str) -> str:
        # The limits: by default podman raises them, which takes a capability that root in a
        # container or a small virtual machine may lack.
        return self.podman("run", "--rm", "--network", "none",
                           "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                           name).stdout.strip()

    def digest(self, name: str) -> str:
        return self.podman("image", "inspect", "-f", "{{.Digest}}", name).stdout.strip()

    def remove_all(self):
        self.podman("rmi", "--all", "--force")

    def stop(self):
        """Forget everything and undo the mount that the overlay driver leaves behind."""
        self.remove_all()
        run(["umount", self.folder / "root" / "overlay"], check=False)
        shutil.rmtree(self.run_folder, ignore_errors=True)
