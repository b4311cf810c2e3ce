"""The results: rows of samples, what DESIGN's budgets ask of them, and the page that shows both."""

import statistics
from dataclasses import dataclass, field

YANTIAN = "yantian"
NGINX = ("nginx nopush", "nginx")       # its tunings; in each row the better one counts
REGISTRY = "registry"
LIMIT = ("raw", "direct")               # the raw server, or the download from the upstream itself
OF = {"raw": ("raw",), "direct": ("direct",), "nginx": NGINX, "the best peer": (*NGINX, REGISTRY)}


@dataclass(frozen=True)
class Budget:
    """A bound for Yantian: so many times what another one reaches, or a number."""
    factor: float
    of: str = ""                # a key of OF; "": the factor is the bound itself


@dataclass
class Row:
    """One figure of every server, measured several times."""
    title: str
    unit: str
    more_is_better: bool = False
    budget: Budget | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, server: str, value: float):
        self.samples.setdefault(server, []).append(value)

    def median(self, server: str) -> float | None:
        return statistics.median(self.samples[server]) if server in self.samples else None

    def best(self, servers) -> str | None:
        """The one whose median is best; None if none of them was measured."""
        measured = [name for name in servers if name in self.samples]
        pick = max if self.more_is_better else min
        return pick(measured, key=self.median, default=None)

    def limit(self) -> float | None:
        """What the budget comes to in this run; None: there is nothing to compare with."""
        if not self.budget.of:
            return self.budget.factor
        reference = self.best(OF[self.budget.of])
        return self.budget.factor * self.median(reference) if reference else None

    def is_met(self) -> bool | None:
        """None: no budget, or nothing to compare with."""
        limit = self.limit() if self.budget else None
        if limit is None:
            return None
        own = self.median(YANTIAN)
        if own is None:
            return False
        return own >= limit if self.more_is_better else own <= limit


def show(value: float) -> str:
    """Three digits."""
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    if value >= 1e3:
        return f"{value / 1e3:.1f}k"
    digits = 0 if value >= 100 or value == 0 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def _cell(row: Row, server: str | None) -> str:
    """The median, and from the least to the most; of nginx also which tuning."""
    if server not in row.samples:
        return "–"
    least, most = min(row.samples[server]), max(row.samples[server])
    text = show(row.median(server))
    if least != most:
        text += f" ({show(least)}–{show(most)})"
    name = {"direct": "direct: ", "nginx nopush": "nopush: "}.get(server, "")
    return name + text


def _ratio(row: Row) -> str:
    own, nginx = row.median(YANTIAN), row.best(NGINX)
    if own is None or nginx is None or row.median(nginx) == 0:
        return "–"
    return f"{own / row.median(nginx):.2f}"


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
class Table:
    rows: list[Row] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)    # server, what and why

    def row(self, *args, **keys) -> Row:
        self.rows.append(Row(*args, **keys))
        return self.rows[-1]

    def markdown(self) -> str:
        lines = ["| | raw | yantian | nginx tuned | registry | yantian ÷ nginx | budget | met |",
                 "|---|---|---|---|---|---|---|---|"]
        for row in self.rows:
            met = {True: "yes", False: "**no**", None: "–"}[row.is_met()]
            cells = [f"{row.title}, {row.unit}", _cell(row, row.best(LIMIT)), _cell(row, YANTIAN),
                     _cell(row, row.best(NGINX)), _cell(row, REGISTRY), _ratio(row), _budget(row),
                     met]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)
