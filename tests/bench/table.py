"""The results: rows of samples, what DESIGN's budgets ask of them, and the page that shows both."""

import math
import statistics
from dataclasses import dataclass, field

YANTIAN = "yantian"
NGINX = ("nginx nopush", "nginx")       # its tunings; in each row the better one counts
RAW = ("raw", "raw fill")               # what is left if only the work itself is done: hits, misses
LIMITS = (*RAW, "raw fill, no hash", "direct")      # direct: the download from the upstream itself
BEST_PEER = "the best peer"             # of those that were measured in the row
OR = " or "
CHANCE = 0.1                    # how likely a verdict may be if there were no difference


@dataclass(frozen=True)
class Budget:
    """A bound for Yantian: so many times what another one reaches, or a number."""
    factor: float
    of: str = ""                # a server, several (OR between them), BEST_PEER; "": the factor
                                # is the bound itself


@dataclass
class Row:
    """One figure of every server, measured several times."""
    group: str
    part: str                   # which figure of the group; "": the main one
    unit: str
    more_is_better: bool = False
    budget: Budget | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)         # servers that failed

    def add(self, server: str, value: float):
        self.samples.setdefault(server, []).append(value)

    def median(self, server: str) -> float | None:
        return statistics.median(self.samples[server]) if server in self.samples else None

    def best(self, servers) -> str | None:
        """The one whose median is best; None if none of them was measured."""
        measured = [name for name in servers if name in self.samples]
        pick = max if self.more_is_better else min
        return pick(measured, key=self.median, default=None)

    def columns(self) -> list[str]:
        """The servers with figures: the limits, Yantian, its peers as they came."""
        names = ["nginx" if name in NGINX else name for name in [*LIMITS, YANTIAN, *self.samples]]
        return [name for name in dict.fromkeys(names) if self.column(name)]

    def column(self, name: str) -> list[float]:
        """The samples of a server; of nginx those of the better tuning."""
        return self.samples.get(self.best(tunings(name)), [])

    def peers(self) -> list[str]:
        return [name for name in self.samples if name not in (YANTIAN, *LIMITS)]

    def named(self) -> list[str]:
        """Those whom the budget compares with."""
        if self.budget.of == BEST_PEER:
            return self.peers()
        return [name for server in self.budget.of.split(OR) for name in tunings(server)]

    def reference(self) -> str | None:
        """The best of them, if one was measured."""
        return self.best(self.named())

    def limit(self) -> float | None:
        """What the budget comes to in this run; None: there is nothing to compare with."""
        if not self.budget.of:
            return self.budget.factor
        reference = self.reference()
        return self.budget.factor * self.median(reference) if reference else None

    def is_met(self) -> bool | None:
        """None: no budget, or nothing to compare with."""
        limit = self.limit() if self.budget else None
        if limit is None:
            return None
        own = self.median(YANTIAN)
        return own is not None and self._is_within(own, limit)

    def _is_within(self, own: float, limit: float) -> bool:
        return own >= limit if self.more_is_better else own <= limit

    def may_be_chance(self) -> bool:
        """Round by round, do so many contradict is_met() that a coin might have decided? This is the
        sign test, which asks nothing of how figures are spread; with few rounds it cannot tell."""
        own, of = self.samples.get(YANTIAN, []), self.reference() if self.budget.of else None
        limits = [self.budget.factor * value for value in self.samples[of]] if of \
            else [self.budget.factor] * len(own)
        rounds = [self._is_within(*both) for both in zip(own, limits)]
        against = rounds.count(not self.is_met())
        return _coin(len(rounds), 0) <= CHANCE < _coin(len(rounds), against)


def _coin(n: int, k: int) -> float:
    """How likely is it that of n throws k or fewer differ from the others?"""
    return min(1, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2 ** n)


def tunings(server: str) -> tuple[str, ...]:
    """The names under which a column's server has samples."""
    return NGINX if server == "nginx" else (server,)


@dataclass
class Group:
    """The rows that one load fills."""
    table: "Table"
    title: str
    rows: list[Row] = field(default_factory=list)

    def row(self, unit: str, part: str = "", more_is_better: bool = False,
            budget: Budget | None = None) -> Row:
        row = Row(self.title, part, unit, more_is_better, budget)
        self.rows.append(row)
        return row

    def compares(self, server: str) -> bool:
        """Is there a budget for which the server's figures count?"""
        return server == YANTIAN or any(row.budget and server in row.named() for row in self.rows)

    def lose(self, server: str, why: str):
        """A server that failed once has no figures here."""
        self.table.failures.append((server, f"{self.title}: {why}"))
        for row in self.rows:
            row.samples.pop(server, None)
            row.lost.add(server)


def show(value: float) -> str:
    """Three digits."""
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    if value >= 1e3:
        return f"{value / 1e3:.1f}k"
    digits = 0 if value >= 100 or value == 0 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def _cell(row: Row, column: str) -> str:
    """The median, and from the least to the most; of nginx also which tuning."""
    server = row.best(tunings(column))
    if server is None:
        return "failed" if row.lost.intersection(tunings(column)) else "–"
    least, most = min(row.samples[server]), max(row.samples[server])
    text = show(row.median(server))
    if least != most:
        text += f" ({show(least)}–{show(most)})"
    return ("nopush: " if server == "nginx nopush" else "") + text


def _ratio(row: Row, reference: str | None) -> str:
    own = row.median(YANTIAN)
    if own is None or reference is None or row.median(reference) == 0:
        return "–"
    return f"{own / row.median(reference):.2f}"


def _budget(row: Row) -> str:
    if not row.budget:
        return "–"
    sign = "≥" if row.more_is_better else "≤"
    if not row.budget.of:
        return f"{sign} {show(row.budget.factor)}"
    factor = "" if row.budget.factor == 1 else f"{row.budget.factor:g} × "
    limit = row.limit()
    return f"{sign} {factor}{row.budget.of}" + ("" if limit is None else f" = {show(limit)}")


@dataclass
class Section:
    """What one phase measured."""
    title: str
    note: str
    groups: list[Group] = field(default_factory=list)

    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group.rows]

    def columns(self) -> list[str]:
        """The servers with figures here, or that failed."""
        rows = self.rows()
        found = [name for row in rows for name in row.columns()]
        lost = ["nginx" if name in NGINX else name for row in rows for name in sorted(row.lost)]
        names = list(dict.fromkeys(found + lost))
        first = [name for name in (*LIMITS, YANTIAN) if name in names]
        return [*first, *(name for name in names if name not in first)]

    def markdown(self) -> str:
        columns = self.columns()
        raw = [name for name in columns if name in RAW]
        heads = [*(f"**{name}**" if name == YANTIAN else name for name in columns),
                 *(f"÷ {name}" for name in raw), "÷ nginx", "÷ best peer", "budget", "met"]
        lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
        for row in self.rows():
            met = {True: "yes", False: "**no**", None: "–"}[row.is_met()]
            if row.is_met() is not None and row.may_be_chance():
                met += " ~"
            title = f"– {row.part}" if row.part else row.group
            cells = [f"{title}, {row.unit}", *(_cell(row, name) for name in columns),
                     *(_ratio(row, row.best([name])) for name in raw),
                     _ratio(row, row.best(NGINX)), _ratio(row, row.best(row.peers())),
                     _budget(row), met]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n\n".join(filter(None, [f"## {self.title}", self.note, "\n".join(lines)]))


@dataclass
class Table:
    sections: list[Section] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)    # server, what and why

    def section(self, title: str, note: str):
        """What follows belongs to it."""
        self.sections.append(Section(title, note))

    def group(self, title: str) -> Group:
        group = Group(self, title)
        self.sections[-1].groups.append(group)
        return group

    def rows(self) -> list[Row]:
        return [row for section in self.sections for row in section.rows()]

    def find(self, group: str, part: str = "") -> Row | None:
        return next((row for row in self.rows() if (row.group, row.part) == (group, part)), None)

    def markdown(self) -> str:
        return "\n\n".join(section.markdown() for section in self.sections)

    def samples(self) -> list[dict]:
        """Everything that was measured, for samples.json."""
        return [{"section": section.title, "group": row.group, "part": row.part, "unit": row.unit,
                 "more_is_better": row.more_is_better, "samples": row.samples,
                 "failed": sorted(row.lost)}
                for section in self.sections for row in section.rows()]
