"""How every figure looks, and how it is saved: the same bytes for the same numbers.

Colours are Okabe and Ito's, which the colour-blind tell apart, or cividis where arms are ordered by n. Colour is never
alone: a marker and a line style go with it, and what is compared also differs in lightness, for prints in grey.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from polya_midtrain.figures.words import Words
from polya_midtrain.params import Arm, studies
from polya_midtrain.tables.row import Row

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches: a page's text, and a readable size on a screen
DPI = 150
FORMATS = ("svg", "png")
BAND = 0.18  # opacity of an interval
GREY = "#555555"  # what explains and is not a measurement

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib: the same everywhere
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,  # inches
    "svg.fonttype": "path",  # letters as shapes: no font is needed to see them
    "svg.hashsalt": "polya-midtrain",  # names inside the file, else random
}


@dataclass(frozen=True)
class Drawing:
    """A figure with its words. ``sources``: the files that it was made from."""

    figure: Figure
    title: str
    caption: str
    alt: str
    sources: tuple[str, ...]

    @property
    def words(self) -> Words:
        """What it says beside the picture."""
        return Words(title=self.title, caption=self.caption, alt=self.alt, sources=list(self.sources))


class Look(NamedTuple):
    """How a series is drawn."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[float, ...]] = "-"
    filled: bool = True
    hatch: str = ""  # of a band that lies over another


PHASE_LOOKS = {
    "before": Look("#E69F00", "s", (0, (4.0, 1.5)), filled=False),
    "after": Look("#0072B2", "o"),
}
VANILLA = Look("#000000", "", (0, (1.0, 1.2)))
STAR = Look("#B0568A", "", (0, (5.0, 1.5, 1.0, 1.5)), hatch="////")
TRACE_LOOKS = {
    "right": Look("#0072B2", "o"),
    "mixed": Look("#E69F00", "D", (0, (1.0, 1.2))),
    "wrong": Look("#D55E00", "X", (0, (4.0, 1.5))),
}
_MARKERS = "osD^vPX"
_DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5.0, 1.5)),
    (0, (3.0, 1.0, 1.0, 1.0)),
    (0, (1.0, 1.0)),
    (0, (7.0, 1.5, 1.0, 1.5, 1.0, 1.5)),
)
_OTHERS = tuple(Look(colour, "*", (0, (2.0, 1.0))) for colour in ("#D55E00", "#009E73", "#56B4E9"))
_CIVIDIS = ("#fee838", "#d2c060", "#a59c74", "#7d7c78", "#575d6d", "#233e6c", "#00224e")  # light to dark


def arm_looks(arms: Mapping[str, Arm], names: Sequence[str]) -> dict[str, Look]:
    """A look for each arm: vanilla and STaR as everywhere; of the heuristic arms, the larger n the darker."""
    others = iter(_OTHERS * len(names))
    ordered = [name for name in studies.by_n(arms) if name in names]
    found: dict[str, Look] = {}
    for name in names:
        traces = arms[name].traces
        if traces == "none":
            found[name] = VANILLA
        elif name in studies.stars(arms):
            found[name] = STAR
        elif name in ordered:
            place = ordered.index(name)
            shade = _CIVIDIS[round(1 + place * (len(_CIVIDIS) - 2) / max(len(ordered) - 1, 1))]
            found[name] = Look(shade, _MARKERS[place % len(_MARKERS)], _DASHES[place % len(_DASHES)])
        else:
            found[name] = next(others)
    return found


@contextmanager
def style() -> Iterator[None]:
    """The settings of every figure, for making and for saving it."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the reader's own settings are
        matplotlib.rcParams.update(_SETTINGS)
        yield


def panels(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, list[Axes]]:
    """A figure of the common width with a grid of axes, in reading order."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, columns, squeeze=False, **options)  # type: ignore[call-overload]
    return figure, list(axes.flat)


def stacked(counts: Sequence[int], height: float, heights: Sequence[float]) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the common width in rows, each with its own panels, laid out apart from the other rows'.

    ``heights``: of the rows, relative to each other.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    parts = figure.subfigures(len(counts), 1, height_ratios=list(heights), squeeze=False)
    return figure, [
        list(part.subplots(1, number, squeeze=False).flat) for part, number in zip(parts.flat, counts, strict=True)
    ]


def band(axes: Axes, xs: Sequence[float], points: Sequence[Row], look: Look, label: str = "") -> None:
    """A line through the values with a band of their intervals."""
    lows, highs = zip(
        *((point.value - point.errors[0], point.value + point.errors[1]) for point in points), strict=True
    )
    axes.fill_between(xs, lows, highs, color=look.colour, alpha=BAND, linewidth=0)
    line(axes, xs, [point.value for point in points], look, label)


def bars(axes: Axes, xs: Sequence[float], points: Sequence[Row], look: Look, label: str = "") -> None:
    """A line through the values with a bar for each interval."""
    errors = list(zip(*(point.errors for point in points), strict=True))
    axes.errorbar(
        xs,
        [point.value for point in points],
        yerr=errors,
        color=look.colour,
        ecolor=look.colour,
        elinewidth=1.1,
        capsize=2.5,
        marker=look.marker or "none",
        linestyle=look.dash if len(points) > 1 else "none",
        markerfacecolor=look.colour if look.filled else "white",
        label=label or None,
    )


def line(axes: Axes, xs: Sequence[float], ys: Sequence[float], look: Look, label: str = "") -> None:
    """A plain line with its markers."""
    axes.plot(
        xs,
        ys,
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker or "none",
        markerfacecolor=look.colour if look.filled else "white",
        label=label or None,
    )


def reference(axes: Axes, point: Row, look: Look, label: str) -> None:
    """A level line through the whole width, with the band of its interval."""
    below, above = point.errors
    if below or above:
        ends = point.value - below, point.value + above
        if look.hatch:
            axes.axhspan(*ends, facecolor="none", edgecolor=look.colour, alpha=0.35, linewidth=0, hatch=look.hatch)
        else:
            axes.axhspan(*ends, color=look.colour, alpha=0.10, linewidth=0)
    axes.axhline(point.value, color=look.colour, linestyle=look.dash, label=label)


def log2_axis(axes: Axes, values: Sequence[int], label: str) -> None:
    """An x axis on which doubling is a step, with a tick at every value."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(values), [str(value) for value in values])
    axes.minorticks_off()
    axes.set_xlim(min(values) / 1.35, max(values) * 1.35)
    axes.set_xlabel(label)


def legend(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend under all panels, each label once."""
    found: dict[str, Artist] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=min(columns, len(found)))


def save(drawing: Drawing, folder: Path, name: str) -> None:
    """Write NAME.svg and NAME.png without a date or the name of the program that made them."""
    nothing = {
        "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
        "png": {"Software": None},
    }
    drawing.figure.draw_without_rendering()  # lays the panels out, which is then not done again for each format
    drawing.figure.set_layout_engine("none")
    for form in FORMATS:
        drawing.figure.savefig(folder / f"{name}.{form}", dpi=DPI, metadata=nothing[form])


def paper_mark(axes: Axes, x: float, y: float) -> None:
    """A value of the paper's: measured elsewhere, so no part of any series."""
    axes.plot([x], [y], "*", color=GREY, markerfacecolor="white", markersize=10, label="paper (other model)")


def dots(axes: Axes, points: Sequence[Row], heights: Sequence[float], look: Look, label: str = "") -> None:
    """Values along x, each on a line of its own, with a bar for each interval."""
    errors = list(zip(*(point.errors for point in points), strict=True))
    axes.errorbar(
        [point.value for point in points],
        heights,
        xerr=errors,
        color=look.colour,
        elinewidth=1.1,
        capsize=2.5,
        marker=look.marker,
        linestyle="none",
        markerfacecolor=look.colour if look.filled else "white",
        label=label or None,
    )


def names_axis(axes: Axes, names: Sequence[str]) -> None:
    """A y axis of names, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
