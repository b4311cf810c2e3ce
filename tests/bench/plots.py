"""Plots of the results as SVG: lines over numbers of connections, bars over kinds of loads.

Points and bars are medians, whiskers go from the least to the most.
"""

import math
import statistics
from dataclasses import dataclass
from html import escape
from pathlib import Path

from table import Row, show

WIDTH, HEIGHT = 780, 430
LEFT, RIGHT, TOP, BOTTOM = 70, 630, 66, 372         # the field
LEGEND_X, LEGEND_STEP = 650, 22
BAR_ROOM = 0.82                 # of a category's width; the rest is the gap
TICKS_MAX = 8
DODGE = 5                       # pixels between lines, so that whiskers do not hide each other
COLOURS = {"yantian": "#c0392b", "raw": "#7f8c8d", "direct": "#7f8c8d", "raw fill": "#4d5656",
           "raw fill, no hash": "#b2babb", "nginx": "#27803b", "varnish": "#2471a3",
           "trafficserver": "#b9770e", "registry": "#7d3c98", "verdaccio": "#16808a"}
OTHER_COLOUR = "#34495e"
STYLE = ("text{font:13px sans-serif;fill:#222}.title{font-size:16px;font-weight:600}"
         ".small{font-size:12px;fill:#555}.grid{stroke:#e3e3e3}.axis{stroke:#888}")


@dataclass(frozen=True)
class Plot:
    """Rows side by side, one for each label on the x axis."""
    name: str                   # of the file, without .svg
    title: str
    x_title: str
    labels: list[str]
    rows: list[Row]
    y_title: str
    lines: bool = False         # else bars
    logarithmic: bool = False


def plot(name: str, title: str, x_title: str, labelled: list[tuple[str, Row | None]],
         y_title: str, **keys) -> list[Plot]:
    """A plot of the rows that were measured; none of less than one."""
    found = [(label, row) for label, row in labelled if row and row.samples]
    if not found:
        return []
    labels, rows = zip(*found)
    return [Plot(name, title, x_title, list(labels), list(rows), y_title, **keys)]


class _Linear:
    """The y axis from zero."""
    note = ""

    def __init__(self, values: list[float]):
        self.high = max([*values, 1e-9]) * 1.05

    def y(self, value: float) -> float:
        return BOTTOM - value / self.high * (BOTTOM - TOP)

    def ticks(self) -> list[float]:
        decade = 10 ** math.floor(math.log10(self.high))
        step = next(part * decade for part in (0.1, 0.2, 0.5, 1, 2)
                    if self.high / (part * decade) <= TICKS_MAX)
        return [step * number for number in range(int(self.high / step) + 1)]


class _Logarithmic:
    """The y axis for what differs by factors of ten and more."""
    note = " (logarithmic)"

    def __init__(self, values: list[float]):
        positive = [value for value in values if value > 0] or [1]
        self.low = self._step_below(min(positive) / 1.1)
        self.high = max(positive) * 1.15

    @staticmethod
    def _step_below(value: float) -> float:
        decade = 10 ** math.floor(math.log10(value))
        return max(step * decade for step in (1, 2, 5) if step * decade <= value)

    def y(self, value: float) -> float:
        part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return BOTTOM - part * (BOTTOM - TOP)

    def ticks(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if len(decades) > 4 else (1, 2, 5)
        return [step * 10 ** decade for decade in decades for step in steps
                if self.low <= step * 10 ** decade <= self.high]


_Axis = _Linear | _Logarithmic


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
            f'{escape(text)}</text>')


def _line(x1: float, y1: float, x2: float, y2: float, extra: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {extra}/>'


def _whisker(x: float, scale: _Axis, samples: list[float], colour: str) -> list[str]:
    top, bottom = scale.y(max(samples)), scale.y(min(samples))
    stroke = f'stroke="{colour}" stroke-width="1.3"'
    return [_line(x, top, x, bottom, stroke), _line(x - 3, top, x + 3, top, stroke),
            _line(x - 3, bottom, x + 3, bottom, stroke)]


def _frame(this: Plot, scale: _Axis) -> list[str]:
    parts = [_text(LEFT - 56, 24, this.title, kind="title"),
             _text(LEFT - 56, TOP - 16, this.y_title + scale.note, kind="small"),
             _text((LEFT + RIGHT) / 2, HEIGHT - 14, this.x_title, "middle", "small")]
    for tick in scale.ticks():
        parts += [_line(LEFT, scale.y(tick), RIGHT, scale.y(tick), 'class="grid"'),
                  _text(LEFT - 8, scale.y(tick) + 4, show(tick), "end", "small")]
    parts += [_line(LEFT, TOP, LEFT, BOTTOM, 'class="axis"'),
              _line(LEFT, BOTTOM, RIGHT, BOTTOM, 'class="axis"')]
    for number, label in enumerate(this.labels):
        parts.append(_text(_centre(this, number), BOTTOM + 20, label, "middle"))
    return parts


def _centre(this: Plot, number: int) -> float:
    """Of a label on the x axis."""
    return LEFT + (number + 0.5) * (RIGHT - LEFT) / len(this.labels)


def _draw_line(this: Plot, scale: _Axis, column: str, shift: float, colour: str) -> list[str]:
    points, parts = [], []
    for number, row in enumerate(this.rows):
        if samples := row.column(column):
            x = _centre(this, number) + shift * DODGE
            points.append((x, scale.y(statistics.median(samples))))
            parts += _whisker(x, scale, samples, colour)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    width = 3 if column == "yantian" else 1.8
    parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                 f'stroke-width="{width}"/>')
    return parts + [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
                    for x, y in points]


def _draw_bars(this: Plot, scale: _Axis, column: str, place: float, count: int,
               colour: str) -> list[str]:
    room = BAR_ROOM * (RIGHT - LEFT) / len(this.labels) / count
    parts = []
    for number, row in enumerate(this.rows):
        if samples := row.column(column):
            x = _centre(this, number) + place * room
            y = scale.y(statistics.median(samples))
            parts += [f'<rect x="{x - room * 0.46:.1f}" y="{y:.1f}" width="{room * 0.92:.1f}" '
                      f'height="{BOTTOM - y:.1f}" fill="{colour}" fill-opacity="0.85"/>',
                      *_whisker(x, scale, samples, "#222")]
    return parts


def svg(this: Plot) -> str:
    columns = list(dict.fromkeys(name for row in this.rows for name in row.columns()))
    values = [value for row in this.rows for column in columns for value in row.column(column)]
    scale = _Logarithmic(values) if this.logarithmic else _Linear(values)
    parts = _frame(this, scale)
    for number, column in enumerate(columns):
        colour = COLOURS.get(column, OTHER_COLOUR)
        place = number - (len(columns) - 1) / 2
        if this.lines:
            parts += _draw_line(this, scale, column, place, colour)
        else:
            parts += _draw_bars(this, scale, column, place, len(columns), colour)
        y = TOP + 10 + number * LEGEND_STEP
        parts += [f'<rect x="{LEGEND_X}" y="{y - 10}" width="14" height="12" fill="{colour}"/>',
                  _text(LEGEND_X + 22, y, column)]
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}">\n<style>{STYLE}</style>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n')


def write(folder: Path, these: list[Plot]) -> list[str]:
    """The files; what the report says to show them."""
    for this in these:
        (folder / f"{this.name}.svg").write_text(svg(this))
    return [f"![{this.title}]({this.name}.svg)" for this in these]
