"""The benchmark's own arithmetic: who is compared with whom, who loses a cell, what is counted."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.httpclient import Connection, download
from harness.images import random_bytes
from harness.net import until

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))

import loads                                            # noqa: E402
import phase                                            # noqa: E402
import plots                                            # noqa: E402
import proc                                             # noqa: E402
from server import RawFill                              # noqa: E402
from table import BEST_PEER, OR, Budget, Row, Table     # noqa: E402

pytestmark = pytest.mark.quick

WRK_TEXT = """Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%  611.00us
     99%    4.02ms
  56842 requests in 1.01s, 80.00MB read
Requests/sec:  56572.20
"""


def row(budget: Budget | None = None, more_is_better: bool = True, **samples: list) -> Row:
    made = Row("a load", "", "requests/s", more_is_better, budget)
    for server, values in samples.items():
        for value in values:
            made.add(server.replace("_", " "), value)
    return made


@pytest.mark.parametrize("own, met", [(125, True), (124, False)])
def test_nginx_counts_with_the_better_of_its_tunings(own, met):
    assert row(Budget(1.25, "nginx"), yantian=[own], nginx=[90, 100, 500],
               nginx_nopush=[80, 80, 80]).is_met() is met


def test_less_is_better_turns_the_choice_of_a_tuning_too():
    made = row(Budget(1, "nginx"), False, yantian=[6], nginx=[7], nginx_nopush=[5])
    assert (made.limit(), made.is_met()) == (5, False)


def test_the_best_peer_is_neither_a_limit_nor_yantian():
    made = row(Budget(1, BEST_PEER), raw=[900], raw_fill=[880], direct=[800], yantian=[700],
               varnish=[300], registry=[2])
    made.add("raw fill, no hash", 890)
    assert (made.limit(), made.is_met()) == (300, True)


def test_a_budget_may_name_several():
    """The better one of them counts, and no other peer."""
    made = row(Budget(1, f"nginx{OR}registry"), yantian=[6], nginx=[3], nginx_nopush=[5], registry=[4],
               varnish=[9])
    assert made.limit() == 5 and made.is_met()


def test_a_budget_without_a_figure_of_yantian_is_not_met_and_without_reference_is_not_judged():
    assert row(Budget(1, "nginx"), nginx=[1]).is_met() is False
    assert row(Budget(1, "nginx"), yantian=[1]).is_met() is None


@pytest.mark.parametrize("own, chance", [
    ([1, 1, 1, 1, 1], False), ([1, 1, 9, 1, 1], True), ([9, 9, 9, 9, 9], False),
    ([1] * 8 + [9], False), ([1] * 7 + [9] * 2, True), ([1, 9, 1], False)])
def test_a_verdict_that_too_many_rounds_contradict_may_be_chance(own, chance):
    """With 5 rounds all must agree, with 9 all but one; fewer than 5 do not tell."""
    made = row(Budget(1, "nginx"), more_is_better=False, yantian=own, nginx=[4] * len(own))
    assert made.may_be_chance() is chance


def test_rounds_are_compared_one_by_one():
    """A machine that gets slower meanwhile changes nothing; medians that contradict most rounds do."""
    drift = row(Budget(1, "nginx"), yantian=[52, 42, 32, 22, 12], nginx=[50, 40, 30, 20, 10])
    assert drift.is_met() and not drift.may_be_chance()
    crossed = row(Budget(1, "nginx"), yantian=[5, 5, 1, 1, 4], nginx=[4.5, 4.5, 1.5, 1.5, 4.5])
    assert not crossed.is_met() and crossed.may_be_chance()


def test_a_budget_in_numbers_is_compared_in_each_round():
    assert not row(Budget(0), False, yantian=[0] * 5).may_be_chance()
    assert row(Budget(2), False, yantian=[1, 1, 1, 3, 1]).may_be_chance()


def test_a_verdict_by_chance_is_marked():
    table = Table()
    table.section("A section", "")
    rate = table.group("a load").row("requests/s", more_is_better=True, budget=Budget(1, "nginx"))
    for own in (5, 5, 5, 5, 3):
        rate.add("yantian", own)
        rate.add("nginx", 4)
    assert table.markdown().endswith("| ≥ nginx = 4.00 | yes ~ |")


class FakeServer:
    """Takes part in turns; nothing runs."""
    process = SimpleNamespace(running=False)

    def __init__(self, name: str):
        self.name = name


def test_servers_take_turns_and_one_that_fails_loses_its_cells(monkeypatch):
    monkeypatch.setattr(phase, "GAP_SECONDS", 0)
    bench = phase.Bench(phase.QUICK, None, {})
    bench.table.section("Hits", "")
    group = bench.table.group("a load")
    rate = group.row("requests/s")
    asked = []

    def measure(server):
        asked.append(server.name)
        rate.add(server.name, 7)
        if server.name == "varnish" and asked.count("varnish") == 2:
            raise loads.LoadError("wrong answers")
    bench.turns(3, [FakeServer(name) for name in ("yantian", "nginx", "varnish")], group, measure)
    assert asked == ["yantian", "nginx", "varnish", "nginx", "varnish", "yantian",
                     "yantian", "nginx"]
    assert rate.samples == {"yantian": [7, 7, 7], "nginx": [7, 7, 7]}
    assert bench.table.failures == [("varnish", "a load: wrong answers")]
    assert "| a load, requests/s | 7.00 | 7.00 | failed |" in bench.table.markdown()


def test_further_rounds_are_of_those_that_a_budget_compares(monkeypatch):
    monkeypatch.setattr(phase, "GAP_SECONDS", 0)
    bench = phase.Bench(phase.QUICK, None, {})
    bench.table.section("Hits", "")
    group = bench.table.group("a load")
    group.row("requests/s", budget=Budget(1, "nginx"))
    asked = []
    servers = [FakeServer(name) for name in ("raw", "yantian", "nginx", "nginx nopush", "varnish")]
    bench.turns(bench.scale.hits + 2, servers, group, lambda server: asked.append(server.name))
    assert {server.name: asked.count(server.name) - bench.scale.hits for server in servers} == {
        "raw": 0, "yantian": 2, "nginx": 2, "nginx nopush": 2, "varnish": 0}


@pytest.mark.parametrize("limit", ["raw", "raw fill"])
def test_a_section_with_a_raw_server_shows_the_ratio_to_it(limit):
    table = Table()
    table.section("A section", "")
    total = table.group("a load").row("s")
    other = table.group("another").row("s")
    for server, value in ((limit, 4), ("yantian", 6), ("nginx", 3), ("direct", 1)):
        total.add(server, value)
    other.add("yantian", 6)
    text = table.markdown()
    assert f"| | {limit} | direct | **yantian** | nginx | ÷ {limit} | ÷ nginx |" in text
    assert "| a load, s | 4.00 | 1.00 | 6.00 | 3.00 | 1.50 | 2.00 | 2.00 | – | – |" in text
    assert "| another, s | – | – | 6.00 | – | – | – | – | – | – |" in text


@pytest.fixture
def make_raw_fill(tmp_path, faulty):
    made = []

    def make(hashes: bool) -> RawFill:
        made.append(RawFill(tmp_path, faulty, hashes).start())
        return made[-1]
    yield make
    for server in made:
        server.stop()


@pytest.mark.parametrize("hashes", [True, False])
def test_raw_fill_stores_what_it_passes_on_and_serves_nothing_of_it(make_raw_fill, faulty, hashes):
    """Bodies of several pieces, of one and of none, over one connection, each twice."""
    server = make_raw_fill(hashes)
    bodies = {faulty.put_blob("library/demo", data): data
              for data in (random_bytes(3_000_000, "raw fill"), b"short", b"")}
    with Connection(("127.0.0.1", server.port)) as client:
        for digest in [*bodies, *bodies]:
            answer = client.ask("GET", f"/v2/library/demo/blobs/{digest}")
            assert (answer.status, answer.body) == (200, bodies[digest])
            assert [file.read_bytes() for file in server.storage.iterdir()] == [bodies[digest]]
    assert len(faulty.requests) == 2 * len(bodies)


@pytest.mark.parametrize("hashes", [True, False])
def test_raw_fill_with_a_hash_keeps_the_end_of_a_wrong_body_back(make_raw_fill, faulty, hashes):
    server = make_raw_fill(hashes)
    data = random_bytes(3_000_000, "wrong")
    digest = faulty.put_blob("library/demo", data[:-1])
    target = f"/v2/library/demo/blobs/{digest}"
    faulty.script(target, faulty.blob_reply(data))
    got = download(("127.0.0.1", server.port), target)
    assert got.complete is not hashes
    if hashes:
        assert server.process.wait(5) == 1 and "the digest is wrong" in server.process.errors()


def test_what_wrk_prints_is_read(monkeypatch):
    thing = SimpleNamespace(name="manifest", target="/", fields=[])

    def wrk(text: str):
        monkeypatch.setattr(loads, "run", lambda *_, **__: SimpleNamespace(stdout=text))
        return loads.wrk(1, thing, 64, 1)
    assert wrk(WRK_TEXT) == loads.Requests(56842, 56572.20, 4.02)
    for bad in ("  Non-2xx or 3xx responses: 12\n",
                "  Socket errors: connect 0, read 3, write 0, timeout 0\n"):
        with pytest.raises(loads.LoadError):
            wrk(WRK_TEXT + bad)


def test_cpu_of_children_that_have_ended_counts_and_a_vanished_process_does_no_harm():
    burn = "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); echo; exec sleep 5"
    with subprocess.Popen(["sh", "-c", burn], stdout=subprocess.PIPE) as server:
        server.stdout.read(1)
        assert until(lambda: proc.tree(server.pid) == [server.pid], 5, "the child to be gone")
        assert proc.cpu_seconds(proc.tree(server.pid)) >= 0.05
        server.kill()
    assert proc.cpu_seconds(proc.tree(server.pid)) == 0
    assert proc.memory([server.pid]).rss == 0


@pytest.mark.parametrize("keys", [{"lines": True}, {"logarithmic": True}])
def test_a_plot_shows_every_server_and_its_spread(keys):
    table = Table()
    made = plots.plot("p", "Hits & misses", "connections", [
        ("1", row(yantian=[1, 2, 30], nginx_nopush=[3], nginx=[4])),
        ("never measured", table.find("no such row")),
        ("64", row(yantian=[5, 6, 7]))], "requests/s", **keys)
    picture = ElementTree.fromstring(plots.svg(made[0]))
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Hits & misses", "1", "64", "yantian", "nginx", "connections"} <= set(texts)
    assert "never measured" not in texts and "nginx nopush" not in texts
    whiskers = [line for line in picture.iter("{http://www.w3.org/2000/svg}line")
                if line.get("stroke-width") and line.get("x1") == line.get("x2")]
    assert [whisker.get("y1") != whisker.get("y2") for whisker in whiskers] == [True, True, False]
