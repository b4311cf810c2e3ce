"""A Debian base image made from the packages that are installed on this machine.

`docker build` of the Dockerfile then works with no way out: every package that it asks apt for is
in the base already, and apt has no source to ask.
"""

import re
import shutil
import tarfile
from pathlib import Path


STATUS = Path("/var/lib/dpkg/status")
INFO = Path("/var/lib/dpkg/info")
ESSENTIAL = ["apt", "base-files", "base-passwd", "bash", "coreutils", "dash", "debconf",
             "debianutils", "diffutils", "dpkg", "findutils", "grep", "gzip", "hostname",
             "libc-bin", "login", "mount", "passwd", "perl-base", "sed", "tar", "util-linux"]
# Made by maintainer scripts, so in no package's list.
GENERATED = ["etc/alternatives", "etc/passwd", "etc/group", "etc/shadow", "etc/ld.so.cache",
             "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/ssl/certs", "etc/nsswitch.conf"]
FOLDERS = ["tmp", "root", "proc", "sys", "dev", "run", "var/tmp", "var/lib/apt/lists/partial",
           "var/cache/apt/archives/partial", "etc/apt/apt.conf.d"]
MERGED = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]


def packages_of(dockerfile: Path) -> list[str]:
    """What the Dockerfile has apt install."""
    text = dockerfile.read_text().replace("\\\n", " ")
    words = []
    for found in re.findall(r"apt-get(?:\s+-\S+)*\s+install\s+([^&|;\n]*)", text):
        words += [word for word in found.split() if re.fullmatch(r"[a-z0-9][a-z0-9+.:-]*", word)]
    return list(dict.fromkeys(words))


def _paragraphs() -> dict[str, str]:
    """Package → its paragraph in dpkg's status; of several architectures the native one."""
    found = {}
    for text in STATUS.read_text().split("\n\n"):
        name = re.search(r"^Package: (\S+)", text, re.M)
        if name and "Status: install ok installed" in text:
            found.setdefault(name[1], text)
    return found


def _providers(paragraphs: dict[str, str]) -> dict[str, str]:
    """Virtual package → an installed one that provides it."""
    found = {}
    for package, text in paragraphs.items():
        for name in _names(text, "Provides"):
            found.setdefault(name, package)
    return found


def _names(paragraph: str, field: str) -> list[str]:
    """The names in a relation field, alternatives included."""
    value = re.search(rf"^{field}: (.*)$", paragraph, re.M)
    return re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", value[1]) if value else []


def closure(packages: list[str]) -> dict[str, str]:
    """The packages and all that they depend on, with their paragraphs."""
    installed = _paragraphs()
    providers = _providers(installed)
    wanted, taken = [*ESSENTIAL, *packages], {}
    missing = [name for name in packages if name not in installed and name not in providers]
    assert not missing, f"not installed on this machine: {' '.join(missing)}"
    while wanted:
        name = wanted.pop()
        name = name if name in installed else providers.get(name)
        if name and name not in taken:
            taken[name] = installed[name]
            wanted += _names(installed[name], "Depends") + _names(installed[name], "Pre-Depends")
    return taken


def _info_files(package: str) -> list[Path]:
    return [file for file in INFO.glob(f"{package}[.:]*")
            if re.fullmatch(rf"{re.escape(package)}(:[a-z0-9]+)?\.[a-z]+", file.name)]


def _files_of(package: str) -> list[str]:
    lists = [file for file in _info_files(package) if file.suffix == ".list"]
    return [line for file in lists for line in file.read_text().splitlines()]


def _listed(packages: dict[str, str]) -> set[str]:
    """Every path that the packages own, as it really is: with merged /usr a file that is listed
    below /lib lies below /usr/lib."""
    names = {name for package in packages for name in _files_of(package) if name != "/."}
    return {str(Path(name).parent.resolve() / Path(name).name) for name in names}


def _unlisted(packages: dict[str, str]) -> set[str]:
    """What no list names: links of merged /usr, dpkg's own records, what scripts made."""
    names = {f"/{link}" for link in MERGED}
    names |= {str(file) for package in packages for file in _info_files(package)}
    for name in GENERATED:
        names |= {f"/{name}", *(str(file) for file in Path("/", name).rglob("*"))}
    return names


def make_base(folder: Path, packages: list[str]) -> Path:
    """A tar for `docker import` that holds these packages and what they need."""
    taken = closure(packages)
    file = folder / "base.tar"
    empty = folder / "empty"
    empty.mkdir()
    status = folder / "status"
    status.write_text("\n\n".join(taken.values()) + "\n\n")
    present = sorted(name for name in _listed(taken) | _unlisted(taken)
                     if Path(name).exists() or Path(name).is_symlink())
    with tarfile.open(file, "w") as tar:
        for name in present:
            tar.add(name, name.lstrip("/"), recursive=False)
        tar.add(status, str(STATUS).lstrip("/"))
        for name in FOLDERS:
            if f"/{name}" not in present:
                tar.add(empty, name, recursive=False, filter=_open_to_all_if_temporary)
    return file


def _open_to_all_if_temporary(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o1777 if entry.name.endswith("tmp") else 0o755
    return entry


def source_tree(folder: Path, root: Path) -> Path:
    """A copy of the project without what builds and tests left behind, as build context."""
    context = folder / "context"
    shutil.copytree(root, context, symlinks=True,
                    ignore=shutil.ignore_patterns("build", ".git", "var", "__pycache__"))
    return context


def import_base(docker, folder: Path, dockerfile: Path, name: str):
    """Make the base for a Dockerfile and give it to a Docker daemon under a name."""
    docker("import", make_base(folder, packages_of(dockerfile)), name, timeout=300)
