"""Bad configurations: one clear line each, with file, line number and key; exit 1."""

import socket

import pytest

from harness import config
from harness.daemon import check_config
from harness.net import free_port
from harness.paths import ROOT, yantian
from harness.process import run

pytestmark = pytest.mark.quick

GOOD = """\
listen:
  - address: 127.0.0.1:5000
storage:
  path: /tmp/yantian-test
  max_size: 1GiB
routes:
  - name: hub
    protocol: oci
    namespaces: [docker.io]
    default: true
    upstreams:
      - url: http://127.0.0.1:1
    ttl: 5m
"""

# name: (what to replace, by what, the line of the error, words of the message)
BAD = {
    "unknown key at the top": ("storage:", "storge:", 3, "storge"),
    "unknown key in a section": ("  max_size:", "  maxsize:", 5, "storage.maxsize"),
    "unknown key in a route": ("    ttl:", "    tll:", 13, "tll"),
    "unknown key in an upstream": ("- url:", "- uri:", 12, "uri"),
    "a word where a boolean belongs": ("default: true", "default: maybe", 10, "default"),
    "a word where a duration belongs": ("ttl: 5m", "ttl: soon", 13, "ttl"),
    "a duration without a unit": ("ttl: 5m", "ttl: 5", 13, "ttl"),
    "a duration of two units": ("ttl: 5m", "ttl: 5m30s", 13, "ttl"),
    "a negative duration": ("ttl: 5m", "ttl: -5m", 13, "ttl"),
    "a duration that overflows": ("ttl: 5m", "ttl: 99999999999999999999d", 13, "ttl"),
    "a size with a wrong unit": ("1GiB", "1GB", 5, "max_size"),
    "a size of zero": ("1GiB", "0", 5, "max_size"),
    "a list where a word belongs": ("path: /tmp/yantian-test", "path: [a, b]", 4, "path"),
    "a word where a list belongs": ("namespaces: [docker.io]", "namespaces: {a: b}", 9,
                                    "namespaces"),
    "a mapping where a list belongs": ("listen:\n  - address:", "listen:\n    address:", 1,
                                       "listen"),
    "an unknown protocol": ("protocol: oci", "protocol: ftp", 8, "protocol"),
    "an address without a port": ("127.0.0.1:5000", "127.0.0.1", 2, "address"),
    "a port out of range": ("127.0.0.1:5000", "127.0.0.1:70000", 2, "address"),
    "an upstream that is no URL": ("http://127.0.0.1:1", "nonsense", 12, "url"),
    "an upstream of another scheme": ("http://127.0.0.1:1", "ftp://127.0.0.1/", 12, "url"),
    "an upstream with a password in it": ("http://127.0.0.1:1", "http://u:pw@127.0.0.1:1", 12,
                                          "url"),
    "a key twice": ("    ttl: 5m", "    ttl: 5m\n    ttl: 6m", 14, "ttl"),
    "a route without a name": ("- name: hub\n    protocol: oci", "- protocol: oci", 7, "name"),
    "a tab for indentation": ("  path:", "\tpath:", 4, ""),
    "an open quote": ("max_size: 1GiB", 'max_size: "1GiB', 0, ""),
    "a listener for a route that is not there": ("  - address: 127.0.0.1:5000",
                                                 "  - address: 127.0.0.1:5000\n    route: nope",
                                                 3, "nope"),
    "a prefix for a protocol with a root": ("    ttl: 5m", "    prefix: /hub", 13, "prefix"),
    "credentials of clients for a protocol that does not take them": (
        "    ttl: 5m", "    auth: passthrough", 13, "auth"),
    "an unknown way of authorisation": ("    ttl: 5m", "    auth: basic", 13,
                                        "none, passthrough"),
    "hosts of files for a protocol without links": ("    ttl: 5m", "    file_hosts: [a.test]", 13,
                                                    "file_hosts"),
    "patterns for a protocol that knows what is immutable": (
        "    ttl: 5m", "    immutable: [/pool/**]", 13, "immutable"),
    "a public URL that is none": ("storage:", "public_url: cache.test\nstorage:", 3, "public_url"),
}

PACKAGES = """\
listen:
  - address: 127.0.0.1:5000
routes:
  - name: python
    protocol: pypi
    prefix: /pypi
    auth: passthrough
    file_hosts: [files.test, "files.test:8443"]
    upstreams:
      - url: http://127.0.0.1:1
  - name: node
    protocol: npm
    hosts: [npm.test]
    upstreams:
      - url: http://127.0.0.1:1
  - name: debian
    protocol: generic
    prefix: /debian
    immutable: [/pool/**, "*.deb"]
    upstreams:
      - url: http://127.0.0.1:1
"""

BAD_PACKAGES = {
    "nothing selects it": ("    prefix: /pypi\n", "", 4, "nothing selects this route"),
    "the same prefix twice": ("prefix: /debian", "prefix: /pypi/", 18, "line 4"),
    "a prefix that is the root": ("prefix: /debian", "prefix: /", 18, "prefix"),
    "a prefix with dot segments": ("prefix: /debian", "prefix: /a/../b", 18, "prefix"),
    "a prefix under the root of another protocol": ("prefix: /debian", "prefix: /v2/debian", 18,
                                                    "/v2"),
    "a namespace": ("hosts: [npm.test]", "namespaces: [npm.test]", 11, "nothing selects"),
    "the default": ("hosts: [npm.test]", "hosts: [npm.test]\n    default: true", 14, "default"),
    "hosts of files where no page has links": ("immutable: [/pool/**, \"*.deb\"]",
                                               "file_hosts: [a.test]", 19, "file_hosts"),
    "patterns elsewhere": ("hosts: [npm.test]", "hosts: [npm.test]\n    immutable: [a]", 14,
                           "immutable"),
    "two upstreams for the clients' credentials": (
        "      - url: http://127.0.0.1:1\n  - name: node",
        "      - url: http://127.0.0.1:1\n      - url: http://127.0.0.1:2\n  - name: node", 7,
        "one upstream"),
    "an account beside the clients' credentials": (
        "      - url: http://127.0.0.1:1\n  - name: node",
        "      - url: http://127.0.0.1:1\n        username: u\n"
        "        password_file: /proc/version\n  - name: node", 11, "username"),
}


def complaint(file) -> str:
    """What check-config says about a bad file: one line for each thing that is wrong."""
    done = check_config(file)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert lines and all(line.startswith(f"{file}:") for line in lines), lines
    return lines[0]


def write(tmp_path, text: str):
    file = tmp_path / "yantian.yaml"
    file.write_text(text)
    return file


def check_refused(tmp_path, good: str, row):
    old, new, line, words = row
    assert good.count(old) == 1, "the row must change one place"
    file = write(tmp_path, good.replace(old, new))
    said = complaint(file)
    assert said.startswith(f"{file}:{line}: " if line else f"{file}:"), said
    assert words in said


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_file_and_line(tmp_path, name):
    check_refused(tmp_path, GOOD, BAD[name])


def test_routes_of_packages_are_accepted(tmp_path):
    done = check_config(write(tmp_path, PACKAGES))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", BAD_PACKAGES)
def test_a_bad_route_of_packages_is_refused_with_file_and_line(tmp_path, name):
    check_refused(tmp_path, PACKAGES, BAD_PACKAGES[name])


@pytest.mark.parametrize("key, value, said", [
    ("name", "hub", "hub"), ("namespaces", "[docker.io]", "docker.io"),
    ("default", "true", "default")])
def test_two_routes_that_claim_the_same_are_refused(tmp_path, key, value, said):
    keys = {"name": "other", "protocol": "oci", key: value}
    second = "\n    ".join(f"{name}: {text}" for name, text in keys.items())
    file = write(tmp_path, f"{GOOD}  - {second}\n    upstreams: [{{ url: http://127.0.0.1:2 }}]\n")
    message = complaint(file)
    assert message.startswith(f"{file}:1") and said in message


@pytest.mark.parametrize("lacking", ["listen", "storage"])
def test_sections_have_defaults(tmp_path, lacking):
    """Only what has no sensible default must be said."""
    lines = GOOD.splitlines(keepends=True)
    begin = lines.index(f"{lacking}:\n")
    end = next(n for n in range(begin + 1, len(lines)) if not lines[n].startswith(" "))
    done = check_config(write(tmp_path, "".join(lines[:begin] + lines[end:])))
    assert done.returncode == (1 if lacking == "listen" else 0), done.stderr


def test_a_good_file_is_accepted_in_silence_or_with_ok(tmp_path):
    done = check_config(write(tmp_path, GOOD))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_shipped_file_is_good():
    done = check_config(ROOT / "conf" / "yantian.yaml")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("content", ["", "[]", "just words", "\0\0\0", "a: [", "- a\n- b\n",
                                     "? {a: b}\n: c\n", "&a [*a]", "a: &x 1\nb: *x\n"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, content):
    file = write(tmp_path, content)
    assert complaint(file).startswith(f"{file}:")


def test_an_unreadable_file_is_refused(tmp_path):
    """Root reads any file, so what cannot be read is one that is not there, or a folder."""
    assert str(tmp_path / "absent.yaml") in complaint(tmp_path / "absent.yaml")
    assert str(tmp_path) in complaint(tmp_path)


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_password_file_that_is_not_there_is_refused(tmp_path, command):
    text = GOOD.replace("url: http://127.0.0.1:1",
                        "url: http://127.0.0.1:1\n        username: u\n"
                        f"        password_file: {tmp_path}/absent")
    done = run([yantian(), command, "-c", write(tmp_path, text)], timeout=10, check=False)
    assert done.returncode == 1
    assert ":14: routes[0].upstreams[0].password_file: " in done.stdout + done.stderr


def end_of(daemon) -> str:
    """Start a daemon that cannot run; its last line."""
    daemon.process.start()
    assert daemon.process.wait(10) == 1
    daemon.check_no_sanitizer_report()
    return [line for line in daemon.process.errors().splitlines() if line][-1]


def test_serve_refuses_a_bad_file_too(make_daemon, faulty):
    daemon = make_daemon(config.hub(faulty.url), nonsense="x")
    assert end_of(daemon).startswith(f"{daemon.config_file}:")


def test_a_port_in_use_is_said(make_daemon, faulty):
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        said = end_of(make_daemon(config.hub(faulty.url), port=port))
    assert f"127.0.0.1:{port}" in said and "in use" in said


def test_a_storage_path_that_cannot_be_made_is_said(make_daemon, faulty, tmp_path):
    (tmp_path / "file").write_text("")
    said = end_of(make_daemon(config.hub(faulty.url),
                              storage={"path": str(tmp_path / "file" / "below")}))
    assert str(tmp_path / "file") in said


@pytest.mark.parametrize("words", [[], ["dance"], ["serve", "--loud"], ["serve", "-c"],
                                   ["check-config", "a", "b"]])
def test_wrong_commands_get_a_usage_line(words):
    done = run([yantian(), *words], timeout=10, check=False)
    assert done.returncode in (1, 2)
    assert "usage" in (done.stdout + done.stderr).lower()


def test_version_is_printed():
    done = run([yantian(), "version"], timeout=10)
    assert done.stdout.startswith("yantian ")
